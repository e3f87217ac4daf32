/** `/` moves to the filter of the page, and Escape out of it. */

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest("input, textarea, select, [contenteditable]") !== null;
}

function findFilter(): HTMLInputElement | null {
  const found = document.querySelectorAll<HTMLInputElement>("main input[data-filter], main input[type=search]");
  return [...found].find((input) => input.checkVisibility()) ?? null;
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && event.target === findFilter()) {
    (event.target as HTMLElement).blur();
    return;
  }
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  const filter = findFilter();
  if (filter === null) return;
  event.preventDefault();
  filter.focus();
  filter.select();
});

// a choice that is a form by itself is sent as it is made
document.addEventListener("change", (event) => {
  const form = event.target instanceof HTMLElement ? event.target.closest("form") : null;
  if (form?.hasAttribute("data-auto")) form.requestSubmit();
});
