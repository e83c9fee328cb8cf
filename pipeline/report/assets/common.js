"use strict";

// What both pages share. Names and words come from videos: they enter a page as text and in no other way.

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

// Without regard to case and accents.
const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

// Pieces of data are scripts that call this, since a page from a disk may load nothing else.
const waiting = new Map();
const marquee = {
  piece(name, data) {
    waiting.get(name)?.(data);
    waiting.delete(name);
  },
};

function load(name) {
  return new Promise((done, failed) => {
    waiting.set(name, done);
    const script = element("script");
    script.src = `data/${name}.js`;
    script.addEventListener("error", () => failed(new Error(`data/${name}.js is not there`)));
    script.addEventListener("load", () => script.remove());
    document.head.append(script);
  });
}

// Whether a line has every word of what is sought: as it is, as its beginning, or with one letter wrong.
function seeker(sought) {
  const phrases = [];
  const rest = plain(sought).replace(/"([^"]*)"/g, (_, phrase) => (phrases.push(phrase.trim()), " "));
  const words = rest.match(/[\p{L}\p{N}]+/gu) ?? [];
  if (!words.length && !phrases.some(Boolean)) return null;
  return (line) => {
    const text = plain(line);
    if (!phrases.every((phrase) => text.includes(phrase))) return false;
    const there = text.match(/[\p{L}\p{N}]+/gu) ?? [];
    return words.every((word) => there.some((other) => other.startsWith(word) || near(word, other)));
  };
}

// At most one letter is missing, added or wrong; two that changed places count as one. Short words are exact.
function near(a, b) {
  if (a.length < 4 || Math.abs(a.length - b.length) > 1) return false;
  let i = 0;
  while (i < a.length && a[i] === b[i]) i++;
  if (a.slice(i + 1) === b.slice(i + 1) || a.slice(i + 1) === b.slice(i) || a.slice(i) === b.slice(i + 1)) return true;
  return a[i] === b[i + 1] && a[i + 1] === b[i] && a.slice(i + 2) === b.slice(i + 2);
}

// Beside a point of the window, inside the window.
function place(card, x, y) {
  const { width, height } = card.getBoundingClientRect();
  const left = x + 16 + width < innerWidth - 8 ? x + 16 : x - 16 - width;
  card.style.left = `${Math.max(8, Math.min(left, innerWidth - width - 8))}px`;
  card.style.top = `${Math.min(Math.max(8, y - height / 2), innerHeight - height - 8)}px`;
}

const system = matchMedia("(prefers-color-scheme: dark)");
let theme = null; // null: the system's
const dark = () => (theme ?? (system.matches ? "dark" : "light")) === "dark";

function onTheme(changed) {
  const button = byId("theme");
  const say = () => {
    button.textContent = dark() ? "Light" : "Dark";
    button.setAttribute("aria-label", `${button.textContent} colours`);
    changed();
  };
  button.addEventListener("click", () => {
    theme = dark() ? "light" : "dark";
    document.documentElement.style.colorScheme = theme;
    say();
  });
  system.addEventListener("change", say);
  say();
}

// A colour of the style sheet as a canvas takes it.
const probe = document.body.appendChild(element("span", "unseen"));
function resolved(value) {
  probe.style.color = value;
  return getComputedStyle(probe).color;
}

function trouble(text) {
  const line = byId("trouble");
  line.textContent = text;
  line.hidden = false;
}
