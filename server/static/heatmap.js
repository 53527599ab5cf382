// Draws the grid that the page carries as JSON. Plotly is a global, from its own script.

const GAPS = ["free", "no candidate", "missing", "failed"];
const ROW_HEIGHT_PX = 30;
const STEPS = [1, 2, 5];
// Light throughout, so that one ink can be read on every cell, in both schemes.
const SCALE = ["#e6f5c9", "#b4dfa6", "#7fc9b4", "#72b2d0", "#8f9bd8", "#c08fcb"];
const INK = "#14181b";

const grid = JSON.parse(document.getElementById("grid").textContent);
const target = document.getElementById("heatmap");

/** The value of a colour that phonebook.css defines for the present scheme. */
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** One value per cell, in the grid's order. */
function perCell(value) {
  return grid.layers.map((layer) => layer.cells.map((cell) => value(cell, layer)));
}

/** 1, 2 and 5 times powers of ten between two durations in us. */
function ticks(least, most) {
  const found = [];
  for (let power = Math.floor(Math.log10(least)); power <= Math.log10(most); power += 1) {
    found.push(...STEPS.map((step) => step * 10 ** power));
  }
  return found.filter((us) => us >= least && us <= most);
}

function measuredTrace() {
  const all = grid.layers.flatMap((layer) => layer.cells.map((cell) => cell.latency_us));
  const known = all.filter((us) => us !== null);
  const marks = known.length ? ticks(Math.min(...known), Math.max(...known)) : [];
  return {
    type: "heatmap",
    z: perCell((cell) => (cell.latency_us === null ? null : Math.log10(cell.latency_us))),
    text: perCell((cell) => (cell.latency_us === null ? "" : cell.text)),
    texttemplate: "%{text}",
    textfont: { color: INK },
    customdata: perCell((cell, layer) => [[cell.operator, layer.shape, ...cell.about].join("<br>")]),
    hovertemplate: "%{customdata[0]}<extra></extra>",
    colorscale: SCALE.map((step, index) => [index / (SCALE.length - 1), step]),
    hoverongaps: false,
    xgap: 2,
    ygap: 2,
    colorbar: {
      title: { text: "µs, log", font: { color: colour("ink") } },
      tickfont: { color: colour("ink") },
      tickvals: marks.map(Math.log10),
      ticktext: marks.map((us) => us.toLocaleString("en")),
      thickness: 10,
      outlinewidth: 0,
    },
  };
}

function gapTrace() {
  return {
    type: "heatmap",
    z: perCell((cell) => (cell.latency_us === null ? GAPS.indexOf(cell.state) : null)),
    zmin: -0.5,
    zmax: GAPS.length - 0.5,
    colorscale: GAPS.flatMap((state, index) => {
      const fill = colour(state.replace(" ", "-"));
      return [[index / GAPS.length, fill], [(index + 1) / GAPS.length, fill]];
    }),
    text: perCell((cell) => (cell.latency_us === null ? cell.text : "")),
    texttemplate: "%{text}",
    textfont: { color: colour("ink") },
    customdata: perCell((cell, layer) => [cell.operator || layer.slot, cell.state]),
    hovertemplate: "<b>%{customdata[0]}</b><br>%{customdata[1]}<extra></extra>",
    hoverongaps: false,
    showscale: false,
    xgap: 2,
    ygap: 2,
  };
}

function draw() {
  const x = grid.blocks;
  const y = grid.layers.map((layer) => layer.number);
  const layout = {
    height: grid.layers.length * ROW_HEIGHT_PX + 60,
    margin: { l: 168, r: 0, t: 26, b: 6 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12 },
    xaxis: {
      side: "top",
      type: "category",
      tickfont: { color: colour("ink"), size: 11 },
      ticks: "",
      showgrid: false,
      fixedrange: true,
    },
    yaxis: {
      tickfont: { color: colour("ink") },
      ticks: "",
      autorange: "reversed",
      tickvals: y,
      ticktext: grid.layers.map((layer) => `${layer.shape}  <b>${layer.number}</b>`),
      showgrid: false,
      zeroline: false,
      fixedrange: true,
    },
  };
  const traces = [measuredTrace(), gapTrace()].map((trace) => ({ ...trace, x, y }));
  Plotly.react(target, traces, layout, { responsive: true, displaylogo: false, displayModeBar: false });
}

draw();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
