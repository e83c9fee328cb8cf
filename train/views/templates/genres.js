// What the pages of a run share: their data, buttons and bars of genres.

const data = JSON.parse(byId("data").textContent);
const colour = (genre) => hue(data.looks[genre]);

// A button for each genre; `changed` is called when one is pressed. Genres that are pressed are in `chosen`.
const chosen = new Set();

function genreButtons(list, { mark, number, changed }) {
  const buttons = data.genres.map((name, genre) => {
    const button = element("button", "genre");
    button.type = "button";
    button.title = name;
    button.setAttribute("aria-pressed", "false");
    if (mark) button.append(markOf(data.looks[genre]));
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
  const clear = byId("clear");
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
