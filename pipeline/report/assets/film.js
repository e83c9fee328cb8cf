"use strict";

// One film: the picture above, everything that was found below, on one time axis.

const asked = new URLSearchParams(location.search);
const number = Number.parseInt(asked.get("v") ?? "", 10);
const lanes = [];
const view = { from: 0, to: 1 };
let film = null, edges = [], time = 0, found = null;

const starts = () => film.shots?.from ?? film.stills?.from ?? [];
const shotNow = () => (film.shots ? placeOf(film.shots.from, time + 1e-6) : -1);
const frameSeconds = () => 1 / (film.fps || 25);

const redraw = soon(() => {
  for (const lane of lanes) lane.draw(view);
  byId("span").textContent = `${clock(view.from, 1)} to ${clock(view.to, 1)}`;
  const share = (time - view.from) / (view.to - view.from);
  const head = byId("head");
  head.hidden = share < 0 || share > 1;
  head.style.setProperty("--share", share);
});

// From here on: a moment, its picture, its place in the lanes, and the address that names it.
function show(seconds, { named = true, follow = true } = {}) {
  time = Math.min(Math.max(film.begin, seconds), film.end);
  const shot = shotNow();
  const of = shot < 0 ? "" : ` · shot ${shot + 1} of ${film.shots.from.length}`;
  byId("now").textContent = `${clock(time, 1)} of ${clock(film.end, 1)}${of}`;
  const still = byId("still");
  if (still && film.stills) {
    const place = Math.max(0, placeOf(edges, time));
    still.src = `data:image/jpeg;base64,${film.stills.jpeg[place]}`;
    still.alt = shot < 0 ? `Still at ${clock(time)}` : `Still of shot ${shot + 1}`;
  }
  if (follow && (time < view.from || time > view.to)) {
    const half = (view.to - view.from) / 2;
    zoomTo(time - half, time + half);
  }
  if (named) history.replaceState(null, "", `#t=${Number(time.toFixed(2))}`);
  mark();
  redraw();
}

function seek(seconds) {
  const video = byId("video");
  if (video && video.readyState) video.currentTime = Math.min(seconds, film.end);
  show(seconds);
}

function zoomTo(from, to) {
  const length = Math.min(film.end - film.begin, Math.max(8 * frameSeconds(), to - from));
  view.from = Math.min(Math.max(film.begin, from), film.end - length);
  view.to = view.from + length;
  redraw();
}

function zoom(factor, around = time) {
  const about = around < view.from || around > view.to ? (view.from + view.to) / 2 : around;
  zoomTo(about - (about - view.from) * factor, about + (view.to - about) * factor);
}

function step(by) {
  const all = starts(), here = placeOf(all, time + 1e-6);
  if (!all.length) return seek(time + 5 * by);
  const next = Math.min(Math.max(0, by < 0 && time - all[here] > 1 ? here : here + by), all.length - 1);
  seek(all[next]);
  const words = wordLanes().filter((lane) => !lane.quiet).flatMap((lane) => lane.texts.filter((_, i) => lane.from[i] <= all[next] + 0.5 && all[next] < lane.to[i]));
  const genres = lanes.filter((lane) => lane.mark && lane.say(all[next])).map((lane) => `${lane.name} ${lane.say(all[next])}`);
  byId("spoken").textContent = `Shot ${next + 1} of ${all.length}, ${clock(all[next])}. ${[...genres, ...words].join(". ")}`;
}

const KEYS = {
  ArrowLeft: () => step(-1),
  ArrowRight: () => step(1),
  ",": () => seek(time - frameSeconds()),
  ".": () => seek(time + frameSeconds()),
  " ": () => play(),
  "+": () => zoom(0.5),
  "=": () => zoom(0.5),
  "-": () => zoom(2),
  0: () => zoomTo(film.begin, film.end),
  Home: () => seek(0),
  End: () => seek(starts().at(-1) ?? 0),
  "/": () => byId("find").focus(),
};

function play() {
  const video = byId("video");
  if (!video) return false;
  if (video.paused) video.play().catch(() => {});
  else video.pause();
  return true;
}

// The film itself where the browser can play it; else its stills.
function screen() {
  const box = byId("screen");
  const note = (text) => box.append(element("p", "note", text));
  const stills = (why = "") => {
    if (film.stills) {
      const still = element("img");
      still.id = "still";
      [still.width, still.height] = film.stills.size;
      box.append(still);
    }
    if (why) note(`${why} ${film.stills ? "Its stills stand in for it." : "There are no stills of it either."}`);
  };
  byId("plays").hidden = !film.media;
  if (!film.media) return stills(film.stills ? "" : "The film is not here.");
  const video = element("video");
  video.id = "video";
  video.controls = true;
  video.preload = "metadata";
  video.playsInline = true;
  if (film.stills) video.poster = `data:image/jpeg;base64,${film.stills.jpeg[Math.floor(film.stills.jpeg.length / 2)]}`;
  video.addEventListener("loadedmetadata", () => { if (time) video.currentTime = time; });
  video.addEventListener("timeupdate", () => { if (!video.seeking) show(video.currentTime, { named: false }); });
  video.addEventListener("error", () => {
    video.remove();
    byId("plays").hidden = true;
    stills("This browser cannot play the file where it lies.");
    show(time, { named: false });
  }, { once: true });
  video.src = film.media;
  box.append(video);
}

