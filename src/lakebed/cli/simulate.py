"""`lakebed simulate`: a fleet of devices, over real MQTT connections."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from lakebed.cli import loop, output
from lakebed.cli.options import HOME, Home, Token
from lakebed.vocabulary.errors import BadRequest

if TYPE_CHECKING:
    from lakebed.simulation.driving import Tally

_MOST = 100_000  # messages a second of the whole fleet; one process sends fewer


def simulate(
    devices: Annotated[int, typer.Option(min=1, max=10_000, help="Connections.")] = 20,
    rate: Annotated[float, typer.Option(min=0.001, help="Telemetry a second and device.")] = 1.0,
    duration: Annotated[
        str | None, typer.Option(help="How long, such as 30s or 5m. [default: until Ctrl-C]")
    ] = None,
    qos: Annotated[int, typer.Option(min=0, max=2, help="Quality of service.")] = 1,
    mqtt: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="The MQTT endpoint, HOST:PORT.")
    ] = ("127.0.0.1:1883"),
    topic: Annotated[
        str, typer.Option(help="First levels of the topics: TOPIC/LINE/DEVICE/telemetry.")
    ] = "plant",
    seed: Annotated[int, typer.Option(help="The same seed gives the same values.")] = 1,
    token: Token = None,
    home: Home = HOME,
) -> None:
    """Let a fleet of made-up devices send: temperatures, states, door events, rare alarms."""
    from lakebed.cli.home import token_of
    from lakebed.section import split_address
    from lakebed.simulation.driving import Drive, Tally
    from lakebed.simulation.fleet import fleet

    if devices * rate > _MOST:
        raise BadRequest("--rate", f"more than {_MOST} messages a second in all")
    seconds = _seconds(duration)
    try:
        host, port = split_address(mqtt)
    except ValueError:
        raise BadRequest("--mqtt", "write HOST:PORT, for example 127.0.0.1:1883") from None
    drive = Drive(host, port, token or token_of(home), rate, qos)
    tally = Tally()
    begun = time.monotonic()
    output.note(f"{devices} devices send to {mqtt}{'' if seconds else '; Ctrl-C ends it'}")
    try:
        loop.run(drive.run(fleet(devices, seed, topic), tally, seconds))
    except KeyboardInterrupt:
        pass  # the usual way to end it
    finally:
        if tally.sent:
            _report(tally, time.monotonic() - begun)


def _seconds(duration: str | None) -> float | None:
    from lakebed.vocabulary.times import SECOND, parse_duration

    if duration is None:
        return None
    try:
        return parse_duration(duration) / SECOND
    except ValueError as error:
        raise BadRequest("--duration", str(error)) from None


def _report(tally: "Tally", seconds: float) -> None:
    waits = sorted(tally.waits)
    text = f"{tally.sent} sent, {tally.acknowledged} acknowledged in {seconds:.1f} s"
    if tally.refused:
        text += f", {tally.refused} refused"
    if tally.reconnects:
        text += f", {tally.reconnects} times reconnected"
    if waits:
        middle, late = waits[len(waits) // 2], waits[len(waits) * 99 // 100]
        text += f"; answers after {middle * 1000:.1f} ms (half), {late * 1000:.1f} ms (99 %)"
    output.note(text)
