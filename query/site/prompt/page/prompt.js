// The prompt: asks a statement, shows its rows as a table that sorts and as a chart, and saves them.
// Who answers is the page's affair: a server (over_http.js), or this browser (in_browser.js).

import { chartOf, LOOKS, NUMBERS } from "./chart.js";

const at = (id) => document.getElementById(id);
const SHOWN = 1000; // rows in the page; the file has all that were sent
const dark = matchMedia("(prefers-color-scheme: dark)");
let answer = null; // asks a statement; set by `begin`
let result = null; // of the last statement: columns and rows, as they were answered
let chart = null; // what Vega-Embed made of it, if it is shown
let meanings = {}; // by table and column, what the column holds
let vega = null; // where Vega-Embed is; it is loaded after the first result

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function asText(value) {
  return value !== null && typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Return how many decimals the numbers of a column have, so that their points stand below each other. */
function decimalsOf(place) {
  const sizes = result.rows.map((row) => row[place]).filter((value) => typeof value === "number").map(Math.abs);
  if (sizes.every(Number.isInteger)) return 0;
  const decimals = 3 - Math.floor(Math.log10(Math.max(...sizes))); // four digits of the largest
  const fits = sizes.every((size) => size === 0 || size >= 10 ** -decimals);
  return fits && decimals >= 0 && decimals <= 8 ? decimals : null; // else each number has its own
}

function shown(value, decimals) {
  if (typeof value !== "number") return asText(value);
  return decimals === null ? String(Number(value.toPrecision(6))) : value.toFixed(decimals);
}

function cell(value, column) {
  const made = element("td", value === null ? "NULL" : shown(value, column.decimals));
  made.classList.toggle("null", value === null);
  made.classList.toggle("number", NUMBERS.test(column.type));
  if (value !== null) made.title = asText(value).slice(0, 2000);
  return made;
}

function compare(a, b) {
  if (a === null || b === null) return (a === null) - (b === null);
  return typeof a === "number" && typeof b === "number" ? a - b : asText(a).localeCompare(asText(b));
}

/** Return what a column of the result holds, by the tables that the statement names; "" if unknown. */
function meaningOf(name) {
  const words = new Set(result.sql.match(/\w+/g));
  const tables = Object.keys(meanings).filter((table) => words.has(table) && meanings[table][name]);
  return tables.map((table) => `${table}.${name}: ${meanings[table][name]}`).join("\n");
}

function sortBy(number, heading) {
  const falling = heading.getAttribute("aria-sort") === "ascending";
  const sorted = [...result.rows].sort((a, b) => compare(a[number], b[number]));
  drawRows(falling ? sorted.reverse() : sorted);
  for (const each of at("answer").querySelectorAll("th")) each.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
}

function drawRows(rows) {
  const body = element("tbody");
  for (const row of rows.slice(0, SHOWN)) {
    const line = element("tr");
    row.forEach((value, i) => line.append(cell(value, result.columns[i])));
    body.append(line);
  }
  at("answer").querySelector("tbody").replaceWith(body);
}

function draw() {
  const head = element("tr");
  result.columns.forEach((column, place) => { column.decimals = decimalsOf(place); });
  result.columns.forEach((column, number) => {
    const heading = element("th", undefined, { scope: "col" });
    const button = element("button", column.name, { type: "button" });
    button.title = meaningOf(column.name);
    button.append(element("small", column.type));
    button.addEventListener("click", () => sortBy(number, heading));
    if (NUMBERS.test(column.type)) heading.className = "number";
    heading.append(button);
    head.append(heading);
  });
  const table = element("table");
  const top = element("thead");
  top.append(head);
  table.append(top, element("tbody"));
  at("answer").replaceChildren(table);
  at("answer").hidden = false;
  drawRows(result.rows);
  markHidden();
}

/** Say where columns or rows are out of sight. */
function markHidden() {
  const { scrollHeight, clientHeight, scrollTop, scrollWidth, clientWidth, classList } = at("answer");
  classList.toggle("wider", scrollWidth > clientWidth + 1);
  classList.toggle("taller", scrollHeight - clientHeight - scrollTop > 24); // px, less than a row
}

function describe() {
  const rows = result.rows.length;
  let text = `${rows.toLocaleString("en")} ${rows === 1 ? "row" : "rows"}`;
  if (result.is_cut) text = `the first ${text}; there are more than are sent`;
  else if (rows > SHOWN) text += `, of which ${SHOWN.toLocaleString("en")} are shown`;
  return `${text}, ${result.seconds.toFixed(2)} s`;
}

function csv() {
  const quote = (value) => (value === null ? "" : `"${asText(value).replaceAll('"', '""')}"`);
  const lines = [result.columns.map((column) => column.name), ...result.rows];
  return lines.map((line) => line.map(quote).join(",")).join("\r\n") + "\r\n";
}

async function drawChart() {
  chart?.finalize();
  chart = null;
  at("chart").replaceChildren();
  const spec = at("charted").checked && result !== null ? chartOf(result) : null;
  at("chart").hidden = spec === null;
  if (spec === null) return;
  const ink = getComputedStyle(document.body).color;
  const line = getComputedStyle(document.body).getPropertyValue("--line");
  const letters = { labelColor: ink, titleColor: ink, labelFontSize: 12, titleFontSize: 13, titleFontWeight: "normal" };
  const axis = { ...letters, gridColor: line, domainColor: line, tickColor: line };
  const config = {
    ...LOOKS, axis, axisQuantitative: { tickCount: 8, labelFlush: false, labelOverlap: true, labelSeparation: 6 }, legend: { ...letters, orient: "bottom", columns: 3, symbolSize: 90 },
    font: getComputedStyle(document.body).fontFamily, background: "transparent", view: { stroke: null },
  };
  // Neither code nor styles from texts: the page's policy forbids both.
  chart = await window.vegaEmbed(at("chart"), spec, {
    ast: true, config, actions: false, defaultStyle: false, renderer: "canvas", logLevel: 1,
    tooltip: { theme: dark.matches ? "dark" : "light", disableDefaultStyle: true },
  });
}

function loadVega() {
  const script = element("script", undefined, { src: vega });
  script.addEventListener("load", offer);
  document.head.append(script);
  vega = null;
}

/** Offer what can be done with the result: a chart if its columns allow one. */
function offer() {
  at("save").disabled = false;
  if (vega !== null) loadVega();
  const drawable = window.vegaEmbed !== undefined && chartOf(result) !== null;
  at("charted").disabled = !drawable;
  at("charted").parentElement.title = drawable ? "" : "a chart needs two rows and a column of numbers";
  return drawChart();
}

/** Show why there is no result, and nothing of the one before. */
function fail(error) {
  result = null;
  const [message, ...lines] = error.message.split(/\n\n(?=LINE \d+:)/);
  at("error").replaceChildren(message, ...lines.map((text) => element("code", text)));
  at("error").hidden = false;
  at("state").textContent = "";
  at("answer").hidden = true;
  at("save").disabled = true;
  at("charted").disabled = true;
  return drawChart();
}

async function run(event) {
  event?.preventDefault();
  const button = at("ask").querySelector("button[type=submit]");
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true"); // what is disabled would lose the focus
  at("error").hidden = true;
  at("state").textContent = "running …";
  try {
    const sql = at("sql").value;
    result = { ...(await answer(sql, (text) => (at("state").textContent = text))), sql };
    draw();
    at("state").textContent = describe();
    await offer();
  } catch (error) {
    await fail(error);
  }
  button.setAttribute("aria-disabled", "false");
}

function save() {
  const link = element("a", undefined, { download: "matterzoo.csv" });
  link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  link.click();
  URL.revokeObjectURL(link.href);
}

/**
 * Begin to answer.
 * @param {(sql: string, tell: (text: string) => void) => Promise<object>} ask Returns columns (name and
 *   type), rows (lists), is_cut and seconds, or throws an Error; `tell` says what it waits for.
 * @param {{question: string, sql: string}[]} examples What can be clicked; the first is run at once.
 * @param {string} script The address of Vega-Embed.
 * @param {string} first The statement that is run at once.
 * @param {Object<string, Object<string, string>>} columns What columns hold, by table and column.
 */
export function begin(ask, examples, script, first = examples[0]?.sql, columns = {}) {
  answer = ask;
  meanings = columns;
  vega = script;
  at("ask").addEventListener("submit", run);
  at("save").addEventListener("click", save);
  at("charted").addEventListener("change", drawChart);
  dark.addEventListener("change", drawChart);
  addEventListener("resize", markHidden);
  at("answer").addEventListener("scroll", markHidden);
  at("sql").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run(event);
  });
  for (const { question, sql } of examples) {
    const button = element("button", question, { type: "button" });
    button.addEventListener("click", () => {
      at("sql").value = sql;
      run();
    });
    at("examples").append(button);
  }
  if (at("sql").value === "" && first) {
    at("sql").value = first;
    run();
  }
}
