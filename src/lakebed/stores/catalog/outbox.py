"""The outbox of policies: blocks of records, and how far each stream is numbered."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, Table, delete, func, select, update

from lakebed.ports.catalog.outbox import (
    Followed,
    Follower,
    Gives,
    OutboxBlock,
    Stream,
    Waiting,
)
from lakebed.stores.catalog import tables
from lakebed.stores.catalog.database import Database
from lakebed.stores.catalog.policies import bump_policies
from lakebed.stores.catalog.upsert import insert
from lakebed.vocabulary.errors import UnknownFormat
from lakebed.vocabulary.times import Micros

_BLOCKS, _STREAMS, _FOLLOWERS = (
    tables.outbox_blocks,
    tables.outbox_streams,
    tables.outbox_followers,
)
_KEY = ("owner", "policy", "partition", "reader")
_COLUMNS = tuple(_BLOCKS.c[name] for name in ("first", "records", "at", "state", "format"))

FORMAT = 1
"""Of the blocks that this version writes. It reads all up to it."""


class SqlOutbox(Database):
    """Fulfils `ports.catalog.outbox.OutboxStore`."""

    # --- followers -------------------------------------------------------------------------------

    def followed(self) -> Followed:
        found: dict[tuple[str, str], set[Gives]] = {}
        for follower in self.followers():
            found.setdefault((follower.owner, follower.policy), set()).add(follower.gives)
        return {policy: frozenset(gives) for policy, gives in found.items()}

    def followers(self) -> list[Follower]:
        names = ("relay", "owner", "policy", "gives", "hold")
        query = select(*(_FOLLOWERS.c[name] for name in names)).order_by(_FOLLOWERS.c.relay)
        with self._read() as connection:
            return [Follower(*row) for row in connection.execute(query)]

    def follow(self, follower: Follower) -> None:
        row = {name: getattr(follower, name) for name in Follower.__slots__}
        with self._call() as connection:
            self._forget(connection, follower.relay, keep=(follower.owner, follower.policy))
            statement = insert(connection.dialect.name, _FOLLOWERS)
            changed = {name: statement.excluded[name] for name in row if name != "relay"}
            connection.execute(
                statement.on_conflict_do_update(index_elements=["relay"], set_=changed), row
            )
            bump_policies(connection)

    def unfollow(self, relay: str) -> None:
        with self._call() as connection:
            if self._forget(connection, relay):
                bump_policies(connection)

    def _forget(
        self, connection: Connection, relay: str, keep: tuple[str, str] | None = None
    ) -> bool:
        """Delete a relay; `keep` is a policy that it goes on with."""
        former = connection.execute(
            select(_FOLLOWERS.c.owner, _FOLLOWERS.c.policy).where(_FOLLOWERS.c.relay == relay)
        ).one_or_none()
        if former is None or tuple(former) == keep:
            return False
        connection.execute(delete(_FOLLOWERS).where(_FOLLOWERS.c.relay == relay))
        owner, policy = former
        if not _holds(connection, [(owner, policy)]):
            _clear(connection, owner, policy)
        return True

    def outbox_ends(self, owner: str, policy: str) -> dict[int, int]:
        query = select(_STREAMS.c.partition, _STREAMS.c.next).where(
            _STREAMS.c.owner == owner, _STREAMS.c.policy == policy, _STREAMS.c.reader == ""
        )
        with self._read() as connection:
            return {row.partition: row.next for row in connection.execute(query)}

    # --- writing ---------------------------------------------------------------------------------

    def add_outbox(self, blocks: Sequence[OutboxBlock]) -> None:
        if not blocks:
            return
        with self._call() as connection:
            policies = {(block.stream.owner, block.stream.policy) for block in blocks}
            holds = _holds(connection, sorted(policies))
            for block in sorted(blocks, key=lambda block: _row(block.stream)[:3]):
                hold = holds.get((block.stream.owner, block.stream.policy))
                if hold is not None:
                    _add(connection, block, hold)

    def replace_outbox(self, block: OutboxBlock) -> None:
        with self._call() as connection:
            found = (*_of(_BLOCKS, block.stream), _BLOCKS.c.first == block.first)
            before = connection.execute(select(_BLOCKS.c.bytes).where(*found)).scalar()
            if before is None:
                return
            size = len(block.state)
            connection.execute(
                update(_BLOCKS).where(*found).values(state=block.state, bytes=size, format=FORMAT)
            )
            _note_bytes(connection, block.stream, size - before)

    def trim_outbox(self, stream: Stream, below: int) -> None:
        with self._call() as connection:
            _delete(connection, stream, _BLOCKS.c.first + _BLOCKS.c.records <= below)

    # --- reading ---------------------------------------------------------------------------------

    def outbox_streams(self, owner: str, policy: str | None = None) -> list[Stream]:
        query = select(*(_STREAMS.c[name] for name in _KEY)).where(
            _STREAMS.c.owner == owner, _STREAMS.c.bytes > 0
        )
        if policy is not None:
            query = query.where(_STREAMS.c.policy == policy)
        with self._read() as connection:
            return [Stream(*row) for row in connection.execute(query.order_by(*_KEY_OF_STREAMS))]

    def outbox_blocks(self, stream: Stream, offset: int = 0, most: int = 1) -> list[OutboxBlock]:
        query = (
            select(*_COLUMNS)
            .where(*_of(_BLOCKS, stream), _BLOCKS.c.first + _BLOCKS.c.records > offset)
            .order_by(_BLOCKS.c.first)
            .limit(most)
        )
        with self._read() as connection:
            return [_block(stream, *row) for row in connection.execute(query)]

    def outbox_extent(self, stream: Stream) -> tuple[int, int]:
        first = select(func.min(_BLOCKS.c.first)).where(*_of(_BLOCKS, stream)).scalar_subquery()
        query = select(_STREAMS.c.next, first).where(*_of(_STREAMS, stream))
        with self._read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return 0, 0
        end, begin = row
        return end if begin is None else begin, end

    def outbox_at(self, stream: Stream, time: Micros) -> int:
        query = select(func.min(_BLOCKS.c.first)).where(*_of(_BLOCKS, stream), _BLOCKS.c.at >= time)
        with self._read() as connection:
            found = connection.execute(query).scalar()
        return self.outbox_extent(stream)[1] if found is None else int(found)

    def outbox_waiting(self, stream: Stream, offset: int) -> Waiting:
        end = _BLOCKS.c.first + _BLOCKS.c.records
        query = select(func.min(_BLOCKS.c.first), func.max(end), func.sum(_BLOCKS.c.bytes)).where(
            *_of(_BLOCKS, stream), end > offset
        )
        with self._read() as connection:
            first, last, size = connection.execute(query).one()
        if first is None:
            return Waiting(0, 0)
        return Waiting(last - max(first, offset), int(size))


_KEY_OF_STREAMS = tuple(_STREAMS.c[name] for name in _KEY)


def forget_reader(connection: Connection, reader: str) -> None:
    """Delete what waits for one reader alone."""
    for table in (_BLOCKS, _STREAMS):
        connection.execute(delete(table).where(table.c.reader == reader))


def _row(stream: Stream) -> tuple[str, str, int, str]:
    return stream.owner, stream.policy, stream.partition, stream.reader


def _of(table: Table, stream: Stream) -> list[ColumnElement[bool]]:
    return [table.c[name] == value for name, value in zip(_KEY, _row(stream), strict=True)]


def _holds(
    connection: Connection, policies: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], int]:
    """The bytes that the most patient follower of each policy holds; nothing without any."""
    query = select(_FOLLOWERS.c.owner, _FOLLOWERS.c.policy, func.max(_FOLLOWERS.c.hold)).group_by(
        _FOLLOWERS.c.owner, _FOLLOWERS.c.policy
    )
    found = {(owner, policy): int(hold) for owner, policy, hold in connection.execute(query)}
    return {policy: found[policy] for policy in policies if policy in found}


def _add(connection: Connection, block: OutboxBlock, hold: int) -> None:
    key = dict(zip(_KEY, _row(block.stream), strict=True))
    size = len(block.state)
    # the row stays locked until the commit: numbers are given in the order of commits
    statement = insert(connection.dialect.name, _STREAMS).values(
        **key, next=block.records, bytes=size
    )
    counted = statement.on_conflict_do_update(
        index_elements=_KEY,
        set_={"next": _STREAMS.c.next + block.records, "bytes": _STREAMS.c.bytes + size},
    ).returning(_STREAMS.c.next, _STREAMS.c.bytes)
    end, waiting = connection.execute(counted).one()
    values = {"first": end - block.records, "records": block.records, "at": block.at}
    values |= {"state": block.state, "bytes": size, "format": FORMAT}
    connection.execute(_BLOCKS.insert().values(**key, **values))
    if waiting > hold and not block.stream.reader:  # a backfill waits by itself
        _let_go(connection, block.stream, waiting - hold, end - block.records)


def _let_go(connection: Connection, stream: Stream, surplus: int, below: int) -> None:
    """Delete the oldest blocks before a number, until so many bytes are gone."""
    query = (
        select(_BLOCKS.c.first, _BLOCKS.c.bytes)
        .where(*_of(_BLOCKS, stream), _BLOCKS.c.first < below)
        .order_by(_BLOCKS.c.first)
    )
    last = None
    for first, size in connection.execute(query):
        if surplus <= 0:
            break
        last, surplus = first, surplus - size
    if last is not None:
        _delete(connection, stream, _BLOCKS.c.first <= last)


def _delete(connection: Connection, stream: Stream, chosen: ColumnElement[bool]) -> None:
    gone = delete(_BLOCKS).where(*_of(_BLOCKS, stream), chosen).returning(_BLOCKS.c.bytes)
    if size := sum(connection.execute(gone).scalars()):
        _note_bytes(connection, stream, -size)


def _note_bytes(connection: Connection, stream: Stream, more: int) -> None:
    changed = update(_STREAMS).where(*_of(_STREAMS, stream))
    connection.execute(changed.values(bytes=_STREAMS.c.bytes + more))


def _clear(connection: Connection, owner: str, policy: str) -> None:
    """Delete all blocks of a policy; its streams go on with their numbers."""
    of_blocks, of_streams = (
        (table.c.owner == owner, table.c.policy == policy) for table in (_BLOCKS, _STREAMS)
    )
    connection.execute(delete(_BLOCKS).where(*of_blocks))
    connection.execute(update(_STREAMS).where(*of_streams).values(bytes=0))


def _block(
    stream: Stream, first: int, records: int, at: Micros, state: bytes, written: int
) -> OutboxBlock:
    if written > FORMAT:
        raise UnknownFormat(
            f"the outbox of policy {stream.policy!r} of {stream.owner} has a block of the format "
            f"{written}: a newer version wrote it (this one reads formats up to {FORMAT})"
        )
    return OutboxBlock(stream, records, at, bytes(state), first)
