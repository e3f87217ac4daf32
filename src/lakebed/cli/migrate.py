"""`lakebed migrate`: move an embedded home to servers."""

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from lakebed.cli import output
from lakebed.cli.options import Format, Shape

_EVERY = 0.5  # seconds between two lines of progress


def migrate(
    home: Annotated[
        Path, typer.Option("--from", metavar="HOME", help="The home to move; no server on it runs.")
    ],
    config: Annotated[
        Path, typer.Option("--to", metavar="FILE", help="Settings that name the servers.")
    ],
    former: Annotated[
        Path | None,
        typer.Option("--from-config", help="Settings of the home. [default: HOME/lakebed.toml]"),
    ] = None,
    form: Format = Shape.TABLE,
) -> None:
    """Move an embedded home to Kafka, ClickHouse and PostgreSQL. Interrupted, run it again."""
    from lakebed.cli.logs import configure
    from lakebed.migration import moving
    from lakebed.runtime.settings import load

    source = load(former, flags={"home": str(home)})
    target = load(config)
    configure(source.log)
    progress = _Progress()
    try:
        moved = moving.migrate(source, target, progress.step)
    finally:
        progress.end()
    output.listing(moved.to_dict(), "nothing was there to move", form)
    output.note(
        f"{'moved before' if moved.already else 'moved'}: {moved.messages} messages, "
        f"{sum(row['rows'] for row in moved.rows)} rows, the same on both sides; "
        f"{moved.partitions} partitions at {moved.to}"
    )


class _Progress:
    """Prints progress: one line that changes on a terminal, else one line for each step."""

    def __init__(self) -> None:
        self._doing = ""
        self._shown = 0.0

    def step(self, doing: str, done: int, of: int) -> None:
        terminal = sys.stderr.isatty()
        new = doing != self._doing
        if not new and (not terminal or time.monotonic() - self._shown < _EVERY):
            return
        self._doing, self._shown = doing, time.monotonic()
        far = f" {output.size(done)} of {output.size(of)}" if doing.startswith("copying") else ""
        far = f" {of} messages" if doing.startswith("working") else far
        if terminal:
            sys.stderr.write(f"\r\x1b[K{doing}{far}")
            sys.stderr.flush()
        else:
            output.note(doing)

    def end(self) -> None:
        if self._doing and sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")
