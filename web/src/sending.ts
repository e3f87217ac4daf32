/**
 * Forms are sent when they will arrive, so that nothing typed is lost:
 *
 *     submit ──> sure? ──> GET /form-token ── no answer ──> says so, and tries again
 *                               │        └─── no session ──> sign in again, in a dialog
 *                               └─ the token of this session, into the forms ──> sent
 */
import { ask, isSure } from "./confirm";
import { element } from "./dialogs";
import { signInAgain } from "./again";
import { user, word } from "./words";

interface Session {
  user: string;
  token: string;
}

const RETRY = 1_000; // milliseconds
const passed = new WeakSet<HTMLFormElement>(); // forms that are being sent by the browser
const waiting = new WeakSet<HTMLFormElement>();

/** The session of this browser now; undefined where the server itself shall say what is wrong. */
export async function findSession(): Promise<Session | "ended" | "away" | undefined> {
  try {
    const answer = await fetch("/form-token", {
      redirect: "manual",
      cache: "no-store",
      signal: AbortSignal.timeout(10_000),
    });
    if (answer.type === "opaqueredirect") return "ended";
    if (answer.status >= 500) return "away";
    return answer.ok ? ((await answer.json()) as Session) : undefined;
  } catch {
    return "away";
  }
}

function tell(text: string): void {
  let notice = document.getElementById("away");
  if (!text) {
    notice?.remove();
    return;
  }
  if (notice === null) {
    notice = element("p", { id: "away", className: "said" });
    notice.setAttribute("role", "status");
    document.querySelector("main")?.prepend(notice);
    notice.scrollIntoView({ block: "nearest" });
  }
  notice.textContent = text;
}

/** Waits until what is sent would arrive; resolves whether to send it. */
async function canSend(): Promise<boolean> {
  for (;;) {
    const session = await findSession();
    if (session === "away") {
      tell(word("away"));
      await new Promise((resolve) => setTimeout(resolve, RETRY));
      continue;
    }
    tell("");
    if (session === undefined || (session === "ended" && !user)) return true;
    if (session === "ended") {
      if (!(await signInAgain(async () => typeof (await findSession()) === "object"))) return false;
      continue;
    }
    if (user && session.user !== user) {
      if (!(await ask(word("other-user").replace("{user}", session.user), word("go-on"), ""))) return false;
    }
    for (const field of document.querySelectorAll<HTMLInputElement>("input[name=csrf]")) field.value = session.token;
    return true;
  }
}

async function send(form: HTMLFormElement, button: HTMLElement | null): Promise<void> {
  if (!(await isSure(form, button))) return;
  if (form.querySelector("input[name=csrf]") && !(await canSend())) return;
  passed.add(form);
  form.requestSubmit(button);
  passed.delete(form);
}

document.addEventListener("submit", (event) => {
  const form = event.target as HTMLFormElement;
  if (event.defaultPrevented || passed.has(form) || form.getAttribute("method")?.toLowerCase() !== "post") return;
  event.preventDefault();
  if (waiting.has(form)) return; // pressed twice
  waiting.add(form);
  void send(form, event.submitter).finally(() => waiting.delete(form));
});
