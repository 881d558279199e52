"use strict";
// Three things: what a figure says under the mouse or the arrow keys, switches between its versions, and copying SQL.
const NEAR = 12; // px, how far from a point the mouse may be
const tip = document.getElementById("tip");
const mark = document.createElement("div");
const unpacked = new Map();

/** What a view carries, {image, tooltips}: gzip in base64, opened when it is first needed. */
function unpack(view) {
  if (!unpacked.has(view)) {
    const bytes = Uint8Array.from(atob(view.querySelector(".packed").textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    unpacked.set(view, new Response(stream).json());
  }
  return unpacked.get(view);
}

/** The nearest point that is near, else the cell around the place. Lengths in px. */
function find(tooltips, x, y, width, height) {
  let best = null;
  let least = NEAR;
  for (const tooltip of tooltips) {
    const far = Math.hypot(tooltip[0] * width - x, tooltip[1] * height - y);
    if (tooltip[2] === 0 && far <= least) [best, least] = [tooltip, far];
  }
  const inside = ([left, top, wide, high]) => left * width <= x && x <= (left + wide) * width
    && top * height <= y && y <= (top + high) * height;
  return best ?? tooltips.find((tooltip) => tooltip[2] > 0 && inside(tooltip)) ?? null;
}

/** The tooltip that the eye would go to next in a direction (dx, dy). */
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
  place("left", box.left + left * box.width, box.left + (left + wide) * box.width, tip.offsetWidth, innerWidth);
  place("top", box.top + top * box.height, box.top + (top + high) * box.height, tip.offsetHeight, innerHeight);
}

/** Put the tip after a tooltip along one side of the window, before it where there is no room, always inside. */
function place(side, begin, end, size, room) {
  const gap = 14;
  const start = end + gap + size <= room ? end + gap : begin - gap - size;
  tip.style[side] = `${Math.max(8, Math.min(start, room - size - 8))}px`;
}

function hide() {
  tip.hidden = true;
  mark.remove();
}

function listen(canvas) {
  const view = canvas.closest(".view");
  const point = async (event) => {
    const { tooltips } = await unpack(view);
    const box = canvas.getBoundingClientRect();
    show(canvas, find(tooltips, event.clientX - box.left, event.clientY - box.top, box.width, box.height));
  };
  canvas.addEventListener("pointermove", point);
  canvas.addEventListener("pointerdown", point);
  canvas.addEventListener("pointerleave", hide);
  canvas.addEventListener("blur", hide);
  canvas.addEventListener("keydown", async (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "Escape") hide();
    if (step === undefined) return;
    event.preventDefault();
    const { tooltips } = await unpack(view);
    if (tooltips.length > 0) show(canvas, canvas.tooltip ? next(tooltips, canvas.tooltip, ...step) : tooltips[0]);
  });
}

/** Show the version that has this value of a switch and, where there is such a one, the other values as they are. */
async function choose(panel, changed, value) {
  const now = Object.fromEntries([...panel.querySelectorAll("input:checked")].map((input) => [input.dataset.switch, input.value]));
  let best = null;
  let most = -1;
  for (const view of panel.querySelectorAll(".view")) {
    const has = JSON.parse(view.dataset.switches);
    const equal = Object.keys(now).filter((key) => has[key] === now[key]).length;
    if (has[changed] === value && equal > most) [best, most] = [view, equal];
  }
  const image = best.querySelector("img");
  if (image !== null && !image.hasAttribute("src")) {
    const svg = new TextEncoder().encode((await unpack(best)).image);
    let binary = "";
    for (let i = 0; i < svg.length; i += 32768) binary += String.fromCharCode(...svg.subarray(i, i + 32768));
    image.src = `data:image/svg+xml;base64,${btoa(binary)}`;
    await image.decode();
  }
  for (const view of panel.querySelectorAll(".view")) view.hidden = view !== best;
  const shown = JSON.parse(best.dataset.switches);
  for (const input of panel.querySelectorAll("input")) input.checked = shown[input.dataset.switch] === input.value;
  hide();
}

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
  input.addEventListener("change", () => choose(input.closest(".panel"), input.dataset.switch, input.value));
}
for (const button of document.querySelectorAll("button.copy")) button.addEventListener("click", () => copy(button));
addEventListener("scroll", hide, { passive: true });
