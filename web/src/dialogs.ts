/** Dialogs over the page, made of elements: what others have written is text in them. */

export function element<K extends keyof HTMLElementTagNameMap>(
  name: K,
  properties: Partial<HTMLElementTagNameMap[K]> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/**
 * Shows a form in a modal dialog until it is closed; resolves its return value.
 *
 * The first child names the dialog. A button with the value "" cancels, as Escape does.
 */
export function showDialog(form: HTMLFormElement, dialog = element("dialog")): Promise<string> {
  const title = form.firstElementChild;
  if (title) {
    title.id = "dialog-title";
    dialog.setAttribute("aria-labelledby", title.id);
  }
  form.method = "dialog";
  dialog.append(form);
  document.body.append(dialog);
  const before = document.activeElement;
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (before instanceof HTMLElement) before.focus();
      resolve(dialog.returnValue);
    });
  });
}
