"""The metrics that the code declares, read from its source."""

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).parents[1] / "src" / "lakebed"
_KINDS = {"CounterMetric": "counter", "GaugeMetric": "gauge", "HistogramMetric": "histogram"}


class Declared(NamedTuple):
    kind: str
    labels: tuple[str, ...]
    help: str


@cache
def declared() -> dict[str, Declared]:
    """All metrics by name. One that is declared twice, or not by literals, is a mistake."""
    found: dict[str, Declared] = {}
    for file in SOURCE.rglob("*.py"):
        text = file.read_text()
        if not any(kind in text for kind in _KINDS):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in _KINDS:
                name, help, *more = (ast.literal_eval(given) for given in node.args)
                named = {one.arg: one.value for one in node.keywords}
                labels = named.get("labels")
                given = ast.literal_eval(labels) if labels else more[0] if more else ()
                assert name not in found, f"{name} is declared twice"
                found[name] = Declared(_KINDS[getattr(node.func, "id", "")], given, help)
    return found
