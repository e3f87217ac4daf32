/**
 * Forms that destroy ask first: `data-sure` says what will be gone.
 *
 *     <form method="post" data-sure="…" data-sure-cancel="Keep it"><button>Forget the topic</button></form>
 *
 * The button that does it has the words of the one that was pressed.
 */
const sure = new WeakSet<HTMLFormElement>();

function makeButton(label: string, value: string, kind: string): HTMLButtonElement {
  const button = document.createElement("button");
  button.textContent = label;
  button.value = value;
  if (kind) button.className = kind;
  return button;
}

/** A dialog over the page; resolves whether it was confirmed. */
function ask(question: string, act: string, cancel: string, kind: string): Promise<boolean> {
  const dialog = document.createElement("dialog");
  dialog.className = "sure";
  const form = document.createElement("form");
  form.method = "dialog";
  const text = document.createElement("p");
  text.id = "sure-question";
  text.textContent = question;
  dialog.setAttribute("aria-labelledby", text.id);
  const buttons = document.createElement("div");
  buttons.className = "actions";
  const stay = makeButton(cancel, "", "");
  stay.autofocus = true; // Enter alone destroys nothing
  buttons.append(stay, makeButton(act, "yes", kind));
  form.append(text, buttons);
  dialog.append(form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}

document.addEventListener("submit", (event) => {
  const form = event.target as HTMLFormElement;
  const button = event.submitter;
  const question = button?.dataset["sure"] ?? form.dataset["sure"];
  if (question === undefined || sure.has(form)) return;
  event.preventDefault();
  const act = button?.textContent?.trim() || "OK";
  const cancel = form.dataset["sureCancel"] ?? document.body.dataset["cancel"] ?? "Cancel";
  void ask(question, act, cancel, button?.className ?? "").then((confirmed) => {
    if (!confirmed) {
      button?.focus();
      return;
    }
    sure.add(form);
    form.requestSubmit(button);
    sure.delete(form);
  });
});
