/** The look of the editor: colours of the page, which reach into the shadow root, so that light and dark follow it. */
import { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import type { Extension } from "@codemirror/state";
import { EditorView } from "@codemirror/view";
import { tags } from "@lezer/highlight";

const faint = "color-mix(in srgb, var(--accent) 18%, transparent)";

const look = EditorView.theme({
  "&": { color: "var(--ink)", backgroundColor: "var(--surface)", fontSize: "13px" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "20px", maxHeight: "70vh" },
  ".cm-content": { caretColor: "var(--ink)", padding: "8px 0", minHeight: "376px" },
  ".cm-tooltip-lint": { maxWidth: "min(480px, 90vw)" },
  ".cm-gutters": { backgroundColor: "var(--surface)", color: "var(--quiet)", borderRight: "1px solid var(--line)" },
  ".cm-gutter": { minHeight: "376px" },
  ".cm-wrong-line": { color: "var(--bad)", fontWeight: "700" },
  ".cm-content ::selection": { backgroundColor: "color-mix(in srgb, var(--accent) 25%, transparent)", color: "inherit" },
  ".cm-matchingBracket": { backgroundColor: faint },
  // the marks of the package are pictures in addresses, which the policy of the page refuses
  ".cm-lintRange-error": { backgroundImage: "none", textDecoration: "underline wavy var(--bad)", textUnderlineOffset: "3px" },
  ".cm-lintRange-active": { backgroundColor: faint },
  ".cm-lintPoint:after": { borderBottomColor: "var(--bad)" },
  ".cm-diagnostic": { borderLeft: "4px solid var(--bad)", padding: "4px 8px", font: "13px/1.5 system-ui, sans-serif" },
  ".cm-tooltip, .cm-panels": { backgroundColor: "var(--surface)", color: "var(--ink)", border: "1px solid var(--line)" },
  ".cm-panel.cm-panel-lint ul [aria-selected]": { backgroundColor: "var(--raised)", color: "var(--ink)" },
  ".cm-panel.cm-panel-lint button": { color: "var(--ink)" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", maxHeight: "240px" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: "2px 8px" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li[aria-selected]": { backgroundColor: "var(--accent)", color: "var(--on-accent)" },
  ".cm-completionInfo": { font: "13px/1.5 system-ui, sans-serif", padding: "4px 8px", maxWidth: "280px" },
  ".cm-completionMatchedText": { textDecoration: "none", fontWeight: "700" },
});

const colours = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--accent)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--good)" },
  { tag: [tags.number, tags.bool, tags.null, tags.labelName, tags.typeName], color: "var(--warn)" },
  { tag: [tags.comment, tags.meta], color: "var(--quiet)", fontStyle: "italic" },
  { tag: [tags.punctuation, tags.separator, tags.squareBracket, tags.brace], color: "var(--quiet)" },
]);

export const theme: Extension = [look, syntaxHighlighting(colours)];
