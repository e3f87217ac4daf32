/** Below a plot: its series, which can be hidden; what its marks mean; and a summary for who does not see it. */
import { visible } from "../live";
import { gapsOf, type Points, type Series, type Span } from "../points";
import { clock, extremes, figure, language, told, valueAt } from "./figures";
import type { Mark } from "./marks";
import { button, dashes, item, line, picture, swatch } from "./parts";

/** The text of a name, with values for its `{names}`. */
export type Words = (name: string, values?: Record<string, string>) => string;

const SPANS = 3; // of one kind of mark, that are named
const hour = new Intl.DateTimeFormat(language, { dateStyle: "short", timeStyle: "short" });

export interface Shown {
  topics: string[];
  /** How many of the topics are asked for. */
  count: number;
  hidden: Set<string>;
  colour: (topic: string) => string;
}

/** Entries of the same series stay, so that a button which is being pressed is not taken away. */
export function legend(place: Element, points: Points, { topics, count, hidden, colour }: Shown, words: Words): void {
  const made = JSON.stringify([points.series.map(({ topic }) => [topic, colour(topic)]), count, topics.length]);
  if (made === place.getAttribute("made")) {
    read(place, points, null);
    for (const entry of place.querySelectorAll<HTMLElement>("button[data-do=series]")) {
      entry.setAttribute("aria-pressed", String(!hidden.has(entry.dataset.value ?? "")));
    }
    return;
  }
  place.setAttribute("made", made);
  const focused = (document.activeElement as HTMLElement | null)?.dataset.value;
  const entries = points.series.map((one) => {
    const entry = button("series", visible(one.topic));
    entry.dataset.value = one.topic;
    entry.setAttribute("aria-pressed", String(!hidden.has(one.topic)));
    const value = document.createElement("b");
    value.dataset.topic = one.topic;
    value.textContent = told(one.last);
    entry.prepend(swatch(line(colour(one.topic))));
    entry.append(value);
    return item(entry);
  });
  place.replaceChildren(...entries);
  if (count < topics.length) {
    const values = { shown: String(count), n: String(topics.length) };
    place.append(item(words("shown", values)), item(button("every", words("all", values))));
  }
  if (focused !== undefined) place.querySelector<HTMLElement>(`[data-value="${CSS.escape(focused)}"]`)?.focus();
}

/** The values at a time, or the last ones, in the legend. */
export function read(place: Element, points: Points, time: number | null): void {
  for (const value of place.querySelectorAll<HTMLElement>("b")) {
    const one = points.series.find(({ topic }) => topic === value.dataset.topic);
    if (one !== undefined) value.textContent = time === null ? told(one.last) : valueAt(one, time);
  }
}

/** What is marked, each kind with its picture, its reason and when. */
export function explain(place: Element, marks: Mark[], compared: string, colour: (name: string) => string, words: Words): void {
  const kinds = new Map<string, Mark[]>();
  for (const mark of marks) kinds.set(mark.why, [...(kinds.get(mark.why) ?? []), mark]);
  const items = [...kinds].map(([why, found]) => {
    const spans = found.slice(0, SPANS).map(({ span: [from, to] }) => hour.formatRange(from, to));
    const more = found.length > SPANS ? [words("more", { n: String(found.length - SPANS) })] : [];
    return item(picture(found[0]?.kind ?? "gap", colour), `${words(why)}: ${[...spans, ...more].join(", ")}`);
  });
  if (compared !== "") items.unshift(item(swatch(dashes(colour("--series-1"))), compared));
  place.replaceChildren(...items);
}

export function summary(
  points: Points,
  series: Series[],
  [from, to]: Span,
  compared: { what: string; series: Series[] } | null,
  label: string,
  words: Words,
): string {
  const there = series.filter((one) => one.times.length > 0);
  const range = { from: clock.format(from), to: clock.format(to) };
  const figures = (of: Series[]) => of.map((one) => words("figures", { name: visible(one.topic), ...extremes(one) })).join(" ");
  const before = (compared?.series ?? []).filter((one) => one.times.length > 0);
  const then = compared && words(before.length > 0 ? "compared" : "compared-nothing", { what: compared.what, figures: figures(before) });
  if (there.length === 0) return [words("nothing", range), then].filter(Boolean).join(" ");
  const count = (of: (one: Series) => unknown[]) => there.reduce((sum, one) => sum + of(one).length, 0);
  const parts = [
    words("summary", {
      ...range,
      label,
      points: figure.format(there.reduce((sum, one) => sum + one.times.length, 0)),
      series: String(there.length),
      figures: figures(there),
    }),
  ];
  const marked = { gaps: count(gapsOf) + points.gaps.length, late: count((one) => one.late), open: count((one) => one.open) };
  for (const [name, n] of Object.entries(marked)) if (n > 0) parts.push(words(name, { n: String(n) }));
  return [...parts, then].filter(Boolean).join(" ");
}
