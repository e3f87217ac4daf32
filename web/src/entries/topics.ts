// The tree of topics: branches open in place, and cells in sight are live.
import "../live";
import "../tree";
