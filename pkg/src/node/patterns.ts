// Patterns: the regular expressions in permissions, policies and searches. They match anywhere in a name.

const CACHED_MAX = 1_000;
const cache = new Map<string, RegExp>();

/** A pattern as a regular expression. Throws a SyntaxError when it is none. */
export function patternOf(pattern: string): RegExp {
  const known = cache.get(pattern);
  if (known) return known;
  const made = new RegExp(pattern);
  if (cache.size >= CACHED_MAX) cache.clear();
  cache.set(pattern, made);
  return made;
}

/** Why a pattern is no regular expression, or undefined when it is one. */
export function faultOf(pattern: string): string | undefined {
  try {
    patternOf(pattern);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
