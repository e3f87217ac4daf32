/**
 * <lb-plot>: what a policy kept of some topics, as lines or as bands of least to greatest around the average.
 *
 *     range ──GET /points──> points ──join──> uPlot ──> lines, shaded gaps, legend, summary, table
 *       ^                                       │
 *       └── buttons, keys, a drag, live values ─┘
 *
 * Every range is asked for anew, with two points for a column of pixels. Attributes: templates/parts/plot.html.
 */
import uPlot from "uplot";
import { feedUrl, source, visible } from "./live";
import { decoded, gapsOf, load, type Points, type Series, type Span } from "./points";

const MOST = 8; // series shown at first, and colours
const HEIGHT = 320;
const LEAST_RANGE = 1000; // milliseconds
const SETTLE = 150; // milliseconds that a range must stay before it is asked for
const RENEW = 5000; // milliseconds between two loads while values arrive
const TABLE_ROWS = 200;
const SVG = "http://www.w3.org/2000/svg";

const language = document.documentElement.lang || undefined;
const clock = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" });
const figure = new Intl.NumberFormat(language, { maximumSignificantDigits: 6 });

interface Shade {
  span: Span;
  kind: "gap" | "late";
}

export class Plot extends HTMLElement {
  #topics: string[] = [];
  #shown: string[] = [];
  #hidden = new Set<string>();
  #range: Span = [0, 0];
  #span = 3_600_000; // of the live range, whose end is now
  #live = true;
  #compare = 0; // milliseconds
  #points: Points | null = null;
  #before: Points | null = null;
  #chart: uPlot | null = null;
  #shades: Shade[] = [];
  #request: AbortController | null = null;
  #timer = 0;
  #renewed = 0;
  #ends: (() => void)[] = [];
  #sight: IntersectionObserver | null = null;
  #inSight = false;
  #due = true;
  #held = false; // by a drag that a new chart would break off

  connectedCallback(): void {
    this.#topics = JSON.parse(this.getAttribute("topics") ?? "[]") as string[];
    this.#shown = this.#topics.slice(0, MOST);
    this.#span = Number(this.getAttribute("span") ?? 3600) * 1000;
    const [start, end] = [Number(this.getAttribute("start")), Number(this.getAttribute("end"))];
    if (end > start && start > 0) this.#setRange([start, end]);
    else if (this.hasAttribute("points")) this.#showAll(); // whatever their range is
    else this.#toNow();
    this.addEventListener("click", (event) => this.#click(event));
    this.addEventListener("change", (event) => this.#change(event));
    this.#area.addEventListener("keydown", (event) => this.#key(event));
    this.#area.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.#area.addEventListener("pointerdown", () => (this.#held = true));
    const release = () => this.#release();
    for (const end of ["pointerup", "pointercancel"]) addEventListener(end, release);
    this.querySelector("details")?.addEventListener("toggle", () => this.#fillTable());
    const sizes = new ResizeObserver(() => this.#resize());
    sizes.observe(this.#area);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const repaint = () => this.#draw();
    scheme.addEventListener("change", repaint);
    const theme = new MutationObserver(repaint);
    theme.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    this.#sight = new IntersectionObserver((entries) => this.#see(entries.some((one) => one.isIntersecting)));
    this.#sight.observe(this);
    this.#ends.push(
      () => ["pointerup", "pointercancel"].forEach((end) => removeEventListener(end, release)),
      () => sizes.disconnect(),
      () => theme.disconnect(),
      () => scheme.removeEventListener("change", repaint),
      this.#follow(),
    );
  }

  disconnectedCallback(): void {
    for (const end of this.#ends.splice(0)) end();
    this.#sight?.disconnect();
    this.#request?.abort();
    window.clearTimeout(this.#timer);
    this.#chart?.destroy();
    this.#chart = null;
  }

  /** The range that is shown, epoch milliseconds. */
  get range(): Span {
    return this.#range;
  }

  /** Shows a range, or with null the last `span` seconds up to now. */
  show(range: Span | null): void {
    if (range === null) this.#toNow();
    else this.#setRange(range);
    this.#ask();
  }

  // --- the range ----------------------------------------------------------------------------------

  #toNow(span = this.#span): void {
    this.#span = Math.max(span, LEAST_RANGE);
    this.#live = true;
    const now = Date.now();
    this.#range = [now - this.#span, now];
  }

  #setRange([from, to]: Span): void {
    this.#live = false;
    const middle = (from + to) / 2;
    const half = Math.max(to - from, LEAST_RANGE) / 2;
    this.#range = [middle - half, middle + half];
  }

  #zoom(factor: number, at = 0.5): void {
    const [from, to] = this.#range;
    const length = to - from;
    if (this.#live && at === 0.5) return this.#toNow(length * factor);
    const fixed = from + length * at;
    this.#setRange([fixed - length * factor * at, fixed + length * factor * (1 - at)]);
  }

  #pan(part: number): void {
    const [from, to] = this.#range;
    const by = (to - from) * part;
    if (to + by >= Date.now() - 1000 && part > 0) this.#toNow(to - from);
    else this.#setRange([from + by, to + by]);
  }

  #act(what: string, value = ""): boolean {
    if (what === "span") this.#toNow(Number(value) * 1000);
    else if (what === "live") this.#toNow(this.#range[1] - this.#range[0]);
    else if (what === "left") this.#pan(-0.25);
    else if (what === "right") this.#pan(0.25);
    else if (what === "in") this.#zoom(0.5);
    else if (what === "out") this.#zoom(2);
    else if (what === "all") return this.#showAll();
    else return false;
    this.#ask();
    return true;
  }

  /** The whole time of which something is kept. */
  #showAll(): boolean {
    this.#live = false;
    this.#range = [0, 0];
    this.#ask(0);
    return true;
  }

  #click(event: Event): void {
    const button = (event.target as Element).closest<HTMLElement>("button[data-do]");
    if (button === null) return;
    if (button.dataset.do === "series") this.#toggle(button.dataset.value ?? "");
    else if (button.dataset.do === "every") this.#showEvery();
    else this.#act(button.dataset.do ?? "", button.dataset.value);
  }

