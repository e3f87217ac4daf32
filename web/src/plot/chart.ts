/** A uPlot of series: lines, or bands of least to greatest around the average; dashed where they are of a time before. */
import uPlot from "uplot";
import type { Series, Span } from "../points";
import { figure, seconds, short, tick } from "./figures";
import { type Colours, drawRings, drawSpans, type Mark } from "./marks";

export const HEIGHT = 320;
const NARROW = 480; // pixels
const FEW = 30; // points that are drawn one by one

/** What a chart shows, and whom it tells. */
export interface Chart {
  series: Series[];
  before: Series[];
  /** Milliseconds by which `before` is earlier. */
  shift: number;
  marks: Mark[];
  range: () => Span;
  colour: (topic: string) => string;
  token: (name: string) => string;
  words: (why: string) => string;
  chosen: (range: Span) => void;
  pointed: (time: number | null) => void;
  doubled: () => void;
  /** Whether it stands in a tile, beside other plots of a board. */
  tile: boolean;
  /** Whether a line stands for what would be a band. */
  plain: boolean;
  height: number;
}

/** The cursor of one plot of a board is seen in all of them; what is dragged in one is told as its range. */
const TOGETHER: uPlot.Cursor.Sync = {
  key: "board",
  scales: ["x", null],
  filters: { pub: (type) => type === "mousemove" || type === "mouseleave", sub: () => true },
};

/** A chart that takes other points without being made anew, as long as lines and colours are the same ones. */
export class Drawing {
  /** What it shows now; the hooks of the chart read it whenever they run. */
  readonly #shown: Chart;
  readonly #shape: string;
  readonly plot: uPlot;

  constructor(chart: Chart, area: HTMLElement) {
    this.#shown = { ...chart };
    this.#shape = shapeOf(chart);
    const series: uPlot.Series[] = [{}];
    const bands: uPlot.Band[] = [];
    for (const one of chart.series) add(one, this.#shown, series, bands);
    for (const one of chart.before) addBefore(one, chart, series);
    this.plot = new uPlot(options(this.#shown, area.clientWidth, series, bands), dataOf(chart), area);
  }

  /** Shows other points; false where that needs a new chart. */
  take(chart: Chart): boolean {
    if (shapeOf(chart) !== this.#shape) return false;
    Object.assign(this.#shown, chart);
    const [min, max] = chart.range().map(seconds) as Span;
    this.plot.batch(() => {
      this.plot.setData(dataOf(chart));
      this.plot.setScale("x", { min, max });
    });
    return true;
  }

  /** The time under the cursor, epoch milliseconds; null where it is elsewhere. */
  get pointed(): number | null {
    return pointedIn(this.plot);
  }

  destroy(): void {
    this.plot.destroy();
  }
}

/** All that a uPlot is made of once, so that two charts of the same shape differ in their data alone. */
function shapeOf(chart: Chart): string {
  const lines = [chart.series, chart.before].map((all) => all.map((one) => [one.topic, one.values.length, chart.colour(one.topic)]));
  return JSON.stringify([lines, chart.tile, chart.plain, chart.token("--quiet")]);
}

function dataOf(chart: Chart): uPlot.AlignedData {
  const tables = [
    ...chart.series.map((one) => [Array.from(one.times, seconds), ...columnsOf(one, chart)]),
    ...chart.before.map((one) => [
      Array.from(one.times, (time) => seconds(time + chart.shift)),
      orNull(one.values.at(-1) ?? new Float64Array()),
    ]),
  ] as uPlot.AlignedData[];
  return tables.length > 0 ? uPlot.join(tables) : ([[]] as unknown as uPlot.AlignedData);
}

const columnsOf = (one: Series, chart: Chart): (number | null)[][] =>
  (chart.plain ? one.values.slice(-1) : one.values).map(orNull);

const orNull = (column: Float64Array): (number | null)[] =>
  Array.from(column, (value) => (Number.isNaN(value) ? null : value));

function add(one: Series, chart: Chart, series: uPlot.Series[], bands: uPlot.Band[]): void {
  const { topic } = one;
  const colour = chart.colour(topic);
  const few = () => (chart.series.find((shown) => shown.topic === topic)?.times.length ?? 0) < FEW;
  if (!chart.plain && one.values.length === 3) {
    const edge: uPlot.Series = { stroke: colour, width: 0.5, points: { show: false } };
    bands.push({ series: [series.length + 1, series.length], fill: fade(colour, 0.2) });
    series.push(edge, edge);
  }
  series.push({ label: topic, stroke: colour, width: 1.5, points: { show: few, size: 5, fill: colour } });
}

function addBefore(one: Series, chart: Chart, series: uPlot.Series[]): void {
  const stroke = fade(chart.colour(one.topic), 0.6);
  series.push({ stroke, width: 1, dash: [4, 4], points: { show: false } });
}

function options(chart: Chart, width: number, series: uPlot.Series[], bands: uPlot.Band[]): uPlot.Options {
  const [ink, line] = [chart.token("--quiet"), chart.token("--line")];
  const axis: uPlot.Axis = {
    stroke: ink,
    grid: { stroke: line, width: 1 },
    ticks: { stroke: line, width: 1 },
    font: "12px system-ui, sans-serif",
  };
  const colours: Colours = {
    gap: chart.token("--gap"),
    late: chart.token("--late"),
    stripe: fade(chart.token("--warn"), 0.5),
    ink,
    ground: chart.token("--surface"),
  };
  return {
    width,
    height: chart.height,
    ...((chart.tile || width < NARROW) && { padding: [8, 28, 0, 0] as uPlot.Padding }), // half of the last time stands at the right
    series,
    bands,
    legend: { show: false },
    cursor: { drag: { x: true, y: false }, points: { size: 6 }, y: false, ...(chart.tile && { sync: TOGETHER }) },
    scales: { x: { time: true, range: () => chart.range().map(seconds) as Span } },
    axes: [
      { ...axis, size: chart.tile ? 30 : 50, values: (_, ticks, __, ___, step) => ticks.map((at) => tick(at * 1000, step)), space: 80 },
      { ...axis, size: (_, ticks) => widthOf(ticks, chart.tile ? 52 : 64), values: (_, ticks) => ticks.map((at) => (chart.tile ? short : figure).format(at)) },
    ],
    hooks: {
      drawClear: [(drawn) => drawSpans(drawn, chart.marks, colours, chart.words)],
      draw: [(drawn) => drawRings(drawn, chart.marks, chart.colour, colours.ground)],
      setSelect: [(drawn) => select(drawn, chart)],
      setCursor: [(drawn) => chart.pointed(pointedIn(drawn))],
      ready: [(drawn) => drawn.over.addEventListener("dblclick", () => chart.doubled())],
    },
  };
}

function pointedIn({ cursor, posToVal }: uPlot): number | null {
  const left = cursor.left ?? -1;
  return left < 0 ? null : posToVal(left, "x") * 1000;
}

function select(drawn: uPlot, chart: Chart): void {
  const { left, width } = drawn.select;
  if (width < 4) return;
  const time = (at: number) => drawn.posToVal(at, "x") * 1000;
  drawn.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  chart.chosen([time(left), time(left + width)]);
}

/** Pixels for the texts of an axis, of a font of 12 pixels. */
const widthOf = (texts: string[] | null, least: number): number =>
  Math.max(least, 18 + 7 * Math.max(0, ...(texts ?? []).map((text) => text.length)));

function fade(colour: string, part: number): string {
  return colour.replace(/^rgb\((.*)\)$/, `rgba($1, ${part})`);
}
