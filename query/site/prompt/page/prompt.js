// The prompt: sends a statement, shows its rows as a table that sorts, and saves them as CSV.

const at = (id) => document.getElementById(id);
const SHOWN = 1000; // rows in the page; the file has all that were sent
const NUMBERS = /^(U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL)/;
let result = null; // of the last statement: columns and rows, as the server sent them

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function asText(value) {
  return value !== null && typeof value === "object" ? JSON.stringify(value) : String(value);
}

function shown(value) {
  return typeof value === "number" && !Number.isInteger(value)
    ? String(Number(value.toPrecision(6)))
    : asText(value);
}

function cell(value, column) {
  const made = element("td", value === null ? "NULL" : shown(value));
  if (value === null) made.className = "null";
  else if (NUMBERS.test(column.type)) made.className = "number";
  if (value !== null) made.title = asText(value).slice(0, 2000);
  return made;
}

function compare(a, b) {
  if (a === null || b === null) return (a === null) - (b === null);
  return typeof a === "number" && typeof b === "number" ? a - b : asText(a).localeCompare(asText(b));
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
  result.columns.forEach((column, number) => {
    const heading = element("th", undefined, { scope: "col" });
    const button = element("button", column.name, { type: "button" });
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

async function send(sql) {
  const answer = await fetch("query", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ sql }),
  });
  return answer.json();
}

async function run(event) {
  event?.preventDefault();
  const button = at("ask").querySelector("button[type=submit]");
  button.disabled = true;
  at("error").hidden = true;
  at("state").textContent = "running …";
  try {
    const answer = await send(at("sql").value);
    if (answer.error !== undefined) throw new Error(answer.error);
    result = answer;
    draw();
    at("save").disabled = false;
    at("state").textContent = describe();
  } catch (error) {
    at("error").textContent = error.message;
    at("error").hidden = false;
    at("state").textContent = "";
  }
  button.disabled = false;
}

function save() {
  const link = element("a", undefined, { download: "matterzoo.csv" });
  link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  link.click();
  URL.revokeObjectURL(link.href);
}

async function begin() {
  at("ask").addEventListener("submit", run);
  at("save").addEventListener("click", save);
  at("sql").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run(event);
  });
  const about = await (await fetch("about")).json();
  document.title = `${about.store} · matterzoo`;
  if (about.pages) at("about").append(" ", element("a", "Its report", { href: "pages/" }));
  for (const { question, sql } of about.examples) {
    const button = element("button", question, { type: "button" });
    button.addEventListener("click", () => {
      at("sql").value = sql;
      run();
    });
    at("examples").append(button);
  }
  if (at("sql").value === "" && about.examples.length) {
    at("sql").value = about.examples[0].sql;
    run();
  }
}

begin();
