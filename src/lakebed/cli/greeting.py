"""The text that `up` and `demo` print: addresses, and commands to copy."""

import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lakebed.cli.options import HOME, URL
from lakebed.vocabulary.errors import LakebedError

if TYPE_CHECKING:
    from lakebed.runtime.node import Node

_EVERY_INTERFACE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  compared, not bound
_FIRST = "{name: first, topics: [plant/#], type: number, keep: window, for: 24h}"


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """The addresses of a server for clients on the same machine.

    Attributes:
        url: of the HTTP API.
        mqtt: host and port.
        home: as it was given.
    """

    url: str
    mqtt: tuple[str, int]
    home: Path

    def command(self, *arguments: str) -> str:
        """The shell command that runs `lakebed` against this server."""
        flags = [] if self.url == URL else ["--url", self.url]
        if self.home.absolute() != HOME.absolute():
            flags += ["--home", str(self.home)]
        return f"{program()} {shlex.join((*arguments, *flags))}"

    @property
    def token(self) -> str:
        """A shell expression for the admin token that does not show it."""
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
    """The command by which this program was called."""
    called = sys.argv[0]
    found = shutil.which("lakebed")
    if found and Path(found).resolve() == Path(called).resolve():
        return "lakebed"
    if Path(called).name != "lakebed":
        return f"{shlex.quote(sys.executable)} -m lakebed.cli.main"
    return shlex.quote(called)


def reachable(host: str) -> str:
    """The address to connect to for an address that a server listens on."""
    return _EVERY_INTERFACE.get(host, host)


def first_steps(address: ServerAddress, link: str | None = None) -> str:
    """The first commands to try: keep, send, read; and a link that sets the first password."""
    host, port = address.mqtt
    return "\n".join(
        (
            f"lakebed listens: HTTP {address.url}   MQTT {host}:{port}   home {address.home}",
            "",
            "Nothing is kept until a policy asks for it. In another terminal:",
            "",
            f"  echo {shlex.quote(_FIRST)} | {address.command('apply', '-f', '-')}",
            f"  {address.mosquitto_pub('plant/1/temperature', '21.5')}",
            f"  {address.curl('/api/v1/messages?topic=plant/1/temperature', '22')}",
            f"  {address.command('query', 'plant/1/temperature')}",
            "",
            in_a_browser(address, link),
            "",
            "Ctrl-C stops it.",
        )
    )


def in_a_browser(address: ServerAddress, link: str | None) -> str:
    """Where the web interface is; as long as admin has no password, the link that sets one."""
    if link is None:
        return f"In a browser: {address.url}"
    return f"In a browser: choose a password for admin, once: {link}"


def first_link(node: "Node", url: str) -> str | None:
    """A link that sets the password of the first user, as long as they have none."""
    from lakebed.accounts.tickets import password_link
    from lakebed.runtime.admin_token import ADMIN

    auth, accounts = node.settings.auth, node.process.accounts
    admin = accounts.user(ADMIN)
    if admin is None or admin.password:
        return None
    try:
        return password_link(accounts, ADMIN, auth.url or url, auth.link_for)[1]
    except LakebedError:
        return None  # the disk is full, say; a link can be made later
