"""`every` of a policy is changed while its windows are open."""

import pytest

from tests.server import Server, eventually

pytestmark = [pytest.mark.slow(10), pytest.mark.timeout(200)]


def test_windows_of_both_widths_say_so_and_the_cut_ones_are_marked(server: Server) -> None:
    day = {"name": "w", "topics": ["a"], "type": "number", "keep": "aggregate", "every": "24h"}
    server.put_policies([day])
    server.send("a", "1")
    server.settle(lambda flow: flow["kept"] == 1)
    (row,) = server.records("a", "w")
    assert "cut" not in row
    assert "every" not in row
    server.put_policies([day | {"every": "12h"}])
    server.send("a", "2")
    server.settle(lambda flow: flow["kept"] == 2)

    def both() -> bool:
        rows = {row["every"]: (row["count"], row["complete"], row.get("cut"))
                for row in server.records("a", "w")}  # fmt: skip
        assert rows == {"24h": (1, False, True), "12h": (1, False, True)}
        return True

    eventually(both)
