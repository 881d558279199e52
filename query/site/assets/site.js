// Bars beside values, tables that suit a telephone, a search over rows, and figures, which are drawn
// when they come near the window. The pages say all they have to say without.

for (const heading of document.querySelectorAll("th.bars")) {
  for (const row of heading.closest("table").tBodies[0].rows) {
    const cell = row.cells[heading.cellIndex];
    const value = valueOf(row, heading.cellIndex);
    if (typeof value !== "number") continue; // undefined
    const [bar, text] = ["meter", "span"].map((name) => document.createElement(name));
    bar.value = value;
    bar.setAttribute("aria-hidden", "true"); // the number says it
    text.textContent = cell.textContent;
    cell.replaceChildren(bar, text);
  }
}

// Where a row becomes a card, each value says what it is, and the table remains one for a reader.
for (const table of document.querySelectorAll(".cards table")) {
  const names = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
  const roles = { TABLE: "table", THEAD: "rowgroup", TBODY: "rowgroup", TR: "row", TH: "columnheader", TD: "cell" };
  for (const part of [table, ...table.querySelectorAll("thead, tbody, tr, th, td")]) part.setAttribute("role", roles[part.tagName]);
  for (const row of table.tBodies[0].rows) [...row.cells].forEach((cell, i) => { cell.dataset.label = names[i]; });
}

/** Say where columns or rows of a table are out of sight. */
function markHidden(table) {
  const below = table.scrollHeight - table.clientHeight - table.scrollTop;
  table.classList.toggle("wider", table.scrollWidth > table.clientWidth + 1);
  table.classList.toggle("taller", below > 24); // px, less than a row
}
const sizes = new ResizeObserver((entries) => entries.forEach(({ target }) => markHidden(target)));
for (const table of document.querySelectorAll(".table")) {
  sizes.observe(table);
  table.addEventListener("scroll", () => markHidden(table));
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
    const count = rows.filter((row) => !row.hidden).length;
    counts.textContent = count ? `${count} of ${rows.length}` : `nothing here has “${input.value.trim()}”`;
    rows[0].closest(".table").hidden = count === 0;
  });
}

/** Draw the chosen version of a figure in the colors of the page, which has its title and notes. */
async function drawFigure(figure) {
  const place = figure.querySelector(".canvas");
  drawn.set(place, { ...drawn.get(place), room: place.clientWidth });
  const chosen = figure.querySelector(".switch select")?.selectedIndex ?? 0;
  const spec = await unpackText(figure.querySelectorAll(".version")[chosen].textContent);
  const notes = spec.usermeta.notes.map((note) => {
    const line = document.createElement("span");
    line.textContent = note;
    return line;
  });
  figure.querySelector("figcaption small").replaceChildren(...notes);
  delete spec.config;
  delete spec.title;
  return fill(place, spec);
}

window.addEventListener("load", () => {
  const figures = [...document.querySelectorAll(".figure")];
  if (figures.length === 0) return;
  const near = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting && isStale(target.querySelector(".canvas"))) drawFigure(target);
    }
  }, { rootMargin: "300px" });
  for (const figure of figures) {
    near.observe(figure);
    figure.querySelector(".switch select")?.addEventListener("change", () => drawFigure(figure));
  }
  const redraw = (all) => {
    for (const place of drawn.keys()) if (all || isStale(place)) drawFigure(place.closest(".figure"));
  };
  dark.addEventListener("change", () => redraw(true));
  addEventListener("resize", () => redraw(false));
});

for (const note of document.querySelectorAll("[data-needs-host]")) note.hidden = location.protocol !== "file:";