  #change(event: Event): void {
    const select = event.target as HTMLSelectElement;
    if (select.dataset.do !== "compare") return;
    this.#compare = Number(select.value) * 1000;
    this.#ask(0);
  }

  #key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const keys: Record<string, string> = {
      ArrowLeft: "left", ArrowRight: "right", "+": "in", "=": "in", "-": "out", Home: "all", End: "live",
    };
    if (this.#act(keys[event.key] ?? "")) event.preventDefault();
  }

  #wheel(event: WheelEvent): void {
    if (!event.ctrlKey) return; // a wheel alone scrolls the page
    event.preventDefault();
    const box = this.#chart?.over.getBoundingClientRect();
    if (box === undefined) return;
    this.#zoom(event.deltaY > 0 ? 1.25 : 0.8, Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1));
    this.#ask();
  }

  // --- loading ------------------------------------------------------------------------------------

  #see(inSight: boolean): void {
    this.#inSight = inSight;
    if (inSight && this.#due) this.#ask(0);
  }

  #ask(wait = SETTLE): void {
    this.#due = true;
    this.#press();
    if (this.#chart !== null && this.#range[1] > 0) this.#scale();
    window.clearTimeout(this.#timer);
    if (this.#inSight) this.#timer = window.setTimeout(() => void this.#load(), wait);
  }

  async #load(): Promise<void> {
    this.#request?.abort();
    const request = (this.#request = new AbortController());
    this.#due = false;
    this.#renewed = Date.now();
    this.#area.dataset.busy = "";
    const url = this.getAttribute("url") ?? "/points";
    const columns = this.#area.clientWidth;
    const whole = this.#range[1] === 0;
    const own = this.getAttribute("points");
    const ask = async (range: Span | null) =>
      own === null ? load(url, this.#shown, range, columns, request.signal) : decoded(own);
    const earlier = (by: number): Span => [this.#range[0] - by, this.#range[1] - by];
    try {
      const points = await ask(whole ? null : this.#range);
      if (whole) this.#range = points.to > points.from ? [points.from, points.to] : [Date.now() - this.#span, Date.now()];
      this.#before = this.#compare > 0 ? await ask(earlier(this.#compare)) : null;
      if (this.#request !== request) return;
      this.#points = points;
      this.#draw();
      this.#tell();
    } catch (error) {
      if (!request.signal.aborted) this.#fail(error);
    } finally {
      if (this.#request === request) delete this.#area.dataset.busy;
    }
  }

  #fail(error: unknown): void {
    const why = error instanceof Error ? error.message : String(error);
    this.#summary.textContent = this.#word("failed", { why: visible(why) });
  }

  /** Values as they come; those of a policy that changes them are loaded instead. */
  #follow(): () => void {
    const feed = this.getAttribute("feed");
    if (feed === "") return () => undefined;
    const from = source(feed ?? feedUrl());
    const ends = this.#shown.map((topic) => from.follow(topic, ({ text, time }) => this.#arrive(topic, text, time)));
    return () => ends.forEach((end) => end());
  }

  #arrive(topic: string, text: string, time: number): void {
    if (!this.#live || !this.#inSight || this.#held || document.hidden) return;
    const value = text.trim() === "" ? NaN : Number(text);
    const series = this.#points?.series.find((one) => one.topic === topic);
    if (this.hasAttribute("direct") && Number.isFinite(value) && series !== undefined) {
      if (time > (series.times.at(-1) ?? 0)) append(series, time, value);
    }
    if (Date.now() - this.#renewed > RENEW) {
      this.#toNow();
      void this.#load();
    } else if (this.hasAttribute("direct")) {
      this.#toNow();
      this.#draw();
    }
  }

  // --- drawing ------------------------------------------------------------------------------------

  get #area(): HTMLElement {
    return this.querySelector<HTMLElement>(".plot-area") ?? this;
  }

  get #summary(): HTMLElement {
    return this.querySelector<HTMLElement>(".plot-summary") ?? this;
  }

  #release(): void {
    if (!this.#held) return;
    this.#held = false;
    window.setTimeout(() => this.#draw()); // after the chart has told what was chosen
  }

  #visible(): Series[] {
    return (this.#points?.series ?? []).filter((one) => !this.#hidden.has(one.topic));
  }

  #draw(): void {
    const points = this.#points;
    if (points === null || this.#held || !this.isConnected) return;
    const tables: uPlot.AlignedData[] = [];
    const series: uPlot.Series[] = [{}];
    const bands: uPlot.Band[] = [];
    for (const one of this.#visible()) this.#add(one, this.#colour(one.topic), tables, series, bands);
    for (const one of this.#before?.series ?? []) {
      if (!this.#hidden.has(one.topic)) tables.push(this.#addBefore(one, series));
    }
    this.#shades = this.#toShade(points);
    const data = tables.length > 0 ? uPlot.join(tables) : ([[]] as unknown as uPlot.AlignedData);
    this.#chart?.destroy();
    this.#chart = new uPlot(this.#options(series, bands), data, this.#area);
    this.#legend();
    this.#fillTable();
  }

  #add(one: Series, colour: string, tables: uPlot.AlignedData[], series: uPlot.Series[], bands: uPlot.Band[]): void {
    const few = one.times.length < 30;
    const line: uPlot.Series = { label: one.topic, stroke: colour, width: 1.5, points: { show: few, size: 5 } };
    const columns = one.values.map((column) => Array.from(column, (value) => (Number.isNaN(value) ? null : value)));
    tables.push([Array.from(one.times, seconds), ...columns]);
    if (columns.length === 3) {
      const edge: uPlot.Series = { stroke: colour, width: 0.5, points: { show: false } };
      bands.push({ series: [series.length + 1, series.length], fill: fade(colour, 0.2) });
      series.push(edge, edge);
    }
    series.push(line);
  }

  #addBefore(one: Series, series: uPlot.Series[]): uPlot.AlignedData {
    const values = Array.from(one.values.at(-1) ?? [], (value) => (Number.isNaN(value) ? null : value));
    const stroke = fade(this.#colour(one.topic), 0.6);
    series.push({ stroke, width: 1, dash: [4, 4], points: { show: false } });
    return [Array.from(one.times, (time) => seconds(time + this.#compare)), values];
  }

  #toShade(points: Points): Shade[] {
    const shade = (kind: Shade["kind"]) => (span: Span) => ({ span, kind });
    const series = this.#visible();
    return [
      ...points.gaps.map(([from, to]): Shade => ({ span: [from, to], kind: "gap" })),
      ...(series.length === 1 ? series.flatMap(gapsOf).map(shade("gap")) : []),
      ...series.flatMap((one) => one.late).map(shade("late")),
    ];
  }

  #options(series: uPlot.Series[], bands: uPlot.Band[]): uPlot.Options {
    const [ink, line] = [this.#token("--quiet"), this.#token("--line")];
    const axis: uPlot.Axis = {
      stroke: ink,
      grid: { stroke: line, width: 1 },
      ticks: { stroke: line, width: 1 },
      font: "12px system-ui, sans-serif",
    };
    return {
      width: this.#area.clientWidth,
      height: HEIGHT,
      series,
      bands,
      legend: { show: false },
      cursor: { drag: { x: true, y: false }, points: { size: 6 }, y: false },
      scales: { x: { time: true, range: () => [seconds(this.#range[0]), seconds(this.#range[1])] } },
      axes: [
        { ...axis, values: (_, ticks, __, ___, step) => ticks.map((tick) => tell(tick * 1000, step)), space: 80 },
        { ...axis, size: 64, values: (_, ticks) => ticks.map((tick) => figure.format(tick)) },
      ],
      hooks: {
        drawClear: [(chart) => this.#shade(chart)],
        setSelect: [(chart) => this.#select(chart)],
        setCursor: [(chart) => this.#read(chart)],
        ready: [(chart) => chart.over.addEventListener("dblclick", () => this.#act("out"))],
      },
    };
  }

  #shade({ ctx, bbox, valToPos }: uPlot): void {
    const colours = { gap: this.#token("--gap"), late: this.#token("--late") };
    ctx.save();
    for (const { span, kind } of this.#shades) {
      const [from, to] = span.map((time) => valToPos(seconds(time), "x", true)) as Span;
      const left = Math.max(from, bbox.left);
      const width = Math.min(Math.max(to, from + 2), bbox.left + bbox.width) - left;
      ctx.fillStyle = colours[kind];
      if (width > 0) ctx.fillRect(left, bbox.top, width, bbox.height);
    }
    ctx.restore();
  }

  #select(chart: uPlot): void {
    const { left, width } = chart.select;
    if (width < 4) return;
    const time = (at: number) => chart.posToVal(at, "x") * 1000;
    this.#setRange([time(left), time(left + width)]);
    chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.#ask();
  }

  #scale(): void {
    this.#chart?.setScale("x", { min: seconds(this.#range[0]), max: seconds(this.#range[1]) });
  }

  #resize(): void {
    const width = this.#area.clientWidth;
    if (this.#chart === null || width === 0 || Math.abs(width - this.#chart.width) < 2) return;
    this.#chart.setSize({ width, height: HEIGHT });
    this.#ask(500);
  }

  #colour(topic: string): string {
    return this.#token(`--series-${(this.#topics.indexOf(topic) % MOST) + 1}`);
  }

  /** A colour of the theme, as the canvas wants it. */
  #token(name: string): string {
    const probe = document.createElement("span");
    probe.style.color = `var(${name})`;
    this.append(probe);
    const { color } = getComputedStyle(probe);
    probe.remove();
    return color;
  }

  // --- words --------------------------------------------------------------------------------------

  #word(name: string, values: Record<string, string> = {}): string {
    const text = this.getAttribute(`word-${name}`) ?? name;
    return text.replace(/\{(\w+)\}/g, (whole, key: string) => values[key] ?? whole);
  }

  #press(): void {
    for (const button of this.querySelectorAll<HTMLElement>("button[data-do][aria-pressed]")) {
      const { do: what, value } = button.dataset;
      const on = what === "live" ? this.#live : what === "span" && this.#live && Number(value) * 1000 === this.#span;
      if (what !== "series") button.setAttribute("aria-pressed", String(on));
    }
    if (!this.hasAttribute("address") || this.#range[1] === 0) return;
    const address = new URL(location.href);
    address.searchParams.delete("plot");
    if (!this.#live) address.searchParams.set("plot", this.#range.map(Math.round).join("-"));
    history.replaceState(history.state, "", address);
  }

  #tell(): void {
    const [from, to] = this.#range.map((time) => clock.format(time)) as [string, string];
    const series = this.#visible().filter((one) => one.times.length > 0);
    if (series.length === 0) {
      this.#summary.textContent = this.#word("nothing", { from, to });
      return;
    }
    const figures = series.map((one) => this.#word("figures", { name: visible(one.topic), ...extremes(one) }));
    const count = (of: (one: Series) => unknown[]) => series.reduce((sum, one) => sum + of(one).length, 0);
    const parts = [
      this.#word("summary", {
        label: this.getAttribute("label") ?? "",
        points: figure.format(series.reduce((sum, one) => sum + one.times.length, 0)),
        series: String(series.length),
        from,
        to,
        figures: figures.join(" "),
      }),
    ];
    const gaps = count(gapsOf) + (this.#points?.gaps.length ?? 0);
    const late = count((one) => one.late);
    if (gaps > 0) parts.push(this.#word("gaps", { n: String(gaps) }));
    if (late > 0) parts.push(this.#word("late", { n: String(late) }));
    this.#summary.textContent = parts.join(" ");
  }

  #legend(): void {
    const list = this.querySelector(".plot-legend");
    if (list === null) return;
    const focused = (document.activeElement as HTMLElement | null)?.dataset.value;
    list.replaceChildren(...(this.#points?.series ?? []).map((one) => this.#entry(one)));
    if (this.#shown.length < this.#topics.length) {
      const every = button("every", this.#word("all", { n: String(this.#topics.length) }));
      list.append(item(every));
    }
    if (focused !== undefined) list.querySelector<HTMLElement>(`[data-value="${CSS.escape(focused)}"]`)?.focus();
  }

  #entry(one: Series): HTMLElement {
    const entry = button("series", visible(one.topic));
    entry.dataset.value = one.topic;
    entry.setAttribute("aria-pressed", String(!this.#hidden.has(one.topic)));
    const value = document.createElement("b");
    value.dataset.topic = one.topic;
    value.textContent = lastOf(one);
    entry.prepend(swatch(this.#colour(one.topic)));
    entry.append(value);
    return item(entry);
  }

  /** The values under the cursor, in the legend. */
  #read(chart: uPlot): void {
    const at = chart.cursor.left === undefined || chart.cursor.left < 0 ? null : chart.posToVal(chart.cursor.left, "x");
    for (const value of this.querySelectorAll<HTMLElement>(".plot-legend b")) {
      const one = this.#points?.series.find(({ topic }) => topic === value.dataset.topic);
      if (one !== undefined) value.textContent = at === null ? lastOf(one) : valueAt(one, at * 1000);
    }
  }

  #toggle(topic: string): void {
    if (!this.#hidden.delete(topic)) this.#hidden.add(topic);
    this.#draw();
    this.#tell();
  }

  #showEvery(): void {
    this.#shown = this.#topics;
    this.#ends.pop()?.();
    this.#ends.push(this.#follow());
    this.#ask(0);
  }

  /** The table behind the plot, filled while it is open. */
  #fillTable(): void {
    const details = this.querySelector("details");
    const place = details?.querySelector(".scroll");
    if (!details?.open || place == null || this.#points === null) return;
    const table = document.createElement("table");
    const names = this.#points.form === "band" ? [this.#word("least"), this.#word("greatest"), "avg"] : [""];
    const series = this.#visible();
    const head = series.flatMap((one) => names.map((name) => `${visible(one.topic)} ${name}`.trim()));
    table.createTHead().append(row("th", [this.#word("time"), ...head]));
    const body = table.createTBody();
    for (const time of evenly(series)) {
      const cells = series.flatMap((one) => one.values.map((column) => told(column[nearest(one, time)])));
      body.append(row("td", [clock.format(time), ...cells]));
    }
    place.replaceChildren(table);
  }
}

// --- small things -----------------------------------------------------------------------------------

const seconds = (time: number): number => time / 1000;

function tell(time: number, step: number): string {
  const day: Intl.DateTimeFormatOptions = { day: "numeric", month: "short" };
  const hour: Intl.DateTimeFormatOptions = { hour: "2-digit", minute: "2-digit" };
  const date = new Date(time);
  const midnight = date.getHours() === 0 && date.getMinutes() === 0;
  const form = step >= 86_400 || (midnight && step >= 60) ? day : step < 60 ? { ...hour, second: "2-digit" as const } : hour;
  return date.toLocaleString(language, form);
}

function append(series: Series, time: number, value: number): void {
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

function fade(colour: string, part: number): string {
  return colour.replace(/^rgb\((.*)\)$/, `rgba($1, ${part})`);
}

function told(value: number | undefined): string {
  return value === undefined || Number.isNaN(value) ? "–" : figure.format(value);
}

function lastOf({ last }: Series): string {
  return told(last);
}

function extremes({ values, last }: Series): Record<string, string> {
  const low = values[0] ?? new Float64Array();
  const high = values.length === 3 ? (values[1] ?? low) : low;
  const finite = (column: Float64Array) => column.filter((value) => !Number.isNaN(value));
  const most = (column: Float64Array, pick: (a: number, b: number) => number) =>
    told(finite(column).reduce((a, b) => pick(a, b), finite(column)[0] ?? NaN));
  return { min: most(low, Math.min), max: most(high, Math.max), last: told(last) };
}

/** The index of the point nearest to a time. */
function nearest({ times }: Series, time: number): number {
  let [low, high] = [0, times.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((times[middle] ?? 0) < time) low = middle + 1;
    else high = middle;
  }
  const before = low - 1;
  return before >= 0 && time - (times[before] ?? 0) < (times[low] ?? 0) - time ? before : low;
}

function valueAt(one: Series, time: number): string {
  const index = nearest(one, time);
  const [low, high, mean] = one.values.map((column) => told(column[index]));
  return mean === undefined ? (low ?? "–") : `${mean} (${low ?? ""} … ${high ?? ""})`;
}

function evenly(series: Series[]): number[] {
  const longest = series.reduce<Series | null>((a, b) => (a === null || b.times.length > a.times.length ? b : a), null);
  const times = Array.from(longest?.times ?? []);
  const every = Math.max(1, Math.ceil(times.length / TABLE_ROWS));
  return times.filter((_, i) => i % every === 0);
}

function row(kind: "th" | "td", cells: string[]): HTMLTableRowElement {
  const found = document.createElement("tr");
  for (const text of cells) {
    const cell = document.createElement(kind);
    cell.textContent = text;
    if (kind === "th") cell.scope = "col";
    found.append(cell);
  }
  return found;
}

function button(what: string, text: string): HTMLButtonElement {
  const found = document.createElement("button");
  found.type = "button";
  found.dataset.do = what;
  const name = document.createElement("span");
  name.textContent = text;
  found.append(name);
  return found;
}

function item(content: Element): HTMLLIElement {
  const found = document.createElement("li");
  found.append(content);
  return found;
}

function swatch(colour: string): SVGElement {
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("viewBox", "0 0 14 10");
  picture.setAttribute("aria-hidden", "true");
  const box = document.createElementNS(SVG, "rect");
  for (const [name, value] of Object.entries({ y: "3", width: "14", height: "4", rx: "2", fill: colour })) {
    box.setAttribute(name, value);
  }
  picture.append(box);
  return picture;
}
