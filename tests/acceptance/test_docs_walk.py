"""What the pages tell a stranger to type works; what a server shows stands in them."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import processes
from tests.ports import free_port
from tests.server import Server

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TOOLS = ("bash", "curl", "mosquitto_pub")
_SECONDS = 120  # for a page; each command starts a Python of its own


@pytest.fixture
def server(tmp_path: Path) -> Server:
    for tool in _TOOLS:
        if shutil.which(tool) is None:
            message = f"{tool} is not installed"
            pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return Server(tmp_path / "lakebed-data", {"RELAYS__ALLOW_PRIVATE": "127.0.0.1/32"})


def script(page: Path, server: Server) -> str:
    """All shell of a page, one block after another, speaking to this server."""
    text = page.read_text()
    blocks = [b for language, b in _FENCE.findall(text) if language == "sh"]
    lines = "".join(block for block in blocks if not block.startswith("make "))
    return lines.replace("127.0.0.1:8080", f"127.0.0.1:{server.http_port}").replace(
        "-p 1883", f"-p {server.mqtt_port}"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "last_words"),
    [
        ("README.md", "quarters-to-postgres"),
        ("docs/tutorial/first-steps.md", "air-hours"),
        ("docs/tutorial/a-club.md", "users.administer"),
        ("docs/howto/people-and-teams.md", "invitations.write"),
        ("docs/howto/raw-day-quarters-for-ever.md", ""),
        ("docs/howto/restrict-a-token.md", "admin"),
        ("docs/howto/rotate-tokens.md", "admin-b"),
        ("docs/howto/back-up-and-restore.md", "restored to"),
        ("docs/howto/event-service.md", "user_id"),
        ("docs/howto/alarms-to-a-webhook.md", "2 has 93.8 °C"),
    ],
)
def test_what_a_page_tells_to_type_works(
    page: str, last_words: str, server: Server, tmp_path: Path
) -> None:
    path, port = ROOT / page, free_port()
    for language, block in _FENCE.findall(path.read_text()):
        if language == "yaml" and "keep:" in block:
            (tmp_path / "policies.yaml").write_text(block)
            (tmp_path / "garden.yaml").write_text(block)
        elif language == "yaml" and "relays:" in block:
            (tmp_path / "relays.yaml").write_text(block)
            (tmp_path / "alarms.yaml").write_text(block.replace(":9000", f":{port}"))
        elif language == "python" and "HTTPServer" in block:
            (tmp_path / "receiver.py").write_text(block)
    environment = processes.clean() | {
        "PATH": f"{processes.command(tmp_path / 'bin')}:{os.environ['PATH']}",
        "LAKEBED_URL": server.url,
        "HOME": str(tmp_path),
    }
    text = f"trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{script(path, server)}".replace(
        " 9000 ", f" {port} "
    )
    with server:
        done = subprocess.run(
            ["bash", "-e", "-u", "-o", "pipefail", "-c", text],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=_SECONDS,
        )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert last_words in done.stdout
