// What the pages of a run share: their data, buttons and bars of genres.

const data = JSON.parse(byId("data").textContent);
const colour = (genre) => hue(data.looks[genre]);

// A button for each genre; `changed` is called when one is pressed. Genres that are pressed are in `chosen`.
const chosen = new Set();

function genreButtons(list, { number, changed }) {
  const buttons = data.genres.map((name, genre) => {
    const button = element("button", "genre", markOf(data.looks[genre]), element("bdi", "", name), element("span", "number", number(genre)));
    button.type = "button";
    button.title = name;
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => press(genre, !chosen.has(genre)));
    list.append(button);
    return button;
  });
  const clear = byId("clear");
  function press(genre, on) {
    if (on) chosen.add(genre);
    else chosen.delete(genre);
    buttons[genre].setAttribute("aria-pressed", String(on));
    list.classList.toggle("filtered", chosen.size > 0);
    clear.disabled = !chosen.size;
    changed();
  }
  clear.disabled = true;
  clear.addEventListener("click", () => [...chosen].forEach((genre) => press(genre, false)));
}

// The scores of some genres as bars, the highest first, with a line at the threshold; `own` are those that stand out.
function scoreBars(scores, own, most) {
  const order = scores.map((_, genre) => genre).sort((a, b) => scores[b] - scores[a]);
  const first = order.slice(0, most);
  const shown = [...first, ...order.filter((genre) => own.includes(genre) && !first.includes(genre))];
  const table = element("div", "scores");
  for (const genre of shown) {
    const fill = element("span"), line = element("i");
    fill.style.width = `${100 * scores[genre]}%`;
    fill.style.background = anyHue(data.looks[genre]);
    line.style.left = `${100 * data.threshold}%`;
    table.append(
      element("bdi", own.includes(genre) ? "own" : "", data.genres[genre]),
      element("div", "bar", fill, line),
      element("span", "", scores[genre].toFixed(2)),
    );
  }
  return table;
}

// A canvas as sharp as the screen.
function redrawing(canvas, draw) {
  const resize = () => {
    const ratio = devicePixelRatio || 1;
    canvas.width = Math.round(canvas.clientWidth * ratio);
    canvas.height = Math.round(canvas.clientHeight * ratio);
    draw(performance.now()); // at once: setting the size has emptied it
  };
  new ResizeObserver(resize).observe(canvas);
  return soon(draw);
}
