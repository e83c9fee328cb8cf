const canvas = byId("map");
const pen = canvas.getContext("2d");
const card = byId("card");
const finder = byId("find");

const videos = data.names.length;
const sought = data.names.map(plain); // by what the search finds them
const methods = Object.keys(data.positions);
const MARGIN = 28;  // px around the map
const REACH = 14;   // px from a point at which the pointer has it
const FLIGHT = 650; // ms from one projection to the other
const calm = matchMedia("(prefers-reduced-motion: reduce)");

let method = methods[0];
let [xs, ys] = data.positions[method];
let [wide, high] = extent(data.positions[method]); // the farthest from the middle, which is (0, 0)
let flight = null;
let zoom = { scale: 1, x: 0, y: 0 }; // of the fitted map; x and y in px
let active = -1; // the video that the card shows
let pinned = false;

// What stands for video i: the likeliest of its genres, among the chosen ones if there are any; -1: it has none.
const genresOf = (i) => data.labels[i] ?? data.predicted[i];
const likeliest = (i, genres) => genres.reduce((a, b) => (a < 0 || data.scores[i][b] > data.scores[i][a] ? b : a), -1);
let looks = [];
let shown = [];

function filter() {
  const words = plain(finder.value.trim());
  looks = data.names.map((_, i) => {
    const mine = genresOf(i);
    return likeliest(i, chosen.size ? mine.filter((genre) => chosen.has(genre)) : mine);
  });
  shown = looks.map((look, i) => (look >= 0 || !chosen.size) && (!words || sought[i].includes(words)));
  const count = shown.filter(Boolean).length;
  byId("count").textContent = count === videos ? say(videos) : `${count.toLocaleString("en")} of ${say(videos)}`;
  listFound(words ? shown.flatMap((is, i) => (is ? [i] : [])) : null);
  if (active >= 0 && !shown[active]) release();
  draw();
}
const say = (count) => `${count.toLocaleString("en")} ${count === 1 ? "video" : "videos"}`;

// The names that a search finds; each leads to its place on the map.
const NAMED = 50;
let found = [];
function listFound(all) {
  found = all ?? [];
  byId("names").hidden = !all;
  const rest = found.length - NAMED;
  byId("more").textContent = !found.length ? "No name has this in it." : rest > 0 ? `and ${rest.toLocaleString("en")} more` : "";
  byId("found").replaceChildren(...found.slice(0, NAMED).map((i) => {
    const button = element("button", "genre", ...(looks[i] < 0 ? [] : [markOf(data.looks[looks[i]])]), element("bdi", "", data.names[i]));
    button.type = "button";
    button.title = data.names[i];
    button.addEventListener("click", () => choose(i));
    return element("li", "", button);
  }));
}

function choose(i) {
  if (i === undefined) return;
  activate(i, true);
  pinned = true;
  bringIntoView(i);
}

function extent(positions) {
  return positions.map((values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-9));
}

// From positions to px of the canvas: the whole map fits at scale 1, y goes up.
function frame() {
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const fit = Math.max(1, Math.min((width / 2 - MARGIN) / wide, (height / 2 - MARGIN) / high));
  return { fit: fit * zoom.scale, x: width / 2 + zoom.x, y: height / 2 + zoom.y };
}
const screen = (i, { fit, x, y }) => [x + xs[i] * fit, y - ys[i] * fit];

function radius() {
  const room = Math.sqrt((canvas.clientWidth * canvas.clientHeight) / videos);
  const size = Math.min(8, Math.max(2, Math.min(5.5, 0.16 * room)) * zoom.scale ** 0.35);
  return Math.round(4 * size) / 4;
}

// All marks in one picture, from which points are copied. In row 0 a column for no genre and for each genre, in
// row 1 the same hollow, for videos that nobody has labelled; the last column is for what the filter leaves out.
let sheet = null;

function marks(size, ratio) {
  const key = `${size} ${ratio} ${dark()}`;
  if (sheet?.key === key) return sheet;
  const side = 2 * Math.ceil(1.8 * size * ratio);
  const picture = new OffscreenCanvas(side * (data.genres.length + 2), 2 * side);
  const ink = picture.getContext("2d");
  const paper = resolved("var(--paper)");
  const put = (column, row, outlined, fill, scale) => {
    ink.setTransform(scale, 0, 0, scale, (column + 0.5) * side, (row + 0.5) * side);
    [ink.fillStyle, ink.strokeStyle, ink.lineWidth] = row ? [paper, fill, 0.55] : [fill, paper, 0.35];
    ink.fill(outlined);
    ink.stroke(outlined);
  };
  for (let genre = -1; genre < data.genres.length; genre++) {
    const path = new Path2D(genre < 0 ? OUTLINES[0] : outline(data.looks[genre]));
    const fill = genre < 0 ? resolved("var(--soft)") : colour(genre);
    put(genre + 1, 0, path, fill, size * ratio);
    put(genre + 1, 1, path, fill, size * ratio * 0.85);
  }
  put(data.genres.length + 1, 0, new Path2D(OUTLINES[0]), resolved("var(--faint)"), size * ratio * 0.75);
  sheet = { key, picture, side, faint: data.genres.length + 1 };
  return sheet;
}

