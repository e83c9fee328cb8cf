const canvas = byId("shots");
const pen = canvas.getContext("2d");
const card = byId("card");
const [STRIP, GAP, ROW, AXIS] = [34, 6, 24, 28]; // px; STRIP + GAP is the height of the heading beside
const MOST_WIDTH = 12000; // px, near what browsers draw

const shots = data.starts.length;
const first = data.starts[0];
const last = Math.max(...data.ends);
let active = -1; // the shot that the card shows
let pinned = false;
let scale = 1; // of time: 1 fits the width

canvas.style.height = `${STRIP + GAP + ROW * data.genres.length + AXIS}px`;

const name = (shot) => `${data.unit[0].toUpperCase()}${data.unit.slice(1)} ${shot + 1}`; // as on all pages

// The genres that a shot is said to have: those that reach the threshold, or else the likeliest.
const order = (scores) => scores.map((_, genre) => genre).sort((a, b) => scores[b] - scores[a]);
const named = data.scores.map((scores) => {
  if (!scores) return [];
  const sorted = order(scores);
  const reaching = sorted.filter((genre) => scores[genre] >= data.threshold);
  return reaching.length ? reaching : sorted.slice(0, 1);
});
const on = (shot) => !chosen.size || named[shot].some((genre) => chosen.has(genre));
const lead = (shot) => named[shot].find((genre) => !chosen.size || chosen.has(genre)) ?? -1;

const left = (shot) => ((data.starts[shot] - first) / (last - first)) * canvas.clientWidth;
const right = (shot) => ((data.ends[shot] - first) / (last - first)) * canvas.clientWidth;

