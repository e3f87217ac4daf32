/** What every page has: keys, relative times, the theme, forms that ask first and are not lost. */
import "../cards";
import "../filter";
import "../menu";
import "../sending";
import "../tables";
import "../theme";
import "../times";
