"""One file per page; `shell.modules` finds them."""
