"""The compose file fits the program: its settings, its roles, its files."""

import re
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from typer.main import get_command

from lakebed.cli.main import app
from lakebed.runtime.settings import Settings, load
from tests.deploy.tools import DEPLOY

FOLDER = DEPLOY / "compose"
FILE = FOLDER / "compose.yaml"
ROLES = {
    "gateway-1": "gateway", "gateway-2": "gateway", "keeper-1": "keeper", "keeper-2": "keeper",
    "api": "api",
}  # fmt: skip
_VARIABLE = re.compile(r"\$\{(\w+)(:\?|:-)([^}]*)\}")


def example() -> dict[str, str]:
    lines = (FOLDER / "example.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    """As Docker would see it with the example's variables."""

    def put(found: re.Match[str]) -> str:
        return example().get(found[1], found[3])

    loaded = yaml.safe_load(_VARIABLE.sub(put, FILE.read_text()))
    assert isinstance(loaded, dict)
    return loaded


def settings_of(project: dict[str, Any], service: dict[str, Any]) -> Settings:
    """What `serve` would read in that container."""
    (mounted,) = service["configs"]
    file = FOLDER / project["configs"][mounted["source"]]["file"]
    return load(file, environment=service["environment"])


@pytest.mark.parametrize(("name", "role"), ROLES.items())
def test_a_service_runs_its_role_on_shared_stores(
    project: dict[str, Any], name: str, role: str
) -> None:
    service = project["services"][name]
    assert service["command"][-2:] == ["--role", role]
    settings = settings_of(project, service)
    assert settings.journal.url.startswith("kafka://kafka:9092/")
    assert settings.catalog.url.startswith("postgresql://lakebed:")
    assert settings.series.url.startswith("clickhouse://lakebed:")


@pytest.mark.parametrize("name", ROLES)
def test_a_command_of_a_service_exists(project: dict[str, Any], name: str) -> None:
    command, *options = project["services"][name]["command"]
    result = CliRunner().invoke(get_command(app), [command, "--help"])
    assert result.exit_code == 0, result.output
    assert all(option in result.output for option in options if option.startswith("--"))


def test_all_roles_use_the_same_journal(project: dict[str, Any]) -> None:
    found = {settings_of(project, project["services"][name]).journal.url for name in ROLES}
    assert len(found) == 1


def test_gateways_join_the_broker_under_names_of_their_own(project: dict[str, Any]) -> None:
    text = (FOLDER / "gateway.toml").read_text()
    assert "{host}" in text
    hosts = [project["services"][name]["hostname"] for name in ("gateway-1", "gateway-2")]
    assert len(set(hosts)) == 2
    (source,) = settings_of(project, project["services"]["gateway-1"]).sources
    assert source.url == "mqtt://emqx:1883"
    assert "emqx" in project["services"]


def test_containers_of_roles_write_to_their_home_only(project: dict[str, Any]) -> None:
    for name in ROLES:
        service = project["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert [volume.partition(":")[2] for volume in service["volumes"]] == ["/var/lib/lakebed"]


def test_no_service_may_take_all_memory(project: dict[str, Any]) -> None:
    limits = {name: service["mem_limit"] for name, service in project["services"].items()}
    heap = project["services"]["kafka"]["environment"]["KAFKA_HEAP_OPTS"]
    assert "-Xmx1g" in heap
    assert limits["kafka"] == "2g"


def test_only_the_api_holds_the_token_of_the_admin(project: dict[str, Any]) -> None:
    holders = {
        n for n in ROLES if "LAKEBED__API__ADMIN_TOKEN" in project["services"][n]["environment"]
    }
    assert holders == {"api"}


def test_the_example_names_every_variable_that_is_needed() -> None:
    found = _VARIABLE.findall(FILE.read_text())
    assert {name for name, kind, _ in found if kind == ":?"} == set(example())
    text = (FOLDER / "example.env").read_text()
    assert all(name in text for name, _, _ in found)


def test_nothing_listens_beyond_this_machine_unasked(project: dict[str, Any]) -> None:
    ports = [p for service in project["services"].values() for p in service.get("ports", [])]
    assert len(set(ports)) == len(ports) > 5
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_files_and_volumes_that_are_mounted_are_there(project: dict[str, Any]) -> None:
    mounts = [v for s in project["services"].values() for v in s.get("volumes", [])]
    for source in (mount.split(":")[0] for mount in mounts):
        if source.startswith("."):
            assert (FOLDER / source).exists(), source
        else:
            assert source in project["volumes"], source
    for config in project["configs"].values():
        assert (FOLDER / config["file"]).is_file()
    assert (FOLDER / project["services"]["api"]["build"]["context"] / "pyproject.toml").is_file()


def test_prometheus_finds_every_role_by_its_name(project: dict[str, Any]) -> None:
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    (found,) = config["scrape_configs"][0]["dns_sd_configs"]
    aliases: dict[str, str] = {}
    for name in ROLES:
        networks = project["services"][name].get("networks", {"default": {"aliases": [name]}})
        aliases[name] = networks["default"]["aliases"][0]
    assert aliases == ROLES
    assert set(found["names"]) == set(ROLES.values())


def test_a_service_waits_only_for_what_can_be_waited_for(project: dict[str, Any]) -> None:
    services = project["services"]
    for service in services.values():
        after = service.get("depends_on", {})
        for name, waits in after.items():
            assert name in services
            assert waits["condition"] != "service_healthy" or "healthcheck" in services[name]


def test_a_container_is_given_the_time_to_stop(project: dict[str, Any]) -> None:
    for name in ROLES:
        assert project["services"][name]["stop_grace_period"] == "15s"
