/**
 * <lb-plot>: what a policy kept of some topics, as lines or as bands of least to greatest around the average.
 *
 *     range ──GET /points──> points ──> chart: lines, marks        chart.ts, marks.ts
 *       ^                      └──────> legend, summary, table     legend.ts, table.ts
 *       └── buttons, keys, a drag, live values                     range.ts
 *
 * Every range is asked for anew, with two points for a column of pixels. Attributes: templates/parts/plot.html.
 *
 * In a tile of a board what the server has drawn stays until points are there; cursor and range are those of all plots
 * of the board, which hears of a range by the event "range".
 */
import { feedUrl, source, visible } from "../live";
import { decoded, load, type Points, type Series, type Span } from "../points";
import { queued } from "../queue";
import { type Chart, Drawing, HEIGHT } from "./chart";
import { append, seconds } from "./figures";
import { explain, legend, read, summary } from "./legend";
import { type Mark, marksOf } from "./marks";
import { KEYS, Range } from "./range";
import { table } from "./table";

const MOST = 8; // series shown at first, and colours
const SETTLE = 150; // milliseconds that a range must stay before it is asked for
const RENEW = 5000; // milliseconds between two loads while values arrive
const REDRAW = 1000; // milliseconds between two drawings of a tile while values arrive
const LEAST_HEIGHT = 80; // pixels of a tile's plot

export class Plot extends HTMLElement {
  #topics: string[] = [];
  #shown: string[] = [];
  #hidden = new Set<string>();
  #range = new Range(3_600_000);
  #compare = 0; // milliseconds
  #points: Points | null = null;
  #before: Points | null = null;
  #chart: Drawing | null = null;
  #marks: Mark[] = [];
  #request: AbortController | null = null;
  #timer = 0;
  #renewed = 0;
  #ends: (() => void)[] = [];
  #sight: IntersectionObserver | null = null;
  #inSight = false;
  #due = true;
  #held = false; // by a drag that a new chart would break off
  #redrawn = 0;
  #unfollow: (() => void) | null = null;

