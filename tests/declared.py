"""The metrics that the code declares, read from its source."""

import ast
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

SOURCE = Path(__file__).parents[1] / "src" / "lakebed"
_KINDS = {"CounterMetric": "counter", "GaugeMetric": "gauge", "HistogramMetric": "histogram"}


class Declared(NamedTuple):
    kind: str
    labels: tuple[str, ...]
    help: str


@cache
def declared() -> dict[str, Declared]:
    """All metrics by name. One that is declared twice, or not by constants, is a mistake."""
    found: dict[str, Declared] = {}
    for file in SOURCE.rglob("*.py"):
        text = file.read_text()
        if not any(kind in text for kind in _KINDS):
            continue
        module = ast.parse(text)
        constants = _constants(module)
        for node in ast.walk(module):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in _KINDS:
                name, help, *more = (_value(given, constants) for given in node.args)
                labels = [one.value for one in node.keywords if one.arg == "labels"]
                given = _value(labels[0], constants) if labels else more[0] if more else ()
                assert name not in found, f"{name} is declared twice"
                found[name] = Declared(_KINDS[getattr(node.func, "id", "")], given, help)
    return found


def _constants(module: ast.Module) -> dict[str, Any]:
    found = {}
    for node in module.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            with suppress(ValueError):
                found[node.targets[0].id] = ast.literal_eval(node.value)
    return found


def _value(node: ast.expr, constants: dict[str, Any]) -> Any:
    return eval(compile(ast.Expression(node), "", "eval"), {"__builtins__": {}}, constants)
