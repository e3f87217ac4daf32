/** Values of series as people read them. */
import type { Series } from "../points";

export const language = document.documentElement.lang || undefined;
export const clock = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" });
export const figure = new Intl.NumberFormat(language, { maximumSignificantDigits: 6 });
export const short = new Intl.NumberFormat(language, { maximumSignificantDigits: 4, notation: "compact" });

export const seconds = (time: number): number => time / 1000;

/** A time at an axis whose ticks are so many seconds apart. */
export function tick(time: number, step: number): string {
  const day: Intl.DateTimeFormatOptions = { day: "numeric", month: "short" };
  const hour: Intl.DateTimeFormatOptions = { hour: "2-digit", minute: "2-digit" };
  const date = new Date(time);
  const midnight = date.getHours() === 0 && date.getMinutes() === 0;
  const form = step >= 86_400 || (midnight && step >= 60) ? day : step < 60 ? { ...hour, second: "2-digit" as const } : hour;
  return date.toLocaleString(language, form);
}

export function told(value: number | undefined): string {
  return value === undefined || Number.isNaN(value) ? "–" : figure.format(value);
}

/** Least, greatest and last value. */
export function extremes({ values, last }: Series): Record<string, string> {
  const low = values[0] ?? new Float64Array();
  const high = values.length === 3 ? (values[1] ?? low) : low;
  const most = (column: Float64Array, pick: (a: number, b: number) => number) => {
    const finite = column.filter((value) => !Number.isNaN(value));
    return told(finite.reduce((a, b) => pick(a, b), finite[0] ?? NaN));
  };
  return { min: most(low, Math.min), max: most(high, Math.max), last: told(last) };
}

/** The index of the point nearest to a time. */
export function nearest({ times }: Series, time: number): number {
  let [low, high] = [0, times.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((times[middle] ?? 0) < time) low = middle + 1;
    else high = middle;
  }
  const before = low - 1;
  return before >= 0 && time - (times[before] ?? 0) < (times[low] ?? 0) - time ? before : low;
}

export function valueAt(one: Series, time: number): string {
  const index = nearest(one, time);
  const [low, high, mean] = one.values.map((column) => told(column[index]));
  return mean === undefined ? (low ?? "–") : `${mean} (${low ?? ""} … ${high ?? ""})`;
}

/** A value that arrived, at the end of a series. */
export function append(series: Series, time: number, value: number): void {
  const longer = (column: Float64Array, more: number) => {
    const found = new Float64Array(column.length + 1);
    found.set(column);
    found[column.length] = more;
    return found;
  };
  series.times = longer(series.times, time);
  series.last = value;
  series.values = series.values.map((column) => longer(column, value));
}
