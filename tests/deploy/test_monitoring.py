"""Alerts and dashboards ask for metrics that there are, in expressions that Prometheus reads."""

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.declared import declared
from tests.deploy.tools import DEPLOY, find, run

RULES = DEPLOY / "prometheus" / "lakebed.rules.yml"
GRAFANA = DEPLOY / "grafana"
DASHBOARDS = sorted(GRAFANA.glob("*.json"))
FOREIGN = {"up", "node_filesystem_avail_bytes", "node_filesystem_size_bytes"}
"""Of Prometheus itself and of its node_exporter."""

_SELECTOR = re.compile(r"\b(?:lakebed|node|up)(?:_[a-z_0-9]+)?\b(?!:)(?:\{[^}]*\})?")


def alerts() -> list[dict[str, Any]]:
    return [r for g in yaml.safe_load(RULES.read_text())["groups"] for r in g["rules"]]


def panels() -> list[dict[str, Any]]:
    boards = [json.loads(file.read_text()) for file in DASHBOARDS]
    return [p for board in boards for p in board["panels"] if p["type"] != "row"]


def queries() -> list[str]:
    """What dashboards ask Prometheus."""
    boards = [json.loads(file.read_text()) for file in DASHBOARDS]
    marks = [one["target"] for board in boards for one in board["annotations"].get("list", [])]
    asked = [target for panel in panels() for target in panel["targets"]] + marks
    return [target["expr"] for target in asked if "expr" in target]


def expressions() -> list[str]:
    return [rule["expr"] for rule in alerts()] + queries()


def names(expression: str) -> set[str]:
    return {found.partition("{")[0] for found in _SELECTOR.findall(expression)}


def test_every_metric_that_is_asked_for_is_there() -> None:
    asked = {name for expression in expressions() for name in names(expression)}
    assert {"lakebed_ready", "lakebed_in_flight", "lakebed_messages_total"} <= asked
    bare = {re.sub("_(bucket|count|sum)$", "", name) for name in asked - FOREIGN}
    assert bare <= declared().keys()


def test_the_lag_that_keepers_are_scaled_by_is_there() -> None:
    template = DEPLOY / "helm" / "lakebed" / "templates" / "keeper-autoscaling.yaml"
    query = re.search(r"query: sum\(max by \(partition\) \((\w+)", template.read_text())
    external = re.search(r"name: (lakebed_\w+)", template.read_text())
    assert query is not None
    assert external is not None
    assert {query[1], external[1]} <= declared().keys()


def test_prometheus_accepts_its_configuration_and_the_rules() -> None:
    promtool = find("promtool", "prometheus")
    folder = DEPLOY / "prometheus"
    assert "SUCCESS" in run(promtool, "check", "config", "prometheus.yml", folder=folder)


def test_each_alert_tells_when_it_must_and_not_when_it_must_not() -> None:
    promtool = find("promtool", "prometheus")
    run(promtool, "test", "rules", "lakebed.rules_test.yml", folder=DEPLOY / "prometheus")


def test_the_dashboards_mark_every_alert_of_lakebed() -> None:
    marks = re.compile(r'ALERTS\{alertname=~"([^"]+)"')
    (pattern,) = {found for expression in queries() for found in marks.findall(expression)}
    named = [rule["alert"] for rule in alerts() if "lakebed" in rule["expr"] and "alert" in rule]
    assert len(named) > 10
    assert all(re.fullmatch(pattern, name) for name in named)


def test_no_alert_is_without_a_test() -> None:
    tests = yaml.safe_load((RULES.parent / "lakebed.rules_test.yml").read_text())["tests"]
    asked = [case for test in tests for case in test.get("alert_rule_test", [])]
    quiet = {case["alertname"] for case in asked if not case.get("exp_alerts")}
    told = {case["alertname"] for case in asked if case.get("exp_alerts")}
    named = {rule["alert"] for rule in alerts() if "alert" in rule}
    assert quiet == told == named


def test_prometheus_reads_every_expression_of_the_dashboards(tmp_path: Path) -> None:
    promtool = find("promtool", "prometheus")
    shown = queries()
    assert len(shown) > 10
    plain = [e.replace("$__rate_interval", "5m").replace("$instance", ".*") for e in shown]
    rules = [{"record": f"panel:{place}", "expr": e} for place, e in enumerate(plain)]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    run(promtool, "check", "rules", "--lint=none", file)


def test_the_dashboards_are_what_their_program_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(GRAFANA)  # as where the program is run
    spec = importlib.util.spec_from_file_location("dashboard", GRAFANA / "dashboard.py")
    assert spec is not None
    assert spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    assert program.build() == {file.name: file.read_text() for file in DASHBOARDS}


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_panels_of_a_dashboard_do_not_cover_each_other(file: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for place in (panel["gridPos"] for panel in json.loads(file.read_text())["panels"]):
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_data_sources_are_those_that_the_dashboards_choose_from() -> None:
    files = (GRAFANA / "provisioning" / "datasources").glob("*.yml")
    sources = [s for file in files for s in yaml.safe_load(file.read_text())["datasources"]]
    assert len({source["uid"] for source in sources}) == len(sources)
    asked = {
        variable["query"]
        for file in DASHBOARDS
        for variable in json.loads(file.read_text())["templating"]["list"]
        if variable["type"] == "datasource"
    }
    assert asked < {source["type"] for source in sources}
    secrets = [secret for s in sources for secret in s.get("secureJsonData", {}).values()]
    grafana = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())["services"]
    assert len(secrets) == 2
    assert {s.removeprefix("$") for s in secrets} <= set(grafana["grafana"]["environment"])


def test_the_plugins_of_data_sources_are_installed_in_a_pinned_version() -> None:
    files = (GRAFANA / "provisioning" / "datasources").glob("*.yml")
    kinds = {s["type"] for file in files for s in yaml.safe_load(file.read_text())["datasources"]}
    grafana = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())["services"]
    said = grafana["grafana"]["environment"]["GF_PLUGINS_PREINSTALL"]
    pinned = dict(one.split("@") for one in said.split(","))
    assert pinned.keys() == kinds - {"prometheus"}
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in pinned.values())


def test_compose_mounts_every_dashboard_where_grafana_looks() -> None:
    compose = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())
    provided = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "lakebed.yml").read_text())
    (folder,) = [provider["options"]["path"] for provider in provided["providers"]]
    mounted = set(compose["services"]["grafana"]["volumes"])
    assert {f"../grafana/{f.name}:{folder}/{f.name}:ro" for f in DASHBOARDS} <= mounted