// Titles and speech as a list, in the order of time. A search finds the words of all lanes.
const wordLanes = () => film.lanes.filter((lane) => lane.kind === "stretches");
let entries = [], spoken = 0;

function listWords() {
  entries = wordLanes().flatMap((lane) => lane.texts.map((text, i) => ({ lane, i, text, sought: plain(text), from: lane.from[i], to: lane.to[i] })));
  entries.sort((a, b) => a.from - b.from);
  for (const entry of entries) {
    const button = element("button", "line", element("span", "when", clock(entry.from)), element("bdi", "", entry.text));
    if (entry.lane.notes[entry.i]) button.append(element("span", "kind", entry.lane.notes[entry.i]));
    button.append(element("span", "kind", entry.lane.name));
    button.type = "button";
    button.tabIndex = -1;
    button.addEventListener("click", () => seek(entry.from));
    entry.row = byId("list").appendChild(element("li", "", button));
  }
  spoken = entries.filter((entry) => !entry.lane.quiet).length;
  byId("words").classList.toggle("empty", !entries.length);
  search();
}

function search() {
  const matches = seeker(byId("find").value);
  found = matches && new Map(wordLanes().map((lane) => [lane, new Set()]));
  let count = 0;
  for (const entry of entries) {
    const kept = matches ? matches(entry.sought) : !entry.lane.quiet;
    entry.row.hidden = !kept;
    if (kept && matches) found.get(entry.lane).add(entry.i);
    count += kept;
  }
  const lines = `${count} ${count === 1 ? "line" : "lines"}`;
  byId("found").textContent = matches ? `${lines} of ${entries.length}` : spoken ? lines : noWords();
  redraw();
}

function noWords() {
  const [read, unread] = [true, false].map((is) => Object.entries({ ocr: "text", whisper: "speech" }).filter(([table]) => film.read.includes(table) === is).map(([, name]) => name));
  return [read.length ? `No ${read.join(" and no ")} in this video.` : "", unread.length ? `Not read: ${unread.join(", ")}.` : ""].join(" ");
}

// The lines of this moment are marked, and the list follows, unless somebody is in it.
let followed = null;
function mark() {
  let first = null;
  for (const entry of entries) {
    const now = entry.from <= time && time < entry.to;
    entry.row.classList.toggle("now", now);
    if (now && !entry.row.hidden) first ??= entry.row;
  }
  const list = byId("list");
  if (!first || first === followed || list.matches(":hover, :focus-within")) return;
  followed = first;
  list.scrollTop = first.offsetTop - list.clientHeight / 3;
}

// The list is one stop of the Tab key, however long it is.
function stepLine(event) {
  const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (!by) return;
  const there = [...document.querySelectorAll("#list li:not([hidden]) button")];
  there[Math.max(0, there.indexOf(document.activeElement) + by)]?.focus();
  event.preventDefault();
}

function addLane(name, about, lane) {
  const label = element("div", "label", ...(lane.mark ? [lane.mark] : []), element("bdi", "", name));
  label.title = about;
  if (lane.range) label.append(element("span", "range", lane.range));
  lane.body.setAttribute("role", "img");
  lane.body.setAttribute("aria-label", [name, lane.range, about].filter(Boolean).join(", "));
  const body = element("div", "body", lane.body);
  byId("lanes").append(element("div", "lane", label, body));
  lanes.push({ ...lane, name });
}

function layOut() {
  byId("time").hidden = byId("keys").hidden = !film.stills && !film.shots && !film.lanes.length;
  addLane("Time", "from the beginning of the video", rulerLane());
  if (film.stills) {
    addLane("Stills", "pictures of the shots", stillsLane(film.stills, edges, redraw));
    addLane("Barcode", "mean colours of the pictures, from top to bottom", barcodeLane(film.stills, edges, film.end));
  }
  if (film.shots) addLane("Shots", "from cut to cut", shotsLane(film.shots, shotNow));
  film.lanes.forEach((lane, i) => {
    if (lane.kind === "scores") lane.genres.forEach((name, genre) => addLane(name, lane.about, scoreLane(lane, genre)));
    else addLane(lane.name, lane.about, lane.kind === "curve" ? curveLane(lane, i) : stretchesLane(lane, i, (own) => found?.get(own)));
  });
  const head = element("div", "head");
  head.id = "head";
  byId("lanes").append(head);
}

