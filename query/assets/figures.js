"use strict";
// Figures are drawn by Vega-Embed, as wide as there is room, in the colors of the page. Beside a
// map is the structure of the system under the cursor, or of the one that is chosen by name.
const configs = "CONFIGS"; // of Vega-Lite: light and dark
const MOST = 4; // how much wider than its natural size a panel may become
const HIGHER = 0.4; // the power of that by which a panel becomes higher that is not square
const TALLEST = 0.7; // of the window, how high a square panel may become
const SPARSE = 150; // px that a square panel has at most per square root of its marks
const LEAST = 0.35; // how narrow a panel may become; what is wider then can be moved
const SMALLEST = 150; // px to which a panel shrinks
const SPACIOUS = 1300; // px of room, from which on letters are larger
const LARGER = 1.18; // by which they are
const LINE = 12; // px from a name that is written upright to the next
const LETTER = 6.6; // px, as wide as a letter of a title is on average
const NARROW = 620; // px of room, below which legends do not stand side by side
const BESIDE = 90; // px left of legends, where axes are
const PADDING = 20; // px of a figure left and right of its panels
const ROUNDED = 2; // px by which a figure may be wider than its room unseen
const GROWN = 12; // px of room, below which a figure is not drawn again
const WRITTEN = "written"; // the name of a panel that writes what the one left of it draws
const dark = matchMedia("(prefers-color-scheme: dark)");
const drawn = new Map(); // by place: what Vega-Embed returned, and the room it was drawn for
let lastSystem = ""; // that was shown, to show it in another version of a map, too

/** Return the panels of a specification: charts that are not made of others side by side. */
function panels(spec) {
  const parts = spec.hconcat ?? spec.vconcat ?? spec.concat;
  return parts === undefined ? [spec] : parts.flatMap(panels);
}

/** Return the pixels that panels take side by side, without axes and gaps. */
function across(spec) {
  const wide = (parts) => parts.reduce((sum, part) => sum + across(part), 0);
  if (spec.hconcat) return wide(spec.hconcat);
  if (spec.vconcat) return Math.max(...spec.vconcat.map(across));
  if (spec.concat) return wide(spec.concat.slice(0, spec.columns));
  return typeof spec.width === "number" ? spec.width : 0;
}

/** Write the names of rows that a panel has left to the one left of it. */
function nameRows(spec) {
  for (const part of spec.layer ?? []) nameRows(part);
  if (spec.encoding?.y?.axis?.labels === false) delete spec.encoding.y.axis.labels;
}

/** Put panels that stand side by side below each other, but for values that are written beside. */
function stack(spec, columns) {
  for (const part of spec.hconcat ?? spec.vconcat ?? spec.concat ?? []) stack(part, columns);
  if (spec.concat) spec.columns = Math.min(spec.columns, columns);
  if (spec.hconcat === undefined) return;
  spec.vconcat = spec.hconcat.filter(({ name }) => name !== WRITTEN); // their lines have no names
  delete spec.hconcat;
  panels(spec).forEach(nameRows);
}

/** Return how many names stand below a panel. */
function names(panel) {
  return Math.max(panel.encoding?.x?.sort?.length ?? 0, ...(panel.layer ?? []).map(names));
}

/** Return whether a panel is as wide as it is high. */
function isSquare({ width, height }) {
  return typeof height === "number" && Math.abs(width - height) < 2;
}

/** Return how much wider panels may become, so that one sees all of a square one at once. */
function most(spec) {
  const marks = Math.max(0, ...Object.values(spec.datasets ?? {}).map((rows) => rows.length));
  const high = Math.min(TALLEST * innerHeight, SPARSE * Math.sqrt(marks));
  const squares = panels(spec).filter(isSquare);
  return Math.min(MOST, ...squares.map(({ height }) => Math.max(1, high / height)));
}

/** Make panels wider or narrower; those that are square stay so. */
function scale(spec, factor) {
  for (const panel of panels(spec)) {
    if (typeof panel.width !== "number") continue;
    const square = isSquare(panel);
    const least = Math.max(SMALLEST, LINE * names(panel)); // where names do not cover each other
    panel.width = Math.max(Math.round(panel.width * factor), Math.min(panel.width, least));
    if (square) panel.height = panel.width;
    else if (typeof panel.height === "number" && factor > 1) {
      const highest = Math.max(panel.height, TALLEST * innerHeight);
      panel.height = Math.min(highest, Math.round(panel.height * factor ** HIGHER));
    }
  }
}

