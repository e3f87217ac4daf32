/**
 * <lb-board url="…?part=tiles">: a board whose tiles are asked for again while somebody looks on.
 *
 * Values of topics are live by <lb-live>; what the server has to work out comes every half minute.
 */
import "../live";

const PAUSE = 30_000; // milliseconds

class Board extends HTMLElement {
  #timer = 0;
  #asked: AbortController | null = null;

  connectedCallback(): void {
    document.addEventListener("visibilitychange", this.#plan);
    this.#plan();
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

  async #renew(): Promise<void> {
    this.#asked = new AbortController();
    try {
      const answer = await fetch(this.getAttribute("url") ?? "", { signal: this.#asked.signal });
      if (answer.ok && !answer.redirected) this.#put(await answer.text());
    } catch {
      // the server is away: what is there stays, and <lb-feed> says since when it is stale
    }
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
      const open = here.querySelector("details")?.open ?? false;
      here.replaceChildren(...there.childNodes);
      const details = here.querySelector("details");
      if (details !== null) details.open = open;
    }
  }
}

customElements.define("lb-board", Board);

// the browser's own full screen follows the page's
if (document.body.classList.contains("full")) {
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") document.querySelector<HTMLAnchorElement>("[data-leave]")?.click();
    if (event.key === "f" && !document.fullscreenElement) void document.documentElement.requestFullscreen?.();
  });
}
