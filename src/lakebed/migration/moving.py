"""Moves an embedded home to the servers that a configuration names.

    home:    keeper finishes ──> rows ────────────> series ─┐
             (nothing unread)    keys, its end ───> journal ├─ compared ─> home marked as moved
                                 its content, with          │                    │
                                 the tasks' state split ──> catalog, in one transaction

Offsets of the new journal begin behind those of the old one, so rows and values that are ordered or
replaced by offset stay right. It can be killed at any moment and run again, with the same result:
before the catalog's transaction the target is not used, and after it the target is complete.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lakebed.backup import lineage, loss, offline
from lakebed.keeper import ledger as ledgers
from lakebed.keeper import splitting
from lakebed.migration import consumers, draining, mark, rows
from lakebed.migration.mark import Mark
from lakebed.migration.settings import MigrationSettings
from lakebed.ports.catalog.catalog import Catalog
from lakebed.ports.catalog.checkpoints import Checkpoint
from lakebed.ports.catalog.content import Rows
from lakebed.ports.journal.journal import Journal
from lakebed.ports.journal.succession import Predecessor, Successor
from lakebed.ports.series import Contents, Series
from lakebed.stores import home as homes
from lakebed.stores import opening
from lakebed.vocabulary import times
from lakebed.vocabulary.errors import Conflict, NotFound, Problem, SettingsError, Unsupported
from lakebed.vocabulary.messages import ID_KEY

Step = Callable[[str, int, int], None]
"""Called with the current step, its progress and its total."""

_SERVERS = {
    "journal": ("kafka",),
    "catalog": ("postgresql",),
    "series": ("clickhouse", "clickhouses"),
}


@dataclass(frozen=True, slots=True)
class MigrationResult:
    """The result of a migration.

    Attributes:
        to: the URLs of the new stores.
        messages: accepted by the home since it was made.
        partitions: of the new journal.
        rows: as readers see them, by table, owner and policy; compared on both sides.
        already: whether an earlier run had finished.
    """

    to: str
    messages: int
    partitions: int
    rows: list[dict[str, Any]]
    catalog: dict[str, int]
    already: bool = False

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Stores:
    settings: MigrationSettings
    catalog: Catalog
    series: Series
    journal: Journal

    def state(self) -> Mark:
        """The mark of the home as it is now."""
        end = max(self.journal.extent()[0][1], self.catalog.highest_offset(0))
        term = self.catalog.term(ledgers.CONSUMER, 0)
        return Mark(lineage.of_home(self.settings.home).name, term, end)


def migrate(source: MigrationSettings, target: MigrationSettings, step: Step) -> MigrationResult:
    """Move the contents of a home on which no server runs.

    Raises:
        SettingsError: the target is no set of servers, or has another time zone for windows.
        NotFound: target is no home.
        Fatal: a server runs on it, it was moved elsewhere, or the copy differs.
        Conflict: the target is not empty, the series of the home is lost, or a consumer besides the
            keeper has unread messages.
        Unavailable: a store does not answer: run it again.
    """
    _check(source, target)
    with ExitStack() as stack:
        for home in dict.fromkeys((source.home.resolve(), target.home.resolve())):
            stack.callback(os.close, homes.lock(home))
        homes.check_whole(source.home)
        mark.check_not_moved(target, source.home)
        target_stores = _open_target(target, stack)
        source_stores = _open_source(source, stack)
        return _move(source_stores, target_stores, step)


def _check(source: MigrationSettings, target: MigrationSettings) -> None:
    if not offline.store_paths(source).catalog.exists():
        raise NotFound(f"{source.home} is not the home of a server")
    wrong = [
        Problem(f"{store}.url", f"name a server ({schemes[0]}://…): everything is moved at once")
        for store, schemes in _SERVERS.items()
        if getattr(target, store).url.partition("://")[0] not in schemes
    ]
    zone = source.keeper.timezone
    if target.keeper.timezone != zone:
        what = f"the home's is {zone}: windows would begin at other times"
        wrong.append(Problem("keeper.timezone", what))
    if wrong:
        raise SettingsError(*wrong)


def _open_source(settings: MigrationSettings, stack: ExitStack) -> _Stores:
    catalog = stack.enter_context(closing(opening.open_catalog(settings)))
    series, lost = loss.open_detecting_loss(settings, catalog)
    stack.enter_context(closing(series))
    if lost is not None and not lost.done:
        raise Conflict(f"the series is lost ({lost.reason}): a server started on it rebuilds it")
    journal = opening.open_journal(settings, after=catalog)
    return _Stores(settings, catalog, series, stack.enter_context(closing(journal)))


def _open_target(settings: MigrationSettings, stack: ExitStack) -> _Stores:
    catalog = stack.enter_context(closing(opening.open_catalog(settings)))
    series = stack.enter_context(closing(opening.open_series(settings)))
    journal = stack.enter_context(closing(opening.open_journal(settings)))
    return _Stores(settings, catalog, series, journal)


def _move(source: _Stores, target: _Stores, step: Step) -> MigrationResult:
    begun = mark.read(target.catalog)
    now = source.state()
    if begun is None:
        _check_empty(target)
    elif begun.lineage != now.lineage:
        raise Conflict("another home was moved to these stores, or its migration was interrupted")
    elif begun.finished:
        if not begun.is_of(now):
            raise Conflict("this home was moved there before, and has been used again since")
        return _result(
            source, target, source.series.contents(times.now() + rows.MARGIN), already=True
        )
    consumers.check(source.journal.positions())
    consumers.check_parked(source.catalog)
    consumers.check_fills(source.catalog)
    if begun is not None and begun.is_of(now):
        now = begun
    else:
        draining.drain(
            source.settings, source.journal, source.series, source.catalog,
            lambda left: step("working off the journal", 0, left),
        )  # fmt: skip
        now = source.state()
        if begun is not None:  # the home was used since: the copy is out of date
            step("clearing what was copied before", 0, 0)
            target.series.clear()
        mark.write(target.catalog, now)
    return _copy(source, target, now, step)


def _check_empty(target: _Stores) -> None:
    found = [f"{n} rows in {name}" for name, n in target.series.counts().items() if n]
    found += [f"{n} {name.replace('_', ' ')}" for name, n in target.catalog.counts().items() if n]
    for partition, (first, _) in target.journal.extent().items():
        if target.journal.entries(partition, first, 1):
            found.append(f"messages in partition {partition} of the journal")
            break
    if found:
        raise Conflict(f"the target is not empty: it has {', '.join(found)}")


def _copy(source: _Stores, target: _Stores, now: Mark, step: Step) -> MigrationResult:
    if not isinstance(target.journal, Successor) or not isinstance(source.journal, Predecessor):
        raise Unsupported("a journal of this kind cannot go on where another one ended")

    def finished(table_partition: str) -> None:
        now.done.append(table_partition)
        mark.write(target.catalog, now)

    partition_of = target.journal.partition_of
    rows.copy(source.series, target.series, partition_of, set(now.done), finished,
              lambda table, done, of: step(f"copying {table}", done, of))  # fmt: skip
    step("comparing", 0, 0)
    kept = source.series.contents(alive := times.now() + rows.MARGIN)
    try:
        rows.compare(kept, target.series.contents(alive))
    except BaseException:
        now.done.clear()  # the next run copies everything again
        mark.write(target.catalog, now)
        raise
    step("preparing the journal", 0, 0)
    held = [key for keys, _ in source.journal.remembered() for key in keys if not _is_id(key)]
    starts = target.journal.succeed(now.end, held)
    parts = splitting.split(
        draining.saved(source.catalog, source.settings),
        source.catalog,
        source.settings,
        partition_of,
        starts,
        source.journal.remembered(),
    )
    step("moving the catalog", 0, 0)
    now.finished = True
    _copy_token(source.settings.home, target.settings.home)
    mark.note(source.settings.home, mark.describe_stores(target.settings))
    target.catalog.replace(_catalog_content(source.catalog, parts, now))
    return _result(source, target, kept)


def _is_id(key: bytes) -> bool:
    return key.startswith(ID_KEY)


def _catalog_content(
    catalog: Catalog, parts: dict[int, list[Checkpoint]], now: Mark
) -> Iterator[tuple[str, Rows]]:
    """The catalog's content, with the keeper's checkpoints split by new partition."""
    followers = consumers.followers(catalog)
    for table, found in catalog.content():
        if table == "checkpoints":
            yield table, consumers.movable(found, followers)
        elif table != "forgets":  # their requests ended with the server
            yield table, found
    for partition, own in parts.items():
        yield "checkpoints", [_row(ledgers.CONSUMER, partition, part) for part in own]
    yield "checkpoints", [_row(mark.CONSUMER, 0, now.to_checkpoint())]


def _row(consumer: str, partition: int, part: Checkpoint) -> dict[str, Any]:
    return {
        "consumer": consumer,
        "partition": partition,
        "part": part.part,
        "offset": part.offset,
        "state": part.state,
    }


def _copy_token(home: Path, to: Path) -> None:
    """Copy `admin.token` to the new home: the token in it stays valid."""
    file = home / "admin.token"
    if home.resolve() == to.resolve() or not file.is_file():
        return
    descriptor = os.open(to / file.name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as copy:
        os.fchmod(descriptor, 0o600)
        copy.write(file.read_bytes())
        copy.flush()
        os.fsync(descriptor)


def _result(
    source: _Stores, target: _Stores, kept: Contents, already: bool = False
) -> MigrationResult:
    return MigrationResult(
        to=mark.describe_stores(target.settings),
        messages=ledgers.load(source.catalog).messages,
        partitions=len(target.journal.extent()),
        rows=[
            {"table": table, "owner": owner, "policy": policy, "rows": found.rows}
            for (table, owner, policy), found in kept.items()
        ],
        catalog=source.catalog.counts(),
        already=already,
    )
