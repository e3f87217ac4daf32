// The two sides of the policy editor: what is typed on one appears on the other, checked by the server.
import { Draft } from "../draft";
import { YamlEditor } from "../yaml/editor";

customElements.define("lb-yaml", YamlEditor);
customElements.define("lb-draft", Draft);
