/**
 * <lb-yaml>: CodeMirror over the textarea inside it, in a shadow root, where its styles are adopted.
 *
 *     typed ──> editor ──> textarea, event `input` ──> whoever listens, and what the form sends
 *     editor <── `set` of the textarea, `mark` of its mistakes <── the page
 *
 * Without script, and while the bundle is loading, the textarea is the editor. Attributes: templates/parts/yaml.html.
 */
import { acceptCompletion, autocompletion, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import { bracketMatching, indentUnit } from "@codemirror/language";
import { type Diagnostic, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { Annotation, EditorState, RangeSet, StateEffect, StateField } from "@codemirror/state";
import { EditorView, GutterMarker, gutterLineClass, keymap, lineNumbers } from "@codemirror/view";
import { completes, type Vocabulary } from "./completion";
import { theme } from "./theme";

export interface Problem {
  where: string;
  what: string;
  line: number | null;
}

const NOTHING: Vocabulary = { keys: {}, values: {}, kinds: {} };
const fromPage = Annotation.define<boolean>();

class WrongLine extends GutterMarker {
  override elementClass = "cm-wrong-line";
}

const wrongLine = new WrongLine();
const setWrong = StateEffect.define<readonly number[]>();

/** Numbers of lines with mistakes, in the gutter. */
const wrongLines = StateField.define<RangeSet<GutterMarker>>({
  create: () => RangeSet.empty,
  update(found, change) {
    for (const effect of change.effects) {
      if (effect.is(setWrong)) return RangeSet.of(effect.value.map((at) => wrongLine.range(at)), true);
    }
    return found.map(change.changes);
  },
  provide: (field) => gutterLineClass.from(field),
});

/** Types over a selection. Chromium itself would keep the colour of what was there as a style, which the policy of the page refuses. */
function replace(event: InputEvent, view: EditorView): boolean {
  const { inputType, data, isComposing } = event;
  if (inputType !== "insertText" || data === null || isComposing || view.state.selection.main.empty) return false;
  view.dispatch(view.state.replaceSelection(data), { userEvent: "input.type", scrollIntoView: true });
  return true; // nothing else is done
}

export class YamlEditor extends HTMLElement {
  #view: EditorView | null = null;
  #area: HTMLTextAreaElement | null = null;

  connectedCallback(): void {
    this.#area = this.querySelector("textarea");
    if (this.#area === null || this.#view !== null) return;
    const root = this.shadowRoot ?? this.attachShadow({ mode: "open" });
    this.#view = new EditorView({ root, parent: root, state: this.#state(this.#area.value) });
    if (this.nextElementSibling?.classList.contains("yaml-hint")) (this.nextElementSibling as HTMLElement).hidden = false;
    this.mark(this.#read<Problem[]>("problems", []), this.#read<Problem[]>("warnings", []));
    this.#area.labels.forEach((label) => label.addEventListener("click", () => this.#view?.focus()));
    addEventListener("pageshow", this.#restore); // a browser that comes back fills in what was typed
  }

  disconnectedCallback(): void {
    removeEventListener("pageshow", this.#restore);
    this.#view?.destroy();
    this.#view = null;
  }

  /** Shows another text, as if the page had typed it. */
  set(text: string): void {
    const view = this.#view;
    if (this.#area !== null) this.#area.value = text;
    if (view === null || view.state.doc.toString() === text) return;
    const changes = { from: 0, to: view.state.doc.length, insert: text };
    view.dispatch({ changes, annotations: fromPage.of(true) });
  }

  /** Marks mistakes, and what is hardly meant, at their lines. */
  mark(problems: readonly Problem[], warnings: readonly Problem[] = []): void {
    if (this.#view === null) return;
    const { doc } = this.#view.state;
    const shown = (severity: "error" | "warning") => ({ where, what, line }: Problem): Diagnostic => {
      const { from, to, text } = doc.line(Math.min(Math.max(line ?? 1, 1), doc.lines));
      const message = where === "" ? what : `${where}: ${what}`;
      return { from: from + (text.length - text.trimStart().length), to, severity, message };
    };
    const wrong = problems.map(shown("error"));
    const found = [...wrong, ...warnings.map(shown("warning"))];
    const lines = new Set(wrong.map(({ from }) => doc.lineAt(from).from));
    this.#view.dispatch(setDiagnostics(this.#view.state, found), { effects: setWrong.of([...lines]) });
  }

  #restore = (): void => {
    if (this.#area !== null) this.set(this.#area.value);
  };

  #read<T>(name: string, otherwise: T): T {
    const text = this.getAttribute(name);
    return text ? (JSON.parse(text) as T) : otherwise;
  }

  #state(doc: string): EditorState {
    const leave = (view: EditorView): boolean => {
      view.setTabFocusMode(true);
      return false;
    };
    return EditorState.create({
      doc,
      extensions: [
        lineNumbers(),
        history(),
        yaml(),
        indentUnit.of("  "),
        bracketMatching(),
        autocompletion({ override: [completes(this.#read("completions", NOTHING))], icons: false }),
        EditorState.phrases.of(this.#read<Record<string, string>>("words", {})),
        wrongLines,
        keymap.of([
          { key: "Tab", run: acceptCompletion },
          ...completionKeymap,
          { key: "Escape", run: leave },
          ...lintKeymap,
          ...historyKeymap,
          ...defaultKeymap,
          indentWithTab,
        ]),
        EditorView.contentAttributes.of({
          tabindex: "0", // as it has it anyway; what scrolls is found to be reached by keyboard
          "aria-label": this.getAttribute("label") ?? "",
          "aria-description": this.getAttribute("hint") ?? "",
        }),
        EditorView.lineWrapping,
        EditorView.updateListener.of(({ docChanged, transactions, view }) => {
          if (docChanged) this.#typed(view, transactions.some((one) => one.annotation(fromPage) === true));
        }),
        EditorView.domEventHandlers({ blur: (_, view) => view.setTabFocusMode(false), beforeinput: replace }),
        theme,
      ],
    });
  }

  #typed(view: EditorView, page: boolean): void {
    if (this.#area === null) return;
    this.#area.value = view.state.doc.toString();
    if (page) return;
    view.setTabFocusMode(false);
    this.#area.dispatchEvent(new Event("input", { bubbles: true }));
  }
}
