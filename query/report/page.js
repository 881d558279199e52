"use strict";
// Three things: tooltips of figures, by mouse or arrow keys; switches between the versions of a
// figure; and copying SQL. A tooltip is [left, top, width, height, text], as fractions of the
// figure, with width and height 0 for a point.
const NEAR = 12; // px, how far from a point the mouse may be
const CHUNK = 32768; // bytes, as many arguments as every browser lets a function have
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const tip = document.getElementById("tip"); // shows the text
const mark = document.createElement("div"); // shows which point or cell it belongs to
const unpacked = new Map();

/** Return what a view carries, {image, tooltips}: gzip in base64, unpacked at its first use. */
function unpack(view) {
  if (!unpacked.has(view)) {
    const text = atob(view.querySelector(".packed").textContent);
    const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    unpacked.set(view, new Response(stream).json());
  }
  return unpacked.get(view);
}

/** Return the nearest point that is near, else the cell around the place. Lengths in px. */
function find(tooltips, x, y, width, height) {
  let best = null;
  let least = NEAR;
  for (const tooltip of tooltips) {
    const distance = Math.hypot(tooltip[0] * width - x, tooltip[1] * height - y);
    if (tooltip[2] === 0 && distance <= least) [best, least] = [tooltip, distance];
  }
  const inside = ([left, top, wide, high]) => left * width <= x && x <= (left + wide) * width
    && top * height <= y && y <= (top + high) * height;
  return best ?? tooltips.find((tooltip) => tooltip[2] > 0 && inside(tooltip)) ?? null;
}

/** Return the tooltip to which the eye would go next in a direction (dx, dy). */
function next(tooltips, from, dx, dy) {
  let best = from;
  let least = Infinity;
  for (const tooltip of tooltips) {
    const x = tooltip[0] + tooltip[2] / 2 - from[0] - from[2] / 2;
    const y = tooltip[1] + tooltip[3] / 2 - from[1] - from[3] / 2;
    const along = x * dx + y * dy;
    const cost = along + 3 * Math.abs(x * dy - y * dx);
    if (along > 1e-6 && cost < least) [best, least] = [tooltip, cost];
  }
  return best;
}

/** Show a tooltip beside its point or cell; hide what is shown if it is null. */
function show(canvas, tooltip) {
  if (tooltip === null) return hide();
  canvas.tooltip = tooltip;
  const box = canvas.getBoundingClientRect();
  const [left, top, wide, high, text] = tooltip;
  mark.className = wide > 0 ? "mark" : "mark point";
  mark.style.left = `${100 * left}%`;
  mark.style.top = `${100 * top}%`;
  mark.style.width = wide > 0 ? `${100 * wide}%` : "";
  mark.style.height = wide > 0 ? `${100 * high}%` : "";
  canvas.append(mark);
  tip.textContent = text;
  tip.hidden = false;
  const [x, y] = [box.left + left * box.width, box.top + top * box.height];
  place("left", x, x + wide * box.width, tip.offsetWidth, innerWidth);
  place("top", y, y + high * box.height, tip.offsetHeight, innerHeight);
}

/**
 * Place the tip along one side of the window: after the point or cell, before it if there is no
 * room, and always inside the window.
 */
function place(side, begin, end, size, room) {
  const gap = 14;
  const start = end + gap + size <= room ? end + gap : begin - gap - size;
  tip.style[side] = `${Math.max(8, Math.min(start, room - size - 8))}px`;
}

function hide() {
  tip.hidden = true;
  mark.remove();
}

/** Show tooltips under the mouse, and let the arrow keys walk from one to the next. */
function listen(canvas) {
  const view = canvas.closest(".view");
  const point = async (event) => {
    const { tooltips } = await unpack(view);
    const box = canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    show(canvas, find(tooltips, x, y, box.width, box.height));
  };
  canvas.addEventListener("pointermove", point);
  canvas.addEventListener("pointerdown", point);
  canvas.addEventListener("pointerleave", hide);
  canvas.addEventListener("blur", hide);
  canvas.addEventListener("keydown", async (event) => {
    const step = STEPS[event.key];
    if (event.key === "Escape") hide();
    if (step === undefined) return;
    event.preventDefault();
    const { tooltips } = await unpack(view);
    if (tooltips.length === 0) return;
    show(canvas, canvas.tooltip ? next(tooltips, canvas.tooltip, ...step) : tooltips[0]);
  });
}

/** Show the version that has this value of a switch, and as many other values as now. */
async function choose(panel, changed, value) {
  const checked = [...panel.querySelectorAll("input:checked")];
  const now = Object.fromEntries(checked.map((input) => [input.dataset.switch, input.value]));
  let best = null;
  let most = -1;
  for (const view of panel.querySelectorAll(".view")) {
    const has = JSON.parse(view.dataset.switches);
    const equal = Object.keys(now).filter((key) => has[key] === now[key]).length;
    if (has[changed] === value && equal > most) [best, most] = [view, equal];
  }
  await load(best);
  for (const view of panel.querySelectorAll(".view")) view.hidden = view !== best;
  const shown = JSON.parse(best.dataset.switches);
  for (const input of panel.querySelectorAll("input")) {
    input.checked = shown[input.dataset.switch] === input.value;
  }
  hide();
}

/** Load the packed image of a view, unless it has been loaded or there is none. */
async function load(view) {
  const image = view.querySelector("img");
  if (image === null || image.hasAttribute("src")) return;
  const svg = new TextEncoder().encode((await unpack(view)).image);
  let binary = "";
  for (let i = 0; i < svg.length; i += CHUNK) {
    binary += String.fromCharCode(...svg.subarray(i, i + CHUNK));
  }
  image.src = `data:image/svg+xml;base64,${btoa(binary)}`;
  await image.decode();
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

for (const canvas of document.querySelectorAll(".canvas")) listen(canvas);
for (const input of document.querySelectorAll(".switches input")) {
  const panel = input.closest(".panel");
  input.addEventListener("change", () => choose(panel, input.dataset.switch, input.value));
}
for (const button of document.querySelectorAll("button.copy")) {
  button.addEventListener("click", () => copy(button));
}
addEventListener("scroll", hide, { passive: true });
