/** What every page has: keys, relative times, the theme, forms that ask first and are not lost. */
import "../filter";
import "../menu";
import "../sending";
import "../tables";
import "../theme";
import "../times";
