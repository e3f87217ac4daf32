/**
 * What is marked in a plot: gaps with their reason, windows that late messages changed, windows that are not complete.
 *
 *     gap   shaded, with the reason where there is room      late   hatched      open   a dashed frame, a hollow point
 */
import type uPlot from "uplot";
import { gapsOf, type Points, type Series, type Span } from "../points";
import { nearest, seconds } from "./figures";

export interface Mark {
  kind: "gap" | "late" | "open";
  span: Span;
  /** The name of the words that say why: `gap` where nothing came, else the reason of the server. */
  why: string;
  /** The series that it is about; null where it is about all. */
  series: Series | null;
}

/** What is to be marked of the series in sight. */
export function marksOf(points: Points, series: Series[]): Mark[] {
  const [alone] = series.length === 1 ? series : [];
  const missing = alone === undefined ? [] : gapsOf(alone).map((span): Mark => ({ kind: "gap", span, why: "gap", series: alone }));
  return [
    ...points.gaps.map(([from, to, why]): Mark => ({ kind: "gap", span: [from, to], why, series: null })),
    ...missing,
    ...series.flatMap((one) => one.late.map((span): Mark => ({ kind: "late", span, why: "late-window", series: one }))),
    ...series.flatMap((one) => one.open.map((span): Mark => ({ kind: "open", span, why: "open-window", series: one }))),
  ];
}

export interface Colours {
  gap: string;
  late: string;
  stripe: string;
  ink: string;
  ground: string;
}

/** Draws spans behind the lines. */
export function drawSpans(chart: uPlot, marks: Mark[], colours: Colours, words: (why: string) => string): void {
  const { ctx, bbox } = chart;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  for (const { kind, span, why } of marks) {
    const [from, to] = span.map((time) => chart.valToPos(seconds(time), "x", true)) as Span;
    const [left, right] = [Math.max(from, bbox.left), Math.min(Math.max(to, from + 2), bbox.left + bbox.width)];
    if (right <= left) continue;
    const box = [left, bbox.top, right - left, bbox.height] as const;
    if (kind === "open") {
      frame(ctx, box, colours.ink);
      continue;
    }
    ctx.fillStyle = colours[kind];
    ctx.fillRect(...box);
    if (kind === "late") hatch(ctx, box, colours.stripe);
    else label(ctx, box, words(why), colours.ink);
  }
  ctx.restore();
}

type Box = readonly [left: number, top: number, width: number, height: number];

function hatch(ctx: CanvasRenderingContext2D, [left, top, width, height]: Box, colour: string): void {
  const step = 6 * devicePixelRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, top, width, height);
  ctx.clip();
  ctx.beginPath();
  // all stripes of a plot belong to one pattern, whatever the windows
  for (let at = Math.floor((left - height) / step) * step; at < left + width; at += step) {
    ctx.moveTo(at, top + height);
    ctx.lineTo(at + height, top);
  }
  ctx.strokeStyle = colour;
  ctx.lineWidth = devicePixelRatio;
  ctx.stroke();
  ctx.restore();
}

function frame(ctx: CanvasRenderingContext2D, [left, top, width, height]: Box, colour: string): void {
  ctx.save();
  ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
  ctx.strokeStyle = colour;
  ctx.lineWidth = devicePixelRatio;
  ctx.strokeRect(left + 0.5, top + 0.5, width - 1, height - 1);
  ctx.restore();
}

function label(ctx: CanvasRenderingContext2D, [left, top, width]: Box, text: string, colour: string): void {
  ctx.font = `${12 * devicePixelRatio}px system-ui, sans-serif`;
  const needed = ctx.measureText(text).width;
  if (needed + 8 * devicePixelRatio > width) return;
  ctx.fillStyle = colour;
  ctx.textAlign = "center";
  ctx.textBaseline = "top";
  ctx.fillText(text, left + width / 2, top + 4 * devicePixelRatio);
}

/** Draws the point of a window that is not complete as a ring over its line. */
export function drawRings(chart: uPlot, marks: Mark[], colour: (topic: string) => string, ground: string): void {
  const { ctx } = chart;
  ctx.save();
  ctx.lineWidth = 2 * devicePixelRatio;
  ctx.fillStyle = ground;
  for (const { kind, span, series } of marks) {
    if (kind !== "open" || series === null) continue;
    const index = nearest(series, (span[0] + span[1]) / 2);
    const value = series.values.at(-1)?.[index];
    const time = series.times[index];
    if (value === undefined || time === undefined || Number.isNaN(value)) continue;
    ctx.strokeStyle = colour(series.topic);
    ctx.beginPath();
    ctx.arc(chart.valToPos(seconds(time), "x", true), chart.valToPos(value, "y", true), 4 * devicePixelRatio, 0, 2 * Math.PI);
    ctx.fill();
    ctx.stroke();
  }
  ctx.restore();
}
