/** Words for scripts, in the language of the page: `templates/parts/words.html` has them. */
const words = document.getElementById("lb-words")?.dataset ?? {};

export function word(name: string): string {
  return words[name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())] ?? name;
}

/** Whose session the page is of; empty on pages of strangers. */
export const user = words["user"] ?? "";
