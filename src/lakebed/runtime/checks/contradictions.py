"""Settings that are right one by one and wrong together."""

from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

from lakebed.diagnosis.finding import Finding, bad, note
from lakebed.runtime.settings import Settings
from lakebed.section import split_address
from lakebed.vocabulary.owners import NO_SLUG, is_slug
from lakebed.vocabulary.sizes import rounded_size
from lakebed.vocabulary.times import format_duration

_LOCAL = {"127.0.0.1", "::1", "localhost"}


def contradictions(settings: Settings) -> Iterator[Finding]:
    for check in (_addresses, _tls, _sizes, _horizons, _stores, _sources, _emqx):
        yield from check(settings)


def _finding(key: str, text: str, advice: str) -> Finding:
    return bad("settings", f"{key}: {text}", advice)


def _addresses(settings: Settings) -> Iterator[Finding]:
    listens = {
        "http.listen": settings.http.listen,
        "mqtt.listen": settings.mqtt.listen,
        "mqtt.tls_listen": settings.mqtt.tls_listen,
        **{f"syslog.{name}": address for address, name in settings.syslog.listens},
        **{f"gelf.{name}": address for address, name in settings.gelf.listens},
    }
    places = {key: split_address(value) for key, value in listens.items() if value is not None}
    taken: dict[tuple[str, int], str] = {}
    for key, place in places.items():
        if place[1] and place in taken:
            yield _finding(key, f"the same as {taken[place]}", "give each a port of its own")
        taken[place] = key


def _tls(settings: Settings) -> Iterator[Finding]:
    for name, section in (("http", settings.http), ("mqtt", settings.mqtt)):
        if (section.tls_certificate is None) != (section.tls_key is None):
            yield _finding(f"{name}.tls_key", "certificate and key go together", "give both")
    if settings.mqtt.tls_listen is not None and settings.mqtt.tls_certificate is None:
        yield _finding("mqtt.tls_listen", "there is no certificate", "set mqtt.tls_certificate")
    open_to_all = {
        "http.listen": (settings.http.listen, settings.http.tls_certificate),
        "mqtt.listen": (settings.mqtt.listen, None),
    }
    for key, (address, certificate) in open_to_all.items():
        if certificate is None and split_address(address)[0] not in _LOCAL:
            yield note(
                "settings",
                f"{key}: {address} is open to other machines, and tokens travel in the clear",
                "use TLS, here or in front, or keep it inside a network that you trust",
            )


def _sizes(settings: Settings) -> Iterator[Finding]:
    payload, body = settings.limits.payload, settings.http.max_body
    if payload > body:
        yield _finding(
            "http.max_body",
            f"{rounded_size(body)} is less than limits.payload, {rounded_size(payload)}",
            "raise http.max_body: a batch with one such message is refused",
        )
    limit = settings.journal.limit
    if 4 * payload > limit:
        yield _finding(
            "journal.limit",
            f"{rounded_size(limit)} has no room for a few payloads of {rounded_size(payload)}",
            "raise journal.limit or lower limits.payload",
        )
    elif settings.keeper.buffer_bytes > limit // 2:
        yield _finding(
            "keeper.buffer_bytes",
            f"one policy may hold {rounded_size(settings.keeper.buffer_bytes)} back, and the"
            f" journal, which keeps it meanwhile, only {rounded_size(limit)}",
            "lower keeper.buffer_bytes or raise journal.limit",
        )


def _horizons(settings: Settings) -> Iterator[Finding]:
    horizon = settings.journal.id_horizon
    sessions = {"mqtt.session_expiry": settings.mqtt.session_expiry}
    for source in settings.brokers:
        if source.qos == 2:
            sessions[f"sources {source.name}: session_expiry"] = source.session_expiry
    for key, expiry in sessions.items():
        if expiry > horizon:
            yield _finding(
                key,
                f"a session of {format_duration(expiry)} outlives journal.id_horizon,"
                f" {format_duration(horizon)}: a QoS 2 message resent then is stored twice",
                "raise journal.id_horizon to at least that",
            )


def _stores(settings: Settings) -> Iterator[Finding]:
    if settings.journal.url.startswith("memory:"):
        yield _finding(
            "journal.url", "memory: forgets what was acknowledged", "use sqlite:journal.db"
        )
    paths = Counter(
        (settings.home / url.partition(":")[2]).absolute()
        for url in (settings.journal.url, settings.catalog.url, settings.series.url)
        if url.startswith(("sqlite:", "chdb:"))
    )
    for path, times in paths.items():
        if times > 1:
            yield _finding("catalog.url", f"{path} holds two stores", "give each its own file")


def _sources(settings: Settings) -> Iterator[Finding]:
    names = Counter(source.name for source in settings.sources)
    for name, times in names.items():
        if times > 1:
            yield _finding("sources", f"{times} are called {name}", "give each its own name")
    sessions = Counter(
        (urlsplit(s.url).hostname, urlsplit(s.url).port, s.client_id or f"lakebed-{s.name}")
        for s in settings.brokers
    )
    for (host, _, client), times in sessions.items():
        if times > 1:
            yield _finding(
                "sources",
                f"{times} join {host} as {client}: the broker lets one at a time",
                "give each its own client_id",
            )
    for source in settings.sources:
        if not is_slug(source.owner):
            yield note(
                "settings",
                f"sources {source.name}: {source.owner!r} is an owner's name of earlier versions",
                f"keep it for what is there; of new ones, {NO_SLUG}",
            )
    own = split_address(settings.mqtt.listen)[1]
    for source in settings.brokers:
        parts = urlsplit(source.url)
        if parts.hostname in _LOCAL and (parts.port or 1883) == own:
            yield _finding(
                f"sources {source.name}",
                "it joins this very server, which is no broker",
                "name the broker, or leave the source out",
            )


def _emqx(settings: Settings) -> Iterator[Finding]:
    auth = settings.auth
    if auth.emqx_secret is not None and not settings.brokers:
        yield note(
            "settings",
            "auth.emqx_secret: no source says whose the topics of the broker are, so filters of"
            " units count there as they are written, whoever's they are",
            "add a source with topic, unless the instance has one owner alone",
        )
    if auth.emqx_api is not None and not (auth.emqx_api_key and auth.emqx_api_secret):
        yield _finding("auth.emqx_api_key", "EMQX wants a key and its secret", "give both")
