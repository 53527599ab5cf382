// The page's colours and type, for Plotly.

const SERIES = 9; // colours that phonebook.css defines as --series-1 and so on
const SYMBOLS = [
  "circle", "diamond", "square", "triangle-up", "cross", "x", "star", "hexagon", "triangle-down",
];

/** The value of a colour that phonebook.css defines for the present scheme. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** The colour of the series with that number. */
export function seriesColour(number) {
  return colour(`series-${(number % SERIES) + 1}`);
}

/** The mark of the series with that number: colour alone tells nothing to some people. */
export function symbol(number) {
  return SYMBOLS[(number + Math.floor(number / SERIES)) % SYMBOLS.length];
}

// How much the most is of the least on a logarithmic axis that names whatever is in between, and
// on one that names 1, 2 and 5 times powers of ten. Beyond that it names the powers alone.
const NARROW = 8;
const WIDE = 1000;

/** What sets the scales apart; `values` are those along a logarithmic axis. */
function scaled(scale, values) {
  if (scale === "share") return { range: [0, 1.03], tickformat: ".0%" };
  if (scale !== "log") return scale === "date" ? { type: "date" } : {};
  const known = values.filter((value) => value > 0);
  const ratio = known.length > 0 ? Math.max(...known) / Math.min(...known) : 1;
  const dtick = ratio < NARROW ? undefined : ratio < WIDE ? "D2" : 1;
  return { type: "log", dtick, exponentformat: "SI" };
}

/** An axis in the page's colours; `spec` has a title and a scale. */
export function axis(spec, more = {}, values = []) {
  return {
    ...scaled(spec.scale, values),
    title: { text: spec.title, font: { color: colour("quiet"), size: 12 }, standoff: 10 },
    tickfont: { color: colour("ink") },
    gridcolor: colour("line"),
    linecolor: colour("line"),
    zerolinecolor: colour("line"),
    automargin: true,
    ...more,
  };
}

/** What all charts have in common. */
export function layout(height, more = {}) {
  return {
    height,
    margin: { l: 64, r: 12, t: 12, b: 48 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("ink") },
    hoverlabel: {
      bgcolor: colour("panel"),
      bordercolor: colour("line"),
      font: { color: colour("ink") },
      align: "left",
    },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", traceorder: "normal", font: { color: colour("ink") } },
    ...more,
  };
}
