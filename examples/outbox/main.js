// The page: a form that always works, and the status of its posts.
import { keepForOffline } from "./keep.js";
import { openOutbox } from "./outbox.js";

const REFRESH_MS = 250;
const element = (id) => document.getElementById(id);
const say = (id, text) => {
  element(id).textContent = text;
};

const opening = open();
element("form").addEventListener("submit", submit);
opening.then(refresh).catch(complain);

async function open() {
  await keepForOffline();
  const outbox = await openOutbox();
  await outbox.watchDead(showDead);
  await outbox.drain(post);
  return outbox;
}

async function submit(event) {
  event.preventDefault();
  const text = element("text").value;
  event.target.reset();
  await opening.then(({ add }) => add(text)).catch(complain);
}

/** Sends one post; by its id the server recognises one that it already has. Being offline is not a failure. */
async function post(body, id) {
  await untilOnline();
  const request = { method: "POST", headers: { "idempotency-key": id }, body };
  const response = await fetch("posts", request).catch((error) => {
    if (navigator.onLine) throw error;
  });
  if (!response) return post(body, id);
  if (!response.ok) throw new Error(`The server responded with ${response.status}.`);
}

function untilOnline() {
  if (navigator.onLine) return;
  return new Promise((resolve) => addEventListener("online", resolve, { once: true }));
}

async function refresh() {
  const outbox = await opening;
  say("network", navigator.onLine ? "Online" : "Offline");
  for (const [state, count] of Object.entries(await outbox.counts())) say(state, count);
  if (navigator.onLine) await showReceived().catch(() => {});
  setTimeout(refresh, REFRESH_MS);
}

async function showReceived() {
  const response = await fetch("posts", { cache: "no-store" });
  const lines = (await response.json()).map((received) => listItem(received));
  element("received").replaceChildren(...lines);
}

function showDead(body, refusals, revive) {
  const again = document.createElement("button");
  again.textContent = "Send again";
  const line = listItem(`${body}, refused ${refusals} times `, again);
  again.addEventListener("click", () => revive().then(() => line.remove(), complain));
  element("dead-letters").append(line);
}

function listItem(...parts) {
  const line = document.createElement("li");
  line.append(...parts);
  return line;
}

function complain({ message }) {
  say("problem", message);
}
