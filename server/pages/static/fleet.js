// Follows the fleet: the server says when something has changed, and the page takes it over.

import { swap } from "./swap.js";

const told = document.getElementById("live");
const RETRY_MS = 3000;

let shown = told.dataset.digest;

function say(words) {
  if (told.textContent !== words) told.textContent = words;
}

const events = new EventSource(new URL("../fleet/events", import.meta.url));
events.addEventListener("fleet", async ({ data }) => {
  say("live");
  if (data !== shown && (await swap(location.href))) shown = data;
});
events.addEventListener("error", () => {
  const words = events.readyState === EventSource.CLOSED ? "not live: reload the page" : "reconnecting";
  setTimeout(() => {
    if (events.readyState !== EventSource.OPEN) say(words);
  }, RETRY_MS);
});
addEventListener("pagehide", () => events.close());
addEventListener("pageshow", ({ persisted }) => {
  if (persisted) location.reload();
});
