/**
 * Forms that destroy ask first: `data-sure` says what will be gone.
 *
 *     <form method="post" data-sure="…"><button>Forget the topic</button></form>
 *
 * The button that does it has the words of the one that was pressed.
 */
import { element, showDialog } from "./dialogs";
import { word } from "./words";

/** Whether a form may go on: at once, or after it was asked. */
export async function isSure(form: HTMLFormElement, button: HTMLElement | null): Promise<boolean> {
  const question = button?.dataset["sure"] ?? form.dataset["sure"];
  if (question === undefined) return true;
  return ask(question, button?.textContent?.trim() || word("go-on"), button?.className ?? "");
}

/** Asks a question; the answer that destroys nothing has the focus. */
export async function ask(question: string, act: string, kind: string): Promise<boolean> {
  const cancel = element("button", { value: "", textContent: word("cancel"), autofocus: true });
  const goOn = element("button", { value: "yes", textContent: act, className: kind });
  const actions = element("div", { className: "actions" }, cancel, goOn);
  return (await showDialog(element("form", {}, element("p", { textContent: question }), actions))) === "yes";
}
