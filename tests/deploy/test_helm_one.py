"""The chart for one pod with embedded stores renders to what fits Kubernetes and the program."""

import json
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from click.testing import CliRunner
from typer.main import get_command

from lakebed.cli.main import app
from lakebed.runtime.settings import load
from tests.deploy.test_helm import VERSIONS, Manifest, read
from tests.deploy.tools import DEPLOY, run

CHART = DEPLOY / "helm" / "lakebed-one"
RENDERED = DEPLOY / "kubernetes" / "lakebed-one.yaml"


def rendered(helm: str, *options: str | Path) -> list[Manifest]:
    return read(run(helm, "template", "lakebed-one", CHART, "--kube-version=1.34.0", *options))


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def check(manifests: list[Manifest], folder: Path) -> None:
    """What must hold whatever the values are."""
    for version in VERSIONS:
        for manifest in manifests:
            kubernetes_validate.validate(manifest, version, strict=True)
    names = [(m["kind"], m["metadata"]["name"]) for m in manifests]
    assert len(set(names)) == len(names)
    (one,) = of_kind(manifests, "StatefulSet")
    assert one["spec"]["replicas"] == 1
    _check_pod(one["spec"], manifests, folder)
    for service in of_kind(manifests, "Service"):
        pod = one["spec"]["template"]
        assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
        ports = {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    for job in of_kind(manifests, "CronJob"):
        template = job["spec"]["jobTemplate"]["spec"]["template"]
        labels = one["spec"]["selector"]["matchLabels"]
        assert not labels.items() <= template["metadata"]["labels"].items()  # no service finds it
        (container,) = template["spec"]["containers"]
        _check_command(container["args"])


def _check_pod(spec: Manifest, manifests: list[Manifest], folder: Path) -> None:
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    _check_command(container["args"])
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["resources"]["limits"]["memory"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["terminationGracePeriodSeconds"] > 5 + 10
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    lasting = {claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", ())}
    lasting |= {v["name"] for v in pod["volumes"] if "persistentVolumeClaim" in v}
    assert lasting == {"home"}
    assert set(mounted) == lasting | {volume["name"] for volume in pod["volumes"]}
    environment = {entry["name"]: entry["value"] for entry in container["env"]}
    assert environment["LAKEBED__HOME"].startswith(f"{mounted['home']}/")
    (config,) = of_kind(manifests, "ConfigMap")
    file = folder / "lakebed.toml"
    file.write_text(config["data"]["lakebed.toml"] or "")
    settings = load(file, environment=environment)
    assert settings.journal.url.startswith("sqlite:")
    assert settings.series.url.startswith("chdb:")


def _check_command(arguments: list[str]) -> None:
    command, *options = arguments
    result = CliRunner().invoke(get_command(app), [command, "--help"])
    assert result.exit_code == 0, result.output
    assert all(option in result.output for option in options if option.startswith("--"))


def test_the_rendered_manifests_are_valid_and_fit_each_other(tmp_path: Path) -> None:
    check(read(RENDERED.read_text()), tmp_path)


def test_the_volume_stays_when_the_release_is_removed() -> None:
    (one,) = of_kind(read(RENDERED.read_text()), "StatefulSet")
    assert one["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == "Retain"


def test_the_defaults_are_all_in_the_schema_of_values() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert set(schema["properties"]) - {"global"} == set(values)
    for name, given in values.items():
        asked = schema["properties"][name]
        if isinstance(given, dict) and asked.get("additionalProperties") is False:
            assert set(given) <= set(asked["properties"]), name


def test_the_rendered_manifests_are_current(helm: str) -> None:
    assert rendered(helm, "--namespace=lakebed") == read(RENDERED.read_text())


@pytest.mark.parametrize("values", sorted((CHART / "ci").glob("*.yaml")), ids=lambda p: p.stem)
def test_the_chart_is_valid_with_other_values(helm: str, values: Path, tmp_path: Path) -> None:
    run(helm, "lint", "--strict", CHART, "--values", values)
    check(rendered(helm, "--values", values), tmp_path)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("replicas=3", "replicas"),
        ("backup.schedule=@hourly", "to"),
        ("backup.schedule=@hourly,backup.to=s3://b/p", "LAKEBED__API__ADMIN_TOKEN"),
    ],
)
def test_values_that_cannot_work_are_refused(helm: str, given: Any, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        rendered(helm, "--set", given)