const draw = redrawing(canvas, (now) => {
  if (flight) fly(now);
  const ratio = devicePixelRatio || 1;
  const at = frame();
  const size = radius();
  const { picture, side, faint } = marks(size, ratio);
  const [width, height] = [canvas.width, canvas.height];
  const put = (i, column, row) => {
    const x = Math.round((at.x + xs[i] * at.fit) * ratio - side / 2);
    const y = Math.round((at.y - ys[i] * at.fit) * ratio - side / 2);
    if (x < -side || y < -side || x > width || y > height) return;
    pen.drawImage(picture, column * side, row * side, side, side, x, y, side, side);
  };
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.imageSmoothingEnabled = false; // marks are copied as they are, which is faster
  pen.clearRect(0, 0, width, height);
  for (let i = 0; i < videos; i++) if (!shown[i]) put(i, faint, 0);
  for (let i = 0; i < videos; i++) if (shown[i]) put(i, looks[i] + 1, data.labels[i] ? 0 : 1);
  if (active >= 0) {
    const [x, y] = screen(active, at);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.beginPath();
    pen.arc(x, y, size + 4.5, 0, 2 * Math.PI);
    pen.lineWidth = 2;
    pen.strokeStyle = resolved("var(--ink)");
    pen.stroke();
  }
  if (flight) draw();
  else if (active >= 0) showCard();
});

// From one projection to the other the points fly, so that the eye can follow.
function go(name) {
  if (name === method) return;
  method = name;
  const [toX, toY] = data.positions[name];
  flight = { from: [xs, ys, wide, high], to: [toX, toY, ...extent(data.positions[name])], began: null };
  [xs, ys] = [xs.slice(), ys.slice()];
  zoom = { scale: 1, x: 0, y: 0 };
  if (!pinned) release();
  card.hidden = true;
  document.querySelectorAll("#methods button").forEach((b) => b.setAttribute("aria-pressed", String(b.textContent === name)));
  draw();
}

function fly(now) {
  flight.began ??= now;
  const part = calm.matches || printing ? 1 : Math.min(1, (now - flight.began) / FLIGHT);
  const eased = part * part * (3 - 2 * part);
  const between = (a, b) => a + eased * (b - a);
  const [from, to] = [flight.from, flight.to];
  for (let i = 0; i < videos; i++) {
    xs[i] = between(from[0][i], to[0][i]);
    ys[i] = between(from[1][i], to[1][i]);
  }
  [wide, high] = [between(from[2], to[2]), between(from[3], to[3])];
  if (part === 1) flight = null;
}

// Pictures of the videos, in pieces that are read when one of their videos is looked at.
const pieces = document.querySelectorAll(".piece");
const read = new Map();
function pictureOf(i) {
  const number = Math.floor(i / data.videos_of_a_piece);
  if (!pieces[number]) return [];
  if (!read.has(number)) read.set(number, JSON.parse(pieces[number].textContent));
  const webp = read.get(number)[i % data.videos_of_a_piece];
  if (!webp) return [];
  const picture = element("img");
  picture.alt = "";
  picture.addEventListener("load", () => active >= 0 && showCard());
  picture.src = `data:image/webp;base64,${webp}`;
  return [picture];
}

// The card of the active video.

function activate(i, spoken = false) {
  if (i === active) return;
  active = i;
  if (i < 0) return release();
  const labels = data.labels[i];
  const own = genresOf(i);
  const has = element("div", "has");
  has.append(...own.map((genre) => element("span", "", markOf(data.looks[genre]), element("bdi", "", data.genres[genre]))));
  const note = labels === null ? "No label; predicted:" : labels.length ? "" : "Labelled with no genre";
  card.replaceChildren(
    ...pictureOf(i),
    element("bdi", "", data.names[i]),
    ...(note ? [element("div", "note", note)] : []),
    has,
    scoreBars(data.scores[i], own, 5),
  );
  if (spoken) {
    const names = own.map((genre) => `${data.genres[genre]} ${data.scores[i][genre].toFixed(2)}`);
    byId("spoken").textContent = `${data.names[i]}: ${note} ${names.join(", ")}`;
  }
  draw();
}

function showCard() {
  const [x, y] = screen(active, frame());
  const box = canvas.getBoundingClientRect();
  card.hidden = false;
  card.classList.toggle("pinned", pinned);
  place(card, box.left + x, box.top + y);
}

function release() {
  [active, pinned] = [-1, false];
  card.hidden = true;
  draw();
}

function pin() {
  pinned = active >= 0;
  draw();
}

