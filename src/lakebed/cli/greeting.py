"""What `up` and `demo` print: where they listen, and lines that work as they stand."""

import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from lakebed.cli.options import HOME, URL

_EVERY_INTERFACE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  compared, not bound


_FIRST = "{name: first, topics: [plant/#], type: number, keep: window, for: 24h}"


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where a server is, as somebody on the same machine reaches it.

    Attributes:
        url: of the HTTP API.
        mqtt: host and port.
        home: as it was given.
    """

    url: str
    mqtt: tuple[str, int]
    home: Path

    def command(self, *arguments: str) -> str:
        """A line of shell that runs `lakebed` against this server."""
        flags = [] if self.url == URL else ["--url", self.url]
        if self.home.absolute() != HOME.absolute():
            flags += ["--home", str(self.home)]
        return f"{program()} {shlex.join((*arguments, *flags))}"

    @property
    def token(self) -> str:
        """The admin token, for a line of shell, without showing it."""
        return f'"$(cat {shlex.quote(str(self.home / "admin.token"))})"'

    def mosquitto_pub(self, topic: str, payload: str) -> str:
        host, port = self.mqtt
        return (
            f"mosquitto_pub -h {reachable(host)} -p {port} -u me -P {self.token} -q 1 "
            f"-t {shlex.quote(topic)} -m {shlex.quote(payload)}"
        )

    def curl(self, path: str, payload: str) -> str:
        bearer = f'-H "Authorization: Bearer $(cat {shlex.quote(str(self.home / "admin.token"))})"'
        return f"curl {bearer} --data-binary {shlex.quote(payload)} {shlex.quote(self.url + path)}"


def program() -> str:
    """How this very program is called from this shell."""
    called = sys.argv[0]
    found = shutil.which("lakebed")
    if found and Path(found).resolve() == Path(called).resolve():
        return "lakebed"
    if Path(called).name != "lakebed":
        return f"{shlex.quote(sys.executable)} -m lakebed.cli.main"
    return shlex.quote(called)


def reachable(host: str) -> str:
    """An address to connect to, for one that is listened on."""
    return _EVERY_INTERFACE.get(host, host)


def first_steps(place: ServerAddress) -> str:
    """Keep, send, read: the first five minutes in four lines."""
    host, port = place.mqtt
    return "\n".join(
        (
            f"lakebed listens: HTTP {place.url}   MQTT {host}:{port}   home {place.home}",
            "",
            "Nothing is kept until a policy asks for it. In another terminal:",
            "",
            f"  echo {shlex.quote(_FIRST)} | {place.command('apply', '-f', '-')}",
            f"  {place.mosquitto_pub('plant/1/temperature', '21.5')}",
            f"  {place.curl('/api/v1/messages?topic=plant/1/temperature', '22')}",
            f"  {place.command('query', 'plant/1/temperature')}",
            "",
            "Ctrl-C stops it.",
        )
    )
