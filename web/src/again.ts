/** Signing in again over a page whose session has ended. */
import { element, showDialog } from "./dialogs";
import { user, word } from "./words";

interface Problem {
  detail?: string;
  problems?: { where: string }[];
}

function makeField(label: string, properties: Partial<HTMLInputElement>): HTMLDivElement {
  const input = element("input", { id: `again-${properties.name}`, required: true, ...properties });
  return element("div", { className: "field" }, element("label", { htmlFor: input.id, textContent: label }), input);
}

/**
 * Resolves whether there is a session again.
 *
 * @param signedIn tells whether there is one, made in another tab
 */
export async function signInAgain(signedIn: () => Promise<boolean>): Promise<boolean> {
  const code = makeField(word("code"), { name: "code", autocomplete: "one-time-code", required: false });
  code.hidden = true;
  const wrong = element("p", { className: "wrong", hidden: true });
  wrong.setAttribute("role", "alert");
  const cancel = element("button", { value: "", textContent: word("cancel"), formNoValidate: true });
  const other = element("a", { href: "/sign-in", target: "_blank", rel: "noopener", textContent: word("other-way") });
  const form = element(
    "form",
    {},
    element("h2", { textContent: word("ended") }),
    element("p", { textContent: word("kept") }),
    wrong,
    makeField(word("name"), { name: "user", autocomplete: "username", value: user }),
    makeField(word("password"), { name: "password", type: "password", autocomplete: "current-password", autofocus: true }),
    code,
    element("p", {}, other),
    element("div", { className: "actions" }, cancel, element("button", { value: "yes", className: "primary", textContent: word("sign-in") })),
  );
  const dialog = element("dialog");

  form.addEventListener("submit", (event) => {
    if (event.submitter === cancel) return;
    event.preventDefault();
    void signIn(new FormData(form)).then((told) => {
      if (told === "") dialog.close("yes");
      else if (told === "code") code.hidden = false;
      else wrong.textContent = told;
      wrong.hidden = told === "" || told === "code";
    });
  });
  const look = () => void signedIn().then((found) => found && dialog.open && dialog.close("yes"));
  addEventListener("focus", look);
  const answer = await showDialog(form, dialog);
  removeEventListener("focus", look);
  return answer === "yes";
}

/** Empty where it worked, "code" where a second factor is needed, else what is wrong. */
async function signIn(fields: FormData): Promise<string> {
  const sent = Object.fromEntries([...fields].filter(([, value]) => value !== ""));
  try {
    const answer = await fetch("/api/v1/session", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(sent),
    });
    if (answer.ok) return "";
    const problem = (await answer.json()) as Problem;
    if (problem.problems?.some(({ where }) => where === "code")) return "code";
    return answer.status === 401 ? word("wrong") : (problem.detail ?? word("wrong"));
  } catch {
    return word("away");
  }
}