  connectedCallback(): void {
    this.#topics = JSON.parse(this.getAttribute("topics") ?? "[]") as string[];
    this.#shown = this.#topics.slice(0, MOST);
    this.#range = new Range(Number(this.getAttribute("span") ?? 3600) * 1000);
    const [start, end] = [Number(this.getAttribute("start")), Number(this.getAttribute("end"))];
    if (end > start && start > 0) this.#range.set([start, end]);
    else if (this.hasAttribute("points")) this.#range.toWhole(); // whatever it is
    this.addEventListener("click", (event) => this.#click(event));
    this.addEventListener("change", (event) => this.#change(event));
    this.addEventListener("keydown", (event) => this.#inArea(event) && this.#key(event));
    this.addEventListener("wheel", (event) => this.#inArea(event) && this.#wheel(event), { passive: false });
    this.addEventListener("pointerdown", (event) => (this.#held = this.#inArea(event)));
    const release = () => this.#release();
    for (const end of ["pointerup", "pointercancel"]) addEventListener(end, release);
    this.addEventListener("toggle", () => this.#fillTable(), true);
    const sizes = new ResizeObserver(() => this.#resize());
    sizes.observe(this);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const repaint = () => this.#draw();
    scheme.addEventListener("change", repaint);
    const theme = new MutationObserver(repaint);
    theme.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    this.#sight = new IntersectionObserver((entries) => this.#see(entries.at(-1)?.isIntersecting ?? false));
    this.#sight.observe(this);
    this.#ends.push(
      () => ["pointerup", "pointercancel"].forEach((end) => removeEventListener(end, release)),
      () => sizes.disconnect(),
      () => theme.disconnect(),
      () => scheme.removeEventListener("change", repaint),
    );
  }

  disconnectedCallback(): void {
    for (const end of this.#ends.splice(0)) end();
    this.#sight?.disconnect();
    this.#see(false);
    this.#request?.abort();
    window.clearTimeout(this.#timer);
    this.#chart?.destroy();
    this.#chart = null;
  }

  /** The range that is shown, epoch milliseconds. */
  get range(): Span {
    return this.#range.shown;
  }

  /** Whether the range goes on with the time. */
  get live(): boolean {
    return this.#range.live;
  }

  /** Shows a range; a live one ends now, however long ago it was chosen. */
  show([from, to]: Span, live = false): void {
    if (live) this.#range.toNow(to - from);
    else this.#range.set([from, to]);
    this.#ask();
  }

  /** Does what the button of this name does, for the board that has the buttons; whether there is one. */
  act(what: string, value = ""): boolean {
    if (this.#tile && what === "all") return false; // of plots side by side each would have its own
    const known = this.#act(what, value);
    if (known) this.#chosen();
    return known;
  }

  /** Loads a live range again. */
  renew(): void {
    if (!this.live || this.#held || Date.now() - this.#renewed < this.#patience) return;
    this.#range.toNow();
    this.#ask(0);
  }

  /** Tells the board of a range that somebody has chosen here. */
  #chosen(): void {
    this.dispatchEvent(new CustomEvent("range", { bubbles: true }));
  }

  #inArea(event: Event): boolean {
    return event.target instanceof Element && event.target.closest(".plot-area") !== null;
  }

  #act(what: string, value = ""): boolean {
    const known = this.#range.act(what, value);
    if (known) this.#ask(what === "all" ? 0 : SETTLE);
    return known;
  }

  #click(event: Event): void {
    const button = (event.target as Element).closest<HTMLElement>("button[data-do]");
    if (button === null) return;
    if (button.dataset.do === "series") this.#toggle(button.dataset.value ?? "");
    else if (button.dataset.do === "every") this.#showEvery();
    else this.act(button.dataset.do ?? "", button.dataset.value);
  }

  #change(event: Event): void {
    const select = event.target as HTMLSelectElement;
    if (select.dataset.do !== "compare") return;
    this.#compare = Number(select.value) * 1000;
    this.#ask(0);
  }

  #key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (this.act(KEYS[event.key] ?? "")) event.preventDefault();
  }

  #wheel(event: WheelEvent): void {
    if (!event.ctrlKey) return; // a wheel alone scrolls the page
    event.preventDefault();
    const box = this.#chart?.plot.over.getBoundingClientRect();
    if (box === undefined) return;
    this.#range.zoom(event.deltaY > 0 ? 1.25 : 0.8, Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1));
    this.#ask();
    this.#chosen();
  }

  // --- loading ------------------------------------------------------------------------------------

  #see(inSight: boolean): void {
    if (inSight === this.#inSight) return;
    this.#inSight = inSight;
    this.#unfollow?.();
    this.#unfollow = inSight ? this.#follow() : null;
    if (inSight && this.live && Date.now() - this.#renewed > this.#patience) this.#range.toNow();
    else if (!this.#due) return;
    if (inSight) this.#ask(0);
  }

  /** Milliseconds between two loads while values arrive: a column of pixels at least, or nothing would move. */
  get #patience(): number {
    return Math.max(RENEW, this.#range.span / Math.max(this.#area.clientWidth, 1));
  }

  #ask(wait = SETTLE): void {
    this.#due = true;
    this.#press();
    if (this.#chart !== null && !this.#range.whole) this.#scale();
    window.clearTimeout(this.#timer);
    if (!this.#inSight) return;
    this.dataset.busy = "";
    this.#timer = window.setTimeout(() => void this.#load(), wait);
  }

  async #load(): Promise<void> {
    this.#request?.abort();
    const request = (this.#request = new AbortController());
    this.#due = false;
    this.#renewed = Date.now();
    this.dataset.busy = "";
    const url = this.getAttribute("url") ?? "/points";
    const columns = this.#area.clientWidth;
    const whole = this.#range.whole;
    const own = this.getAttribute("points");
    const { signal } = request;
    const ask = async (range: Span | null) =>
      own === null ? queued(signal, () => load(url, this.#shown, range, columns, signal)) : decoded(own);
    try {
      const points = await ask(whole ? null : this.range);
      if (whole) this.#range.found([points.from, points.to]);
      const [from, to] = this.range;
      this.#before = this.#compare > 0 ? await ask([from - this.#compare, to - this.#compare]) : null;
      if (this.#request !== request) return;
      this.#points = points;
      delete this.dataset.failed;
      this.#draw();
      this.#tell();
    } catch (error) {
      if (!request.signal.aborted) this.#fail(error);
    } finally {
      if (this.#request === request && !this.#due) delete this.dataset.busy;
    }
  }

  #fail(error: unknown): void {
    if (this.querySelector(".plot-summary") === null) return; // what the server has drawn stays
    const why = error instanceof Error ? error.message : String(error);
    this.dataset.failed = "";
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
    if (this.#chart === null) return; // what is kept comes first
    if (!this.#range.live || !this.#inSight || this.#held || document.hidden) return;
    const value = text.trim() === "" ? NaN : Number(text);
    const series = this.#points?.series.find((one) => one.topic === topic);
    if (this.hasAttribute("direct") && Number.isFinite(value) && series !== undefined) {
      if (time > (series.times.at(-1) ?? 0)) append(series, time, value);
    }
    if (Date.now() - this.#renewed > this.#patience) {
      this.#range.toNow();
      void this.#load();
    } else if (this.hasAttribute("direct") && (!this.#tile || Date.now() - this.#redrawn > REDRAW)) {
      this.#redrawn = Date.now();
      this.#range.toNow();
      this.#draw();
    }
  }

  // --- drawing ------------------------------------------------------------------------------------

  get #tile(): boolean {
    return this.hasAttribute("tile");
  }

  /** Puts the parts of the plot in the place of what the server has drawn. */
  #build(): void {
    const parts = this.querySelector<HTMLTemplateElement>(":scope > template");
    if (parts === null) return;
    this.replaceChildren(parts.content);
    this.#summary.setAttribute("aria-live", "off"); // of many plots side by side all would be read out
  }

  get #height(): number {
    return this.#tile ? Math.max(this.#area.clientHeight, LEAST_HEIGHT) : HEIGHT;
  }

  get #area(): HTMLElement {
    return this.querySelector<HTMLElement>(".plot-area") ?? this;
  }

  get #legend(): HTMLElement {
    return this.querySelector<HTMLElement>(".plot-legend") ?? document.createElement("ul");
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
    this.#build();
    this.#marks = marksOf(points, this.#visible());
    const chart = this.#charted(points);
    if (!this.#chart?.take(chart)) {
      this.#chart?.destroy();
      this.#chart = new Drawing(chart, this.#area);
    }
    const shown = { topics: this.#topics, count: this.#shown.length, hidden: this.#hidden };
    const words = (name: string, values?: Record<string, string>) => this.#word(name, values);
    legend(this.#legend, points, { ...shown, colour: (topic) => this.#colour(topic) }, words);
    const place = this.querySelector(".plot-marks");
    if (place !== null) explain(place, this.#marks, this.#comparison(), (name) => this.#token(name), words);
    if (this.#chart.pointed !== null) read(this.#legend, points, this.#chart.pointed);
    this.#resize(); // the legend may take more room than before
  }

  #charted(points: Points): Chart {
    return {
      series: this.#visible(),
      before: this.#compared(),
      shift: this.#compare,
      marks: this.#marks,
      range: () => this.range,
      colour: (topic) => this.#colour(topic),
      token: (name) => this.#token(name),
      words: (why) => this.#word(why),
      chosen: (range) => {
        this.show(range);
        this.#chosen();
      },
      pointed: (time) => read(this.#legend, points, time),
      doubled: () => this.act("out"),
      tile: this.#tile,
      plain: this.hasAttribute("plain"),
      height: this.#height,
    };
  }

  #compared(): Series[] {
    return (this.#before?.series ?? []).filter((one) => !this.#hidden.has(one.topic));
  }

  /** What is compared with, as the choice of it says; empty for nothing. */
  #comparison(): string {
    if (this.#before === null) return "";
    return this.querySelector<HTMLSelectElement>("select[data-do=compare]")?.selectedOptions[0]?.text ?? "";
  }

  #scale(): void {
    this.#chart?.plot.setScale("x", { min: seconds(this.range[0]), max: seconds(this.range[1]) });
  }

  #resize(): void {
    const width = this.#area.clientWidth;
    if (this.#chart === null || width === 0) return;
    const { plot } = this.#chart;
    const wider = Math.abs(width - plot.width) >= 2;
    if (!wider && Math.abs(this.#height - plot.height) < 2) return;
    plot.setSize({ width, height: this.#height });
    if (wider) this.#ask(500);
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
    const from = this.closest(`[word-${name}]`); // itself, or the board
    const text = from?.getAttribute(`word-${name}`) ?? name;
    return text.replace(/\{(\w+)\}/g, (whole, key: string) => values[key] ?? whole);
  }

  #press(): void {
    for (const button of this.querySelectorAll<HTMLElement>("button[data-do][aria-pressed]")) {
      const { do: what, value } = button.dataset;
      const { live, span } = this.#range;
      const on = what === "live" ? live : what === "span" && live && Number(value) * 1000 === span;
      if (what !== "series") button.setAttribute("aria-pressed", String(on));
    }
    if (!this.hasAttribute("address") || this.#range.whole) return;
    const address = new URL(location.href);
    address.searchParams.delete("plot");
    if (!this.#range.live) address.searchParams.set("plot", this.range.map(Math.round).join("-"));
    history.replaceState(history.state, "", address);
  }

  #tell(): void {
    if (this.#points === null) return;
    const compared = this.#before === null ? null : { what: this.#comparison(), series: this.#compared() };
    const words = (name: string, values?: Record<string, string>) => this.#word(name, values);
    const label = this.getAttribute("label") ?? "";
    this.#summary.textContent = summary(this.#points, this.#visible(), this.range, compared, label, words);
    this.#fillTable();
  }

  #toggle(topic: string): void {
    if (!this.#hidden.delete(topic)) this.#hidden.add(topic);
    this.#draw();
    this.#tell();
  }

  #showEvery(): void {
    this.#shown = this.#topics;
    this.#unfollow?.();
    this.#unfollow = this.#follow();
    this.#ask(0);
  }

  /** The table behind the plot, filled while it is open. */
  #fillTable(): void {
    const details = this.querySelector("details");
    const place = details?.querySelector(".scroll");
    if (!details?.open || place == null || this.#points === null) return;
    place.replaceChildren(table(this.#points, this.#visible(), this.#marks, (name) => this.#word(name)));
  }
}
