// First steps: each is shown as it is done, and what is kept as a plot.
import { Plot } from "../plot/element";
import "../steps";

customElements.define("lb-plot", Plot);
