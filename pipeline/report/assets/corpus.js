"use strict";

// All videos: figures, charts, failures, a table that draws only the rows in sight, and a search over all words.

const ROW = 64; // pixels of a row of the table
let corpus = null, table = null, order = [], sorted = { key: "id", down: false }, kept = null;
const posters = new Map(), lines = new Map(), drawn = new Map(); // drawn: rows of the table that are there, by video
const alphabet = new Intl.Collator("en", { numeric: true });

const FORMATS = {
  clock: (value) => clock(value),
  "%": (value) => `${value.toFixed(0)} %`,
  s: (value) => `${value.toFixed(2)} s`,
  "": (value) => (Number.isInteger(value) ? value.toLocaleString("en") : value.toFixed(1)),
};
const shown = (column, value) => (value === null || value === undefined ? "–" : FORMATS[column.unit](value));

function overview() {
  const all = corpus.overview;
  document.title = `Videos of ${corpus.title}`;
  byId("title").textContent = corpus.title;
  const parts = [`${all.videos.toLocaleString("en")} ${all.videos === 1 ? "video" : "videos"}`, all.hours < 1 ? `${(60 * all.hours).toFixed(1)} minutes` : `${all.hours.toFixed(1)} hours`];
  if (all.shots) parts.push(`${all.shots.toLocaleString("en")} shots`);
  if (all.failed) parts.push(`${all.failed} with failures`);
  if (all.partial) parts.push(`${all.partial} not read whole`);
  if (all.waiting) parts.push(`${all.waiting.toLocaleString("en")} not extracted yet`);
  byId("about").textContent = parts.join(" · ");
}

// The usual questions first; the figures of the table that are left follow.
const FIRST = ["shot_mean_seconds", "speech_share", "text_share"];
function charts() {
  const box = byId("charts"), { languages: spoken } = corpus.overview;
  box.replaceChildren();
  const figure = (name, about, draw) => {
    const chart = element("div", "chart"), made = element("figure", "", element("figcaption", "", name), chart);
    made.title = about;
    chart.setAttribute("role", "img");
    chart.setAttribute("aria-label", `${name}, ${about}`);
    box.append(made);
    draw(chart);
  };
  const distribution = (column) => {
    const values = table[column.key];
    if (new Set(values.filter((value) => value !== null)).size < 6) return; // of a few videos the table says more
    figure(`${column.name} (videos)`, column.about, (made) => bars(made, histogram(values), FORMATS[column.unit], column.unit === "clock" ? STEPS : undefined));
  };
  const [first, rest] = [true, false].map((is) => corpus.columns.filter(({ key }) => FIRST.includes(key) === is));
  first.forEach(distribution);
  if (spoken.length) box.append(languages(spoken));
  if (table.brightness?.filter((value, i) => value !== null && table.motion?.[i] !== null).length > 5)
    figure("Motion by brightness", "each point is a video", (made) => scatter(made, table.brightness, table.motion, FORMATS["%"], FORMATS["%"]));
  rest.forEach(distribution);
}

// In how many videos a language is the most spoken: of more than eight, the last row counts the others.
function languages(spoken) {
  const rows = spoken.length > 8 ? [...spoken.slice(0, 7), ["others", spoken.slice(7).reduce((sum, [, count]) => sum + count, 0)]] : spoken;
  const most = Math.max(...rows.map(([, count]) => count));
  const list = element("ol", "plain", ...rows.map(([code, count]) => {
    const bar = element("i");
    bar.style.width = `${(90 * count) / most}px`;
    return element("li", "", element("span", "", languageOf(code)), bar, element("span", "", count.toLocaleString("en")));
  }));
  return element("figure", "languages", element("figcaption", "", "Language (videos)"), list);
}

function languageOf(code) {
  try {
    return new Intl.DisplayNames("en", { type: "language" }).of(code);
  } catch {
    return code;
  }
}

// What failed and why, the commonest reason first. Reasons that differ only in a file's name are one.
function failures() {
  const reasons = new Map();
  table.why.forEach((whys, number) => whys.forEach((why) => {
    const reason = why.replaceAll(/'[^']*'|"[^"]*"/g, "…");
    if (!reasons.has(reason)) reasons.set(reason, []);
    reasons.get(reason).push(number);
  }));
  byId("failures").hidden = !reasons.size;
  const videos = (numbers) => numbers.slice(0, 3).flatMap((number, i) => [i ? ", " : "", linkTo(number)]);
  byId("reasons").append(...[...reasons].sort((a, b) => b[1].length - a[1].length).map(([reason, numbers]) => {
    const rest = numbers.length - 3;
    return element("li", "", element("bdi", "", reason), ": ", ...videos(numbers), rest > 0 ? ` and ${rest.toLocaleString("en")} more` : "");
  }));
}