function nearest(x, y, reach) {
  const at = frame();
  let [best, least] = [-1, reach * reach];
  for (let i = 0; i < videos; i++) {
    if (!shown[i]) continue;
    const [a, b] = screen(i, at);
    const away = (a - x) ** 2 + (b - y) ** 2;
    if (away <= least) [best, least] = [i, away];
  }
  return best;
}

// The nearest video in a direction: those off to the side count as farther away.
function next(dx, dy) {
  if (active < 0) return nearest(canvas.clientWidth / 2, canvas.clientHeight / 2, Infinity);
  const at = frame();
  const [x, y] = screen(active, at);
  let [best, least] = [active, Infinity];
  for (let i = 0; i < videos; i++) {
    if (!shown[i] || i === active) continue;
    const [a, b] = screen(i, at);
    const along = (a - x) * dx + (b - y) * dy;
    const aside = Math.abs((a - x) * dy) + Math.abs((b - y) * dx);
    if (along <= 0 || aside > along) continue;
    const cost = along + 2 * aside;
    if (cost < least) [best, least] = [i, cost];
  }
  return best;
}

function zoomBy(factor, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
  const scale = Math.min(60, Math.max(1, zoom.scale * factor));
  const kept = scale / zoom.scale;
  const [cx, cy] = [x - canvas.clientWidth / 2, y - canvas.clientHeight / 2];
  zoom = scale === 1 ? { scale, x: 0, y: 0 } : { scale, x: cx - (cx - zoom.x) * kept, y: cy - (cy - zoom.y) * kept };
  draw();
}

function bringIntoView(i) {
  const [x, y] = screen(i, frame());
  zoom.x -= x - Math.min(Math.max(x, MARGIN), canvas.clientWidth - MARGIN);
  zoom.y -= y - Math.min(Math.max(y, MARGIN), canvas.clientHeight - MARGIN);
  draw();
}

// Pointer and keys.

let held = null;
canvas.addEventListener("pointerdown", (event) => {
  held = { x: event.clientX, y: event.clientY, zoomX: zoom.x, zoomY: zoom.y, moved: false };
  canvas.setPointerCapture(event.pointerId);
});
canvas.addEventListener("pointermove", (event) => {
  if (held) {
    const [dx, dy] = [event.clientX - held.x, event.clientY - held.y];
    held.moved ||= Math.hypot(dx, dy) > 4;
    if (held.moved) {
      canvas.classList.add("held");
      [zoom.x, zoom.y] = [held.zoomX + dx, held.zoomY + dy];
      draw();
    }
    return;
  }
  if (!pinned && !flight) activate(nearest(event.offsetX, event.offsetY, REACH));
});
canvas.addEventListener("pointerup", (event) => {
  const click = held && !held.moved;
  held = null;
  canvas.classList.remove("held");
  if (!click) return;
  const found = nearest(event.offsetX, event.offsetY, REACH);
  if (found < 0) return release();
  activate(found);
  pin();
});
canvas.addEventListener("pointercancel", () => {
  held = null;
  canvas.classList.remove("held");
});
canvas.addEventListener("pointerleave", () => {
  if (!pinned && !held && document.activeElement !== canvas) release();
});
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoomBy(Math.exp(-event.deltaY / 400), event.offsetX, event.offsetY);
}, { passive: false });

function walk(dx, dy) {
  pinned = false;
  activate(next(dx, dy), true);
  if (active >= 0) bringIntoView(active);
}

onKeys({
  ArrowLeft: () => walk(-1, 0),
  ArrowRight: () => walk(1, 0),
  ArrowUp: () => walk(0, -1),
  ArrowDown: () => walk(0, 1),
  "+": () => zoomBy(1.5),
  "=": () => zoomBy(1.5),
  "-": () => zoomBy(1 / 1.5),
  0: () => zoomBy(0),
  Enter: pin,
  " ": pin,
  Escape: release,
  "/": () => finder.focus(),
});

// The controls.

byId("methods").append(...methods.map((name) => {
  const button = element("button", "", name);
  button.type = "button";
  button.setAttribute("aria-pressed", String(name === method));
  button.addEventListener("click", () => go(name));
  return button;
}));
byId("methods").hidden = methods.length < 2;
byId("about").textContent = data.about;
byId("legend").textContent = data.labels.includes(null)
  ? "A mark shows the likeliest genre of a video, a number how many have it. Hollow: no label, genres predicted."
  : "A mark shows the likeliest of a video's genres, a number how many videos have it.";
const counts = data.genres.map(() => 0);
data.names.forEach((_, i) => genresOf(i).forEach((genre) => counts[genre]++));
genreButtons(byId("genres"), {
  number: (genre) => counts[genre].toLocaleString("en"),
  changed: filter,
});
onFind(finder, filter, () => choose(found[0]));
filter();
onTheme(draw);
