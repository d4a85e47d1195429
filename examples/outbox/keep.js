// Keeps the page itself: a service worker answers with its files when there is no network.

/** Resolves when the page would open offline, too. What is loaded from then on is kept as it comes. */
export async function keepForOffline() {
  const controlled = new Promise((resolve) => {
    navigator.serviceWorker.addEventListener("controllerchange", resolve, { once: true });
  });
  await navigator.serviceWorker.register("offline.js");
  if (!navigator.serviceWorker.controller) await controlled;
  const loaded = performance.getEntriesByType("resource").map(({ name }) => name);
  await Promise.all([location.href, ...loaded].map((url) => fetch(url)));
}
