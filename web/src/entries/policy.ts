// The two sides of the policy editor: what is typed on one appears on the other, checked by the server.
import { Draft } from "../draft";

customElements.define("lb-draft", Draft);
