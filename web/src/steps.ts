/**
 * <lb-steps>: shows the first steps as they are done, without a reload.
 *
 *     a message that is heard ──> GET `url` ──> items that differ are replaced
 *
 *     <lb-steps url="/first-steps/progress" follow="#" arrived="{topic} has arrived."><ol>…</ol></lb-steps>
 *
 * The items of the answer stand for all but the first of the list. `data-topic` of the list is the topic that they are
 * about. While a step is open, the page also asks every few seconds: policies are made elsewhere, too.
 */
import { feedUrl, source } from "./live";

const SHORTEST = 1_000; // milliseconds between two looks
const SETTLE = 4_000; // milliseconds within which what was heard is processed, mostly
const IDLE = 5_000; // milliseconds between looks while nothing is heard

export class Steps extends HTMLElement {
  #items: string[] = [];
  #planned = 0;
  #wait = 0;
  #settled = 0;
  #last = 0;
  #busy = false;

  connectedCallback(): void {
    source(feedUrl()).follow(this.getAttribute("follow") ?? "#", () => {
      this.#settled = Date.now() + SETTLE;
      this.#plan(this.querySelector("li:not(.done)") === null ? IDLE : 0);
    });
    document.addEventListener("visibilitychange", () => document.hidden || this.#plan(0));
    this.#plan(IDLE);
  }

  #plan(wait: number): void {
    if (wait >= this.#wait && this.#planned > 0) return;
    this.#wait = wait;
    window.clearTimeout(this.#planned);
    const soonest = this.#last + SHORTEST - Date.now();
    this.#planned = window.setTimeout(() => void this.#look(), Math.max(wait, soonest, 0));
  }

  async #look(): Promise<void> {
    this.#planned = 0;
    if (this.#busy || document.hidden) return;
    this.#busy = true;
    this.#last = Date.now();
    const answer = await fetch(this.#address()).catch(() => null);
    const text = answer?.ok && !answer.redirected ? await answer.text().catch(() => null) : null;
    this.#busy = false;
    if (text !== null) this.#show(text);
    if (answer !== null && text === null) return; // the session has ended: the live values say so
    if (this.#settled > Date.now()) this.#plan(SHORTEST);
    else if (this.querySelector("li:not(.done)") !== null) this.#plan(IDLE);
  }

  #address(): string {
    const url = new URL(this.getAttribute("url") ?? "", location.href);
    const topic = this.querySelector<HTMLElement>("li.done[data-topic]")?.dataset.topic;
    if (topic !== undefined && !url.searchParams.has("topic")) url.searchParams.set("topic", topic);
    return url.href;
  }

  #show(text: string): void {
    const template = document.createElement("template");
    template.innerHTML = text; // from our own server, which escapes what is of others
    const [first, ...shown] = this.querySelectorAll<HTMLElement>(":scope > ol > li");
    const found = [...template.content.querySelectorAll<HTMLElement>("li.step")];
    found.forEach((item, i) => {
      const html = item.outerHTML;
      const before = shown[i];
      const typed = before?.contains(document.activeElement) && before.querySelector("input:focus, button:focus");
      if (this.#items[i] === html || before === undefined || typed) return;
      this.#items[i] = html;
      if (item.classList.contains("done") && !before.classList.contains("done")) this.#tell(item);
      before.replaceWith(item);
    });
    const arrived = this.querySelector("li.done[data-topic]") !== null;
    first?.classList.toggle("done", arrived);
    first?.classList.toggle("now", !arrived);
  }

  #tell(item: HTMLElement): void {
    const status = this.querySelector("[role=status]");
    if (status !== null) status.textContent = item.dataset.done ?? "";
  }
}

customElements.define("lb-steps", Steps);