const secondsAt = (event) => {
  const box = document.querySelector("#lanes .body").getBoundingClientRect();
  return view.from + Math.min(Math.max(0, (event.clientX - box.left) / box.width), 1) * (view.to - view.from);
};

function pointing() {
  const area = byId("lanes"), card = byId("card");
  let from = null;
  area.addEventListener("pointerdown", (event) => {
    if (event.button || !event.target.closest(".body")) return;
    from = { x: event.clientX, view: { ...view }, moved: false };
  });
  area.addEventListener("pointermove", (event) => {
    if (from && event.buttons & 1) {
      const box = document.querySelector("#lanes .body").getBoundingClientRect();
      from.moved ||= Math.abs(event.clientX - from.x) > 4;
      const by = ((event.clientX - from.x) / box.width) * (view.to - view.from);
      if (from.moved) zoomTo(from.view.from - by, from.view.to - by);
      return;
    }
    if (!event.target.closest(".body")) return void (card.hidden = true);
    const seconds = secondsAt(event);
    const lines = lanes.map((lane) => [lane.name, lane.say?.(seconds)]).filter(([, said]) => said !== null && said !== undefined);
    card.replaceChildren(element("bdi", "", clock(seconds, 1)), element("dl", "says", ...lines.flatMap(([name, said]) => [element("dt", "", name), element("dd", "", said)])));
    card.hidden = false;
    place(card, event.clientX, event.clientY);
  });
  area.addEventListener("pointerleave", () => { card.hidden = true; });
  area.addEventListener("pointerup", (event) => {
    if (from && !from.moved) seek(secondsAt(event));
    from = null;
  });
  area.addEventListener("wheel", (event) => {
    if (event.ctrlKey || event.metaKey) zoom(2 ** (event.deltaY / 200), secondsAt(event));
    else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      const by = (event.deltaX / area.clientWidth) * (view.to - view.from);
      zoomTo(view.from + by, view.to + by);
    } else return;
    event.preventDefault();
  }, { passive: false });
}

function about() {
  document.title = film.id;
  byId("title").textContent = film.id;
  const size = film.size[0] ? `${film.size[0]} × ${film.size[1]}` : null;
  const rate = film.fps ? `${Number(film.fps.toFixed(3))} frames/s` : null;
  const shots = film.shots ? `${film.shots.from.length} ${film.shots.from.length === 1 ? "shot" : "shots"}` : null;
  byId("about").textContent = [film.end > film.begin ? clock(film.end - film.begin) : "", shots, size, rate].filter(Boolean).join(" · ");
  const failed = film.failures.map((failure) => `${failure.what} failed: ${failure.why}`);
  if (film.partial) failed.unshift(`Not all of the file could be read${film.facts.note ? `: ${film.facts.note}` : "."}`);
  if (!failed.length && !film.read.length) failed.push("Nothing has been extracted of this video yet.");
  if (failed.length) trouble(failed.join("\n"));
  byId("beside").href = `beside.html?a=${number}`;
  const facts = Object.entries({ ...film.facts, ...Object.fromEntries(Object.entries(film.absent).map(([table, why]) => [table, `nothing: ${why}`])) });
  byId("file").hidden = !facts.length;
  for (const [name, value] of facts) byId("facts").append(element("dt", "", name.replaceAll("_", " ")), element("dd", "", String(value)));
}

function table() {
  byId("shots").hidden = !film.shots;
  film.shots?.from.forEach((from, shot) => {
    const to = film.shots.to[shot];
    const words = entries.filter((entry) => !entry.lane.quiet && entry.from < to && entry.to > from).map((entry) => entry.text);
    byId("table").append(element("tr", "", element("td", "", String(shot + 1)), element("td", "", clock(from, 1)), element("td", "", (to - from).toFixed(2)), element("td", "", element("bdi", "", words.join(" · ")))));
  });
}

const moment = () => Number.parseFloat(/[#&]t=([\d.]+)/.exec(location.hash)?.[1] ?? "0") || 0;

async function begin() {
  document.body.classList.toggle("framed", window !== window.top);
  if (!(number >= 0)) throw new Error("The address names no video: open this page from index.html.");
  film = await load(`films/${String(number).padStart(6, "0")}`);
  if (film.stills) edges = edgesOf(film.stills, film.shots);
  Object.assign(view, { from: film.begin, to: film.end });
  about();
  screen();
  layOut();
  listWords();
  table();
  pointing();
  onTheme(redraw);
  onKeys(KEYS);
  onFind(byId("find"), search);
  byId("list").addEventListener("keydown", stepLine);
  new ResizeObserver(redraw).observe(byId("lanes"));
  addEventListener("hashchange", () => seek(moment()));
  seek(moment());
}

begin().catch((error) => trouble(error.message));
