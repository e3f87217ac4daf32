// Passkeys: sign in by one, and add one to an account.
import { NewPasskey, PasskeySignIn } from "../passkey";

customElements.define("lb-passkey", PasskeySignIn);
customElements.define("lb-new-passkey", NewPasskey);
