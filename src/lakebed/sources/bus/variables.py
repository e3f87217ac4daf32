"""The variables of an aggregator of a bus: what they ask for, as settings and documents. Pure.

VABUS_URL ───────────────> a source of kind bus, `vabus`
AGGREGATION_INTERVAL ────> a policy `vabus`: windows of its events, each by its own function
STORAGE_TYPE ────────────> a relay `vabus`: finished windows go to Kafka or PostgreSQL
"""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from lakebed.vocabulary.errors import Problem, SettingsError
from lakebed.vocabulary.times import SECOND, Micros
from lakebed.vocabulary.widths import check_width, format_width, parse_width

NAME = "vabus"
"""Of the source, the policy and the relay."""

NOTE = f"variables of {NAME}"
"""The source reads nothing before it: no event comes before its policy and relay."""

VARIABLES: Mapping[str, str] = {
    "VABUS_URL": "the bus, such as `http://localhost:8000`; without it the others mean nothing",
    "VABUS_TOKEN": "the token that it wants as a bearer, if it wants one",
    "AGGREGATION_INTERVAL": "width of windows, in seconds or with a unit; default 60",
    "STORAGE_TYPE": "where finished windows go: `kafka` or `postgres`; without it they are kept"
    " in Lakebed alone",
    "VABUS_KAFKA_URL": "with `kafka`: `kafka://HOST:9092/TOPIC`",
    "VABUS_KAFKA_USER": "with `kafka`: a user, if it wants one,",
    "VABUS_KAFKA_PASSWORD": "and the password",
    "VABUS_POSTGRES_URL": "with `postgres`: `postgresql://USER:PASSWORD@HOST/DATABASE`",
    "VABUS_POSTGRES_TABLE": "the table, which is made if it is missing; default `aggregates`",
}
"""And what they mean. Empty ones count as not given."""


class Aggregation(NamedTuple):
    """
    Attributes:
        source: an entry of `[[sources]]`.
        documents: `policies`, and `relays` where there is a store.
        secrets: values by name.
        networks: that the store's address lies in, where it is a private one.
    """

    source: dict[str, Any]
    documents: dict[str, list[dict[str, Any]]]
    secrets: dict[str, str]
    networks: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The documents, as the note `NOTE` of the catalog has them once they are in force."""
        return msgspec.json.encode(self.documents).decode()


def read(environment: Mapping[str, str]) -> Aggregation | None:
    """What the variables ask for; None without a bus.

    Raises:
        SettingsError: names the variable that is wrong or missing.
    """
    given = {name: environment[name] for name in VARIABLES if environment.get(name)}
    if "VABUS_URL" not in given:
        return None
    source: dict[str, Any] = {
        "kind": "bus", "name": NAME, "url": given["VABUS_URL"], "metrics": "/metrics",
    }  # fmt: skip
    if "VABUS_TOKEN" in given:
        source |= {"auth": "bearer", "secret_env": "VABUS_TOKEN"}
    policy = {
        "name": NAME, "topics": ["bus/#"], "type": "number", "at": "/value", "keep": "aggregate",
        "every": format_width(_interval(given)), "function_at": "/agg_func",
        "function_else": "sum", "functions": ["sum", "avg", "min", "max"],
    }  # fmt: skip
    found = Aggregation(source, {"policies": [policy]}, {})
    match given.get("STORAGE_TYPE"):
        case None:
            return found
        case "kafka":
            return _to_kafka(given, found)
        case "postgres":
            return _to_postgres(given, found)
        case other:
            raise SettingsError(Problem("STORAGE_TYPE", f"{other!r} is neither kafka nor postgres"))


def _interval(given: Mapping[str, str]) -> Micros:
    text = given.get("AGGREGATION_INTERVAL", "60")
    try:
        return check_width(int(text) * SECOND if text.isascii() and text.isdigit()
                           else parse_width(text))  # fmt: skip
    except ValueError as error:
        raise SettingsError(Problem("AGGREGATION_INTERVAL", str(error))) from None


def _to_kafka(given: Mapping[str, str], found: Aggregation) -> Aggregation:
    url = _needed(given, "VABUS_KAFKA_URL")
    to: dict[str, Any] = {"kafka": url, "key": "{topic}"}
    secrets = {}
    if "VABUS_KAFKA_USER" in given:
        secrets = {f"{NAME}-kafka": _needed(given, "VABUS_KAFKA_PASSWORD")}
        to |= {"user": given["VABUS_KAFKA_USER"], "password": f"secret:{NAME}-kafka"}
    servers = urlsplit(url).netloc.split(",")
    return _with_relay(found, to, secrets, [one.rpartition(":")[0] for one in servers])


def _to_postgres(given: Mapping[str, str], found: Aggregation) -> Aggregation:
    url = _needed(given, "VABUS_POSTGRES_URL")
    to = {
        "postgres": f"secret:{NAME}-postgres",
        "table": given.get("VABUS_POSTGRES_TABLE", "aggregates"),
        "key": ["topic", "field", "start"],
    }
    host = urlsplit(url).hostname or ""
    return _with_relay(found, to, {f"{NAME}-postgres": url}, [host])


def _with_relay(
    found: Aggregation, to: dict[str, Any], secrets: dict[str, str], hosts: list[str]
) -> Aggregation:
    relay = {"name": NAME, "from": {"policy": NAME, "what": "finished"}, "to": to}
    networks = [network for host in hosts for network in _network(host)]
    return found._replace(
        documents={**found.documents, "relays": [relay]},
        secrets=secrets,
        networks=tuple(dict.fromkeys(networks)),
    )


def _needed(given: Mapping[str, str], name: str) -> str:
    if name not in given:
        what = f"STORAGE_TYPE={given['STORAGE_TYPE']} needs it: {VARIABLES[name]}"
        raise SettingsError(Problem(name, what))
    return given[name]


def _network(host: str) -> tuple[str, ...]:
    """What a target must be allowed to reach; names of other machines are for the operator."""
    if host == "localhost":
        return "127.0.0.0/8", "::1/128"
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return ()
    return () if address.is_global else (str(address),)
