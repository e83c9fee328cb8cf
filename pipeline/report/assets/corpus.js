"use strict";

// All videos: figures, charts, failures, a table that draws only the rows in sight, and a search over all words.

const ROW = 64; // pixels of a row of the table
let corpus = null, table = null, order = [], sorted = { key: "id", down: false }, kept = null;
const posters = new Map(), lines = new Map();

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
  if (all.languages.length) parts.push(all.languages.map(([name, count]) => `${name} ${count}`).join(", "));
  if (all.failed) parts.push(`${all.failed} with failures`);
  if (all.partial) parts.push(`${all.partial} not read whole`);
  byId("about").textContent = parts.join(" · ");
}

function charts() {
  const box = byId("charts");
  box.replaceChildren();
  const figure = (name, about, draw) => {
    const made = element("figure", "", element("figcaption", "", name));
    made.title = about;
    made.setAttribute("role", "img");
    made.setAttribute("aria-label", `${name}, ${about}`);
    box.append(made);
    draw(made);
  };
  for (const column of corpus.columns) {
    const values = table[column.key];
    if (new Set(values.filter((value) => value !== null)).size < 6) continue; // of a few videos the table says more
    figure(`${column.name} (videos)`, column.about, (made) => bars(made, histogram(values), FORMATS[column.unit]));
  }
  if (table.brightness && table.motion && table.id.length > 5)
    figure("Motion by brightness", "each point is a video", (made) => scatter(made, table.brightness, table.motion, FORMATS["%"], FORMATS["%"]));
}

function head() {
  const columns = [{ key: "id", name: "Video", about: "" }, ...corpus.columns, { key: "failed", name: "Failures", about: "what could not be extracted" }];
  byId("head").append(element("th", "poster"));
  for (const column of columns) {
    const button = element("button", "", column.name);
    const cell = element("th", column.key === "id" ? "id" : column.key === "failed" ? "" : "number", button);
    cell.scope = "col";
    cell.dataset.key = column.key;
    button.title = column.about;
    button.addEventListener("click", () => {
      sorted = { key: column.key, down: sorted.key === column.key ? !sorted.down : column.key !== "id" };
      sort();
    });
    byId("head").append(cell);
  }
}

function sort() {
  const values = sorted.key === "failed" ? table.failed.map((names) => names.length) : table[sorted.key];
  const by = (a, b) => {
    if (values[a] === null || values[b] === null) return (values[a] === null) - (values[b] === null) || a - b; // nothing known comes last
    const found = typeof values[a] === "string" ? values[a].localeCompare(values[b], "en", { numeric: true }) : values[a] - values[b];
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

function filter() {
  const sought = byId("find").value.trim(), troubled = byId("troubled").checked;
  const matches = seeker(sought), raw = plain(sought);
  order = table.id.map((_, number) => number).filter((number) => {
    if (troubled && !table.failed[number].length && !table.partial[number]) return false;
    return !raw || plain(table.id[number]).includes(raw) || Boolean(kept?.has(number)) || Boolean(matches && matches(table.id[number]));
  });
  const all = table.id.length;
  byId("count").textContent = order.length === all ? `${all.toLocaleString("en")}` : `${order.length.toLocaleString("en")} of ${all.toLocaleString("en")}`;
  sort();
}

// A piece of data that is fetched once; what needs it is drawn again when it is there.
function piece(store, kind, index) {
  if (!store.has(index)) {
    store.set(index, null);
    load(`${kind}/${String(index).padStart(4, "0")}`).then((data) => { store.set(index, data); rows(); }, () => {});
  }
  return store.get(index);
}

const PRINTED = 1000; // rows on paper

const rows = soon(() => {
  const scroller = byId("scroller");
  const first = printing ? 0 : Math.max(0, Math.floor(scroller.scrollTop / ROW) - 4);
  const last = Math.min(order.length, printing ? PRINTED : first + Math.ceil(scroller.clientHeight / ROW) + 10);
  const space = (height) => {
    const cell = element("td");
    cell.colSpan = corpus.columns.length + 3;
    cell.style.height = `${printing ? 0 : height}px`;
    const made = element("tr", "space", cell);
    made.setAttribute("aria-hidden", "true");
    return made;
  };
  byId("rows").replaceChildren(space(first * ROW), ...order.slice(first, last).map(row), space((order.length - last) * ROW));
});

function row(number) {
  const poster = piece(posters, "posters", Math.floor(number / corpus.videos_of_a_piece))?.[number % corpus.videos_of_a_piece];
  const picture = element("img");
  picture.alt = "";
  if (poster) picture.src = `data:image/webp;base64,${poster}`;
  else picture.hidden = true;
  const link = element("a", "", element("bdi", "", table.id[number]));
  link.href = `film.html?v=${number}`;
  const cells = corpus.columns.map((column) => element("td", "number", shown(column, table[column.key][number])));
  const failed = element("td", table.failed[number].length ? "failed" : "", table.failed[number].join("; ") || (table.partial[number] ? "not read whole" : ""));
  failed.title = table.why[number].join("\n");
  const name = element("th", "id", link);
  name.scope = "row";
  return element("tr", "", element("td", "poster", picture), name, ...cells, failed);
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
  let count = 0;
  for (let index = 0; index < corpus.pieces; index++) {
    const all = lines.get(index) ?? (await load(`lines/${String(index).padStart(4, "0")}`));
    lines.set(index, all);
    if (mine !== turn) return;
    for (const [number, kind, seconds, text] of all) {
      if (!matches(text)) continue;
      kept.add(number);
      if (++count <= 200) list.append(result(number, kind, seconds, text));
    }
    byId("lines").textContent = `${count.toLocaleString("en")}${count > 200 ? ", the first 200 shown" : ""}${index + 1 < corpus.pieces ? " so far" : ""}`;
    await new Promise((next) => setTimeout(next));
  }
  if (mine === turn) filter();
}

function result(number, kind, seconds, text) {
  const link = element("a", "line", element("span", "when", clock(seconds)), element("bdi", "", text), element("span", "kind", `${kind} · `, element("bdi", "", table.id[number])));
  link.href = `film.html?v=${number}#t=${seconds}`;
  return element("li", "", link);
}

async function begin() {
  corpus = await load("corpus");
  ({ table } = corpus);
  overview();
  head();
  filter();
  onTheme(() => {
    charts();
    rows();
  });
  let later = 0;
  onKeys({ "/": () => byId("find").focus() });
  onFind(byId("find"), () => {
    clearTimeout(later);
    later = setTimeout(searchLines, 150);
  });
  byId("troubled").addEventListener("change", filter);
  byId("scroller").addEventListener("scroll", rows, { passive: true });
  new ResizeObserver(rows).observe(byId("scroller"));
  if (!table.id.length) trouble("This store has no videos yet.");
}

begin().catch((error) => trouble(error.message));
