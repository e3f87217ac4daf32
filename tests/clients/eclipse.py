"""Runs the interoperability suite of Eclipse Paho at a server, test by test, as two people.

`python -m tests.clients.eclipse FOLDER`, where FOLDER is the `interoperability` folder of a
checkout of eclipse/paho.mqtt.testing, prints the rows for `docs/reference/mqtt.md`: which test
passes with the token of the admin, which with one for the suite's topics alone, and where one that
does not pass stopped.
"""

import argparse
import ast
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.server import Server

_MODULES = {"client_test": ("3.1.1", "V311"), "client_test5": ("5", "V5")}
_TOPICS = ["TopicA/#", "Topic/C", "/TopicA"]
_SETTINGS = {"MQTT__RECEIVE_MAXIMUM": "100"}
"""One test sends more than this; the default of 65,535 takes it minutes."""
_ONE = """
import importlib, sys, unittest
folder, module, version, test, port, token = sys.argv[1:]
sys.path.insert(0, folder)
suite = importlib.import_module(module)
suite.host, suite.port, suite.topic_prefix = "127.0.0.1", int(port), ""
suite.topics = ("TopicA", "TopicA/B", "Topic/C", "TopicA/C", "/TopicA")
suite.wildtopics = ("TopicA/+", "+/C", "#", "/#", "/+", "+/+", "TopicA/#")
suite.nosubscribe_topics = ("test/nosubscribe",)
client = importlib.import_module(f"mqtt.clients.{version}").Client
connect = client.connect
who = {"username": "suite", "password": token.encode()}
client.connect = lambda self, **named: connect(self, **(who | named))
done = unittest.TextTestRunner(stream=sys.stdout).run(unittest.TestSuite([suite.Test(test)]))
sys.exit(not done.wasSuccessful())
"""
"""The suite signs in nowhere: each of its connections gets a name and the token. It needs both,
because it mixes up their flags."""


_MENDED = {
    "in [0, 1, 2, 0x80]": "<= 0xA2",  # SUBACK may say why, as in 0x87
    "remainingLength in [2, 3, 4]": "remainingLength >= 2",  # PUBACK may have properties
}
"""What its own client of MQTT 5 refuses without need, often before the test begins."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args().folder
    print("| MQTT | test | admin | narrow | where it stops |\n|---|---|---|---|---|")
    with (
        tempfile.TemporaryDirectory() as home,
        Server(Path(home) / "wide", _SETTINGS) as wide,
        Server(Path(home) / "narrow", _SETTINGS) as narrow,
        ThreadPoolExecutor(2) as both,
    ):
        folder = Path(shutil.copytree(given, Path(home) / "suite"))
        packets = folder / "mqtt/formats/MQTTV5/MQTTV5.py"
        source = packets.read_text()
        for needless, mended in _MENDED.items():
            source = source.replace(needless, mended)
        packets.write_text(source)
        policy = {"name": "all", "topics": ["#"], "keep": "archive", "type": "text"}
        for server in (wide, narrow):
            server.put_policies([policy])
        made = narrow.request(
            "POST", "/api/v1/tokens", json={"name": "narrow", "publish": _TOPICS, "read": _TOPICS}
        )
        token = str(made.json()["token"])
        for module, test in _tests(folder):
            first = both.submit(_run, folder, module, test, wide, wide.token)
            second = both.submit(_run, folder, module, test, narrow, token)
            told = " / ".join(dict.fromkeys(filter(None, (first.result(), second.result()))))
            passed = " | ".join("no" if job.result() else "passes" for job in (first, second))
            print(f"| {_MODULES[module][0]} | {test} | {passed} | {told} |", flush=True)


def _tests(folder: Path) -> Iterator[tuple[str, str]]:
    for module in _MODULES:
        tree = ast.parse((folder / f"{module}.py").read_text())
        names = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        yield from ((module, name) for name in names if name.startswith("test"))


def _run(folder: Path, module: str, test: str, server: Server, token: str) -> str:
    """Where it stopped, empty when it passed."""
    given = [folder, module, _MODULES[module][1], test, server.mqtt_port, token]
    try:
        done = subprocess.run(
            [sys.executable, "-c", _ONE, *map(str, given)],
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "it does not end"
    if not done.returncode:
        return ""
    output = done.stderr + done.stdout
    lines = re.findall(rf"{module}\.py\", line (\d+)", output)
    errors = re.findall(r"^\w*(?:Error|Exception)\b.*", output, re.M)
    return f"line {lines[0] if lines else '?'}: {errors[0][:120] if errors else output[-600:]}"


if __name__ == "__main__":
    main()
