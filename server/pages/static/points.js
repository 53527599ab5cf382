// Scatter, lines, bars and violins of a chart's rows.

import { axis, colour, layout, seriesColour, symbol } from "./theme.js";

const POINTS_OF_VIOLIN = 3000; // more of them hide the shape, and take long to draw

/** The rows of each series, in the order in which they first come. */
function bySeries(chart) {
  const found = new Map();
  chart.rows.forEach((row, index) => {
    const name = chart.series === null ? "" : String(chart.value(row, chart.series));
    if (!found.has(name)) found.set(name, []);
    found.get(name).push({ row, link: chart.links[index] ?? null });
  });
  return [...found];
}

/** The values along an axis. */
function along(chart, spec) {
  return chart.rows.map((row) => chart.value(row, spec.column));
}

/** What every trace has: places, labels to hover over, and where a click leads. */
function base(chart, name, rows) {
  const values = (key) => rows.map(({ row }) => chart.value(row, key));
  const label = chart.labels === null ? "" : "<b>%{text}</b><br>";
  return {
    name,
    showlegend: chart.series !== null,
    x: values(chart.x.column),
    y: values(chart.y.column),
    text: chart.labels === null ? undefined : values(chart.labels),
    customdata: rows.map(({ link }) => link),
    hovertemplate: `${label}${chart.x.title}: %{x}<br>${chart.y.title}: %{y}<extra>${name}</extra>`,
  };
}

/** The interval around each value, as Plotly wants it: how far up and how far down. */
function interval(chart, rows, column, number) {
  if (chart.low === null) return undefined;
  const far = (end) => rows.map(({ row }) => {
    const value = chart.value(row, end);
    return value === null ? 0 : Math.abs(value - chart.value(row, column));
  });
  return {
    type: "data",
    symmetric: false,
    array: far(chart.high),
    arrayminus: far(chart.low),
    color: number === null ? colour("ink") : seriesColour(number),
    thickness: 1,
    width: 2,
  };
}

function guides(chart) {
  return chart.guides.map((guide) => ({
    type: "scatter",
    mode: "lines",
    name: guide.name,
    x: guide.x,
    y: guide.y,
    hoverinfo: "name",
    line: { color: colour("ink"), width: 1.5, dash: "dash" },
  }));
}

/** Points, or points joined by lines. */
export function scatter(chart) {
  const traces = bySeries(chart).map(([name, rows], number) => ({
    ...base(chart, name, rows),
    type: "scatter",
    mode: chart.kind === "lines" ? "lines+markers" : "markers",
    error_y: interval(chart, rows, chart.y.column, number),
    line: { color: seriesColour(number), width: 1.5 },
    marker: {
      color: seriesColour(number),
      symbol: symbol(number),
      size: chart.rows.length > 1000 ? 4 : chart.kind === "lines" ? 5 : 7,
      opacity: chart.kind === "lines" ? 1 : 0.75,
    },
  }));
  return {
    traces: [...traces, ...guides(chart)],
    layout: layout(chart.height, {
      xaxis: axis(chart.x, {}, along(chart, chart.x)),
      yaxis: axis(chart.y, {}, along(chart, chart.y)),
      hovermode: "closest",
    }),
  };
}

/** Bars: level where y is words, else upright; those of several series are stacked. */
export function bars(chart) {
  const level = chart.rows.length > 0 && typeof chart.value(chart.rows[0], chart.y.column) === "string";
  const traces = bySeries(chart).map(([name, rows], number) => {
    const side = level ? "error_x" : "error_y";
    const column = level ? chart.x.column : chart.y.column;
    return {
      ...base(chart, name, rows),
      type: "bar",
      orientation: level ? "h" : "v",
      textposition: "none",
      marker: { color: seriesColour(number) },
      [side]: interval(chart, rows, column, null),
    };
  });
  const words = level ? { type: "category", autorange: "reversed", title: undefined } : {};
  return {
    traces,
    layout: layout(chart.height, {
      barmode: "stack",
      bargap: 0.25,
      xaxis: axis(chart.x, level ? {} : inOrder(chart)),
      yaxis: axis(chart.y, words),
    }),
  };
}

/** Words along an axis stand in the order of the rows, whichever series they are of. */
function inOrder(chart) {
  const places = [...new Set(chart.rows.map((row) => chart.value(row, chart.x.column)))];
  if (!places.some((place) => typeof place === "string")) return {};
  return { type: "category", categoryorder: "array", categoryarray: places };
}

/** A violin for each x; where there are two series, each has one half of it. */
export function violin(chart) {
  const series = bySeries(chart);
  const halves = series.length === 2 ? ["negative", "positive"] : series.map(() => "both");
  const traces = series.map(([name, rows], number) => ({
    ...base(chart, name, rows),
    type: "violin",
    side: halves[number],
    scalegroup: "all",
    scalemode: "count",
    points: chart.rows.length > POINTS_OF_VIOLIN ? false : "all",
    pointpos: { negative: -0.4, positive: 0.4, both: 0 }[halves[number]],
    jitter: 0.5,
    hoveron: "points",
    spanmode: "hard",
    line: { color: seriesColour(number), width: 1 },
    marker: { color: seriesColour(number), symbol: symbol(number), size: 3, opacity: 0.55 },
    meanline: { visible: false },
  }));
  return {
    traces,
    layout: layout(chart.height, {
      violinmode: "overlay",
      violingap: 0.15,
      xaxis: axis(chart.x, { type: "category" }),
      yaxis: axis(chart.y, {}, along(chart, chart.y)),
    }),
  };
}
