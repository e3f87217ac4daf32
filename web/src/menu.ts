/** On a narrow screen the menu is closed until somebody opens it. */
const menu = document.querySelector<HTMLDetailsElement>("details.menu");
const narrow = window.matchMedia("(max-width: 800px)");

function fit(): void {
  if (menu !== null) menu.open = !narrow.matches;
}

fit();
narrow.addEventListener("change", fit);

export {};
