"""The chart and what it renders to fit Kubernetes and the program.

Without Helm the rendered manifests that lie beside the chart are looked at; with it, that they are
current, and what other values make of the chart.
"""

import json
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from lakebed.runtime.settings import load
from tests.deploy.tools import DEPLOY, run

GRAFANA = DEPLOY / "grafana"
CHART = DEPLOY / "helm" / "lakebed"
RENDERED = DEPLOY / "kubernetes" / "lakebed.yaml"
ROLES = ("gateway", "keeper", "api")
FOREIGN = {"ScaledObject", "ServiceMonitor", "PrometheusRule"}
"""Kinds that are no part of Kubernetes: nobody here has their schemas."""

VERSIONS = ("1.29", "1.34", "1.37")
Manifest = dict[str, Any]


def read(text: str) -> list[Manifest]:
    return [found for found in yaml.safe_load_all(text) if found]


def rendered(helm: str, *options: str | Path) -> list[Manifest]:
    return read(run(helm, "template", "lakebed", CHART, "--kube-version=1.34.0", *options))


def workloads(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Deployments and sets by role."""
    return {
        found["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"]: found
        for found in manifests
        if found["kind"] in ("Deployment", "StatefulSet")
    }


def check(manifests: list[Manifest]) -> None:
    """What must hold whatever the values are."""
    for version in VERSIONS:
        for manifest in (m for m in manifests if m["kind"] not in FOREIGN):
            kubernetes_validate.validate(manifest, version, strict=True)
    names = [(m["kind"], m["metadata"]["name"]) for m in manifests]
    assert len(set(names)) == len(names)
    configs = {m["metadata"]["name"]: m["data"] for m in manifests if m["kind"] == "ConfigMap"}
    found = workloads(manifests)
    assert set(found) == set(ROLES)
    for role, workload in found.items():
        _check_pod(role, workload["spec"]["template"], configs)
    _check_services(manifests, found)


def _check_pod(role: str, template: Manifest, configs: dict[str, dict[str, str]]) -> None:
    (container,) = template["spec"]["containers"]
    assert container["args"] == [
        "serve", "--config", "/etc/lakebed/lakebed.toml", "--role", role
    ]  # fmt: skip
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert template["spec"]["securityContext"]["runAsNonRoot"] is True
    assert template["spec"]["terminationGracePeriodSeconds"] > 5 + 10
    (mounted,) = (v["configMap"]["name"] for v in template["spec"]["volumes"] if "configMap" in v)
    assert mounted in configs


def _check_services(manifests: list[Manifest], found: dict[str, Manifest]) -> None:
    """Each service finds pods, and each of its ports is one of theirs."""
    for service in (m for m in manifests if m["kind"] == "Service"):
        role = service["spec"]["selector"]["app.kubernetes.io/component"]
        template = found[role]["spec"]["template"]
        assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
        ports = {port["name"] for port in template["spec"]["containers"][0]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    services = {m["metadata"]["name"] for m in manifests if m["kind"] == "Service"}
    sets = [m for m in found.values() if m["kind"] == "StatefulSet"]
    assert {m["spec"]["serviceName"] for m in sets} <= services


def test_the_rendered_manifests_are_valid_and_fit_each_other() -> None:
    check(read(RENDERED.read_text()))


@pytest.mark.parametrize("role", ROLES)
def test_the_settings_of_a_role_are_right(role: str, tmp_path: Path) -> None:
    manifests = read(RENDERED.read_text())
    (text,) = (
        m["data"]["lakebed.toml"]
        for m in manifests
        if m["kind"] == "ConfigMap" and m["metadata"]["name"] == f"lakebed-{role}"
    )
    file = tmp_path / "lakebed.toml"
    file.write_text(text)
    assert load(file, environment={}).journal.url.startswith("kafka://")


def test_the_defaults_satisfy_the_schema_of_values() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())

    def named(given: Any, asked: Any) -> None:
        """Every value there is has a line in the schema, at every depth."""
        asked = schema["definitions"][asked["$ref"].split("/")[-1]] if "$ref" in asked else asked
        for key, below in given.items() if asked.get("additionalProperties") is False else ():
            assert key in asked["properties"], key
            if isinstance(below, dict):
                named(below, asked["properties"][key])

    assert set(schema["properties"]) - {"global"} == set(values)
    named(values, schema)


def test_more_keepers_than_partitions_are_not_asked_for() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert f"partitions={2 * values['keeper']['autoscaling']['max']}" in values["settings"]


def test_the_rendered_manifests_are_current(helm: str) -> None:
    said = run(
        helm, "template", "lakebed", CHART, "--namespace=lakebed", "--kube-version=1.34.0"
    )  # fmt: skip
    assert read(said) == read(RENDERED.read_text())


@pytest.mark.parametrize("values", sorted((CHART / "ci").glob("*.yaml")), ids=lambda p: p.stem)
def test_the_chart_is_valid_with_other_values(helm: str, values: Path) -> None:
    run(helm, "lint", "--strict", CHART, "--values", values)
    check(rendered(helm, "--values", values))


def test_the_chart_brings_the_rules_and_every_dashboard(helm: str) -> None:
    manifests = rendered(helm, "--values", CHART / "ci" / "everything-values.yaml")
    (rules,) = (m["spec"] for m in manifests if m["kind"] == "PrometheusRule")
    assert rules == yaml.safe_load((DEPLOY / "prometheus" / "lakebed.rules.yml").read_text())
    boards = [m["data"] for m in manifests if m["metadata"]["name"] == "lakebed-dashboard"]
    written = {file.name: json.loads(file.read_text()) for file in GRAFANA.glob("*.json")}
    assert len(written) == 5
    assert {name: json.loads(text) for name, text in boards[0].items()} == written


def test_a_value_that_nobody_reads_is_refused(helm: str) -> None:
    with pytest.raises(AssertionError, match="replica"):
        rendered(helm, "--set", "gateway.replica=3")
