// <lb-draft>: sends the form of a draft when it has changed, and paints the other side.

import { type Problem, YamlEditor } from "./yaml/editor";

interface Answer {
  yaml?: string;
  fields?: Record<string, string | string[]>;
  problems: Problem[];
  warnings?: Problem[];
}

const PAUSE = 300; // milliseconds after the last key

export class Draft extends HTMLElement {
  #timer = 0;
  #sent = 0;

  connectedCallback(): void {
    const form = this.querySelector("form");
    if (form === null) return;
    const side = hidden(form, "side");
    form.addEventListener("input", (event) => {
      const from = (event.target as Element).closest<HTMLElement>("[data-side]");
      if (from === null) return;
      side.value = from.dataset.side ?? "fields";
      window.clearTimeout(this.#timer);
      this.#timer = window.setTimeout(() => void this.#exchange(form, side.value), PAUSE);
      this.#showKeys(form);
    });
    this.#showKeys(form);
  }

  async #exchange(form: HTMLFormElement, side: string): Promise<void> {
    const sent = ++this.#sent;
    const body = new URLSearchParams();
    for (const [name, value] of new FormData(form)) if (typeof value === "string") body.append(name, value);
    const answer = await fetch(this.getAttribute("url") ?? "", { method: "POST", body }).catch(() => null);
    if (answer === null || sent !== this.#sent) return;
    if (!answer.ok || !(answer.headers.get("content-type") ?? "").includes("json")) return;
    const found = (await answer.json()) as Answer;
    if (sent !== this.#sent) return; // something was typed meanwhile
    if (side === "fields" && found.yaml !== undefined) text(form, "yaml", found.yaml);
    if (side === "yaml" && found.fields !== undefined) fill(form, found.fields);
    this.#mark(form, found.problems, found.warnings ?? []);
    this.#showKeys(form);
  }

  #mark(form: HTMLFormElement, problems: Problem[], warnings: Problem[]): void {
    for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
    for (const problem of problems) {
      const name = problem.where.replace(/\[.*$/, "");
      form.querySelector(`[name="${CSS.escape(name)}"]`)?.setAttribute("aria-invalid", "true");
    }
    const editor = form.querySelector("lb-yaml");
    if (editor instanceof YamlEditor) editor.mark(problems, warnings);
    const place = form.querySelector(".marks");
    if (place === null) return;
    place.replaceChildren();
    if (problems.length > 0) place.append(this.#list(problems, "wrong"));
    else place.append(this.getAttribute("fine") ?? "");
    if (warnings.length > 0) place.append(this.#list(warnings, "doubtful"));
  }

  #list(problems: Problem[], label: string): HTMLUListElement {
    const list = document.createElement("ul");
    for (const problem of problems) {
      const item = document.createElement("li");
      const line = problem.line === null ? "" : `${problem.line}: `;
      item.textContent = `${line}${problem.where ? `${problem.where}: ` : ""}${problem.what}`;
      list.append(item);
    }
    list.setAttribute("aria-label", this.getAttribute(label) ?? "");
    list.className = label;
    return list;
  }

  /** Hides the fields that the chosen kind does not have. */
  #showKeys(form: HTMLFormElement): void {
    const kinds = form.querySelector<HTMLElement>("[data-kinds]")?.dataset.kinds;
    const kind = (form.elements.namedItem("keep") as HTMLSelectElement | null)?.value ?? "";
    if (kinds === undefined) return;
    const keys = (JSON.parse(kinds) as Record<string, string[]>)[kind] ?? [];
    for (const part of form.querySelectorAll<HTMLElement>("[data-key]")) {
      part.hidden = !keys.includes(part.dataset.key ?? "");
    }
  }
}

function hidden(form: HTMLFormElement, name: string): HTMLInputElement {
  const input = document.createElement("input");
  input.type = "hidden";
  input.name = name;
  form.append(input);
  return input;
}

function text(form: HTMLFormElement, name: string, value: string): void {
  const input = form.elements.namedItem(name);
  if (input instanceof HTMLTextAreaElement || input instanceof HTMLInputElement) {
    const editor = input.closest("lb-yaml");
    if (editor instanceof YamlEditor) editor.set(value);
    else if (input.value !== value) input.value = value;
  }
}

function fill(form: HTMLFormElement, fields: Record<string, string | string[]>): void {
  for (const [name, value] of Object.entries(fields)) {
    if (name === "functions") {
      for (const box of form.querySelectorAll<HTMLInputElement>('[name="functions"]')) {
        box.checked = value.includes(box.value);
      }
    } else if (name === "topics") {
      text(form, name, (value as string[]).join("\n"));
    } else {
      const input = form.elements.namedItem(name);
      if (input instanceof HTMLSelectElement) input.value = value as string;
      else text(form, name, value as string);
    }
  }
}
