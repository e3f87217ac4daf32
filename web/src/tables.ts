/**
 * Tables can be sorted by their heads, filtered by words, linked to as they are, and saved as CSV.
 *
 *     heads, words ──> rows in order, those that match ──> the page's address, after the `#`
 *
 * A cell is compared by `data-sort`, a time, a number with its unit, or its text. Cells of buttons take no part. Without
 * this script a table is read as the server has ordered it. `data-plain` leaves a table as it is.
 */
import { element } from "./dialogs";
import { word } from "./words";

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const NUMBER = /^([+-]?[\d\u202f\u00a0]+(?:\.\d+)?)\s*(B|[KMGTP]iB|%)?$/;
const RISKY = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/; // spreadsheets take such texts for formulas
const FEW = 5; // rows of a table that nobody has to search

type Key = number | string;

class Table {
  readonly #rows: HTMLTableRowElement[];
  readonly #heads: HTMLTableCellElement[];
  #column = -1;
  #descending = false;
  #find: HTMLInputElement | null = null;
  #count = element("span", { className: "quiet" });

  constructor(
    readonly table: HTMLTableElement,
    readonly number: number,
    readonly body: HTMLTableSectionElement,
  ) {
    this.#rows = [...body.rows];
    this.#heads = [...(table.tHead?.rows[0]?.cells ?? [])];
    this.#heads.forEach((head, column) => head.querySelector(".hidden") === null && this.#addButton(head, column));
    (table.closest(".scroll") ?? table).before(this.#makeBar());
    this.#restore();
  }

  #addButton(head: HTMLTableCellElement, column: number): void {
    const button = element("button", { type: "button", className: "sort" });
    button.append(...head.childNodes);
    button.addEventListener("click", () => {
      this.#descending = this.#column === column ? !this.#descending : this.#isNumeric(column);
      this.#column = column;
      this.#order();
      this.#remember();
    });
    head.replaceChildren(button);
  }

  #makeBar(): HTMLElement {
    const save = element("button", { type: "button", textContent: "CSV", title: word("csv") });
    save.addEventListener("click", () => this.#save());
    const bar = element("div", { className: "table-bar" });
    if (this.#rows.length >= FEW) {
      this.#find = element("input", { type: "search", placeholder: word("filter-rows"), autocomplete: "off" });
      this.#find.setAttribute("aria-label", word("filter-rows"));
      this.#find.addEventListener("input", () => {
        this.#filter();
        this.#remember();
      });
      this.#count.setAttribute("role", "status");
      bar.append(this.#find, this.#count);
    }
    bar.append(save);
    return bar;
  }

  #order(): void {
    const sign = this.#descending ? -1 : 1;
    const keyed = this.#rows.map((row) => [keyOf(row.cells[this.#column]), row] as const);
    keyed.sort(([a], [b]) => sign * compare(a, b));
    this.body.append(...keyed.map(([, row]) => row));
    this.#heads.forEach((head, column) => {
      if (column === this.#column) head.setAttribute("aria-sort", this.#descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
  }

  #isNumeric(column: number): boolean {
    return this.#heads[column]?.classList.contains("num") ?? false;
  }

  #filter(): void {
    const words = (this.#find?.value ?? "").toLocaleLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of this.#rows) {
      const text = (row.textContent ?? "").toLocaleLowerCase();
      row.hidden = !words.every((one) => text.includes(one));
      if (!row.hidden) shown += 1;
    }
    const told = word("rows-shown").replace("{n}", String(shown)).replace("{all}", String(this.#rows.length));
    this.#count.textContent = words.length > 0 ? told : "";
  }

  #remember(): void {
    const hash = new URLSearchParams(location.hash.slice(1));
    const find = this.#find?.value ?? "";
    const sort = this.#column < 0 ? "" : `${this.#descending ? "-" : ""}${this.#column + 1}`;
    for (const [name, value] of [["find", find], ["sort", sort]] as const) {
      if (value === "") hash.delete(`${name}${this.number}`);
      else hash.set(`${name}${this.number}`, value);
    }
    const text = hash.toString();
    history.replaceState(history.state, "", text === "" ? location.pathname + location.search : `#${text}`);
  }

  #restore(): void {
    const hash = new URLSearchParams(location.hash.slice(1));
    const find = hash.get(`find${this.number}`);
    const sort = Number(hash.get(`sort${this.number}`) ?? 0);
    if (find !== null && this.#find !== null) {
      this.#find.value = find;
      this.#filter();
    }
    if (Number.isInteger(sort) && sort !== 0 && Math.abs(sort) <= this.#heads.length) {
      this.#column = Math.abs(sort) - 1;
      this.#descending = sort < 0;
      this.#order();
    }
  }

  #save(): void {
    const columns = this.#heads.flatMap((head, column) => (head.querySelector(".hidden") === null ? [column] : []));
    const rows = [...this.body.rows].filter((row) => !row.hidden).map((row) => columns.map((c) => textOf(row.cells[c])));
    const lines = [columns.map((column) => textOf(this.#heads[column])), ...rows].map((row) => row.map(quoted).join(","));
    const file = new Blob(["\ufeff", lines.join("\r\n"), "\r\n"], { type: "text/csv;charset=utf-8" });
    const link = element("a", { href: URL.createObjectURL(file) });
    link.download = `lakebed-${location.pathname.replace(/^\/|[^\w/-]/g, "").replaceAll("/", "-") || "overview"}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }
}

function compare(a: Key, b: Key): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a !== typeof b) return typeof a === "number" ? 1 : -1; // what is no number stands first
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}

function keyOf(cell: HTMLTableCellElement | undefined): Key {
  const sort = cell?.dataset.sort;
  if (sort !== undefined) return Number(sort);
  const time = cell?.querySelector("time");
  if (time) return Date.parse(time.dateTime);
  const text = (cell?.textContent ?? "").trim();
  return numberIn(text) ?? text;
}

function numberIn(text: string): number | null {
  const found = NUMBER.exec(text);
  if (found?.[1] === undefined) return null;
  const unit = Math.max(UNITS.indexOf(found[2] ?? "B"), 0);
  return Number(found[1].replace(/[\u202f\u00a0]/g, "")) * 1024 ** unit;
}

/** The text of a cell for a program: exact times, bytes, numbers without spaces. */
function textOf(cell: HTMLTableCellElement | undefined): string {
  if (cell?.dataset.sort !== undefined) return cell.dataset.sort;
  const time = cell?.querySelector("time");
  if (time && time.textContent === cell?.textContent?.trim()) return time.dateTime;
  const text = (cell?.textContent ?? "").trim().replace(/\s+/g, " ");
  const number = numberIn((cell?.textContent ?? "").trim());
  return number === null ? text : String(number);
}

function quoted(text: string): string {
  const safe = RISKY.test(text) && numberIn(text) === null && Number.isNaN(Number(text)) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

const tables = document.querySelectorAll<HTMLTableElement>("main table:not([data-plain], .topics, lb-plot table, .tile table)");
let number = 0;
for (const table of tables) {
  const body = table.tBodies[0];
  if (table.tHead !== null && body !== undefined && body.rows.length > 1) new Table(table, ++number, body);
}