function linkTo(number) {
  const link = element("a", "", element("bdi", "", table.id[number]));
  link.href = `film.html?v=${number}`;
  return link;
}

function head() {
  const columns = [{ key: "id", name: "Video", about: "" }, ...corpus.columns];
  byId("head").append(element("th", "poster", element("span", "unseen", "Picture")));
  for (const column of columns) {
    const button = element("button", "", column.name);
    const cell = element("th", column.key === "id" ? "id" : "number", button);
    cell.scope = "col";
    cell.dataset.key = column.key;
    button.title = column.about;
    button.addEventListener("click", () => {
      sorted = { key: column.key, down: sorted.key === column.key ? !sorted.down : column.key !== "id" };
      sort();
      remember();
    });
    byId("head").append(cell);
  }
}

function sort() {
  const values = table[sorted.key];
  const by = (a, b) => {
    if (values[a] === null || values[b] === null) return (values[a] === null) - (values[b] === null) || a - b; // nothing known comes last
    const found = typeof values[a] === "string" ? alphabet.compare(values[a], values[b]) : values[a] - values[b];
    return (sorted.down ? -found : found) || a - b;
  };
  order.sort(by);
  for (const cell of byId("head").children) {
    if (cell.dataset.key === sorted.key) cell.setAttribute("aria-sort", sorted.down ? "descending" : "ascending");
    else cell.removeAttribute("aria-sort");
  }
  byId("scroller").scrollTop = 0;
  rows();
}

let names = null; // as the search takes them
function filter() {
  const sought = byId("find").value.trim(), troubled = byId("troubled").checked;
  const matches = seeker(sought), raw = plain(sought);
  if (raw) names ??= table.id.map(plain);
  order = table.id.map((_, number) => number).filter((number) => {
    if (troubled && !table.failed[number].length && !table.partial[number]) return false;
    return !raw || names[number].includes(raw) || kept?.has(number) || matches?.(names[number]);
  });
  const all = table.id.length;
  byId("count").textContent = order.length === all ? `${all.toLocaleString("en")}` : `${order.length.toLocaleString("en")} of ${all.toLocaleString("en")}`;
  if (order.length > MOST_ROWS) byId("count").textContent += `, the first ${MOST_ROWS.toLocaleString("en")} in the table: search, or sort`;
  byId("scroller").firstElementChild.setAttribute("aria-rowcount", order.length + 1);
  sort();
}

// Posters come in pieces: a piece that is not there is fetched, and then the rows are drawn again.
const KEPT_PIECES = 60;
function posterOf(number) {
  const index = Math.floor(number / corpus.videos_of_a_piece);
  if (!posters.has(index)) {
    posters.set(index, []);
    if (posters.size > KEPT_PIECES) posters.delete(posters.keys().next().value);
    load(`posters/${pieceName(index)}`).then((data) => { posters.set(index, data); rows(); }, () => {});
  }
  return posters.get(index)[number % corpus.videos_of_a_piece];
}
const pieceName = (index) => String(index).padStart(4, "0");

const PRINTED = 1000; // rows on paper
const MOST_ROWS = 250_000; // 16 million px: browsers scroll little more
const [above, below] = ["above", "below"].map(() => {
  const made = element("tr", "space", element("td"));
  made.setAttribute("aria-hidden", "true");
  return made;
});

// Only the rows in sight are there. Those that stay are not touched, so that the focus stays where it is.
const rows = soon(() => {
  const scroller = byId("scroller");
  const first = printing ? 0 : Math.max(0, Math.floor(scroller.scrollTop / ROW) - 4);
  const all = Math.min(order.length, MOST_ROWS), last = Math.min(all, printing ? PRINTED : first + Math.ceil(scroller.clientHeight / ROW) + 10);
  const wanted = order.slice(first, last), there = new Set(wanted);
  for (const [number, { line }] of drawn) {
    if (there.has(number)) continue;
    line.remove();
    drawn.delete(number);
  }
  let before = above;
  wanted.forEach((number, i) => {
    if (!drawn.has(number)) drawn.set(number, row(number));
    const { line, picture } = drawn.get(number);
    const poster = picture.hidden && posterOf(number);
    if (poster) [picture.src, picture.hidden] = [`data:image/webp;base64,${poster}`, false];
    line.setAttribute("aria-rowindex", first + i + 2); // the heading is the first
    if (before.nextSibling !== line) before.after(line);
    before = line;
  });
  for (const [space, count] of [[above, first], [below, all - last]]) space.firstChild.style.height = `${printing ? 0 : count * ROW}px`;
  byId("printed").hidden = !(printing && last < order.length);
});

