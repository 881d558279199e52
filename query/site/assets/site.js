// A search over rows, and figures, which are drawn when they come near the window. The pages say all
// they have to say without.

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
