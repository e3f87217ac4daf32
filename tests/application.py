"""The application over real stores, asked through httpx; nothing listens on a port."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import uvloop
from argon2 import PasswordHasher

from lakebed.access.identification import Identification
from lakebed.access.unit_directory import UnitDirectory
from lakebed.accounts.audit_trail import AuditTrail
from lakebed.accounts.passwords import Passwords
from lakebed.accounts.signing_in import SignIn
from lakebed.api.app import Application, assemble, metrics_of, routes_of
from lakebed.api.services import Services
from lakebed.backup.loss_report import Losses
from lakebed.consuming.feed import LiveFeed
from lakebed.egress.guard import Egress
from lakebed.ingest.intake import Intake
from lakebed.ingest.settings import LimitsSection
from lakebed.keeper.journal_adoption import Plan
from lakebed.keeper.preview import held_since, preview
from lakebed.limits.reports import ClusterReports
from lakebed.ports.accounts.tokens import StoredToken
from lakebed.ports.catalog.journal import JournalLoss
from lakebed.ports.health import Health
from lakebed.ports.series import Series
from lakebed.relays.opening import TargetOpener
from lakebed.runtime.settings import Settings
from lakebed.secrets.keys import Keys
from lakebed.secrets.resolving import Secrets
from lakebed.sources.http.settings import HttpSection
from lakebed.stores.catalog.sql import SIZE, SqlCatalog, open_catalog
from lakebed.stores.journal.memory import MemoryJournal
from lakebed.system.sealing import Sealer
from lakebed.vocabulary.errors import LakebedError
from lakebed.vocabulary.messages import Entry
from lakebed.vocabulary.times import DAY
from lakebed.web import shell

SETTINGS = Settings(http=HttpSection(max_body=100_000), limits=LimitsSection(payload=1_000))
PASSWORDS = Passwords(PasswordHasher(1, 8, 1), workers=1)  # as weak as they can be: fast
ANN, EVE, ADMIN, ROOMS = "ann-token", "eve-token", "admin-token", "rooms-token"


class Api:
    """One application on an event loop of its own thread.

    Attributes:
        token: sent along; None sends none.
        ready: what /readyz is told.
    """

    def __init__(
        self,
        catalog: SqlCatalog,
        series: Series,
        ttl: float = 0.0,
        settings: Settings = SETTINGS,
    ) -> None:
        self.catalog = catalog
        self.journal = MemoryJournal()
        self.fatal: list[BaseException] = []
        self.ready: dict[str, Health] = {"journal": Health(True, "", {"bytes": 5}, (SIZE(5),))}
        self.changes = 0
        self.adopted: list[Plan] = []
        self._series = series
        self._ttl = ttl
        self._settings = settings
        self._loop = uvloop.new_event_loop()  # as the product runs
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.app: Application = self.run(self._open())

    async def _open(self) -> Application:
        self.intake = Intake(self.journal, on_fatal=self.fatal.append, timeout=0.05)
        await self.intake.start()
        self.feed = LiveFeed(self.journal)
        self.units = UnitDirectory(self.catalog)
        self.services = Services(
            settings=self._settings,
            journal=self.journal,
            series=self._series,
            catalog=self.catalog,
            accounts=self.catalog,
            units=self.units,
            audit=AuditTrail(self.catalog),
            sign_in=SignIn(self.catalog, PASSWORDS, SETTINGS.auth, lambda: Sealer("k" * 32)),
            sealer=lambda: Sealer("k" * 32),
            secrets=Secrets(self.catalog, Keys(Path(), "k" * 32)),
            targets=TargetOpener(Secrets(self.catalog, Keys(Path(), "k" * 32)), Egress(())),
            identification=Identification(
                self.catalog, ttl=self._ttl, second_factor=self._settings.auth.second_factor
            ),
            feed=self.feed,
            ready=lambda: self.ready,
            erase=lambda wanted: 0,
            adopt=self._adopt,
            held_since=lambda: held_since(self.journal),
            preview=lambda policy, bounds: preview(policy, self.journal, DAY, bounds),
            intake=self.intake,
            resending=self.intake,
            losses=Losses(self.catalog),
            cluster=ClusterReports(None, self.intake.limits, "alone"),
            policies_changed=self._changed,
        )
        routes = [partial(routes_of, self.services), shell.install]
        return assemble(self.services, routes, metrics_of(self.services))

    def _adopt(self, plan: Plan) -> list[JournalLoss]:
        self.adopted.append(plan)
        return plan.lost

    def _changed(self) -> None:
        self.changes += 1

    def close(self) -> None:
        self.run(self.units.close())
        self.run(self.feed.close())
        self.run(self.intake.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def ask(self, method: str, path: str, token: str | None = ANN, **more: Any) -> httpx.Response:
        headers = dict(more.pop("headers", {}))
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://lakebed") as client:
                return await client.request(method, path, headers=headers, **more)

        answer: httpx.Response = self.run(ask())
        return answer

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.ask("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self.ask("POST", path, **more)

    def appended(self, since: int) -> list[tuple[str, str, bytes]]:
        """Owner, topic and payload of what the journal holds from an offset on, each once."""
        return [
            (*entry.batch.channels[entry.batch.channel[i]], entry.batch.payloads[i])
            for entry in self.entries(since)
            for i in range(len(entry.batch))
            if entry.batch.sparse.counts is None or entry.batch.sparse.counts[i]
        ]

    def entries(self, since: int) -> list[Entry]:
        return self.journal.entries(0, since, 1_000_000)

    @property
    def end(self) -> int:
        return self.journal.end


class NoSeries:
    """For routes that do not read the series: reading it fails the test."""

    def write(self, table: str, rows: Any) -> None:
        raise AssertionError("nothing is written here")

    def read(self, question: Any) -> Any:
        raise AssertionError("nothing is read here")

    def health(self) -> Health:
        return Health(True)

    def close(self) -> None:
        pass


@contextmanager
def opened(
    home: Path, series: Series, ttl: float = 0.0, settings: Settings = SETTINGS
) -> Iterator[Api]:
    """An application over an empty catalog with four tokens, until the end of the context."""
    catalog = open_catalog("sqlite:catalog.db", home)
    for secret, token in {
        ANN: StoredToken("ann", "all"),
        EVE: StoredToken("eve", "all"),
        ADMIN: StoredToken("admin", "admin", admin=True),
        ROOMS: StoredToken("ann", "rooms", publish=("room/#",), read=("room/#",)),
    }.items():
        catalog.add_token(token, secret)
    api = Api(catalog, series, ttl, settings)
    try:
        yield api
    finally:
        api.close()
        catalog.close()


def problem(answer: httpx.Response, status: int, where: str | None = None) -> dict[str, Any]:
    """The problem document of an answer, which must be one (RFC 9457)."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["status"] == status
    assert document["title"]
    if where is not None:
        assert where in [entry["where"] for entry in document["problems"]], document
    return document


class Broken(LakebedError):
    pass
