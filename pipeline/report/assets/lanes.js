"use strict";

// The lanes of a film: each draws its stretch of time on a canvas, or as curves by uPlot.

// The last place whose value is at most `value`, -1 if there is none. `values` ascend.
function placeOf(values, value) {
  let low = 0, high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

// A canvas as sharp as the screen, its pen in CSS pixels, emptied.
function penOf(canvas) {
  const ratio = devicePixelRatio || 1;
  const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
  return pen;
}

function canvasLane(height, draw, say) {
  const canvas = element("canvas");
  canvas.style.height = `${height}px`;
  return {
    body: canvas,
    say,
    draw(view) {
      const width = canvas.clientWidth;
      const x = (seconds) => ((seconds - view.from) / (view.to - view.from)) * width;
      draw(penOf(canvas), x, view, width, height);
    },
  };
}

// Round times, each above its place.
function rulerLane() {
  const height = 20;
  const draw = (pen, x, view, width) => {
    const { times, digits } = ticksOf(view.from, view.to, width);
    pen.font = "11px system-ui, sans-serif";
    pen.textBaseline = "middle";
    const [line, soft] = [resolved("var(--edge)"), resolved("var(--soft)")];
    for (const tick of times) {
      const at = x(tick);
      pen.fillStyle = line;
      pen.fillRect(Math.min(at, width - 1), height - 5, 1, 5);
      pen.fillStyle = soft;
      pen.textAlign = at < 20 ? "left" : at > width - 20 ? "right" : "center";
      pen.fillText(clock(tick, digits), Math.min(Math.max(at, 0), width), height / 2 - 2);
    }
  };
  return canvasLane(height, draw, () => null);
}

// From when each still stands for the film: the cut before it, or halfway from the other still of its shot.
function edgesOf(stills, shots) {
  return stills.from.map((seconds, i) => {
    if (!i) return 0;
    const cut = shots?.from.length && stills.shot[i] !== stills.shot[i - 1];
    return cut ? shots.from[Math.max(0, placeOf(shots.from, seconds))] : (stills.from[i - 1] + seconds) / 2;
  });
}

// Stills side by side: as many as fit, each of the moment below its middle.
function stillsLane(stills, edges, redraw) {
  const pictures = new Map();
  const picture = (place) => {
    if (!pictures.has(place)) {
      const made = new Image();
      made.onload = redraw;
      made.src = `data:image/jpeg;base64,${stills.jpeg[place]}`;
      pictures.set(place, made);
      if (pictures.size > 400) pictures.delete(pictures.keys().next().value);
    }
    return pictures.get(place);
  };
  const height = 54, wide = Math.max(24, Math.round((height * stills.size[0]) / stills.size[1]));
  const draw = (pen, x, view, width) => {
    for (let left = 0; left < width; left += wide) {
      const seconds = view.from + ((left + wide / 2) / width) * (view.to - view.from);
      const made = picture(Math.max(0, placeOf(edges, seconds)));
      if (made.complete && made.naturalWidth) pen.drawImage(made, left, 0, wide - 1, height);
    }
  };
  return canvasLane(height, draw, () => null);
}

// The film's barcode: five mean colours of each picture, from the top to the bottom.
function barcodeLane(stills, edges, end) {
  const height = 36;
  const draw = (pen, x, view, width) => {
    for (let place = 0; place < edges.length; place++) {
      const from = x(edges[place]), to = x(edges[place + 1] ?? end);
      if (to < 0 || from > width) continue;
      stills.bands[place].forEach((_, i, bands) => {
        if (i % 3) return;
        pen.fillStyle = `rgb(${bands[i]} ${bands[i + 1]} ${bands[i + 2]})`;
        pen.fillRect(from, ((i / 3) * height) / 5, Math.max(1, to - from + 0.5), height / 5 + 0.5);
      });
    }
  };
  return canvasLane(height, draw, () => null);
}

function shotsLane(shots, selected) {
  const height = 22;
  const draw = (pen, x, view, width) => {
    const colours = [resolved("var(--shot)"), resolved("var(--other-shot)"), resolved("var(--accent)")];
    for (let shot = 0; shot < shots.from.length; shot++) {
      const from = x(shots.from[shot]), to = x(shots.to[shot]);
      if (to < 0 || from > width) continue;
      pen.fillStyle = colours[shot === selected() ? 2 : shot % 2];
      pen.fillRect(from, 2, Math.max(1, to - from - (to - from > 4 ? 1 : 0)), height - 4);
    }
  };
  const say = (seconds) => {
    const shot = placeOf(shots.from, seconds);
    return shot < 0 ? null : `shot ${shot + 1} of ${shots.from.length}, ${(shots.to[shot] - shots.from[shot]).toFixed(2)} s`;
  };
  return canvasLane(height, draw, say);
}

// Stretches with words, in up to three rows where they overlap. A short one has its words beside it.
function stretchesLane(lane, number, matches) {
  const rows = [], next = [], row = lane.from.map((from, i) => {
    let free = rows.findIndex((last) => lane.to[last] <= from);
    if (free < 0) free = rows.length < 3 ? rows.length : 2;
    next[rows[free]] = from;
    rows[free] = i;
    return free;
  });
  const tall = 18, height = tall * Math.max(1, rows.length);
  const draw = (pen, x, view, width) => {
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    const strong = resolved("var(--ink)"), ground = hue(number), found = matches(lane);
    lane.texts.forEach((text, i) => {
      const from = x(lane.from[i]), to = Math.max(x(lane.to[i]), from + 3), top = row[i] * tall + 1;
      if (to < 0 || from > width) return;
      pen.globalAlpha = found && !found.has(i) ? 0.12 : found ? 0.75 : 0.28;
      pen.fillStyle = ground;
      pen.beginPath();
      pen.roundRect(from, top, to - from, tall - 2, 3);
      pen.fill();
      pen.globalAlpha = 1;
      const free = next[i] === undefined ? width : Math.min(width, x(next[i]));
      const left = to - from < 30 ? to + 4 : Math.max(from, 0) + 4, room = Math.max(to, free) - left - 4;
      if (room < 14) return;
      pen.save();
      pen.beginPath();
      pen.rect(left, top, room, tall);
      pen.clip();
      pen.fillStyle = strong;
      pen.fillText(text, left, top + tall / 2 - 0.5);
      pen.restore();
    });
  };
  const say = (seconds) => {
    const noted = (text, i) => (lane.quiet && lane.notes[i] ? `${text} (${lane.notes[i]})` : text);
    const there = lane.texts.map(noted).filter((_, i) => lane.from[i] <= seconds && seconds < lane.to[i]);
    return there.length ? there.slice(0, 4).join(" · ") : null;
  };
  return canvasLane(height, draw, say);
}

// A curve by uPlot, without axes: its range is written beside its name.
function curveLane(lane, number) {
  const body = element("div", "curve"), height = 44;
  let plot = null, shade = null;
  const known = lane.v.filter((value) => value !== null);
  const low = Math.min(...known, 0), high = Math.max(...known, low + 1e-9);
  return {
    body,
    range: `${tidy(low)} to ${tidy(high)}`,
    say(seconds) {
      const after = placeOf(lane.t, seconds) + 1, before = after - 1;
      const nearer = lane.steps ? before : before < 0 || (after < lane.t.length && lane.t[after] - seconds < seconds - lane.t[before]) ? after : before;
      return (lane.v[nearer] ?? null) !== null ? tidy(lane.v[nearer]) : null;
    },
    draw(view) {
      const width = body.clientWidth, colour = hue(number);
      if (shade !== colour) {
        plot?.destroy();
        shade = colour;
        plot = new uPlot({
          width, height, pxAlign: 0,
          cursor: { show: false }, legend: { show: false }, select: { show: false },
          padding: [3, 0, 3, 0],
          axes: [{ show: false }, { show: false }],
          scales: { x: { time: false, auto: false, min: view.from, max: view.to }, y: { auto: false, range: [low, high] } },
          series: [{}, { stroke: colour, width: 1.5, fill: `${colour}22`, spanGaps: false, paths: lane.steps ? uPlot.paths.stepped({ align: 1 }) : undefined, points: { show: lane.t.length < 3, size: 4 } }],
        }, [lane.t, lane.v], body);
      }
      if (plot.width !== width) plot.setSize({ width, height });
      plot.setScale("x", { min: view.from, max: view.to });
    },
  };
}

const COMPACT = { notation: "compact", maximumSignificantDigits: 3 };
const tidy = (value) => {
  const size = Math.abs(value);
  return size >= 1e5 ? value.toLocaleString("en", COMPACT) : size >= 100 ? Math.round(value).toLocaleString("en") : Number(value.toPrecision(3)).toString();
};

// One genre's scores, shot by shot: the fuller the colour, the likelier; a line below where it reaches the threshold.
function scoreLane(lane, genre) {
  const height = 16, scores = lane.scores[genre];
  const draw = (pen, x, view, width) => {
    pen.fillStyle = hue(lane.looks[genre]);
    scores.forEach((score, shot) => {
      const from = x(lane.from[shot]), to = x(lane.to[shot]);
      if (score === null || to < 0 || from > width) return;
      const wide = Math.max(1, to - from - (to - from > 4 ? 1 : 0));
      pen.globalAlpha = 0.06 + 0.94 * score;
      pen.fillRect(from, 1, wide, height - 2);
      pen.globalAlpha = 1;
      if (score >= lane.threshold) pen.fillRect(from, height - 2, wide, 2);
    });
  };
  const say = (seconds) => {
    const shot = placeOf(lane.from, seconds);
    return shot < 0 || scores[shot] === null || scores[shot] < lane.threshold ? null : scores[shot].toFixed(2);
  };
  return { ...canvasLane(height, draw, say), mark: markOf(lane.looks[genre]), range: `whole video ${lane.whole[genre].toFixed(2)}` };
}
