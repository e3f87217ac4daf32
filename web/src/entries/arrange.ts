/**
 * <lb-arrange>: the tiles of a board that is edited, on gridstack.
 *
 *     drag, resize ─┐
 *     arrows ───────┼──> grid.update ──> the field `places` of the form, which the server reads
 *     buttons ──────┘
 *
 * Without this script the same buttons are sent to the server.
 */
import { GridStack, type GridStackNode } from "gridstack";

const KEYS: Record<string, readonly [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

class Arrange extends HTMLElement {
  #grid: GridStack | null = null;
  #places: HTMLInputElement | null = null;
  #told: HTMLElement | null = null;

  connectedCallback(): void {
    const form = this.closest("form");
    if (form === null || !matchMedia("(min-width: 800.1px)").matches) return; // too narrow to drag
    this.#places = form.elements.namedItem("places") as HTMLInputElement;
    this.#told = form.querySelector("[data-told]");
    this.classList.add("gs", "grid-stack");
    for (const item of this.querySelectorAll(":scope > .place")) {
      item.classList.add("grid-stack-item");
      item.firstElementChild?.classList.add("grid-stack-item-content");
    }
    const grid = GridStack.init(
      {
        column: 12,
        cellHeight: 72,
        margin: 8,
        animate: false,
        alwaysShowResizeHandle: true,
        columnOpts: { breakpoints: [] },
        draggable: { cancel: "button" },
      },
      this,
    );
    if (grid === null) return;
    this.#grid = grid;
    grid.on("change", () => this.#note());
    this.addEventListener("keydown", (event) => this.#key(event));
    form.addEventListener("click", (event) => this.#button(event));
    const yaml = form.elements.namedItem("yaml");
    if (yaml instanceof HTMLTextAreaElement) {
      yaml.addEventListener("input", () => {
        if (this.#places !== null) this.#places.value = ""; // what is written there counts
      });
    }
  }

  #key(event: KeyboardEvent): void {
    const step = KEYS[event.key];
    const content = event.target;
    if (step === undefined || !(content instanceof HTMLElement) || content.dataset["name"] === undefined) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const [x, y] = step;
    this.#change(content, event.shiftKey ? [0, 0, x, y] : [x, y, 0, 0]);
  }

  #button(event: MouseEvent): void {
    const button = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-move]") : null;
    const content = button?.closest<HTMLElement>("[data-name]");
    if (button === null || content == null) return;
    event.preventDefault();
    const by = (button.dataset["move"] ?? "").split(",").map(Number);
    this.#change(content, [by[0] ?? 0, by[1] ?? 0, by[2] ?? 0, by[3] ?? 0]);
  }

  #change(content: HTMLElement, [dx, dy, dw, dh]: [number, number, number, number]): void {
    const item = content.parentElement as (HTMLElement & { gridstackNode?: GridStackNode }) | null;
    const node = item?.gridstackNode;
    if (this.#grid === null || item === null || node === undefined) return;
    const w = Math.min(Math.max((node.w ?? 1) + dw, 1), 12);
    const h = Math.min(Math.max((node.h ?? 1) + dh, 1), 24);
    const x = Math.min(Math.max((node.x ?? 0) + dx, 0), 12 - w);
    const y = this.#row(node, x, w, dy);
    this.#grid.update(item, { x, y, w, h });
    this.#note();
    if (this.#told !== null) {
      const words = this.dataset["moved"] ?? "";
      this.#told.textContent = words
        .replace("{name}", content.dataset["name"] ?? "")
        .replace("{x}", String((node.x ?? 0) + 1))
        .replace("{y}", String((node.y ?? 0) + 1))
        .replace("{w}", String(node.w))
        .replace("{h}", String(node.h));
    }
    content.scrollIntoView({ block: "nearest" });
  }

  /** A step up or down leads over the whole of the next tile: one row alone would fall back. */
  #row(node: GridStackNode, x: number, w: number, dy: number): number {
    const y = node.y ?? 0;
    const beside = this.#nodes().filter(
      (one) => one !== node && (one.x ?? 0) < x + w && x < (one.x ?? 0) + (one.w ?? 1),
    );
    if (dy < 0) {
      const above = beside.filter((one) => (one.y ?? 0) < y).map((one) => one.y ?? 0);
      return above.length > 0 ? Math.max(...above) : Math.max(y + dy, 0);
    }
    if (dy > 0) {
      const below = beside.filter((one) => (one.y ?? 0) >= y + (node.h ?? 1));
      const next = below.sort((one, other) => (one.y ?? 0) - (other.y ?? 0))[0];
      return next === undefined ? y : y + (next.h ?? 1);
    }
    return y;
  }

  #nodes(): GridStackNode[] {
    return this.#grid?.engine.nodes ?? [];
  }

  /** Notes all places in the order of the document. */
  #note(): void {
    if (this.#places === null) return;
    const nodes = [...this.#nodes()].sort((one, other) => Number(one.id) - Number(other.id));
    this.#places.value = JSON.stringify(nodes.map(({ x = 0, y = 0, w = 1, h = 1 }) => [x, y, w, h]));
  }
}

customElements.define("lb-arrange", Arrange);

// of the fields of a new tile those that its kind has
const kinds = document.querySelector<HTMLElement>("[data-kinds]");
const kind = document.querySelector<HTMLSelectElement>("#f-kind");

function showKeys(): void {
  const keys = (JSON.parse(kinds?.dataset["kinds"] ?? "{}") as Record<string, string[]>)[kind?.value ?? ""] ?? [];
  for (const part of kinds?.querySelectorAll<HTMLElement>("[data-key]") ?? []) {
    part.hidden = !keys.includes(part.dataset["key"] ?? "");
  }
}

kind?.addEventListener("change", showKeys);
showKeys();
