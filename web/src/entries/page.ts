/** What every page has: keys, relative times, the theme, forms that ask first. */
import "../confirm";
import "../filter";
import "../menu";
import "../theme";
import "../times";
