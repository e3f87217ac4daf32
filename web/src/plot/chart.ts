/** A uPlot of series: lines, or bands of least to greatest around the average; dashed where they are of a time before. */
import uPlot from "uplot";
import type { Series, Span } from "../points";
import { figure, seconds, short, tick } from "./figures";
import { type Colours, drawRings, drawSpans, type Mark } from "./marks";

export const HEIGHT = 320;
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

export function draw(chart: Chart, area: HTMLElement): uPlot {
  const tables: uPlot.AlignedData[] = [];
  const series: uPlot.Series[] = [{}];
  const bands: uPlot.Band[] = [];
  for (const one of chart.series) add(one, chart, tables, series, bands);
  for (const one of chart.before) addBefore(one, chart, tables, series);
  const data = tables.length > 0 ? uPlot.join(tables) : ([[]] as unknown as uPlot.AlignedData);
  return new uPlot(options(chart, area.clientWidth, series, bands), data, area);
}

const orNull = (column: Float64Array): (number | null)[] =>
  Array.from(column, (value) => (Number.isNaN(value) ? null : value));

function add(one: Series, chart: Chart, tables: uPlot.AlignedData[], series: uPlot.Series[], bands: uPlot.Band[]): void {
  const colour = chart.colour(one.topic);
  const points = { show: one.times.length < FEW, size: 5, fill: colour };
  const columns = (chart.plain ? one.values.slice(-1) : one.values).map(orNull);
  tables.push([Array.from(one.times, seconds), ...columns]);
  if (columns.length === 3) {
    const edge: uPlot.Series = { stroke: colour, width: 0.5, points: { show: false } };
    bands.push({ series: [series.length + 1, series.length], fill: fade(colour, 0.2) });
    series.push(edge, edge);
  }
  series.push({ label: one.topic, stroke: colour, width: 1.5, points });
}

function addBefore(one: Series, chart: Chart, tables: uPlot.AlignedData[], series: uPlot.Series[]): void {
  const stroke = fade(chart.colour(one.topic), 0.6);
  series.push({ stroke, width: 1, dash: [4, 4], points: { show: false } });
  tables.push([Array.from(one.times, (time) => seconds(time + chart.shift)), orNull(one.values.at(-1) ?? new Float64Array())]);
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
    ...(chart.tile && { padding: [8, 28, 0, 0] as uPlot.Padding }), // half of the last time stands at the right
    series,
    bands,
    legend: { show: false },
    cursor: { drag: { x: true, y: false }, points: { size: 6 }, y: false, ...(chart.tile && { sync: TOGETHER }) },
    scales: { x: { time: true, range: () => chart.range().map(seconds) as Span } },
    axes: [
      { ...axis, size: chart.tile ? 30 : 50, values: (_, ticks, __, ___, step) => ticks.map((at) => tick(at * 1000, step)), space: 80 },
      { ...axis, size: chart.tile ? 52 : 64, values: (_, ticks) => ticks.map((at) => (chart.tile ? short : figure).format(at)) },
    ],
    hooks: {
      drawClear: [(drawn) => drawSpans(drawn, chart.marks, colours, chart.words)],
      draw: [(drawn) => drawRings(drawn, chart.marks, chart.colour, colours.ground)],
      setSelect: [(drawn) => select(drawn, chart)],
      setCursor: [({ cursor, posToVal }) => chart.pointed((cursor.left ?? -1) < 0 ? null : posToVal(cursor.left ?? 0, "x") * 1000)],
      ready: [(drawn) => drawn.over.addEventListener("dblclick", chart.doubled)],
    },
  };
}

function select(drawn: uPlot, chart: Chart): void {
  const { left, width } = drawn.select;
  if (width < 4) return;
  const time = (at: number) => drawn.posToVal(at, "x") * 1000;
  drawn.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  chart.chosen([time(left), time(left + width)]);
}

function fade(colour: string, part: number): string {
  return colour.replace(/^rgb\((.*)\)$/, `rgba($1, ${part})`);
}
