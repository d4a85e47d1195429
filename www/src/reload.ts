// Reload: the length of the queue before the page was reloaded, to compare it with the length after it.

const KEY = "pocketmq.before-reload";

/** Reloads the page. */
export function reloadWith(messages: number): void {
  sessionStorage.setItem(KEY, String(messages));
  location.reload();
}

/** Returns the length before the reload, once after each. */
export function beforeReload(): number | undefined {
  const stored = sessionStorage.getItem(KEY);
  sessionStorage.removeItem(KEY);
  return stored === null ? undefined : Number(stored);
}
