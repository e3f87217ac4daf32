/** Plots of what policies kept. */
import { Plot } from "../plot";

customElements.define("lb-plot", Plot);
