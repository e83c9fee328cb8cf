"use strict";

// Small charts of the corpus by uPlot: how a figure is distributed, and two figures against each other.

const CHART = { width: 220, height: 120 };
const ink = () => resolved("var(--soft)");
const axis = (more = {}) => ({ stroke: ink(), font: "11px system-ui", grid: { show: false }, ticks: { show: false }, size: 22, gap: 2, ...more });

// How many videos have a value in each of some bins of equal width: by Rice's rule, 18 at most. Of many videos,
// the last bin has the highest half per cent too, however far they lie.
function histogram(values) {
  const known = values.filter((value) => value !== null).sort((a, b) => a - b);
  const low = known[0], high = Math.max(known[Math.ceil((known.length > 200 ? 0.995 : 1) * (known.length - 1))], low + 1e-9);
  const bins = Math.min(18, Math.ceil(2 * Math.cbrt(known.length)));
  const counts = new Array(bins).fill(0);
  for (const value of known) counts[Math.min(bins - 1, Math.floor(((value - low) / (high - low)) * bins))]++;
  return { middles: counts.map((_, i) => low + ((i + 0.5) * (high - low)) / bins), counts, low, high };
}

function bars(box, { middles, counts, low, high }, format, incrs) {
  const accent = resolved("var(--accent)");
  return new uPlot({
    ...CHART,
    cursor: { show: false }, legend: { show: false },
    scales: { x: { time: false, range: () => [low, high] }, y: { range: (_, __, most) => [0, Math.max(1, most)] } },
    axes: [axis({ values: (_, ticks) => ticks.map(format), space: 55, gap: 6, incrs }), axis({ side: 3, size: 30, space: 30, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 1e4, 1e5, 1e6] })],
    series: [{}, { paths: uPlot.paths.bars({ size: [0.92, 60] }), fill: accent, stroke: accent, width: 0, points: { show: false } }],
  }, [middles, counts], box);
}

function scatter(box, xs, ys, formatX, formatY) {
  const places = xs.map((_, i) => i).filter((i) => xs[i] !== null && ys[i] !== null).sort((a, b) => xs[a] - xs[b]);
  return new uPlot({
    ...CHART,
    cursor: { show: false }, legend: { show: false },
    scales: { x: { time: false }, y: {} },
    axes: [axis({ values: (_, ticks) => ticks.map(formatX), space: 55 }), axis({ side: 3, size: 34, space: 30, values: (_, ticks) => ticks.map(formatY) })],
    series: [{}, { paths: () => null, points: { show: true, size: places.length > 1000 ? 2 : places.length > 50 ? 4 : 6, fill: `${hue(0)}99`, width: 0 } }],
  }, [places.map((i) => xs[i]), places.map((i) => ys[i])], box);
}
