// Brings parts of the page up to date from an address of the same page, without losing the place.

import { chartOf, draw } from "./charts.js";

let last = 0; // of several answers only the newest counts

/**
 * Replace every part that is marked with `data-part` by that of the page at the address.
 *
 * False where that page could not be had; one that is overtaken leaves the parts to the newer.
 */
export async function swap(url) {
  last += 1;
  const mine = last;
  const html = await page(url);
  if (mine !== last) return true;
  if (html === null) return false;
  const fresh = new DOMParser().parseFromString(html, "text/html");
  for (const part of document.querySelectorAll("[data-part]")) {
    const newer = fresh.querySelector(`[data-part="${part.dataset.part}"]`);
    if (newer === null) continue;
    const drawing = part.querySelector("[data-chart]");
    if (drawing !== null && newer.querySelector("[data-chart]") !== null) await redrawn(part, newer, drawing);
    else part.replaceChildren(...newer.childNodes);
  }
  return true;
}

/** The page's text, or null where the server is away or refuses. */
async function page(url) {
  try {
    const answer = await fetch(url, { headers: { Accept: "text/html" } });
    return answer.ok ? await answer.text() : null;
  } catch {
    return null;
  }
}

/** A part with a chart keeps its drawing, which moves to the new rows. */
async function redrawn(part, newer, drawing) {
  const isOpen = part.querySelector("details")?.open ?? false;
  newer.querySelector("[data-chart]").replaceWith(drawing);
  part.replaceChildren(...newer.childNodes);
  const details = part.querySelector("details");
  if (details !== null) details.open = isOpen;
  await draw(drawing, chartOf(drawing.dataset.chart));
}
