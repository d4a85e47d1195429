// Stores the page itself: a service worker serves its files when there is no network.

/** Resolves when the page would open offline, too. Files that are loaded later are stored as well. */
export async function keepForOffline() {
  const controlled = new Promise((resolve) => {
    navigator.serviceWorker.addEventListener("controllerchange", resolve, { once: true });
  });
  await navigator.serviceWorker.register("offline.js");
  if (!navigator.serviceWorker.controller) await controlled;
  const loaded = performance.getEntriesByType("resource").map(({ name }) => name);
  await Promise.all([location.href, ...loaded].map((url) => fetch(url)));
}
