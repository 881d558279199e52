"use strict";
// Switches between the versions of a figure, the model that all figures pick out, and copying SQL.
// Figures are drawn when they come near the window. Nothing is computed again, nothing fetched.
const pick = document.getElementById("pick");
const unpacked = new Map();
const drawnModels = new Map(); // by place: the models that can be picked out there

/** Return the specification that a view carries, unpacked at its first use. */
function unpack(view) {
  if (!unpacked.has(view)) unpacked.set(view, unpackText(view.querySelector(".packed").textContent));
  return unpacked.get(view);
}

/** Draw a view as wide as there is room, unless it is hidden or drawn so already. */
async function draw(view, again = false) {
  const place = view.querySelector(".canvas");
  if (place === null || view.hidden || (!again && !isStale(place))) return;
  drawn.set(place, { ...drawn.get(place), room: place.clientWidth });
  const spec = structuredClone(await unpack(view));
  for (const param of spec.params ?? []) {
    if (param.name !== "model") continue;
    drawnModels.set(place, param.bind.options);
    delete param.bind;
  }
  show(place, await fill(place, spec));
}

/** Pick out the chosen model in a figure that knows models, or say that it is not there. */
function show(place, made) {
  if (pick === null) return;
  const here = drawnModels.get(place)?.includes(pick.value);
  if (has(made, "model")) made.view.signal("model", here ? pick.value : "").runAsync();
  const absent = place.closest("figure").querySelector(".absent");
  absent.textContent = here === false ? `${pick.value} is not in this figure.` : "";
  const maps = (made.spec.params ?? []).find((param) => param.name === "seen_by");
  if (maps?.bind.options.includes(pick.value)) made.view.signal("seen_by", pick.value).runAsync();
}

/** Show the version that has this value of a switch, and as many other values as now. */
function choose(panel, changed, value) {
  const checked = [...panel.querySelectorAll("input:checked")];
  const now = Object.fromEntries(checked.map((input) => [input.dataset.switch, input.value]));
  let best = null;
  let most = -1;
  for (const view of panel.querySelectorAll(".view")) {
    const has = JSON.parse(view.dataset.switches);
    const equal = Object.keys(now).filter((key) => has[key] === now[key]).length;
    if (has[changed] === value && equal > most) [best, most] = [view, equal];
  }
  return reveal(panel, best);
}

/** Show one version of a figure, with its switches. */
function reveal(panel, best) {
  for (const view of panel.querySelectorAll(".view")) view.hidden = view !== best;
  const shown = JSON.parse(best.dataset.switches);
  for (const input of panel.querySelectorAll("input")) {
    input.checked = shown[input.dataset.switch] === input.value;
  }
  disable(panel);
  return draw(best);
}

/** Disable the choices that no version has together with what the first switch says. */
function disable(panel) {
  const versions = [...panel.querySelectorAll(".view")].map((v) => JSON.parse(v.dataset.switches));
  const [first] = Object.keys(versions[0] ?? {});
  const now = panel.querySelector(`input[data-switch="${first}"]:checked`)?.value;
  for (const input of panel.querySelectorAll("input")) {
    const { switch: name } = input.dataset;
    const fits = (has) => has[name] === input.value && (now === undefined || has[first] === now);
    input.disabled = name !== first && !versions.some(fits);
  }
}

/** Copy the SQL after a button; without access to the clipboard, select it. */
async function copy(button) {
  const text = button.nextElementSibling;
  getSelection().selectAllChildren(text);
  try {
    await navigator.clipboard.writeText(text.textContent);
    button.textContent = "copied";
  } catch {
    button.textContent = "selected: press Ctrl+C";
  }
}

/** Draw every figure that is near the window again, after its room or its colors changed. */
function redraw(again) {
  for (const place of drawn.keys()) draw(place.closest(".view"), again);
}

let lastDrawing = Promise.resolve(); // one figure at a time, so that the first is there soon
let goal = null; // what a link led to, which figures above it move while they are drawn
addEventListener("click", ({ target }) => {
  const link = target.closest("a[href^='#']");
  goal = link === null ? null : document.getElementById(link.getAttribute("href").slice(1));
});
for (const moved of ["wheel", "touchmove", "keydown", "pointerdown"]) {
  addEventListener(moved, () => { goal = null; }, { passive: true });
}
const near = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    const drawNow = async () => {
      await draw(target.querySelector(".view:not([hidden])"));
      goal?.scrollIntoView();
    };
    lastDrawing = lastDrawing.then(drawNow).catch(reportError);
  }
}, { rootMargin: "300px" });
for (const panel of document.querySelectorAll(".panel")) {
  if (panel.querySelector(".view") === null) continue;
  disable(panel);
  near.observe(panel);
  for (const input of panel.querySelectorAll("input")) {
    input.addEventListener("change", () => choose(panel, input.dataset.switch, input.value));
  }
}
/** Mark the tables that are wider than there is room, so that one knows to move them. */
function markTables() {
  for (const table of document.querySelectorAll(".table")) {
    table.classList.toggle("wider", table.scrollWidth > table.clientWidth);
  }
}
markTables();
for (const link of document.querySelectorAll("a[data-view]")) {
  const view = document.getElementById(link.dataset.view);
  link.addEventListener("click", () => reveal(view.closest(".panel"), view));
}
for (const button of document.querySelectorAll("button.copy")) {
  button.addEventListener("click", () => copy(button));
}
pick?.addEventListener("change", () => {
  for (const [place, { made }] of drawn) if (made) show(place, made);
});
dark.addEventListener("change", () => redraw(true));
addEventListener("resize", () => { redraw(false); markTables(); });
addEventListener("beforeprint", () => document.querySelectorAll(".view:not([hidden])").forEach((view) => draw(view)));
