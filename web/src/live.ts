/**
 * Live values: one stream for a page, whatever many elements show them.
 *
 *     follow(topic, paint) ──debounced──> POST /live ──events──> paint(value) of what has changed
 *
 *     <lb-feed url="/live?owner=ann" known="/known?owner=ann" stale="Stale since {time}" ended="…" refused="…" connecting="…"></lb-feed>
 *     <lb-live topic="room/1">21.5</lb-live>   one cell; fed while it is in sight, with `numbers` by numbers alone
 *     <lb-spark topic="room/1"></lb-spark>     the line of its last numbers
 *
 * What comes into sight begins with what is known of it: `known` names where a page asks, a hundred topics at a time.
 *
 * A hidden tab closes its stream. After errors it is opened again, later each time.
 */

/** `size` is that of a payload which is no text; `text` is empty then. */
export interface Value {
  text: string;
  size: number | null;
  time: number;
}

export type Point = [time: number, number: number];
export type Paint = (value: Value) => void;
/** Called once with what was known before: the last points, and whether there is any value. */
export type Seed = (points: Point[], known: boolean) => void;
export type State = "idle" | "connecting" | "live" | "stale" | "ended" | "refused";

interface Known {
  topics: Record<string, [time: number, shown: string | number, points: Point[]] | null>;
  left: string[];
}

type Row = [number: number, time: number, shown: string | number, topic?: string];

const ALL = "#";
const MOST = 1000; // topics of a stream
const MOST_KNOWN = 100; // topics that are asked about at a time
const MOST_SEEDS = 2000; // topics whose first points are remembered
const GATHER = 150; // milliseconds: elements come into sight many at a time
const SILENCE = 25_000; // milliseconds without a byte: the server sends something every ten seconds
const FIRST_WAIT = 500;
const LONGEST_WAIT = 15_000; // milliseconds between two attempts

export class Source extends EventTarget {
  state: State = "idle";
  /** When the last bytes came, epoch milliseconds. */
  since = Date.now();

  #paints = new Map<string, Set<Paint>>();
  #newest = new Map<string, Value>();
  #topics = new Map<number, string>();
  #asked = new Set<string>();
  #request: AbortController | null = null;
  #planned = 0;
  #watchdog = 0;
  #failures = 0;
  #seeds = new Map<string, { points: Point[]; known: boolean }>();
  #waiting = new Map<string, Set<Seed>>();
  #gathering = 0;
  #asking = false;

