/** Plots of what policies kept. */
import { Plot } from "../plot/element";

customElements.define("lb-plot", Plot);