/** Make all panels as wide as the widest, where each has a line of its own. */
function alignPanels(spec) {
  const most = across(spec);
  for (const panel of panels(spec)) {
    if (typeof panel.width !== "number") continue;
    if (isSquare(panel)) panel.height = most;
    panel.width = most;
  }
}

/** Return how wide what was drawn is without its legends, which do not grow with the panels. */
function widthOfPanels(place) {
  const boxes = [...place.querySelectorAll("svg :is(.role-axis, .role-mark, .background)")]
    .filter((part) => !part.closest(".role-legend") && !part.matches("[clip-path]"))
    .map((part) => part.getBoundingClientRect()).filter((box) => box.width > 0);
  const [left, right] = [boxes.map((box) => box.left), boxes.map((box) => box.right)];
  return Math.max(...right) - Math.min(...left) + PADDING;
}

/** Return lines that are broken where they are longer than so many pixels. */
function broken(lines, width) {
  const letters = Math.floor(width / LETTER);
  const part = new RegExp(`.{1,${letters}}(?= |$)|\\S+`, "g");
  return lines.flatMap((line) => line.match(part)).map((line) => line.trim());
}

/** Break titles of legends into lines where they are longer than there is room. */
function wrapLegends(spec, width) {
  const { color, shape, strokeDash } = spec.encoding ?? {};
  for (const channel of [color, shape, strokeDash]) { // which may share a legend
    if (channel?.title) channel.title = broken([channel.title].flat(), width);
  }
  const parts = spec.layer ?? spec.hconcat ?? spec.vconcat ?? spec.concat ?? [];
  for (const part of parts) wrapLegends(part, width);
}

/** Break titles of axes into lines where they are longer than their panel is wide. */
function wrap(spec, width = spec.width) {
  const lines = [spec.encoding?.x?.title ?? []].flat();
  for (const [i, line] of lines.entries()) lines[i] = line.replaceAll(" = ", "\u00a0=\u00a0");
  if (width && lines.some((line) => line.length * LETTER > width)) {
    spec.encoding.x.title = broken(lines, width);
  }
  const parts = spec.layer ?? spec.hconcat ?? spec.vconcat ?? spec.concat ?? [];
  for (const part of parts) wrap(part, part.width ?? width);
}

/** Make all letters of a look larger whose size it names. */
function enlargeLetters(look) {
  for (const [key, value] of Object.entries(look)) {
    if (/fontSize$/i.test(key)) look[key] = value * LARGER;
    else if (typeof value === "object" && value !== null) enlargeLetters(value);
  }
}

/** Draw a specification in an element and return what Vega-Embed made. */
function embed(place, spec, room, columns = Math.max(1, Math.min(6, Math.floor(room / 170)))) {
  const config = structuredClone(configs[dark.matches ? "dark" : "light"]);
  config.background = "transparent";
  if (room > SPACIOUS) enlargeLetters(config);
  // Where there is little room, legends are below each other.
  if (room < NARROW) config.legend.layout = { bottom: { anchor: "start", direction: "vertical" } };
  config.legend.columns = columns;
  config.legend.labelLimit = Math.min(config.legend.labelLimit, room - 60);
  config.legend.titleLimit = Math.min(config.legend.titleLimit, room - 20);
  const saved = { svg: true, png: true };
  const actions = { export: saved, source: false, compiled: false, editor: false };
  // The interpreter of expressions needs no code from texts, which the page's policy forbids.
  return vegaEmbed(place, spec, {
    // Layers without rows are no fault, though Vega warns of their extent.
    ast: true, renderer: "svg", logLevel: 1, config, actions,
    tooltip: { theme: dark.matches ? "dark" : "light", sanitize: asText },
  });
}

