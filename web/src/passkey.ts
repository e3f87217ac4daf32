// Buttons of passkeys; without the browser's support for them there is none.

interface WithJson {
  parseCreationOptionsFromJSON?: (options: object) => PublicKeyCredentialCreationOptions;
  parseRequestOptionsFromJSON?: (options: object) => PublicKeyCredentialRequestOptions;
}

const supported = (window as { PublicKeyCredential?: WithJson }).PublicKeyCredential;

async function post(address: string, body?: object): Promise<Response> {
  const answer = await fetch(address, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: body === undefined ? null : JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(String(answer.status));
  return answer;
}

abstract class PasskeyButton extends HTMLElement {
  connectedCallback(): void {
    if (supported?.parseRequestOptionsFromJSON === undefined) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = this.getAttribute("label");
    const told = document.createElement("p");
    told.setAttribute("role", "alert");
    button.addEventListener("click", () => {
      told.textContent = "";
      this.act().catch(() => {
        told.textContent = this.getAttribute("failed");
      });
    });
    this.append(button, told);
  }

  protected abstract act(): Promise<void>;
}

export class PasskeySignIn extends PasskeyButton {
  protected async act(): Promise<void> {
    const options = (await (await post("/api/v1/session/passkey")).json()) as object;
    const publicKey = supported?.parseRequestOptionsFromJSON?.(options);
    if (publicKey === undefined) return;
    const found = await navigator.credentials.get({ publicKey });
    await post("/api/v1/session", { passkey: (found as PublicKeyCredential).toJSON() as object });
    window.location.assign(this.getAttribute("next") ?? "/");
  }
}

export class NewPasskey extends PasskeyButton {
  protected async act(): Promise<void> {
    const address = `/api/v1/users/${this.getAttribute("user") ?? ""}/factors`;
    const options = (await (await post(`${address}/passkey`)).json()) as object;
    const publicKey = supported?.parseCreationOptionsFromJSON?.(options);
    if (publicKey === undefined) return;
    const made = await navigator.credentials.create({ publicKey });
    const answer = await post(address, { passkey: (made as PublicKeyCredential).toJSON() as object });
    const codes = ((await answer.json()) as { recovery_codes?: string[] }).recovery_codes;
    if (codes === undefined || codes.length === 0) {
      window.location.reload();
      return;
    }
    const shown = document.createElement("pre"); // the only time that they can be seen
    shown.textContent = codes.join("\n");
    this.replaceChildren(shown);
  }
}