function row(number) {
  const picture = element("img");
  picture.alt = "";
  picture.hidden = true;
  const cells = corpus.columns.map((column) => element("td", "number", shown(column, table[column.key][number])));
  const name = element("th", "id", linkTo(number)), failed = table.failed[number].map((what, i) => `${table.why[number][i]} (${what})`);
  name.scope = "row";
  if (table.partial[number]) failed.push("not read whole");
  if (table.waiting[number]) failed.push("not extracted yet");
  if (failed.length) {
    name.append(element("div", "failed", failed.join("; ")));
    name.title = failed.join("\n");
  }
  return { picture, line: element("tr", "", element("td", "poster", picture), name, ...cells) };
}

// All lines of all videos, one piece after another; what is found shows as it is found.
let turn = 0;
async function searchLines() {
  const mine = ++turn, matches = seeker(byId("find").value), list = byId("list");
  kept = null;
  byId("results").hidden = !matches;
  filter();
  if (!matches) return;
  list.replaceChildren();
  kept = new Set();
  let count = 0, paused = performance.now();
  for (let index = 0; index < corpus.pieces; index++) {
    if (!lines.has(index)) lines.set(index, (await load(`lines/${pieceName(index)}`)).map((line) => [...line, plain(line[3])]));
    if (mine !== turn) return;
    for (const [number, kind, seconds, text, sought] of lines.get(index)) {
      if (!matches(sought)) continue;
      kept.add(number);
      if (++count <= 200) list.append(result(number, kind, seconds, text));
    }
    if (performance.now() - paused < 12) continue; // of a frame
    byId("lines").textContent = `${foundSoFar(count)} so far`;
    await new Promise((next) => setTimeout(next));
    paused = performance.now();
  }
  if (mine !== turn) return;
  byId("lines").textContent = foundSoFar(count);
  filter();
}
const foundSoFar = (count) => `${count.toLocaleString("en")}${count > 200 ? ", the first 200 shown" : ""}`;

function result(number, kind, seconds, text) {
  const link = element("a", "line", element("span", "when", clock(seconds)), element("bdi", "", text), element("span", "kind", `${kind} · `, element("bdi", "", table.id[number])));
  link.href = `film.html?v=${number}#t=${seconds}`;
  return element("li", "", link);
}

// What is sought, how the table is sorted and where it is stand in the address: who comes back finds it so.
function remember() {
  const state = { find: byId("find").value, sort: sorted.key, down: sorted.down ? 1 : "", failed: byId("troubled").checked ? 1 : "", row: Math.round(byId("scroller").scrollTop / ROW) || "" };
  history.replaceState(null, "", `#${new URLSearchParams(Object.entries(state).filter(([, value]) => value !== ""))}`);
}

async function recall() {
  const state = new URLSearchParams(location.hash.slice(1)), key = state.get("sort");
  if ([...byId("head").children].some((cell) => cell.dataset.key && cell.dataset.key === key)) sorted = { key, down: state.has("down") };
  byId("find").value = state.get("find") ?? "";
  byId("troubled").checked = state.has("failed");
  await searchLines();
  requestAnimationFrame(() => { byId("scroller").scrollTop = Number(state.get("row")) * ROW || 0; }); // once rows are drawn
}

async function begin() {
  corpus = await load("corpus");
  ({ table } = corpus);
  overview();
  failures();
  head();
  byId("rows").append(above, below);
  for (const space of [above, below]) space.firstChild.colSpan = corpus.columns.length + 2;
  onTheme(() => {
    charts();
    rows();
  });
  let later = 0;
  onKeys({ "/": () => byId("find").focus() });
  onFind(byId("find"), () => {
    clearTimeout(later);
    later = setTimeout(() => {
      remember();
      searchLines().catch((error) => trouble(error.message));
    }, 150);
  });
  byId("troubled").addEventListener("change", () => {
    filter();
    remember();
  });
  byId("scroller").addEventListener("scroll", rows, { passive: true });
  byId("scroller").addEventListener("click", (event) => event.target.closest("a") && remember());
  new ResizeObserver(rows).observe(byId("scroller"));
  if (!table.id.length) trouble("This store has no videos yet.");
  await recall();
}

begin().catch((error) => trouble(error.message));
