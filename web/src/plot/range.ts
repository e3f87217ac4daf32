/** The range of time that a plot shows: fixed, or live, so that its end is now. Epoch milliseconds. */
import type { Span } from "../points";

const LEAST = 1000; // milliseconds

export class Range {
  live = true;
  /** Milliseconds that the live range is long. */
  span: number;
  #shown: Span = [0, 0];

  constructor(span: number) {
    this.span = span;
    this.toNow();
  }

  get shown(): Span {
    return this.#shown;
  }

  /** Whether it is the whole time of which something is kept, which is not known before the answer. */
  get whole(): boolean {
    return this.#shown[1] === 0;
  }

  get length(): number {
    return this.#shown[1] - this.#shown[0];
  }

  toNow(span = this.span): void {
    this.span = Math.max(span, LEAST);
    this.live = true;
    const now = Date.now();
    this.#shown = [now - this.span, now];
  }

  toWhole(): void {
    this.live = false;
    this.#shown = [0, 0];
  }

  /** What the whole time is, after it was asked for. */
  found([from, to]: Span): void {
    const now = Date.now();
    this.#shown = to > from ? [from, to] : [now - this.span, now];
  }

  set([from, to]: Span): void {
    this.live = false;
    const middle = (from + to) / 2;
    const half = Math.max(to - from, LEAST) / 2;
    this.#shown = [middle - half, middle + half];
  }

  /** @param at the part of the range that stays where it is */
  zoom(factor: number, at = 0.5): void {
    const { length } = this;
    if (this.live && at === 0.5) return this.toNow(length * factor);
    const fixed = this.#shown[0] + length * at;
    this.set([fixed - length * factor * at, fixed + length * factor * (1 - at)]);
  }

  pan(part: number): void {
    const [from, to] = this.#shown;
    const by = this.length * part;
    if (to + by >= Date.now() - 1000 && part > 0) this.toNow(this.length);
    else this.set([from + by, to + by]);
  }

  /** Does what a button or a key says; false where it is no range. */
  act(what: string, value: string): boolean {
    const doing: Record<string, () => void> = {
      span: () => this.toNow(Number(value) * 1000),
      live: () => this.toNow(this.length),
      left: () => this.pan(-0.25),
      right: () => this.pan(0.25),
      in: () => this.zoom(0.5),
      out: () => this.zoom(2),
      all: () => this.toWhole(),
    };
    doing[what]?.();
    return what in doing;
  }
}

export const KEYS: Record<string, string> = {
  ArrowLeft: "left", ArrowRight: "right", "+": "in", "=": "in", "-": "out", Home: "all", End: "live",
};
