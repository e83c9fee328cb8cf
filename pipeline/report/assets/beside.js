"use strict";

// Two pages of videos beside each other, each on its own clock.

async function begin() {
  const { table } = await load("corpus");
  const asked = new URLSearchParams(location.search);
  const chosen = { a: Number(asked.get("a") ?? 0), b: Number(asked.get("b") ?? -1) };
  if (!(chosen.b >= 0)) chosen.b = (chosen.a + 1) % table.id.length;
  for (const [name, frame] of [["a", "left"], ["b", "right"]]) {
    const select = byId(name);
    table.id.forEach((id, number) => select.append(new Option(id, String(number), false, number === chosen[name])));
    const show = () => {
      byId(frame).src = `film.html?v=${select.value}`;
      chosen[name] = select.value;
      history.replaceState(null, "", `?a=${chosen.a}&b=${chosen.b}`);
    };
    select.addEventListener("change", show);
    byId(frame).src = `film.html?v=${select.value}`;
  }
  onTheme(() => {});
}

begin().catch((error) => trouble(error.message));
