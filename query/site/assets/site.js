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

/** Draw a figure in the colors of the page, which has its title and notes itself. */
function drawFigure(figure) {
  const spec = JSON.parse(figure.querySelector("script[type='application/json']").textContent);
  delete spec.config;
  delete spec.title;
  return fill(figure.querySelector(".canvas"), spec);
}

window.addEventListener("load", () => {
  const figures = [...document.querySelectorAll(".figure")];
  if (figures.length === 0) return;
  const near = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting && isStale(target.querySelector(".canvas"))) drawFigure(target);
    }
  }, { rootMargin: "300px" });
  for (const figure of figures) near.observe(figure);
  const redraw = (all) => {
    for (const place of drawn.keys()) if (all || isStale(place)) drawFigure(place.closest(".figure"));
  };
  dark.addEventListener("change", () => redraw(true));
  addEventListener("resize", () => redraw(false));
});

for (const note of document.querySelectorAll("[data-needs-host]")) note.hidden = location.protocol !== "file:";