const draw = redrawing(canvas, () => {
  const ratio = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const [paper, raised, ink, soft, line, faint] = ["paper", "raised", "ink", "soft", "line", "faint"].map((name) => resolved(`var(--${name})`));
  pen.setTransform(canvas.width / width, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.fillStyle = raised;
  data.genres.forEach((_, row) => pen.fillRect(0, STRIP + GAP + row * ROW + 1, width, ROW - 2));
  for (let shot = 0; shot < shots; shot++) {
    const [x, wide] = [left(shot), Math.max(0.5, right(shot) - left(shot) - (right(shot) - left(shot) > 4 ? 1 : 0))];
    const genre = lead(shot);
    pen.fillStyle = genre < 0 ? faint : colour(genre);
    pen.globalAlpha = genre < 0 ? 0.5 : 1;
    pen.fillRect(x, 0, wide, STRIP);
    if (!data.scores[shot]) continue;
    data.scores[shot].forEach((score, row) => {
      const strength = chosen.size && !chosen.has(row) ? 0.25 : 1, top = STRIP + GAP + row * ROW;
      pen.globalAlpha = score * strength;
      pen.fillStyle = colour(row);
      pen.fillRect(x, top + 1, wide, ROW - 2);
      pen.globalAlpha = strength;
      if (score >= data.threshold) pen.fillRect(x, top + ROW - 4, wide, 3);
    });
  }
  pen.globalAlpha = 1;
  drawAxis(width, height, line, soft);
  if (active < 0) return;
  pen.lineWidth = 2;
  pen.strokeStyle = paper;
  const box = [left(active), 1, Math.max(2, right(active) - left(active)), height - AXIS - 1];
  pen.strokeRect(...box);
  pen.strokeStyle = ink;
  pen.lineWidth = 1.5;
  pen.strokeRect(...box);
  showCard();
});

function drawAxis(width, height, line, soft) {
  const { times, digits } = ticksOf(first, last, width);
  pen.font = "12px system-ui, sans-serif";
  pen.textBaseline = "bottom";
  for (const tick of times) {
    const x = ((tick - first) / (last - first)) * width;
    pen.fillStyle = line;
    pen.fillRect(x, height - AXIS + 2, 1, 6);
    pen.fillStyle = soft;
    pen.textAlign = x < 20 ? "left" : x > width - 20 ? "right" : "center";
    pen.fillText(clock(tick, digits), Math.min(Math.max(x, 4), width - 4), height - 4);
  }
}

// The card of the active shot, and its row of the table.

const table = byId("table");
const rows = data.scores.map((scores, shot) => {
  const has = element("div", "has");
  has.append(...named[shot].map((genre) =>
    element("span", "", markOf(data.looks[genre]), element("bdi", "", data.genres[genre]), element("span", "number", scores[genre].toFixed(2)))));
  if (!scores) has.append(element("span", "number", "nothing there"));
  const cells = [shot + 1, clock(data.starts[shot], 1), clock(data.ends[shot], 1), (data.ends[shot] - data.starts[shot]).toFixed(1)];
  const row = element("tr", "", ...cells.map((text) => element("td", "", String(text))), element("td", "", has));
  row.addEventListener("pointerenter", () => !pinned && mark(shot));
  return row;
});
table.append(...rows);
table.addEventListener("pointerleave", () => !pinned && release());

// A shot that is only marked has no card.
let carded = false;
function mark(shot) {
  if (active >= 0) rows[active].classList.remove("active");
  active = shot;
  carded = false;
  card.hidden = true;
  if (active >= 0) rows[active].classList.add("active");
  draw();
}

function activate(shot, spoken = false) {
  if (shot === active && carded) return;
  mark(shot);
  if (shot < 0) return;
  carded = true;
  const [from, to] = [data.starts[shot], data.ends[shot]];
  const times = `${clock(from, 1)} to ${clock(to, 1)}, ${(to - from).toFixed(1)} s`;
  const scores = data.scores[shot];
  card.replaceChildren(
    element("bdi", "", `${name(shot)} of ${shots}`),
    element("div", "note", times),
    scores ? scoreBars(scores, named[shot], 6) : element("div", "note", `No expert has anything in this ${data.unit}.`),
  );
  if (spoken) {
    const words = named[shot].map((genre) => `${data.genres[genre]} ${scores[genre].toFixed(2)}`).join(", ");
    byId("spoken").textContent = `${name(shot)}, ${times}: ${words || "nothing there"}`;
  }
}

function showCard() {
  if (!carded) return;
  const box = canvas.getBoundingClientRect();
  const view = byId("scroller").getBoundingClientRect();
  card.hidden = false;
  card.classList.toggle("pinned", pinned);
  place(card, Math.min(view.right, Math.max(view.left, box.left + right(active))), box.top + 110);
}

function release() {
  pinned = false;
  mark(-1);
}

function pin() {
  pinned = active >= 0;
  draw();
  return pinned; // else the key is the browser's
}

function shotAt(x) {
  for (let shot = 0; shot < shots; shot++) if (left(shot) <= x && x < Math.max(right(shot), left(shot) + 1)) return shot;
  return -1;
}

function step(by) {
  let shot = active < 0 ? (by > 0 ? -1 : shots) : active;
  do shot += by;
  while (shot >= 0 && shot < shots && !on(shot));
  if (shot < 0 || shot >= shots) return;
  pinned = false;
  activate(shot, true);
  const scroller = byId("scroller");
  const middle = (left(shot) + right(shot)) / 2;
  if (middle < scroller.scrollLeft || middle > scroller.scrollLeft + scroller.clientWidth) {
    scroller.scrollLeft = middle - scroller.clientWidth / 2;
  }
}

function rescale(factor) {
  const most = MOST_WIDTH / byId("scroller").clientWidth;
  scale = Math.max(1, Math.min(most, scale * factor));
  canvas.style.width = `${100 * scale}%`;
}

canvas.addEventListener("pointermove", (event) => !pinned && activate(shotAt(event.offsetX)));
canvas.addEventListener("pointerleave", () => !pinned && document.activeElement !== canvas && release());
canvas.addEventListener("click", (event) => {
  const shot = shotAt(event.offsetX);
  if (pinned && shot === active) return release();
  activate(shot);
  pin();
});

onKeys({
  ArrowLeft: () => step(-1),
  ArrowRight: () => step(1),
  "+": () => rescale(1.5),
  "=": () => rescale(1.5),
  "-": () => rescale(1 / 1.5),
  0: () => rescale(0),
  Enter: pin,
  " ": pin,
  Escape: release,
});
byId("scroller").addEventListener("scroll", draw);

function filter() {
  const count = rows.filter((row, shot) => !row.classList.toggle("off", !on(shot))).length;
  byId("count").textContent = `${count === shots ? "" : `${count} of `}${shots} ${data.unit}${shots === 1 ? "" : "s"}`;
  if (active >= 0 && !on(active)) release();
  draw();
}

byId("about").textContent = data.about;
byId("unit").textContent = name(0).split(" ")[0];
byId("threshold").textContent = data.threshold.toFixed(2);
genreButtons(byId("genres"), {
  number: (genre) => data.whole[genre].toFixed(2),
  changed: filter,
});
filter();
onTheme(draw);
