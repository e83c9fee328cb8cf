"use strict";

// Two pages of videos beside each other, each on its own clock.

const OFFERED = 50; // names for what is typed

async function begin() {
  const { table } = await load("corpus");
  const asked = new URLSearchParams(location.search);
  const chosen = { a: Number(asked.get("a") ?? 0), b: Number(asked.get("b") ?? -1) };
  if (!table.id[chosen.a]) chosen.a = 0;
  if (!table.id[chosen.b]) chosen.b = (chosen.a + 1) % table.id.length;
  const holds = (words) => (id) => plain(id).includes(plain(words));
  for (const [name, frame] of [["a", "left"], ["b", "right"]]) {
    const field = byId(name);
    const show = () => {
      field.value = table.id[chosen[name]];
      byId(frame).src = `film.html?v=${chosen[name]}`;
    };
    field.addEventListener("focus", () => field.select());
    field.addEventListener("input", () => byId("names").replaceChildren(...table.id.filter(holds(field.value)).slice(0, OFFERED).map((id) => new Option(id, id))));
    field.addEventListener("change", () => {
      const whole = table.id.indexOf(field.value), found = whole < 0 ? table.id.findIndex(holds(field.value)) : whole;
      if (found >= 0) chosen[name] = found;
      show();
      history.replaceState(null, "", `?a=${chosen.a}&b=${chosen.b}`);
    });
    show();
  }
  onTheme(() => {});
}

begin().catch((error) => trouble(error.message));
