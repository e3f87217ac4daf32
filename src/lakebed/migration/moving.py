"""Moves an embedded home to the servers that a configuration names, so that nobody sees a seam.

    home:    keeper finishes ──> rows ────────────> series ─┐
             (nothing unread)    keys, its end ───> journal ├─ compared ─> home marked as moved
                                 all of it, the             │                    │
                                 tasks' state divided ────> catalog, in one transaction

Offsets of the new journal begin behind those of the old one, so that whatever is ordered or
replaced by them goes on. Killed at any moment and run again it ends in the same state: until the
catalog's transaction nothing of the target counts, and after it everything is there.
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
from lakebed.migration import draining, mark, rows
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
"""Told what is being done, and how much of how much of it."""

_SERVERS = {
    "journal": ("kafka",),
    "catalog": ("postgresql",),
    "series": ("clickhouse", "clickhouses"),
}


@dataclass(frozen=True, slots=True)
class Moved:
    """What a migration came to.

    Attributes:
        to: where everything is now.
        messages: that were ever accepted.
        partitions: of the new journal.
        rows: as readers see them, by table, owner and policy; compared on both sides.
        already: whether an earlier run had done it all.
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
        """Of the home as it is now."""
        parts = self.catalog.checkpoints(ledgers.CONSUMER, 0).get(0, [])
        ends = [self.journal.extent()[0][1], *(part.offset for part in parts)]
        term = self.catalog.term(ledgers.CONSUMER, 0)
        return Mark(lineage.of_home(self.settings.home).name, term, max(ends))


def migrate(source: MigrationSettings, target: MigrationSettings, step: Step) -> Moved:
    """Move what is in a home that no server runs on.

    Raises:
        SettingsError: the target is no set of servers, or would understand policies otherwise.
        NotFound: there is no home.
        Fatal: a server runs on it, it was moved elsewhere, or what was copied differs.
        Conflict: the target holds something else, or the series of the home is lost.
        Unavailable: a store does not answer: run it again.
    """
    _check(source, target)
    with ExitStack() as stack:
        for home in dict.fromkeys((source.home.resolve(), target.home.resolve())):
            stack.callback(os.close, homes.lock(home))
        homes.check_whole(source.home)
        mark.check_here(target, source.home)
        there = _open_target(target, stack)
        here = _open_source(source, stack)
        return _move(here, there, step)


def _check(source: MigrationSettings, target: MigrationSettings) -> None:
    if not offline.places(source).catalog.exists():
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
    series, lost = loss.open_noticing(settings, catalog.checkpoints(ledgers.CONSUMER))
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


def _move(here: _Stores, there: _Stores, step: Step) -> Moved:
    begun = mark.read(there.catalog)
    now = here.state()
    if begun is None:
        _check_empty(there)
    elif begun.lineage != now.lineage:
        raise Conflict("another home was moved to these stores, or its migration was interrupted")
    elif begun.finished:
        if not begun.is_of(now):
            raise Conflict("this home was moved there before, and has been used again since")
        return _result(here, there, here.series.contents(times.now() + rows.MARGIN), already=True)
    if begun is not None and begun.is_of(now):
        now = begun
    else:
        draining.drain(
            here.settings, here.journal, here.series, here.catalog,
            lambda left: step("working off the journal", 0, left),
        )  # fmt: skip
        now = here.state()
        if begun is not None:  # the home was used in between: what was copied is not what it has
            step("clearing what was copied before", 0, 0)
            there.series.clear()
        mark.write(there.catalog, now)
    return _copy(here, there, now, step)


def _check_empty(there: _Stores) -> None:
    found = [f"{n} rows in {name}" for name, n in there.series.counts().items() if n]
    found += [f"{n} {name.replace('_', ' ')}" for name, n in there.catalog.counts().items() if n]
    for partition, (first, _) in there.journal.extent().items():
        if there.journal.entries(partition, first, 1):
            found.append(f"messages in partition {partition} of the journal")
            break
    if found:
        raise Conflict(f"the target is not empty: it has {', '.join(found)}")


def _copy(here: _Stores, there: _Stores, now: Mark, step: Step) -> Moved:
    if not isinstance(there.journal, Successor) or not isinstance(here.journal, Predecessor):
        raise Unsupported("a journal of this kind cannot go on where another one ended")

    def finished(stretch: str) -> None:
        now.done.append(stretch)
        mark.write(there.catalog, now)

    place = there.journal.partition_of
    rows.copy(here.series, there.series, place, set(now.done), finished,
              lambda table, done, of: step(f"copying {table}", done, of))  # fmt: skip
    step("comparing", 0, 0)
    kept = here.series.contents(alive := times.now() + rows.MARGIN)
    try:
        rows.compare(kept, there.series.contents(alive))
    except BaseException:
        now.done.clear()  # the next run copies everything again
        mark.write(there.catalog, now)
        raise
    step("preparing the journal", 0, 0)
    held = [key for keys, _ in here.journal.remembered() for key in keys if not _is_id(key)]
    starts = there.journal.succeed(now.end, held)
    parts = splitting.split(
        draining.saved(here.catalog, here.settings), here.catalog, here.settings, place, starts,
        here.journal.remembered(),
    )  # fmt: skip
    step("moving the catalog", 0, 0)
    now.finished = True
    _hand_over_token(here.settings.home, there.settings.home)
    mark.note(here.settings.home, mark.place_of(there.settings))
    there.catalog.replace(_moved(here.catalog, parts, now))
    return _result(here, there, kept)


def _is_id(key: bytes) -> bool:
    return key.startswith(ID_KEY)


def _moved(
    catalog: Catalog, parts: dict[int, list[Checkpoint]], now: Mark
) -> Iterator[tuple[str, Rows]]:
    """The catalog's content, with the keeper's checkpoints divided."""
    for table, found in catalog.content():
        if table == "checkpoints":
            yield table, [row for row in found if row["consumer"] != ledgers.CONSUMER]
        elif table != "forgets":  # who asked for them is gone with the server
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


def _hand_over_token(home: Path, to: Path) -> None:
    """The admin's token goes on being good: so the file that holds it belongs to the new home."""
    file = home / "admin.token"
    if home.resolve() == to.resolve() or not file.is_file():
        return
    descriptor = os.open(to / file.name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as copy:
        os.fchmod(descriptor, 0o600)
        copy.write(file.read_bytes())
        copy.flush()
        os.fsync(descriptor)


def _result(here: _Stores, there: _Stores, kept: Contents, already: bool = False) -> Moved:
    return Moved(
        to=mark.place_of(there.settings),
        messages=sum(ledgers.load(here.catalog).totals.values()),
        partitions=len(there.journal.extent()),
        rows=[
            {"table": table, "owner": owner, "policy": policy, "rows": found.rows}
            for (table, owner, policy), found in kept.items()
        ],
        catalog=here.catalog.counts(),
        already=already,
    )
