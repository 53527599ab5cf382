// Heatmaps: a coloured value in each cell, or the state that stands for its absence.

import { axis, colour, layout } from "./theme.js";

const STEPS = [1, 2, 5];
// Light throughout, so that one ink can be read on every cell, in both schemes.
const SEQUENTIAL = ["#e6f5c9", "#b4dfa6", "#7fc9b4", "#72b2d0", "#8f9bd8", "#c08fcb"];
const DIVERGING = ["#4fa3d1", "#a9d3ea", "#f2efe6", "#f5c08a", "#e08a3c"];
const INK = "#14181b";
const GAP_PX = 2;

const unique = (values) => [...new Set(values)];
const scaleOf = (steps) => steps.map((step, index) => [index / (steps.length - 1), step]);

/** 1, 2 and 5 times powers of ten between two values. */
function ticks(least, most) {
  const found = [];
  for (let power = Math.floor(Math.log10(least)); power <= Math.log10(most); power += 1) {
    found.push(...STEPS.map((step) => step * 10 ** power));
  }
  return found.filter((value) => value >= least && value <= most);
}

/** Lays the rows out as y by x, each the result of `make`; null where there is no row. */
function laidOut(chart, xs, ys, make) {
  const column = new Map(xs.map((value, index) => [value, index]));
  const line = new Map(ys.map((value, index) => [value, index]));
  const found = ys.map(() => xs.map(() => null));
  chart.rows.forEach((row, index) => {
    const x = column.get(chart.value(row, chart.x.column));
    found[line.get(chart.value(row, chart.y.column))][x] = make(row, index);
  });
  return found;
}

function colourBar(chart, values) {
  const isLog = chart.z.scale === "log";
  const marks = isLog && values.length ? ticks(Math.min(...values), Math.max(...values)) : [];
  const words = marks.length > 1
    ? { tickvals: marks.map(Math.log10), ticktext: marks.map((mark) => mark.toLocaleString("en")) }
    : isLog ? { showticklabels: false } : {};
  return {
    title: { text: chart.z.title, side: "right", font: { color: colour("ink") } },
    tickfont: { color: colour("ink") },
    tickformat: chart.z.scale === "share" ? ".0%" : undefined,
    thickness: 10,
    outlinewidth: 0,
    ...words,
  };
}

export function heatmap(chart) {
  const x = unique(chart.rows.map((row) => chart.value(row, chart.x.column)));
  const y = unique(chart.rows.map((row) => chart.value(row, chart.y.column)));
  const grid = (make) => laidOut(chart, x, y, make);
  const z = (row) => chart.value(row, chart.z.column);
  const placed = (value) => (value === null ? null : chart.z.scale === "log" ? Math.log10(value) : value);
  const text = (row) => (chart.texts === null ? "" : chart.value(row, chart.texts));
  const label = (row) => (chart.labels === null ? "" : chart.value(row, chart.labels).replaceAll("\n", "<br>"));
  const values = chart.rows.map(z).filter((value) => value !== null);
  const far = chart.midpoint === null ? null
    : Math.max(...values.map((value) => Math.abs(placed(value) - placed(chart.midpoint))), 1e-6);
  const common = { type: "heatmap", x, y, xgap: GAP_PX, ygap: GAP_PX, hoverongaps: false };
  const measured = {
    ...common,
    z: grid((row) => placed(z(row))),
    zmin: far === null ? undefined : placed(chart.midpoint) - far,
    zmax: far === null ? undefined : placed(chart.midpoint) + far,
    text: grid((row) => (z(row) === null ? "" : text(row))),
    texttemplate: "%{text}",
    textfont: { color: INK },
    customdata: grid((row, index) => chart.links[index] ?? null),
    hovertext: grid(label),
    hovertemplate: "%{hovertext}<extra></extra>",
    colorscale: scaleOf(far === null ? SEQUENTIAL : DIVERGING),
    colorbar: colourBar(chart, values),
    showscale: values.length > 0,
  };
  const traces = [measured];
  if (chart.states !== null) {
    const state = (row) => chart.value(row, chart.states);
    const states = unique(chart.rows.filter((row) => z(row) === null).map(state));
    traces.push({
      ...common,
      z: grid((row) => (z(row) === null ? states.indexOf(state(row)) : null)),
      zmin: -0.5,
      zmax: states.length - 0.5,
      colorscale: states.flatMap((name, index) => {
        const fill = colour(name.replace(" ", "-"));
        return [[index / states.length, fill], [(index + 1) / states.length, fill]];
      }),
      text: grid((row) => (z(row) === null ? text(row) : "")),
      texttemplate: "%{text}",
      textfont: { color: colour("ink") },
      customdata: grid((row, index) => chart.links[index] ?? null),
      hovertext: grid((row) => `${label(row)}<br>${state(row)}`),
      hovertemplate: "%{hovertext}<extra></extra>",
      showscale: false,
    });
  }
  const plain = { ticks: "", showgrid: false, zeroline: false, fixedrange: true };
  return {
    traces,
    layout: layout(chart.height, {
      margin: { l: 8, r: 0, t: 30, b: 6 },
      xaxis: axis(chart.x, { ...plain, side: "top", type: "category", title: undefined }),
      yaxis: axis(chart.y, { ...plain, type: "category", autorange: "reversed", title: undefined }),
    }),
  };
}
