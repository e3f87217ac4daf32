/** The table behind a plot: some hundred times, among them all that is marked, which a last column says in words. */
import { visible } from "../live";
import type { Points, Series } from "../points";
import { clock, nearest, told } from "./figures";
import type { Mark } from "./marks";
import { row } from "./parts";

const ROWS = 200;
const MARKED = 200;

type Words = (name: string) => string;

export function table(points: Points, series: Series[], marks: Mark[], words: Words): HTMLTableElement {
  const found = document.createElement("table");
  const names = points.form === "band" ? [words("least"), words("greatest"), "avg"] : [""];
  const heads = series.flatMap((one) => names.map((name) => `${visible(one.topic)} ${name}`.trim()));
  const marked = marks.length > 0;
  found.createTHead().append(row("th", [words("time"), ...heads, ...(marked ? [words("marks")] : [])]));
  const body = found.createTBody();
  for (const time of timesOf(series, marks)) {
    const cells = series.flatMap((one) => one.values.map((column) => told(column[nearest(one, time)])));
    body.append(row("td", [clock.format(time), ...cells, ...(marked ? [notes(time, series, marks, words)] : [])]));
  }
  return found;
}

/** Times of the longest series at even distances, and those of what is marked. */
function timesOf(series: Series[], marks: Mark[]): number[] {
  const longest = series.reduce<Series | null>((a, b) => (a === null || b.times.length > a.times.length ? b : a), null);
  if (longest === null) return [];
  const every = Math.max(1, Math.ceil(longest.times.length / ROWS));
  const times = Array.from(longest.times).filter((_, i) => i % every === 0);
  for (const { span, series: own } of marks.slice(0, MARKED)) {
    const of = own ?? longest;
    const time = of.times[nearest(of, (span[0] + span[1]) / 2)];
    if (time !== undefined) times.push(time);
  }
  return [...new Set(times)].sort((a, b) => a - b);
}

function notes(time: number, series: Series[], marks: Mark[], words: Words): string {
  const here = marks.filter(({ kind, span: [from, to] }) =>
    kind === "gap" ? from < time && time < to : from <= time && time < to,
  );
  const told = here.map(({ why, series: own }) =>
    own === null || series.length === 1 ? words(why) : `${visible(own.topic)}: ${words(why)}`,
  );
  return [...new Set(told)].join("; ");
}
