"""`lakebed dev`: what one needs to develop against."""

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from lakebed.cli import output
from lakebed.cli.options import Commands
from lakebed.vocabulary.errors import BadRequest, Fatal

app = Commands("Servers to develop and test against.")


@app.callback()
def _group() -> None:
    """Servers to develop and test against."""


@app.command()
def bus(
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where it listens.")
    ] = "127.0.0.1:8000",
    rate: Annotated[float, typer.Option(min=0, max=10_000, help="Events made a second.")] = 10.0,
    file: Annotated[
        Path | None,
        typer.Option(help="Keep events here over a restart.", show_default=False),
    ] = None,
    token: Annotated[
        str, typer.Option(envvar="VABUS_TOKEN", help="That requests must have as a bearer.")
    ] = "",
    errors: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of requests answered with 503.")
    ] = 0.0,
    delay: Annotated[
        float, typer.Option(min=0.0, max=60.0, help="Seconds before each answer.")
    ] = 0.0,
    hang: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share that is not answered for a minute.")
    ] = 0.0,
    drop: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share whose connection ends.")
    ] = 0.0,
    duplicates: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of events delivered twice.")
    ] = 0.0,
    late: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of events up to an hour old.")
    ] = 0.0,
    malformed: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of events that are none.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same events.")] = 1,
) -> None:
    """Run a bus over HTTP that makes events and fails on request. Ctrl-C stops it."""
    from lakebed.section import split_address
    from lakebed.simulation.bus.events import Events
    from lakebed.simulation.bus.failures import Failures
    from lakebed.simulation.bus.server import DevBus

    try:
        host, port = split_address(listen)
    except ValueError:
        raise BadRequest("--listen", "write HOST:PORT, for example 127.0.0.1:8000") from None
    failures = Failures(errors, delay, hang, drop, duplicates, late, malformed)
    try:
        server = DevBus(host, port, Events(file), failures, rate, seed, token)
    except OSError as error:
        raise Fatal(f"cannot listen on {listen}: {error.strerror}") from None
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.stop).start())
    host, port = server.address
    output.note(f"the bus: http://{host}:{port}/events   Ctrl-C stops it")
    server.run()
