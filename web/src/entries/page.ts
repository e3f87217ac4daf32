/** What every page has: keys, relative times, the theme, forms that ask first. */
import "../confirm";
import "../filter";
import "../theme";
import "../times";
