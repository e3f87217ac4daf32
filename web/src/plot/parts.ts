/** Elements that the parts below a plot are made of. */

const SVG = "http://www.w3.org/2000/svg";

export function button(what: string, text: string): HTMLButtonElement {
  const found = document.createElement("button");
  found.type = "button";
  found.dataset.do = what;
  const name = document.createElement("span");
  name.textContent = text;
  found.append(name);
  return found;
}

export function item(...content: (Element | string)[]): HTMLLIElement {
  const found = document.createElement("li");
  found.append(...content);
  return found;
}

export function row(kind: "th" | "td", cells: string[]): HTMLTableRowElement {
  const found = document.createElement("tr");
  for (const text of cells) {
    const cell = document.createElement(kind);
    cell.textContent = text;
    if (kind === "th") cell.scope = "col";
    found.append(cell);
  }
  return found;
}

type Shape = [name: string, attributes: Record<string, string>];

/** A small picture in the colours of the plot. */
export function swatch(...shapes: Shape[]): SVGElement {
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("viewBox", "0 0 14 10");
  picture.setAttribute("aria-hidden", "true");
  for (const [name, attributes] of shapes) {
    const shape = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) shape.setAttribute(key, value);
    picture.append(shape);
  }
  return picture;
}

export const line = (colour: string): Shape => ["rect", { y: "3", width: "14", height: "4", rx: "2", fill: colour }];

export const dashes = (colour: string): Shape =>
  ["path", { d: "M0 5h14", stroke: colour, "stroke-width": "2", "stroke-dasharray": "4 3" }];

/** How `marks.ts` draws each kind of mark. */
export function picture(kind: "gap" | "late" | "open", colour: (name: string) => string): SVGElement {
  const box = { width: "14", height: "10" };
  if (kind === "gap") return swatch(["rect", { ...box, fill: colour("--gap"), stroke: colour("--line") }]);
  if (kind === "open") return swatch(["circle", { cx: "7", cy: "5", r: "3.5", fill: "none", stroke: colour("--quiet"), "stroke-width": "2" }]);
  const stripes = { d: "M0 6L6 0M2 10L12 0M8 10L14 4", stroke: colour("--warn"), fill: "none" };
  return swatch(["rect", { ...box, fill: colour("--late") }], ["path", stripes]);
}
