"use strict";
// Tables sort by a click on the head of a column, or by Enter on it; what is empty comes last.

function valueOf(row, number) {
  const cell = row.cells[number];
  const text = cell.dataset.sort ?? cell.textContent.trim();
  if (text === "") return null;
  const plain = Number(text.replace("\u2212", "-").replace(/,(?=\d{3})/g, "")); // as pages write it
  return Number.isNaN(plain) ? text : plain;
}

function compare(a, b) {
  if (a === null || b === null) return (a === null) - (b === null);
  return typeof a === "number" && typeof b === "number"
    ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
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