/** Return a value of a tooltip as HTML: nothing but text, with a true minus. */
function asText(value) {
  const text = String(value).replace(/^-(?=\d)/, "\u2212");
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

/** Return whether what was drawn has a parameter. */
function has(made, name) {
  return (made?.spec.params ?? []).some((param) => param.name === name);
}

/** Draw a specification, which is changed, as wide as there is room for it. */
async function fill(place, spec) {
  const before = drawn.get(place)?.made;
  const seenBy = has(before, "seen_by") ? before.view.signal("seen_by") : null;
  before?.finalize();
  const full = place.clientWidth;
  if (full < NARROW) wrapLegends(spec, full - BESIDE);
  let made = await embed(place, spec, full);
  const room = full - parseFloat(getComputedStyle(place).paddingRight); // there is the menu
  const width = () => Number(place.querySelector("svg").getAttribute("width"));
  const again = async (columns) => {
    made.finalize();
    made = await embed(place, spec, room, columns);
  };
  const shortened = panels(spec).some(({ name }) => name === WRITTEN);
  if (widthOfPanels(place) > room && panels(spec).length > 1) {
    stack(spec, room < NARROW ? 1 : 2);
    if (room < NARROW) alignPanels(spec);
    place.classList.toggle("shortened", shortened);
    await again();
  }
  let grown = 1;
  const largest = most(spec);
  for (let pass = 0; pass < 3; pass += 1) { // titles that are broken leave more room
    const [plots, whole] = [across(spec), widthOfPanels(place)];
    const wished = (room - (whole - plots)) / plots;
    const factor = Math.max(LEAST, Math.min(largest, grown * wished)) / grown;
    if (plots === 0 || factor === 1 || (factor > 0.98 && factor <= 1.02 && whole <= room)) break;
    grown *= factor;
    scale(spec, factor);
    wrap(spec);
    await again();
  }
  const isWider = () => width() > room + ROUNDED;
  for (const columns of [3, 1]) if (isWider()) await again(columns);
  place.classList.toggle("wider", isWider());
  place.style.setProperty("--drawn", `${width()}px`); // the menu stands there
  place.tabIndex = isWider() ? 0 : -1; // so that it can be moved by keys
  // A layer without rows is no picture that lacks a description.
  for (const layer of place.querySelectorAll("g[role=graphics-symbol]:empty")) {
    layer.setAttribute("role", "none");
  }
  place.querySelector("summary")?.setAttribute("aria-label", "Save this figure as SVG or PNG");
  drawn.set(place, { made, room: full });
  if (seenBy !== null) await made.view.signal("seen_by", seenBy).runAsync();
  await showSystems(place, made);
  return made;
}

/** Return whether a figure is to be drawn: not yet, or for another room. */
function isStale(place) {
  return Math.abs((drawn.get(place)?.room ?? -GROWN) - place.clientWidth) >= GROWN;
}

let structures = null; // by system, its drawing

/** Return the drawings that the page has: gzip in base64, unpacked at the first use. */
function readStructures() {
  const packed = document.getElementById("structures");
  structures ??= packed === null ? Promise.resolve({}) : unpackText(packed.textContent);
  return structures;
}

/** Return what a text of the page holds: JSON as gzip in base64. */
function unpackText(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

/** Let a map show the structure of a system: of the one under the cursor, or chosen by name. */
async function showSystems(place, made) {
  const beside = place.parentElement.querySelector(".structure");
  if (beside === null) return;
  const drawings = await readStructures();
  const choice = beside.querySelector("select");
  const names = new Set();
  const tables = [made.spec.data?.values, ...Object.values(made.spec.datasets ?? {}),
    ...made.spec.layer.map((layer) => layer.data?.values)];
  for (const row of tables.flatMap((table) => table ?? [])) {
    if (row.system_id) names.add(row.system_id);
  }
  const sorted = [...names].sort();
  // All are of one dataset, which the title names.
  choice.replaceChildren(
    ...sorted.map((name) => new Option(name.slice(name.indexOf("/") + 1), name)));
  const show = (name, mark) => {
    lastSystem = name;
    choice.value = name;
    const [picture, words] = [beside.querySelector(".drawing"), beside.querySelector("p")];
    picture.innerHTML = drawings[name] ?? "";
    words.textContent = name in drawings ? name : `${name}: ${beside.dataset.missing}`;
    if (mark) made.view.signal("shown", name).runAsync();
  };
  choice.onchange = () => show(choice.value, true);
  for (const event of ["mouseover", "click"]) {
    made.view.addEventListener(event, (_, item) => {
      if (item?.datum?.system_id) show(item.datum.system_id, event === "click");
    });
  }
  const again = names.has(lastSystem);
  show(again ? lastSystem : sorted[0], again);
}
