/**
 * The theme: what the system says, light or dark, in turn by a button `data-theme-toggle`.
 *
 * The server reads the cookie and writes `data-theme`, so no page is first seen in the other one.
 */
const COOKIE = "lakebed-theme";
const NEXT: Record<string, string> = { "": "light", light: "dark", dark: "" };

function setTheme(theme: string): void {
  const root = document.documentElement;
  if (theme) root.dataset["theme"] = theme;
  else delete root.dataset["theme"];
  const age = theme ? 365 * 86_400 : 0;
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `${COOKIE}=${theme}; path=/; max-age=${age}; samesite=lax${secure}`;
}

document.addEventListener("click", (event) => {
  const target = event.target instanceof Element ? event.target.closest("[data-theme-toggle]") : null;
  if (target === null) return;
  event.preventDefault();
  setTheme(NEXT[document.documentElement.dataset["theme"] ?? ""] ?? "");
});
