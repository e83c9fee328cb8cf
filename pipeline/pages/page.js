"use strict";

// What all pages share. Names and words come from videos, labels and files: they enter a page as text and in no
// other way.

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

const byId = (id) => document.getElementById(id);

// 75.24 as 1:15, with digits as 1:15.2.
function clock(seconds, digits = 0) {
  const scale = 10 ** digits;
  const whole = Math.round(Math.max(0, seconds) * scale) / scale;
  const minutes = Math.floor(whole / 60);
  const rest = (whole - 60 * minutes).toFixed(digits).padStart(digits ? 3 + digits : 2, "0");
  const hours = Math.floor(minutes / 60);
  return hours ? `${hours}:${String(minutes % 60).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

// Round times between two moments, as many as fit on so many px, and how many digits they need.
const STEPS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600];
function ticksOf(from, to, width) {
  const step = STEPS.find((step) => (step / (to - from)) * width >= 72) ?? STEPS.at(-1);
  const first = Math.ceil(from / step - 1e-6), count = Math.max(0, Math.floor(to / step + 1e-6) - first + 1);
  return { times: Array.from({ length: count }, (_, i) => (first + i) * step), digits: step >= 1 ? 0 : step >= 0.1 ? 1 : 2 };
}

// Without regard to case and accents.
const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

// Beside a point of the window, inside the window.
function place(card, x, y) {
  const { width, height } = card.getBoundingClientRect();
  const left = x + 16 + width < innerWidth - 8 ? x + 16 : x - 16 - width;
  card.style.left = `${Math.max(8, Math.min(left, innerWidth - width - 8))}px`;
  card.style.top = `${Math.max(8, Math.min(y - height / 2, innerHeight - height - 8))}px`;
}

// The theme: the system's, until the button is pressed; then that, on every page. Paper is light.
const system = matchMedia("(prefers-color-scheme: dark)");
const KEPT = "marquee-theme";
let theme = null, printing = false;
const dark = () => !printing && (theme ?? (system.matches ? "dark" : "light")) === "dark";

function wear(name) {
  theme = name === "dark" || name === "light" ? name : null;
  document.documentElement.style.colorScheme = theme ?? "";
}

try {
  wear(localStorage.getItem(KEPT));
} catch {} // a browser may keep nothing for a page from a disk

function onTheme(changed) {
  const button = byId("theme");
  const say = () => {
    button.textContent = dark() ? "Light" : "Dark";
    button.setAttribute("aria-label", `${button.textContent} colours`);
    changed();
  };
  button.addEventListener("click", () => {
    wear(dark() ? "light" : "dark");
    try {
      localStorage.setItem(KEPT, theme);
    } catch {}
    say();
  });
  system.addEventListener("change", say);
  addEventListener("storage", (event) => {
    if (event.key !== KEPT) return;
    wear(event.newValue);
    say();
  });
  for (const [event, on] of [["beforeprint", true], ["afterprint", false]]) {
    addEventListener(event, () => {
      printing = on;
      say();
    });
  }
  say();
}

// `draw` runs once for all that was asked for between two frames; at once for paper, which waits for no frame.
function soon(draw) {
  let waiting = false;
  return () => {
    if (printing) return draw(performance.now());
    if (waiting) return;
    waiting = true;
    requestAnimationFrame((now) => {
      waiting = false;
      draw(now);
    });
  };
}

// Keys of a page: they work wherever the focus is, but for fields, and for buttons that are pressed.
function onKeys(keys) {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(keys, event.key)) return;
    if (event.target.matches("input, select, textarea")) return;
    if (event.target.matches("button, a, summary, video") && [" ", "Enter"].includes(event.key)) return;
    if (keys[event.key]() !== false) event.preventDefault();
  });
  for (const button of document.querySelectorAll("button[data-key]")) button.addEventListener("click", () => keys[button.dataset.key]());
}

// A field that searches: / goes to it, Escape empties and leaves it, Enter takes the first that is found.
function onFind(field, sought, first = () => {}) {
  field.addEventListener("input", sought);
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      field.value = "";
      sought();
      field.blur();
    } else if (event.key === "Enter") first();
    else return;
    event.preventDefault();
  });
}

// A colour of the style sheet as a canvas takes it.
const probe = document.body.appendChild(element("span", "unseen"));
function resolved(value) {
  probe.style.color = value;
  return getComputedStyle(probe).color;
}

// The look of a genre or a lane is a number: eight colours, which come again with the next outline.
const hue = (look) => COLOURS[dark() ? "dark" : "light"][look % COLOURS.light.length];
const anyHue = (look) => `light-dark(${COLOURS.light[look % COLOURS.light.length]}, ${COLOURS.dark[look % COLOURS.dark.length]})`;

// Outlines of equal area around (0, 0), the circle of radius 1 among them.
const OUTLINES = [
  "M1 0A1 1 0 1 1-1 0A1 1 0 1 1 1 0Z",
  "M-.886-.886H.886V.886H-.886Z",
  "M0-1.4L1.347.93H-1.347Z",
  "M0-1.253L1.253 0 0 1.253-1.253 0Z",
];
const outline = (look) => OUTLINES[Math.floor(look / COLOURS.light.length) % OUTLINES.length];

function markOf(look) {
  const picture = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  picture.setAttribute("class", "mark");
  picture.setAttribute("viewBox", "-1.5 -1.5 3 3");
  picture.setAttribute("aria-hidden", "true");
  path.setAttribute("d", outline(look));
  path.style.fill = anyHue(look);
  picture.append(path);
  return picture;
}
