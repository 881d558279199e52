// Tables that sort, a search over rows, and figures. The pages say all they have to say without.

function valueOf(row, number) {
  const cell = row.cells[number];
  const text = cell.dataset.sort ?? cell.textContent.trim();
  return text === "" ? null : Number.isNaN(Number(text)) ? text : Number(text);
}

function compare(a, b) {
  if (a === null || b === null) return (a === null) - (b === null); // what is empty comes last
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
}

function sortBy(heading, number) {
  const table = heading.closest("table");
  const body = table.tBodies[0];
  const falls = heading.getAttribute("aria-sort") === "ascending";
  const rows = [...body.rows].map((row) => [valueOf(row, number), row]);
  rows.sort(([a], [b]) => (falls && a !== null && b !== null ? compare(b, a) : compare(a, b)));
  body.append(...rows.map(([, row]) => row));
  for (const each of table.querySelectorAll("th")) each.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", falls ? "descending" : "ascending");
}

for (const heading of document.querySelectorAll("th")) {
  if (heading.textContent.trim() === "") continue;
  const button = document.createElement("button");
  button.type = "button";
  button.append(...heading.childNodes);
  heading.append(button);
  const number = [...heading.parentNode.children].indexOf(heading);
  const below = heading.closest("table").tBodies[0].rows[0]?.cells[number];
  heading.classList.toggle("number", below?.classList.contains("number") ?? false);
  button.addEventListener("click", () => sortBy(heading, number));
}

for (const input of document.querySelectorAll("input[data-filters]")) {
  const rows = [...document.getElementById(input.dataset.filters).tBodies[0].rows];
  const counts = document.querySelector(`[data-counts=${input.dataset.filters}]`);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/);
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
    counts.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length}`;
  });
}

window.addEventListener("load", () => {
  for (const figure of document.querySelectorAll(".figure")) {
    const spec = JSON.parse(figure.querySelector("script").textContent);
    window.vegaEmbed(figure.querySelector(".chart"), spec, { actions: { export: true, source: false, editor: false } });
  }
});

for (const note of document.querySelectorAll("[data-needs-host]")) note.hidden = location.protocol !== "file:";
