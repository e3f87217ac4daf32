/**
 * On a narrow screen a row of a wide table is a card: its first cell as the title, each other one behind its head.
 *
 * Styles do it (base.css, `.carded`); here cells get their heads as labels, and roles, which a browser drops from a table that is not
 * shown as one. `data-plain` leaves a table as it is; `data-cards` makes cards of one with few columns, which
 * need no heads. Without this script a wide
 * table is scrolled.
 */
const WIDE = 4; // columns, from which rows become cards
const MANY = 5; // rows, from which the heads stay: one sorts by them

const ROLES: [selector: string, role: string][] = [
  [":scope > :is(thead, tbody, tfoot)", "rowgroup"],
  [":scope > * > tr", "row"],
  [":scope > * > tr > td", "cell"],
  [":scope > tbody > tr > th, :scope > tfoot > tr > th", "rowheader"],
  [":scope > thead > tr > th", "columnheader"],
];

function prepare(table: HTMLTableElement): void {
  const heads = [...(table.tHead?.rows[0]?.cells ?? [])];
  const bare = table.dataset.cards !== undefined;
  if (heads.length < WIDE && !bare) return;
  const labels = heads.map((head) => (bare || head.querySelector(".hidden") !== null ? "" : (head.textContent ?? "").trim()));
  for (const row of [...table.tBodies, ...(table.tFoot ? [table.tFoot] : [])].flatMap((part) => [...part.rows])) {
    [...row.cells].slice(1).forEach((cell, at) => (cell.dataset.label = labels[at + 1] ?? ""));
  }
  table.classList.add("carded");
  table.classList.toggle("many", (table.tBodies[0]?.rows.length ?? 0) >= MANY);
  table.setAttribute("role", "table");
  for (const [selector, role] of ROLES) for (const part of table.querySelectorAll(selector)) part.setAttribute("role", role);
}

for (const table of document.querySelectorAll<HTMLTableElement>("main .scroll > table:not([data-plain])")) prepare(table);
