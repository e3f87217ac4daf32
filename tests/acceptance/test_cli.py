"""The command line as people meet it: real processes, the lines it prints run as they stand."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests import processes
from tests.server import START, eventually

ANY_PORTS = ("--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0")


def lakebed(
    *arguments: str, cwd: Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A command of every day."""
    return processes.lakebed(*arguments, folder=cwd, environment=environment)


class Running:
    """`up` or `demo` in a process of its own, in the folder `cwd`, all of it the real thing."""

    def __init__(self, cwd: Path, *arguments: str) -> None:
        self.cwd = cwd
        with (cwd / "err.log").open("ab") as log:
            self.process = processes.start(
                processes.COMMAND,
                [*arguments, *ANY_PORTS],
                folder=cwd, environment=processes.clean(), stdout=subprocess.PIPE, stderr=log,
                fork=False,
            )  # fmt: skip
        self.printed = self._greeting()

    def _greeting(self) -> list[str]:
        assert self.process.stdout is not None
        lines = []
        until = time.monotonic() + START
        for line in self.process.stdout:
            lines.append(line.rstrip("\n"))
            if "Ctrl-C" in line or time.monotonic() > until:
                return lines
        raise AssertionError((self.cwd / "err.log").read_text())

    @property
    def commands(self) -> list[str]:
        """The lines it printed that are there to be typed."""
        return [line.strip() for line in self.printed if line[:2] == "  " and "# " not in line[:4]]

    @property
    def flags(self) -> list[str]:
        state = json.loads((self.cwd / "lakebed-data" / "running.json").read_text())
        return ["--url", state["http"]]

    def shell(self, command: str) -> str:
        done = subprocess.run(
            command, shell=True, cwd=self.cwd, env=processes.clean(), capture_output=True,
            text=True, timeout=90,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def stop(self, by: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(by)
        code = self.process.wait(timeout=30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("up"), "up")
    yield running
    assert running.stop() == 0


# --- starting and stopping ------------------------------------------------------------------------


def test_what_up_prints_works_as_it_stands(up: Running) -> None:
    if shutil.which("mosquitto_pub") is None or shutil.which("curl") is None:
        pytest.skip("mosquitto_pub or curl is not installed")
    apply, publish, post, query = up.commands
    assert up.shell(apply) == "first: created\n"
    up.shell(publish)
    assert json.loads(up.shell(post)) == {"accepted": 1}

    def rows() -> bool:
        lines = up.shell(query).splitlines()
        return [line.split()[1] for line in lines] == ["value", "21.5", "22"]

    eventually(rows)


def test_a_home_that_is_held_is_one_line_and_exit_3(up: Running) -> None:
    ended = processes.lakebed("up", *ANY_PORTS, folder=up.cwd, fork=False)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr == (
        "lakebed: another process holds the home lakebed-data: stop it or choose --home\n"
    )


@pytest.mark.parametrize("door", ["--http", "--mqtt"])
def test_a_port_that_is_taken_is_one_line_and_exit_3(tmp_path: Path, door: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        doors = {"--http": "127.0.0.1:0", "--mqtt": "127.0.0.1:0", door: address}
        ended = lakebed("up", *(part for pair in doors.items() for part in pair), cwd=tmp_path)
    assert ended.returncode == 3
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("lakebed: cannot ")
    assert address.rpartition(":")[2] in last
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["--config", "bad.toml"], {}, "bad.toml: cannot be read: "),
        (["--config", "nowhere.toml"], {}, "nowhere.toml: cannot be read: "),
        (["--http", "nonsense"], {}, "http.listen: write HOST:PORT"),
        ([], {"LAKEBED__HTTP__LISTN": "x"}, "http.listn: there is no such setting"),
        ([], {"LAKEBED__JOURNAL__LIMIT": "much"}, "journal.limit: "),
        ([], {"LAKEBED__SERIES__URL": "ftp://x"}, "series.url: no series speaks 'ftp'"),
    ],
)
def test_wrong_settings_are_one_line_and_exit_2(
    tmp_path: Path, arguments: Sequence[str], environment: dict[str, str], said: str
) -> None:
    (tmp_path / "bad.toml").write_text("x = [")
    ended = lakebed("up", *arguments, cwd=tmp_path, environment=environment)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"lakebed: {said}")
    assert ended.stderr.count("\n") == 1


