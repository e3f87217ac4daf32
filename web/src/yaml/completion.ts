/** Completes keys and values of YAML from what the server knows of the document. */
import type { Completion, CompletionContext, CompletionResult, CompletionSource } from "@codemirror/autocomplete";
import type { Text } from "@codemirror/state";

export interface Vocabulary {
  /** Keys with their descriptions, by the key that they stand under; "" for the outermost. */
  keys: Record<string, Record<string, string>>;
  values: Record<string, string[]>;
  /** Keys that only some kinds have, by kind, which the key `keep` names. */
  kinds: Record<string, string[]>;
}

const KEY = /^([ \t]*(?:- +)*)(\w*)$/;
const VALUE = /^[ \t]*(?:- +)*(\w+): +(?:\[(?:[^\]]*[,\s])?)?["']?(\w*)$/;
const FLOW = /(\w+): *\{(?:[^}]*,)? *(\w*)$/;

export function completes(vocabulary: Vocabulary): CompletionSource {
  return (context: CompletionContext): CompletionResult | null => {
    const line = context.state.doc.lineAt(context.pos);
    const before = line.text.slice(0, context.pos - line.from);
    const found = options(vocabulary, context.state.doc, line.number, before);
    if (found === null || (found.typed === "" && !context.explicit)) return null;
    return { from: context.pos - found.typed.length, options: found.options, validFor: /^\w*$/ };
  };
}

function options(
  vocabulary: Vocabulary,
  doc: Text,
  line: number,
  before: string,
): { typed: string; options: Completion[] } | null {
  const flow = FLOW.exec(before);
  if (flow !== null) return { typed: flow[2] ?? "", options: keys(vocabulary, flow[1] ?? "", doc) };
  const value = VALUE.exec(before);
  if (value !== null) return { typed: value[2] ?? "", options: values(vocabulary, value[1] ?? "") };
  const key = KEY.exec(before);
  if (key === null) return null;
  const [indent = "", typed = ""] = key.slice(1);
  const above = parent(doc, line, indent);
  const listed = indent.trimEnd().endsWith("-") ? values(vocabulary, above) : [];
  return { typed, options: listed.length > 0 ? listed : keys(vocabulary, above, doc) };
}

function keys({ keys, kinds }: Vocabulary, under: string, doc: Text): Completion[] {
  const kind = /^ *(?:- )?keep: *["']?(\w+)/m.exec(doc.toString())?.[1] ?? "";
  const own = kinds[kind];
  const foreign = under === "" && own !== undefined ? Object.values(kinds).flat() : [];
  return Object.entries(keys[under] ?? {})
    .filter(([key]) => !foreign.includes(key) || own?.includes(key))
    .map(([label, detail]) => ({ label, info: detail, apply: `${label}: `, type: "property" }));
}

function values({ values }: Vocabulary, key: string): Completion[] {
  return (values[key] ?? []).map((label) => ({ label, type: "constant" }));
}

/** The key that a line stands under; "" where nothing known is above it. */
function parent(doc: Text, line: number, indent: string): string {
  const own = indent.length;
  const item = indent.includes("-");
  for (let number = line - 1; number > 0; number--) {
    const found = /^([ \t]*(?:- +)*)(\w+):(.*)$/.exec(doc.line(number).text);
    if (found === null) continue;
    const depth = (found[1] ?? "").length;
    const opens = (found[3] ?? "").trim() === "";
    // the items of a list may stand as deep as its key
    if (opens && (depth < own || (item && depth === own - 2))) return found[2] === "policies" ? "" : (found[2] ?? "");
    if (depth < own && !item) return "";
  }
  return "";
}
