// Reload: how many messages were in the queue before the page was loaded again, to be held against how many are there after it.

const KEY = "pocketmq.before-reload";

/** Loads the page again. */
export function reloadWith(messages: number): void {
  sessionStorage.setItem(KEY, String(messages));
  location.reload();
}

/** How many there were before, once after each time. */
export function beforeReload(): number | undefined {
  const kept = sessionStorage.getItem(KEY);
  sessionStorage.removeItem(KEY);
  return kept === null ? undefined : Number(kept);
}
