"""The variables of an aggregator: what they set up, and what of them is refused."""

from pathlib import Path

import pytest

from lakebed.policies.document import parse
from lakebed.relays import documents
from lakebed.runtime.settings import load
from lakebed.sources.bus.settings import BusSource
from lakebed.sources.bus.variables import VARIABLES, read
from lakebed.vocabulary.errors import SettingsError

URL = {"VABUS_URL": "http://bus.example:8000"}
POSTGRES = {"STORAGE_TYPE": "postgres", "VABUS_POSTGRES_URL": "postgresql://u:p@10.0.0.7/db"}
KAFKA = {"STORAGE_TYPE": "kafka", "VABUS_KAFKA_URL": "kafka://localhost:9092/sums"}


def test_without_a_bus_nothing_is_set_up(tmp_path: Path) -> None:
    assert read({"AGGREGATION_INTERVAL": "60", **POSTGRES}) is None
    assert load(environment={}, flags={"home": str(tmp_path)}).sources == ()


def test_a_bus_alone_is_read_and_aggregated_by_the_minute() -> None:
    found = read(URL)
    assert found is not None
    assert found.source["url"] == URL["VABUS_URL"]
    (document,) = found.documents["policies"]
    policy = parse(document, "admin")
    assert (policy.every, policy.function_at, policy.function_else) == (
        60_000_000, "/agg_func", "sum",
    )  # fmt: skip
    assert "relays" not in found.documents


@pytest.mark.parametrize(("text", "seconds"), [("5", 5), ("300", 300), ("15m", 900), ("", 60)])
def test_the_interval_is_seconds_or_has_a_unit(text: str, seconds: int) -> None:
    found = read(URL | {"AGGREGATION_INTERVAL": text})
    assert found is not None
    assert parse(found.documents["policies"][0], "admin").every == seconds * 1_000_000


@pytest.mark.parametrize("store", [POSTGRES, KAFKA], ids=["postgres", "kafka"])
def test_a_store_is_a_relay_of_finished_windows(store: dict[str, str]) -> None:
    found = read(URL | store)
    assert found is not None
    (document,) = found.documents["relays"]
    assert documents.check(document) == []
    assert document["from"] == {"policy": "vabus", "what": "finished"}
    assert "u:p@" not in str(found.documents)


def test_private_addresses_of_a_store_are_allowed_as_the_operator_named_them(
    tmp_path: Path,
) -> None:
    flags = {"home": str(tmp_path)}
    settings = load(environment=URL | POSTGRES, flags=flags)
    assert settings.relays.allow_private == ("10.0.0.7",)
    assert load(environment=URL | KAFKA, flags=flags).relays.allow_private == (
        "127.0.0.0/8", "::1/128",
    )  # fmt: skip


def test_a_source_of_the_file_with_this_name_counts(tmp_path: Path) -> None:
    text = '[[sources]]\nkind = "bus"\nname = "vabus"\nurl = "http://other"\npath = "/all"\n'
    (tmp_path / "lakebed.toml").write_text(text)
    (source,) = load(environment=URL, flags={"home": str(tmp_path)}).sources
    assert isinstance(source, BusSource)
    assert source.url == "http://other"


def test_a_token_is_asked_of_the_environment_and_stands_nowhere(tmp_path: Path) -> None:
    environment = URL | {"VABUS_TOKEN": "hush-hush"}
    (source,) = load(environment=environment, flags={"home": str(tmp_path)}).sources
    assert isinstance(source, BusSource)
    assert (source.auth, source.secret_env) == ("bearer", "VABUS_TOKEN")
    assert "hush-hush" not in str(source)


@pytest.mark.parametrize(
    ("environment", "where"),
    [
        ({"STORAGE_TYPE": "redis"}, "STORAGE_TYPE"),
        ({"STORAGE_TYPE": "kafka"}, "VABUS_KAFKA_URL"),
        ({"STORAGE_TYPE": "postgres"}, "VABUS_POSTGRES_URL"),
        ({"AGGREGATION_INTERVAL": "7"}, "AGGREGATION_INTERVAL"),
        ({"AGGREGATION_INTERVAL": "soon"}, "AGGREGATION_INTERVAL"),
    ],
)
def test_what_is_wrong_is_named(environment: dict[str, str], where: str) -> None:
    with pytest.raises(SettingsError) as error:
        read(URL | environment)
    assert [problem.where for problem in error.value.problems] == [where]


def test_the_variables_stand_in_the_reference_and_no_others() -> None:
    page = Path(__file__).parents[4] / "docs/reference/settings.md"
    text = page.read_text().partition("## The variables of an aggregator")[2].partition("\n## ")[0]
    rows = [line for line in text.splitlines() if line.startswith(("| VABUS", "| AGG", "| STOR"))]
    assert rows == [f"| {name} | {what} |" for name, what in VARIABLES.items()]
