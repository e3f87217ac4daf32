/** An editor of YAML on a page that does nothing else with what is typed. */
import { YamlEditor } from "../yaml/editor";

customElements.define("lb-yaml", YamlEditor);
