/**
 * <lb-board url="…?part=tiles">: a board whose tiles are asked for again while somebody looks on.
 *
 *     every half minute ──GET part=tiles──> tiles that have changed
 *     a range chosen in one plot, or by the buttons above ──> all plots
 *
 * Values of topics are live by <lb-live>, plots by themselves.
 */
import "../live";
import type { Plot } from "../plot/element";

const PAUSE = 30_000; // milliseconds
const WHOLE = 10; // renewals, of which one asks for tiles with plots too: there may be new topics

class Board extends HTMLElement {
  #timer = 0;
  #renewals = 0;
  #asked: AbortController | null = null;
  #bar: HTMLElement | null = null;
  #chosen: [range: [number, number], live: boolean] | null = null;

  connectedCallback(): void {
    document.addEventListener("visibilitychange", this.#plan);
    this.#plan();
    this.#bar = document.querySelector(".board-plots");
    this.#bar?.addEventListener("click", (event) => this.#act(event.target as Element));
    this.addEventListener("range", (event) => this.#follow(event.target as Plot));
    void this.#draw();
  }

  disconnectedCallback(): void {
    document.removeEventListener("visibilitychange", this.#plan);
    window.clearTimeout(this.#timer);
    this.#asked?.abort();
  }

  #plan = (): void => {
    window.clearTimeout(this.#timer);
    if (!document.hidden && this.isConnected) this.#timer = window.setTimeout(() => void this.#renew(), PAUSE);
  };

  // --- plots --------------------------------------------------------------------------------------

  get #plots(): Plot[] {
    return [...this.querySelectorAll<Plot>("lb-plot")];
  }

  /** Loads what draws plots, where there are some. */
  async #draw(): Promise<void> {
    const some = this.querySelector("lb-plot") !== null;
    if (some) await import("./plot");
    if (this.#bar !== null) this.#bar.hidden = !some;
    if (this.#chosen?.[1] !== false) return;
    for (const plot of this.#plots) if (plot.live) plot.show(...this.#chosen); // those that are new
  }

  #act(target: Element): void {
    const what = target.closest<HTMLElement>("[data-do]")?.dataset["do"];
    const [first] = this.#plots;
    if (what !== undefined && first !== undefined) first.act(what);
  }

  /** Shows the range of one plot in all of them. */
  #follow(chosen: Plot): void {
    this.#chosen = [chosen.range, chosen.live];
    for (const plot of this.#plots) if (plot !== chosen) plot.show(...this.#chosen);
    this.#bar?.querySelector("[data-do=live]")?.setAttribute("aria-pressed", String(chosen.live));
  }

  // --- what the server works out ------------------------------------------------------------------

  async #renew(): Promise<void> {
    this.#asked = new AbortController();
    const url = new URL(this.getAttribute("url") ?? "", location.href);
    if (++this.#renewals % WHOLE !== 0) {
      for (const plot of this.#plots) {
        url.searchParams.append("drawn", plot.closest<HTMLElement>("[data-tile]")?.dataset["tile"] ?? "");
      }
    }
    try {
      const answer = await fetch(url, { signal: this.#asked.signal });
      if (answer.ok && !answer.redirected) this.#put(await answer.text());
    } catch {
      // the server is away: what is there stays, and <lb-feed> says since when it is stale
    }
    for (const plot of this.#plots) plot.renew?.();
    this.#plan();
  }

  /** Replaces the insides of tiles that have changed; the one that is read from stays as it is. */
  #put(html: string): void {
    const found = new DOMParser().parseFromString(html, "text/html");
    for (const tile of found.querySelectorAll<HTMLElement>("[data-tile]")) {
      const here = this.querySelector(`[data-tile="${CSS.escape(tile.dataset["tile"] ?? "")}"] > .inside`);
      const there = tile.querySelector(":scope > .inside");
      if (here === null || there === null || here.innerHTML === there.innerHTML) continue;
      if (here.contains(document.activeElement) && here !== document.activeElement) continue;
      if (topicsIn(here) !== null && topicsIn(here) === topicsIn(there)) continue; // the plot goes on by itself
      const open = here.querySelector("details")?.open ?? false;
      here.replaceChildren(...there.childNodes);
      const details = here.querySelector("details");
      if (details !== null) details.open = open;
    }
    void this.#draw();
  }
}

function topicsIn(inside: Element): string | null {
  return inside.querySelector("lb-plot")?.getAttribute("topics") ?? null;
}

customElements.define("lb-board", Board);

// the browser's own full screen follows the page's
if (document.body.classList.contains("full")) {
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") document.querySelector<HTMLAnchorElement>("[data-leave]")?.click();
    if (event.key === "f" && !document.fullscreenElement) void document.documentElement.requestFullscreen?.();
  });
}
