// The service worker: files come from the network and are kept; where there is no network they come as they were last.
const KEPT = "outbox";

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const { method, cache } = event.request;
  if (method === "GET" && cache !== "no-store") event.respondWith(answer(event.request));
});

async function answer(request) {
  const kept = await caches.open(KEPT);
  try {
    const response = await fetch(request);
    if (response.ok) await kept.put(request, response.clone());
    return response;
  } catch {
    return (await kept.match(request)) ?? Response.error();
  }
}
