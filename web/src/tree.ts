/**
 * <lb-topics>: opens branches of a table in place.
 *
 *     <a class="toggle" href="…" data-rows="URL of the rows below">   <tr class="more">… <a data-rows>
 *
 * Rows are the server's. Those below a branch follow its row, with a greater `data-depth`. Without this script the links
 * lead on.
 */

const MOST = 2000; // rows that come by themselves when their end is in sight
const DEEPEST = 8; // as far as styles indent

export class Topics extends HTMLElement {
  #sight = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) if (isIntersecting) void this.#more(target as HTMLTableRowElement);
  }, { rootMargin: "400px" });

  connectedCallback(): void {
    this.addEventListener("click", (event) => this.#click(event));
    this.addEventListener("keydown", (event) => this.#key(event));
    this.#prepare([...this.querySelectorAll<HTMLTableRowElement>("tbody tr")], 0);
  }

  disconnectedCallback(): void {
    this.#sight.disconnect();
  }

  #prepare(rows: HTMLTableRowElement[], depth: number): void {
    for (const row of rows) {
      row.dataset.depth = String(Math.min(DEEPEST, depth + depthOf(row)));
      const toggle = row.querySelector(".toggle");
      toggle?.setAttribute("role", "button");
      toggle?.setAttribute("aria-expanded", String(toggle.hasAttribute("data-open")));
      if (row.classList.contains("more") && this.querySelectorAll("tbody tr").length < MOST) this.#sight.observe(row);
    }
  }

  #click(event: MouseEvent): void {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    const link = (event.target as Element).closest<HTMLElement>("a[data-rows]");
    if (link === null) return;
    event.preventDefault();
    if (link.classList.contains("toggle")) void this.#toggle(link, link.getAttribute("aria-expanded") !== "true");
    else void this.#more(link.closest("tr") as HTMLTableRowElement);
  }

  #key(event: KeyboardEvent): void {
    const toggle = (event.target as Element).closest<HTMLElement>(".toggle");
    if (toggle === null) return;
    if (event.key === " ") toggle.click();
    else if (event.key === "ArrowRight") void this.#toggle(toggle, true);
    else if (event.key === "ArrowLeft") void this.#toggle(toggle, false);
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const all = [...this.querySelectorAll<HTMLElement>(".toggle")];
      all[all.indexOf(toggle) + (event.key === "ArrowDown" ? 1 : -1)]?.focus();
    } else return;
    event.preventDefault();
  }

  async #toggle(toggle: HTMLElement, open: boolean): Promise<void> {
    if (toggle.getAttribute("aria-busy") === "true" || (toggle.getAttribute("aria-expanded") === "true") === open) return;
    const row = toggle.closest("tr") as HTMLTableRowElement;
    if (!open) {
      for (const below of rowsBelow(row)) below.remove();
      toggle.setAttribute("aria-expanded", "false");
      return;
    }
    const rows = await this.#load(toggle);
    if (rows === null) return;
    this.#prepare(rows, depthOf(row) + 1);
    row.after(...rows);
    toggle.setAttribute("aria-expanded", "true");
  }

  async #more(row: HTMLTableRowElement): Promise<void> {
    const link = row.querySelector<HTMLElement>("a[data-rows]");
    if (link === null || link.getAttribute("aria-busy") === "true") return;
    this.#sight.unobserve(row);
    const rows = await this.#load(link);
    if (rows === null || !row.isConnected) return;
    const focused = row.contains(document.activeElement);
    row.replaceWith(...rows);
    this.#prepare(rows, depthOf(row));
    if (focused) rows[0]?.querySelector<HTMLElement>("a")?.focus();
  }

  async #load(link: HTMLElement): Promise<HTMLTableRowElement[] | null> {
    link.setAttribute("aria-busy", "true");
    const answer = await fetch(link.dataset.rows ?? "").catch(() => null);
    const text = answer?.ok && !answer.redirected ? await answer.text().catch(() => null) : null;
    link.removeAttribute("aria-busy");
    this.#say(text === null ? (this.getAttribute("failed") ?? "") : "");
    if (text === null) return null;
    const template = document.createElement("template");
    template.innerHTML = text; // from our own server, which escapes what is of others
    return [...template.content.querySelectorAll("tr")];
  }

  #say(text: string): void {
    let place = this.querySelector<HTMLElement>(":scope > .wrong");
    if (text === "") return place?.remove();
    place ??= document.createElement("p");
    place.className = "wrong";
    place.setAttribute("role", "alert");
    place.textContent = text;
    this.prepend(place);
  }
}

function depthOf(row: HTMLTableRowElement): number {
  return Number(row.dataset.depth ?? 0);
}

function rowsBelow(row: HTMLTableRowElement): HTMLTableRowElement[] {
  const found: HTMLTableRowElement[] = [];
  let next = row.nextElementSibling;
  while (next instanceof HTMLTableRowElement && depthOf(next) > depthOf(row)) {
    found.push(next);
    next = next.nextElementSibling;
  }
  return found;
}

customElements.define("lb-topics", Topics);
