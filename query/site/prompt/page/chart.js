// Chooses a chart for the rows of a statement by the types of their columns, as a specification of
// Vega-Lite: bars if names tell the rows apart, else a scatter of two numbers or a histogram of one.

const MOST_NAMES = 60; // rows of bars that can be read
const APART = " · "; // between names in a label
const NARROW = 600; // px, below which each of them has a line
const MOST_COLORS = 10;
const MOST_ROWS = 5000;
const COUNTS = /^(n|n_distinct|k|rank|rows|dropped_\w|place_\w)$/; // beside a value, not the value
const COLORS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8478FC", "#9C6C4A"];
export const LOOKS = { mark: { color: "#0072B2" }, range: { category: COLORS } }; // as in figures
export const NUMBERS = /^(U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL)/;

/** Describe each column: its place among the rows, its name, and how many values it has. */
function describe(columns, rows) {
  return columns.map(({ name, type }, place) => ({
    place,
    field: `c${place}`, // names may have dots and brackets, which Vega-Lite would read
    title: name.replaceAll("_", " "),
    name,
    isNumber: NUMBERS.test(type) && !type.endsWith("]"),
    isName: /^(VARCHAR|BOOLEAN|DATE|ENUM)/.test(type) && !type.endsWith("]"),
    count: new Set(rows.map((row) => row[place])).size,
  }));
}

function quantity({ field, title }, more = {}) {
  return { field, type: "quantitative", title, scale: { zero: false, nice: false, padding: 8 }, ...more };
}

function named({ field, title }, more = {}) {
  return { field, type: "nominal", title, ...more };
}

/** Color and shape by a column, if it has few values, so that marks are told apart in gray, too. */
function grouped(column) {
  if (column === undefined) return {};
  return { color: named(column), shape: named(column) };
}

/** Return the names that tell rows apart, of as few columns as it takes; null if there are too many. */
function labels(names, rows) {
  if (rows.length > MOST_NAMES) return null;
  const single = names.find((column) => column.count === rows.length);
  for (let last = 1; last <= names.length; last += 1) {
    const used = single ? [single] : names.slice(0, last);
    const texts = rows.map((row) => used.map(({ place }) => row[place]).join(APART));
    if (new Set(texts).size === rows.length) return texts;
  }
  return null;
}

/** Return mark and encodings for the rows, and their labels if they have any. */
function choose(described, rows) {
  const numbers = described.filter((column) => column.isNumber && column.count > 0);
  const [counts, values] = [true, false].map((is) => numbers.filter((c) => COUNTS.test(c.name) === is));
  const [x, y] = [...values, ...counts];
  if (x === undefined) return null;
  const names = described.filter((column) => column.isName && column.count > 1);
  const texts = labels(names, rows);
  if (texts !== null) {
    const axis = { labelLimit: Math.min(360, innerWidth * 0.45) };
    if (innerWidth < NARROW) axis.labelExpr = `split(datum.label, "${APART}")`; // into lines
    const bars = named({ field: "label", title: null }, { sort: null, axis });
    return { mark: "bar", label: texts, encoding: { y: bars, x: quantity(x, { scale: { zero: true, nice: true } }) } };
  }
  const group = grouped(names.find((column) => column.count <= MOST_COLORS));
  if (y !== undefined) return { mark: "point", encoding: { x: quantity(x), y: quantity(y), ...group } };
  const binned = quantity(x, { bin: { maxbins: 40 } });
  return { mark: "bar", encoding: { x: binned, y: { aggregate: "count", title: "rows" } } };
}

/** Return a chart of the rows, or null if no column is a number. */
export function chartOf({ columns, rows }) {
  const shown = rows.slice(0, MOST_ROWS);
  const described = describe(columns, shown);
  const chosen = shown.length > 1 ? choose(described, shown) : null;
  if (chosen === null) return null;
  const values = shown.map((row, i) => ({
    ...Object.fromEntries(described.map(({ field, place }) => [field, row[place]])),
    label: chosen.label?.[i],
  }));
  const tooltip = described.map(({ field, title, isNumber }) => ({ field, title, type: isNumber ? "quantitative" : "nominal" }));
  return {
    width: "container",
    ...(chosen.label ? { height: shown.length * (innerWidth < NARROW && chosen.label[0].includes(APART) ? 38 : 22) } : {}),
    autosize: { type: "fit-x", contains: "padding" },
    data: { values },
    mark: { type: chosen.mark, ...(chosen.mark === "point" ? { filled: true, size: 60 } : {}) },
    encoding: { ...chosen.encoding, ...(chosen.encoding.y.aggregate ? {} : { tooltip }) },
  };
}