def test_a_home_that_cannot_be_made_is_one_line_and_exit_3(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = lakebed("up", "--home", "file/home", cwd=tmp_path)
    assert ended.returncode == 3
    assert ended.stderr.count("\n") == 1


def test_ctrl_c_ends_it_with_everything_flushed(tmp_path: Path) -> None:
    running = Running(tmp_path, "up")
    sent = lakebed("send", "a", "1", *running.flags, cwd=tmp_path)
    assert sent.returncode == 0, sent.stderr
    assert running.stop(signal.SIGINT) == 0
    assert not (tmp_path / "lakebed-data" / "running.json").exists()
    assert "Traceback" not in (tmp_path / "err.log").read_text()


def test_help_and_version_load_none_of_the_heavy_libraries(tmp_path: Path) -> None:
    code = (
        "import sys; from lakebed.cli.main import main; main(['--help']); main(['--version']);"
        "heavy = {'chdb', 'fastapi', 'pyarrow', 'numpy', 'httpx', 'pydantic', 'sqlalchemy'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- the everyday commands ------------------------------------------------------------------------


def test_send_last_query_and_flow_tell_one_story(up: Running) -> None:
    (up.cwd / "story.yaml").write_text(
        "policies:\n"
        "  - {name: story, topics: [story/+], type: number, keep: window, for: 1h, buffer: 0s}\n"
        "  - {name: story-now, topics: [story/+], type: number, keep: last_value, every: 0s}\n"
        "  - {name: story-sums, topics: [story/+], type: number, keep: aggregate, every: 1h}\n"
    )

    def run(*arguments: str) -> str:
        done = lakebed(*arguments, *up.flags, cwd=up.cwd)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("apply", "-f", "story.yaml").count(": created\n") == 3
    assert run("apply", "-f", "story.yaml").count(": unchanged\n") == 3
    for value in ("1", "2", "3"):
        run("send", "story/a", value, "--id", f"story-{value}")
        run("send", "story/a", value, "--id", f"story-{value}")

    def kept() -> bool:
        out = run("query", "story/a", "--policy", "story", "--format", "ndjson")
        return [json.loads(line)["value"] for line in out.splitlines()] == [1, 2, 3]

    eventually(kept)
    eventually(lambda: json.loads(run("last", "story/a", "--format", "json"))["records"])

    def sums() -> list[tuple[float, bool]]:
        out = run("query", "story/a", "--policy", "story-sums", "--format", "json")
        return [(row["sum"], row["complete"]) for row in json.loads(out)["records"]]

    eventually(lambda: sums() == [(6, False)])
    assert "┤" in run("query", "story/a", "--policy", "story", "--plot")

    def counts() -> list[tuple[int, int]]:
        rows = json.loads(run("flow", "--by", "topic", "--format", "json"))["topics"]
        return [(r["received"], r["duplicates"]) for r in rows if r["topic"] == "story/a"]

    eventually(lambda: counts() == [(6, 3)])  # each was sent twice


def test_a_simulated_fleet_is_acknowledged_to_the_last_message(up: Running) -> None:
    state = json.loads((up.cwd / "lakebed-data" / "running.json").read_text())
    done = lakebed(
        "simulate", "--devices", "5", "--rate", "20", "--duration", "2s", "--mqtt", state["mqtt"],
        "--topic", "sim", cwd=up.cwd,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    words = done.stderr.splitlines()[-1].split()
    sent, acknowledged = int(words[0]), int(words[2])
    assert sent == acknowledged > 0


def test_a_simulation_with_a_wrong_token_is_refused(up: Running) -> None:
    state = json.loads((up.cwd / "lakebed-data" / "running.json").read_text())
    done = lakebed("simulate", "--token", "x", "--mqtt", state["mqtt"], cwd=up.cwd)
    assert done.returncode == 5
    assert done.stderr.splitlines()[-1].startswith("lakebed: the server refused: ")


def test_tap_shows_what_arrives_while_it_looks(up: Running) -> None:
    tap = processes.start(
        processes.COMMAND,
        ["tap", "tapped/#", "--count", "1", *up.flags],
        folder=up.cwd, environment=processes.clean(), stdout=subprocess.PIPE, stderr=sys.stderr,
    )  # fmt: skip
    with tap:
        while tap.poll() is None:  # it may subscribe only after the first ones have gone by
            lakebed("send", "tapped/a", "hello", *up.flags, cwd=up.cwd)
        out, _ = tap.communicate()
    assert out.split()[1:] == ["tapped/a", "hello"]


def test_a_token_that_was_made_works_until_it_is_revoked(up: Running) -> None:
    made = lakebed("token", "add", "gate", "--publish", "gate/#", *up.flags, cwd=up.cwd)
    token = made.stdout.strip()

    def send(topic: str) -> int:
        arguments = ("send", topic, "1", "--token", token, *up.flags)
        return lakebed(*arguments, cwd=up.cwd).returncode

    assert (send("gate/1"), send("other")) == (0, 5)
    assert "gate" in lakebed("token", "list", *up.flags, cwd=up.cwd).stdout
    assert lakebed("token", "revoke", "gate", *up.flags, cwd=up.cwd).returncode == 0
    eventually(lambda: send("gate/1") == 5)


# --- doctor ---------------------------------------------------------------------------------------


def test_doctor_asks_a_running_server_how_it_is(up: Running) -> None:
    done = lakebed("doctor", "--format", "json", cwd=up.cwd)
    assert done.returncode == 0, done.stdout
    parts = {finding["part"]: finding["state"] for finding in json.loads(done.stdout)}
    assert {"settings", "clock", "fsync", "server", "journal", "keeper"} <= parts.keys()


def test_doctor_finds_a_taken_port_and_says_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        environment = {"LAKEBED__HTTP__LISTEN": address, "LAKEBED__MQTT__LISTEN": "127.0.0.1:0"}
        done = lakebed("doctor", cwd=tmp_path, environment=environment)
    assert done.returncode == 1
    assert f"BAD  http       {address}: " in done.stdout
    assert "do: stop what uses it" in done.stdout
    assert not (tmp_path / "lakebed-data").exists()


def test_doctor_names_wrong_settings(tmp_path: Path) -> None:
    done = lakebed("doctor", cwd=tmp_path, environment={"LAKEBED__LOG__LEVEL": "loud"})
    assert done.returncode == 1
    assert done.stdout.startswith("BAD  settings   log.level: ")


# --- demo -----------------------------------------------------------------------------------------


def test_each_command_that_demo_prints_works_as_it_stands(tmp_path: Path) -> None:
    running = Running(tmp_path, "demo")
    try:
        assert len(running.commands) == 5
        for command in running.commands:
            assert running.shell(command).strip(), command
        (tmp_path / "mine.yaml").write_text(
            "{name: alarms, topics: [alarm/+], type: json, keep: last_n, count: 7}"
        )
        changed = lakebed("apply", "-f", "mine.yaml", *running.flags, cwd=tmp_path)
        assert changed.stdout == "alarms: changed\n"
    finally:
        assert running.stop() == 0
    again = Running(tmp_path, "demo")
    try:
        shown = lakebed("policies", "alarms", *again.flags, cwd=tmp_path).stdout
        assert "count: 7" in shown  # what the user chose stays
    finally:
        assert again.stop() == 0
