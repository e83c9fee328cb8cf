"use strict";

const data = JSON.parse(document.getElementById("data").textContent);

// Names come from videos, labels and files: they enter the page as text and in no other way.
function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

// Outlines of equal area around (0, 0), the circle of radius 1 among them.
const MARKS = [
  "M1 0A1 1 0 1 1-1 0A1 1 0 1 1 1 0Z",
  "M-.886-.886H.886V.886H-.886Z",
  "M0-1.4L1.347.93H-1.347Z",
  "M0-1.253L1.253 0 0 1.253-1.253 0Z",
];

// A genre's colour and outline: the eight colours come again with the next outline.
const hue = (genre) => genre % data.colours.light.length;
const outline = (genre) => MARKS[Math.floor(genre / data.colours.light.length) % MARKS.length];
const colour = (genre) => data.colours[scheme()][hue(genre)];
const anyColour = (genre) => `light-dark(${data.colours.light[hue(genre)]}, ${data.colours.dark[hue(genre)]})`;

function markOf(genre) {
  const picture = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  picture.setAttribute("class", "mark");
  picture.setAttribute("viewBox", "-1.5 -1.5 3 3");
  picture.setAttribute("aria-hidden", "true");
  path.setAttribute("d", outline(genre));
  path.style.fill = anyColour(genre);
  picture.append(path);
  return picture;
}

// A button for each genre; `changed` is called when one is pressed. Genres that are pressed are in `chosen`.
const chosen = new Set();

function genreButtons(list, { mark, number, changed }) {
  const buttons = data.genres.map((name, genre) => {
    const button = element("button", "genre");
    button.type = "button";
    button.title = name;
    button.setAttribute("aria-pressed", "false");
    if (mark) button.append(markOf(genre));
    button.append(element("bdi", "", name));
    if (number) button.append(element("span", "number", number(genre)));
    button.addEventListener("click", () => press(genre, !chosen.has(genre)));
    list.append(button);
    return button;
  });
  function press(genre, on) {
    if (on) chosen.add(genre);
    else chosen.delete(genre);
    buttons[genre].setAttribute("aria-pressed", String(on));
    list.classList.toggle("filtered", chosen.size > 0);
    changed();
  }
  const clear = document.getElementById("clear");
  clear.addEventListener("click", () => [...chosen].forEach((genre) => press(genre, false)));
}

// The scores of some genres as bars, the highest first; `own` are those that stand out.
function scoreBars(scores, own, most) {
  const order = scores.map((_, genre) => genre).sort((a, b) => scores[b] - scores[a]);
  const first = order.slice(0, most);
  const shown = [...first, ...order.filter((genre) => own.includes(genre) && !first.includes(genre))];
  const table = element("div", "scores");
  for (const genre of shown) {
    const fill = element("span");
    fill.style.width = `${100 * scores[genre]}%`;
    table.append(
      element("bdi", own.includes(genre) ? "own" : "", data.genres[genre]),
      element("div", "bar", fill),
      element("span", "", scores[genre].toFixed(2)),
    );
  }
  return table;
}

// Beside a point of the window, inside the window.
function place(card, x, y) {
  const { width, height } = card.getBoundingClientRect();
  const left = x + 16 + width < innerWidth - 8 ? x + 16 : x - 16 - width;
  const top = Math.min(Math.max(8, y - height / 2), innerHeight - height - 8);
  card.style.left = `${Math.max(8, left)}px`;
  card.style.top = `${Math.max(8, top)}px`;
}

// A canvas as sharp as the screen; `draw` runs once for all that was asked for between two frames.
function redrawing(canvas, draw) {
  let waiting = false;
  const ask = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame((now) => {
      waiting = false;
      draw(now);
    });
  };
  const resize = () => {
    const ratio = devicePixelRatio || 1;
    canvas.width = Math.round(canvas.clientWidth * ratio);
    canvas.height = Math.round(canvas.clientHeight * ratio);
    draw(performance.now());  // at once: setting the size has emptied it
  };
  new ResizeObserver(resize).observe(canvas);
  return ask;
}

// A colour of the style sheet as a canvas takes it.
const probe = document.body.appendChild(element("span", "unseen"));
function resolved(value) {
  probe.style.color = value;
  return getComputedStyle(probe).color;
}

let theme = null;  // null: the system's
const system = matchMedia("(prefers-color-scheme: dark)");
const scheme = () => theme ?? (system.matches ? "dark" : "light");
const themeButton = document.getElementById("theme");

function onTheme(changed) {
  const say = () => {
    themeButton.textContent = scheme() === "dark" ? "Light" : "Dark";
    themeButton.setAttribute("aria-label", `${themeButton.textContent} colours`);
    changed();
  };
  themeButton.addEventListener("click", () => {
    theme = scheme() === "dark" ? "light" : "dark";
    document.documentElement.style.colorScheme = theme;
    say();
  });
  system.addEventListener("change", say);
  say();
}
