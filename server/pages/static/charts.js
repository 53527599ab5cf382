// Draws each chart of the page from the rows that it carries. Plotly is a global, from its script.

import { heatmap } from "./heatmap.js";
import { bars, scatter, violin } from "./points.js";

const KINDS = { heatmap, scatter, lines: scatter, bars, violin };
const CONFIG = { responsive: true, displaylogo: false, displayModeBar: false };

/** The chart whose rows the script element with that id holds. */
export function chartOf(id) {
  const chart = JSON.parse(document.getElementById(id).textContent);
  const places = new Map(chart.columns.map((key, index) => [key, index]));
  return { ...chart, value: (row, key) => row[places.get(key)] };
}

/** Draw the chart into the element, anew if it is there already. */
export async function draw(target, chart) {
  const { traces, layout } = KINDS[chart.kind](chart);
  const began = target.dataset.drawn === undefined;
  await Plotly.react(target, traces, layout, CONFIG);
  target.dataset.drawn = "yes";
  if (began) {
    target.on("plotly_click", ({ points }) => {
      const link = points[0].customdata;
      if (typeof link === "string") location.assign(new URL(`..${link}`, import.meta.url));
    });
  }
}

/** Draw all charts of the page, top to bottom; the page stays usable in between. */
export async function drawAll() {
  for (const target of document.querySelectorAll("[data-chart]")) {
    await draw(target, chartOf(target.dataset.chart));
    await new Promise((resolve) => setTimeout(resolve));
  }
  performance.mark("charts-drawn");
  document.documentElement.dataset.charts = "drawn";
}

await drawAll();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
