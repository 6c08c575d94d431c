/** Bytes per day as bars, drawn by uPlot in the colours of the page. */
import uPlot from "./vendor/uPlot.esm.js";
import { bytes } from "./words.js";

const FONT = "12px system-ui, sans-serif";
const BARS = uPlot.paths.bars({ size: [0.7, 42], radius: 0.15 });

/** The cursor's line stands in the middle of the bar that the pointer is nearest to. */
function onTheBar(plot, left, top) {
  const day = left < 0 ? undefined : plot.data[0][plot.posToIdx(left)];
  return [day === undefined ? left : plot.valToPos(day, "x"), top];
}

/** Draws into `place`; `onDay` is told the index of the day that the pointer is over, or null. */
export class DayChart {
  #place;
  #plot;

  constructor(place, { days, onDay }) {
    this.#place = place;
    const axis = { stroke: () => this.#colour("--muted"), font: FONT, ticks: { show: false } };
    const grid = { stroke: () => this.#colour("--line"), width: 1 };
    this.#plot = new uPlot({
      ...this.#size(),
      padding: [12, 8, 0, 0],
      legend: { show: false },
      cursor: { y: false, move: onTheBar, points: { show: false }, drag: { x: false, y: false } },
      scales: { x: { time: false, range: [0.4, days + 0.6] }, y: { range: (_, _low, high) => [0, Math.max(high * 1.08, 1000)] } },
      axes: [
        { ...axis, grid: { show: false }, incrs: [1, 2, 5, 10], space: 26, size: 30 },
        { ...axis, grid, size: 64, values: (_, splits) => splits.map(bytes) },
      ],
      series: [{}, { fill: () => this.#colour("--accent"), width: 0, paths: BARS, points: { show: false } }],
      hooks: { setCursor: [({ cursor }) => onDay(cursor.idx ?? null)] },
    }, [[], []], place);
    new ResizeObserver(() => this.#plot.setSize(this.#size())).observe(place);
    new MutationObserver(() => this.#plot.redraw()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#plot.redraw());
  }

  /** The bytes of the days so far, from the first of the month on. */
  show(counts) {
    this.#plot.setData([counts.map((_, at) => at + 1), counts]);
  }

  #size() {
    return { width: this.#place.clientWidth, height: this.#place.clientHeight };
  }

  /** A canvas knows nothing of custom properties and light-dark(): an element has to resolve them. */
  #colour(name) {
    this.#place.style.color = `var(${name})`;
    return getComputedStyle(this.#place).color;
  }
}
