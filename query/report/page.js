"use strict";
// Figures are drawn by Vega-Embed when they come near the window, as wide as there is room, in the
// colors of the page. Besides: switches between the versions of a figure, the model that all
// figures pick out, and copying SQL. Nothing is computed again, and nothing is fetched.
const configs = "CONFIGS"; // of Vega-Lite: light and dark
const MOST = 1.7; // how much wider than its natural size a panel may become
const GROWN = 12; // px of room, below which a figure is not drawn again
const dark = matchMedia("(prefers-color-scheme: dark)");
const pick = document.getElementById("pick");
const unpacked = new Map();
const drawn = new Map(); // by view: what Vega-Embed returned, and the room it was drawn for

/** Return the specification that a view carries: gzip in base64, unpacked at its first use. */
function unpack(view) {
  if (!unpacked.has(view)) {
    const text = atob(view.querySelector(".packed").textContent);
    const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    unpacked.set(view, new Response(stream).json());
  }
  return unpacked.get(view);
}

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

/** Put panels that stand side by side below each other. */
function stack(spec) {
  for (const part of spec.hconcat ?? spec.vconcat ?? spec.concat ?? []) stack(part);
  if (spec.concat) spec.columns = Math.min(spec.columns, 2);
  if (spec.hconcat === undefined) return;
  spec.vconcat = spec.hconcat;
  delete spec.hconcat;
}

/** Make panels wider or narrower; those that are square stay so. */
function scale(spec, factor) {
  for (const panel of panels(spec)) {
    if (typeof panel.width !== "number") continue;
    const square = typeof panel.height === "number" && Math.abs(panel.width - panel.height) < 2;
    panel.width = Math.round(panel.width * factor);
    if (square) panel.height = panel.width;
  }
}

/** Draw a specification in an element and return what Vega-Embed made. */
function embed(place, spec, room) {
  const config = structuredClone(configs[dark.matches ? "dark" : "light"]);
  config.background = "transparent";
  config.legend.columns = Math.max(1, Math.min(5, Math.floor(room / 170)));
  const actions = { export: { svg: true, png: true }, source: false, compiled: false, editor: false };
  // The interpreter of expressions needs no code from texts, which the page's policy forbids.
  return vegaEmbed(place, spec, {
    // Layers without rows are no fault, though Vega warns of their extent.
    ast: true, renderer: "svg", logLevel: 1, config, actions,
    tooltip: { theme: dark.matches ? "dark" : "light" },
  });
}

/** Draw a view as wide as there is room, unless it is hidden or drawn so already. */
async function draw(view, again = false) {
  const place = view.querySelector(".canvas");
  if (place === null || view.hidden) return;
  const room = place.clientWidth;
  const before = drawn.get(view);
  if (before && !again && Math.abs(before.room - room) < GROWN) return;
  drawn.set(view, { ...before, room });
  const spec = structuredClone(await unpack(view));
  for (const param of spec.params ?? []) if (param.name === "model") delete param.bind;
  before?.made?.finalize();
  let made = await embed(place, spec, room);
  const width = () => Number(place.querySelector("svg").getAttribute("width"));
  if (width() > room && panels(spec).length > 1) {
    stack(spec);
    made.finalize();
    made = await embed(place, spec, room);
  }
  const [plots, whole] = [across(spec), width()];
  const factor = Math.min(MOST, (room - (whole - plots)) / plots);
  if (plots > 0 && factor > 0.2 && Math.abs(factor - 1) > 0.02) {
    scale(spec, factor);
    made.finalize();
    made = await embed(place, spec, room);
  }
  drawn.set(view, { made, room });
  show(made);
}

/** Pick out the chosen model in a figure that knows models. */
function show(made) {
  const knows = (made.spec.params ?? []).some((param) => param.name === "model");
  if (pick !== null && knows) made.view.signal("model", pick.value).runAsync();
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
  for (const view of drawn.keys()) draw(view, again);
}

const near = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (isIntersecting) draw(target.querySelector(".view:not([hidden])"));
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
for (const button of document.querySelectorAll("button.copy")) {
  button.addEventListener("click", () => copy(button));
}
pick?.addEventListener("change", () => {
  for (const { made } of drawn.values()) if (made) show(made);
});
dark.addEventListener("change", () => redraw(true));
addEventListener("resize", () => redraw(false));
addEventListener("beforeprint", () => document.querySelectorAll(".view:not([hidden])").forEach((view) => draw(view)));