  constructor(
    readonly url: string,
    readonly known: string | null,
  ) {
    super();
    document.addEventListener("visibilitychange", () => (document.hidden ? this.#pause() : this.#plan(0)));
    addEventListener("pagehide", () => this.#pause());
    addEventListener("pageshow", (event) => event.persisted && this.#plan(0));
    addEventListener("online", () => this.#plan(0));
  }

  /** Calls `seed` with what was known of a topic before this page heard it. */
  ask(topic: string, seed: Seed): void {
    const found = this.#seeds.get(topic);
    if (found !== undefined) return seed(found.points, found.known);
    if (this.known === null) return;
    this.#waiting.set(topic, (this.#waiting.get(topic) ?? new Set()).add(seed));
    this.#gathering ||= window.setTimeout(() => void this.#learn(), GATHER);
  }

  async #learn(): Promise<void> {
    this.#gathering = 0;
    const topics = [...this.#waiting.keys()].slice(0, MOST_KNOWN);
    if (this.#asking || this.known === null || topics.length === 0) return;
    this.#asking = true;
    const headers = { "Content-Type": "application/json" };
    const answer = await fetch(this.known, { method: "POST", headers, body: JSON.stringify({ topics }) }).catch(() => null);
    const found = answer?.ok ? ((await answer.json().catch(() => null)) as Known | null) : null;
    this.#asking = false;
    const left = new Set(found?.left);
    for (const topic of topics) {
      if (left.has(topic)) continue;
      if (found !== null) this.#learned(topic, found.topics[topic] ?? null);
      this.#waiting.delete(topic);
    }
    if (this.#waiting.size > 0) void this.#learn();
  }

  #learned(topic: string, known: Known["topics"][string]): void {
    const newest = this.#newest.get(topic);
    if (known !== null && (newest === undefined || newest.time < known[0])) {
      const value = toValue(known[0], known[1]);
      this.#newest.set(topic, value);
      for (const paint of this.#paints.get(topic) ?? []) paint(value);
    }
    const seed = { points: known?.[2] ?? [], known: known !== null || newest !== undefined };
    this.#seeds.set(topic, seed);
    for (const oldest of this.#seeds.keys()) {
      if (this.#seeds.size <= MOST_SEEDS) break;
      this.#seeds.delete(oldest);
    }
    for (const paint of this.#waiting.get(topic) ?? []) paint(seed.points, seed.known);
  }

  /** Calls `paint` with each newest value of a topic, or of all with "#"; returns what ends it. */
  follow(topic: string, paint: Paint): () => void {
    const paints = this.#paints.get(topic) ?? new Set();
    this.#paints.set(topic, paints.add(paint));
    const known = this.#newest.get(topic);
    if (known !== undefined) paint(known);
    if (!this.#asked.has(topic)) this.#plan(GATHER);
    return () => {
      paints.delete(paint);
      if (paints.size === 0 && this.#paints.get(topic) === paints) this.#paints.delete(topic);
      if (this.#asked.size > 2 * this.#paints.size + 20 || this.#paints.size === 0) this.#plan(GATHER);
    };
  }

  #plan(wait: number): void {
    window.clearTimeout(this.#planned);
    if (document.hidden || this.state === "ended") return;
    this.#planned = window.setTimeout(() => void this.#open(), wait);
  }

  #pause(): void {
    window.clearTimeout(this.#planned);
    window.clearTimeout(this.#watchdog);
    this.#request?.abort();
    this.#request = null;
    this.#asked.clear();
    if (this.state !== "ended") this.#tell("idle");
  }

  async #open(): Promise<void> {
    this.#request?.abort();
    const filters = [...this.#paints.keys()].slice(0, MOST);
    this.#asked = new Set(this.#paints.keys());
    if (filters.length === 0) return this.#pause();
    const request = (this.#request = new AbortController());
    if (this.state === "idle" || this.state === "refused") this.#tell("connecting");
    try {
      await this.#read(filters, request);
    } catch {
      // the network, the server or the watchdog ended it: what follows is the same
    }
    if (this.#request === request) this.#again();
  }

  async #read(filters: string[], request: AbortController): Promise<void> {
    this.#watch(request);
    const headers = { "Content-Type": "application/json" };
    const body = JSON.stringify({ filters });
    const answer = await fetch(this.url, { method: "POST", headers, body, signal: request.signal });
    if (answer.status === 401) return this.#tell("ended");
    if (answer.status < 500 && answer.status >= 400 && answer.status !== 429) return this.#tell("refused");
    if (!answer.ok || answer.body === null) return;
    this.#topics.clear();
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = ""; ; ) {
      const { done, value } = await reader.read();
      if (done || this.#request !== request) return;
      this.#failures = 0;
      this.since = Date.now();
      this.#watch(request);
      this.#tell("live");
      const events = (rest + value).split("\n\n");
      rest = events.pop() ?? "";
      for (const event of events) if (event.startsWith("data:")) this.#take(JSON.parse(event.slice(5)) as Row[]);
    }
  }

  #take(rows: Row[]): void {
    for (const [number, time, shown, named] of rows) {
      if (named !== undefined) this.#topics.set(number, named);
      const topic = named ?? this.#topics.get(number);
      if (topic === undefined) continue;
      const value = toValue(time, shown);
      this.#newest.delete(topic); // so that those heard last are at the end
      this.#newest.set(topic, value);
      for (const paint of this.#paints.get(topic) ?? []) paint(value);
      for (const paint of this.#paints.get(ALL) ?? []) paint(value);
    }
    for (const topic of this.#newest.keys()) {
      if (this.#newest.size <= 2 * MOST) break;
      this.#newest.delete(topic);
    }
  }

  #watch(request: AbortController): void {
    window.clearTimeout(this.#watchdog);
    this.#watchdog = window.setTimeout(() => request.abort(), SILENCE);
  }

  #again(): void {
    window.clearTimeout(this.#watchdog);
    this.#request = null;
    this.#asked.clear();
    if (this.state === "ended" || document.hidden) return;
    if (this.state !== "refused" && this.#failures > 0) this.#tell("stale");
    const wait = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.#failures++) * (0.75 + Math.random() / 2);
    this.#plan(this.state === "refused" ? LONGEST_WAIT : wait);
  }

  #tell(state: State): void {
    if (state === this.state) return;
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }
}

function toValue(time: number, shown: string | number): Value {
  return typeof shown === "number" ? { text: "", size: shown, time } : { text: shown, size: null, time };
}

const sources = new Map<string, Source>();

/** The source of a URL; all elements of a page share it. */
export function source(url: string): Source {
  const found = sources.get(url) ?? new Source(url, document.querySelector("lb-feed")?.getAttribute("known") ?? null);
  sources.set(url, found);
  return found;
}

/** The URL that a page names in its <lb-feed>. */
export function feedUrl(): string {
  return document.querySelector("lb-feed")?.getAttribute("url") ?? "/live";
}

// one observer for all cells: what is out of sight is not fed
const sight = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) (target as Followed).see(isIntersecting);
  },
  { rootMargin: "200px" },
);

/** An element that follows the topic of its attribute while it is in sight. */
export abstract class Followed extends HTMLElement {
  #end: (() => void) | null = null;
  #seeded = false;

  #seed(points: Point[], known: boolean): void {
    this.#seeded = true;
    this.seed(points, known);
  }

  abstract paint(value: Value): void;

  /** Takes what was known before. */
  seed(_points: Point[], _known: boolean): void {}

  connectedCallback(): void {
    sight.observe(this);
  }

  disconnectedCallback(): void {
    sight.unobserve(this);
    this.see(false);
  }

  see(inSight: boolean): void {
    const topic = this.getAttribute("topic");
    if (inSight && this.#end === null && topic !== null) {
      const from = source(this.getAttribute("url") ?? feedUrl());
      this.#end = from.follow(topic, (value) => this.paint(value));
      if (!this.#seeded) from.ask(topic, (points, known) => this.#seed(points, known));
    } else if (!inSight) {
      this.#end?.();
      this.#end = null;
    }
  }
}

const clock = new Intl.DateTimeFormat(document.documentElement.lang || undefined, { timeStyle: "medium" });
const whole = new Intl.NumberFormat(document.documentElement.lang || undefined);

const OLD = 60_000; // milliseconds after which a value is shown with its age

export class Live extends Followed {
  #time = 0;
  #shown = "";
  #age: HTMLTimeElement | null = null;

  override connectedCallback(): void {
    this.#time ||= Date.parse(this.getAttribute("since") ?? "") || 0;
    super.connectedCallback();
  }

  paint({ text, size, time }: Value): void {
    // where numbers are kept, others are not; and what comes late is no news
    if (this.hasAttribute("numbers") && (text.trim() === "" || !Number.isFinite(Number(text)))) return;
    if (time < this.#time) return;
    const shown = size === null ? visible(text) : `${whole.format(size)} B`;
    if (this.#shown !== shown || !this.firstChild) {
      this.#shown = shown;
      if (this.firstChild !== null && this.firstChild !== this.#age) this.firstChild.replaceWith(shown);
      else this.prepend(shown);
    }
    if (time - this.#time >= 1000) this.title = clock.format(time);
    this.#time = time;
    this.mark();
    const last = this.closest("tr")?.querySelector<HTMLTimeElement>(".last time");
    if (last && time - Date.parse(last.dateTime) > 5_000) {
      last.dateTime = new Date(time).toISOString();
      last.title = ""; // both are told anew within ten seconds
    }
  }

  override seed(_points: Point[], known: boolean): void {
    const none = document.querySelector("lb-feed")?.getAttribute("none");
    if (!known && !this.firstChild && none) this.dataset.none = none;
  }

  /** Shows the age of a value that is old. */
  mark(): void {
    const old = this.#time > 0 && Date.now() - this.#time > OLD;
    if (!old) {
      this.#age?.previousSibling?.remove();
      this.#age?.remove();
      this.#age = null;
      return;
    }
    if (this.#age === null) {
      this.#age = document.createElement("time");
      this.append(" ", this.#age);
    }
    const at = new Date(this.#time).toISOString();
    if (this.#age.dateTime !== at) this.#age.dateTime = at;
  }
}

setInterval(() => {
  if (!document.hidden) for (const cell of document.querySelectorAll<Live>("lb-live")) cell.mark();
}, 10_000);

/** Control characters as escapes, so that a value cannot pose as another. */
export function visible(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (found) => `\\u${(found.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`,
  );
}

const POINTS = 60;
const WIDTH = 96;
const HEIGHT = 24;
const SVG = "http://www.w3.org/2000/svg";

export class Spark extends Followed {
  #numbers: number[] = [];
  #times: number[] = [];
  #line: SVGPolylineElement | null = null;

  paint({ text, time }: Value): void {
    const number = text.trim() === "" ? NaN : Number(text);
    if (!Number.isFinite(number) || time === this.#times.at(-1)) return;
    this.#numbers.push(number);
    this.#times.push(time);
    if (this.#numbers.length > POINTS) {
      this.#numbers.shift();
      this.#times.shift();
    }
    if (this.#numbers.length > 1) this.#draw();
  }

  override seed(points: Point[]): void {
    const first = this.#times[0] ?? Infinity;
    const earlier = points.filter(([time]) => time < first);
    this.#times = [...earlier.map(([time]) => time), ...this.#times].slice(-POINTS);
    this.#numbers = [...earlier.map(([, number]) => number), ...this.#numbers].slice(-POINTS);
    if (this.#numbers.length > 1) this.#draw();
  }

  #draw(): void {
    const low = Math.min(...this.#numbers);
    const range = Math.max(...this.#numbers) - low;
    const [from, to] = [this.#times[0] ?? 0, this.#times.at(-1) ?? 1];
    const points = this.#numbers.map((number, i) => {
      const x = (((this.#times[i] ?? 0) - from) / (to - from || 1)) * WIDTH;
      const y = range === 0 ? HEIGHT / 2 : HEIGHT - 2 - ((number - low) / range) * (HEIGHT - 4);
      return `${x.toFixed(1)},${y.toFixed(1)}`;
    });
    this.#line ??= this.#make();
    this.#line.setAttribute("points", points.join(" "));
  }

  #make(): SVGPolylineElement {
    const picture = document.createElementNS(SVG, "svg");
    picture.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    picture.setAttribute("aria-hidden", "true"); // the value beside it says what is now
    const line = document.createElementNS(SVG, "polyline");
    picture.append(line);
    this.replaceChildren(picture);
    return line;
  }
}

/** Says in words of its attributes how live the page is. */
export class Feed extends HTMLElement {
  connectedCallback(): void {
    const from = source(this.getAttribute("url") ?? "/live");
    from.addEventListener("state", () => this.#show(from));
    this.setAttribute("role", "status");
    this.#show(from);
  }

  #show(from: Source): void {
    this.dataset.state = from.state;
    const words = from.state === "stale" ? this.getAttribute("stale") : this.getAttribute(from.state);
    this.textContent = (words ?? "").replace("{time}", clock.format(from.since));
  }
}

customElements.define("lb-feed", Feed);
customElements.define("lb-live", Live);
customElements.define("lb-spark", Spark);
