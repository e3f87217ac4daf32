"""Two instances that mirror each other, as the how-to says: each has everything once."""

from pathlib import Path

import pytest
import yaml

from tests.server import Server, eventually

HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "mirror-to-another-instance.md"

pytestmark = pytest.mark.slow(20)


def test_two_mirrors_have_everything_once(tmp_path: Path) -> None:
    settings = {"RELAYS__ALLOW_PRIVATE": "127.0.0.1/32"}
    with (
        Server(tmp_path / "north", settings) as north,
        Server(tmp_path / "south", settings) as south,
    ):
        for here, there in ((north, south), (south, north)):
            answer = here.request("PUT", "/api/v1/secrets/south", json={"value": there.token})
            assert answer.is_success, answer.text
            text = HOWTO.read_text().partition("```yaml\n")[2].partition("```")[0]
            assert "https://south.example.com" in text
            document = yaml.safe_load(text.replace("https://south.example.com", there.url))
            keep = {"name": "all", "topics": ["#"], "keep": "archive", "type": "number"}
            answer = here.request("POST", "/api/v1/apply", json={"policies": [keep], **document})
            assert answer.status_code == 200, answer.text
        north.wait_in_force()
        for at, server in enumerate((north, south)):
            server.send_batch([{"topic": f"t/{n % 3}", "value": 100 * at + n} for n in range(50)])
        wanted = sorted([*range(50), *range(100, 150)])
        for server in (north, south):
            eventually(lambda server=server: values(server) == wanted)
        for server in (north, south):
            eventually(lambda server=server: lag(server) == 0)
        # what came over is read by the other relay by now, and was not sent back
        assert [server.flow()["received"] for server in (north, south)] == [100, 100]
        assert [server.flow()["duplicates"] for server in (north, south)] == [0, 0]


def values(server: Server) -> list[float]:
    return sorted(one["value"] for one in server.records("#", "all"))


def lag(server: Server) -> int:
    return int(server.get("/api/v1/relays/mirror")["status"]["lag"]["messages"])
