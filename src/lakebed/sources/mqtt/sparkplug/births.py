"""What births said: the names and types of metrics, by node and device, also over a restart.

    NBIRTH, DBIRTH ──put──> Node ──name, alias──> Metric: channel and type
                              └── once a second, where something changed ──> a file

Count and characters of names are bounded: beyond, the node that was born longest ago is forgotten.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import structlog

from lakebed.vocabulary.messages import Channel

log = structlog.get_logger(__name__)

MOST_METRICS: Final = 200_000
"""Metrics of all nodes that are remembered,"""

MOST_CHARACTERS: Final = 32 * 2**20
"""and characters of their names."""

_WRITE_EVERY = 1.0  # seconds


class Metric(NamedTuple):
    """Attributes:
    channel: where its values go; None where its name is no topic.
    kind: data type.
    """

    channel: Channel | None
    kind: int


class Declared(msgspec.Struct, array_like=True):
    """A metric as a birth declared it."""

    name: str
    alias: int | None
    kind: int


@dataclass(slots=True)
class Birth:
    """Metrics of a node or a device, by name and by alias."""

    declared: list[Declared]
    names: dict[str, Metric] = field(default_factory=dict)
    aliases: dict[int, Metric] = field(default_factory=dict)


@dataclass(slots=True)
class Node:
    """An edge node.

    Attributes:
        births: of itself, under "", and of its devices.
        bd_seq: tells which death belongs to its birth; None if it said none.
        seq: of its last message; None where that is not known.
    """

    births: dict[str, Birth] = field(default_factory=dict)
    bd_seq: int | None = None
    seq: int | None = None


class _SavedNode(msgspec.Struct):
    births: dict[str, list[Declared]]
    bd_seq: int | None


class _Saved(msgspec.Struct):
    of: str
    nodes: dict[str, _SavedNode]


Resolve = Callable[[str, str, str], Channel | None]
"""The channel of a metric: of `GROUP/NODE`, a device or "", and a name."""


class Births:
    """Of one source. Event loop only.

    Args:
        of: broker and owner; what was written of another is not read.
        path: the file; None to remember nothing over a restart.
    """

    def __init__(self, of: str, path: Path | None, resolve: Resolve) -> None:
        self._of = of
        self._path = path
        self._resolve = resolve
        self.nodes: dict[str, Node] = {}
        self._metrics = 0
        self._characters = 0
        self.changed = False
        self._is_read = path is None

    def put_node(self, name: str, bd_seq: int | None) -> Node:
        """A node was born anew: nothing is known of it and its devices any more."""
        self.forget(name)
        node = self.nodes[name] = Node(bd_seq=bd_seq)
        self.changed = True
        return node

    def put(self, name: str, device: str, declared: list[Declared]) -> Birth:
        """A node, which is known, or a device of it has declared its metrics."""
        node = self.nodes[name]
        self._remove(node, device)
        birth = node.births[device] = Birth(declared)
        for one in declared:
            metric = Metric(self._resolve(name, device, one.name), one.kind)
            birth.names[one.name] = metric
            if one.alias is not None:
                birth.aliases[one.alias] = metric
            self._characters += len(one.name)
        self._metrics += len(declared)
        self.changed = True
        while self._metrics > MOST_METRICS or self._characters > MOST_CHARACTERS:
            self.forget(next(iter(self.nodes)))
        return birth

    def forget(self, name: str) -> None:
        node = self.nodes.pop(name, None)
        for device in list(node.births) if node is not None else ():
            assert node is not None
            self._remove(node, device)
        self.changed = True

    def end_device(self, name: str, device: str) -> None:
        self._remove(self.nodes[name], device)
        self.changed = True

    def _remove(self, node: Node, device: str) -> None:
        birth = node.births.pop(device, None)
        if birth is not None:
            self._metrics -= len(birth.declared)
            self._characters -= sum(len(one.name) for one in birth.declared)

    # --- the file ---------------------------------------------------------------------------------

    def read(self) -> None:
        """Read what an earlier process wrote; a file that cannot be read is as good as none."""
        self._is_read = True
        if self._path is None:
            return
        try:
            saved = msgspec.json.decode(self._path.read_bytes(), type=_Saved)
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            log.warning("Sparkplug data wait for the next births", file=str(self._path),
                        error=str(error))  # fmt: skip
            return
        for name, node in saved.nodes.items() if saved.of == self._of else ():
            self.put_node(name, node.bd_seq)
            for device, declared in node.births.items():
                if name in self.nodes:
                    self.put(name, device, declared)
        self.changed = False

    async def keep(self) -> None:
        """Write regularly what has changed, until cancelled, and then once more."""
        try:
            while True:
                await asyncio.sleep(_WRITE_EVERY)
                if self.changed and self._is_read:
                    await asyncio.to_thread(self._write, self._snapshot())
        finally:
            if self.changed and self._is_read:
                self._write(self._snapshot())

    def _snapshot(self) -> bytes:
        self.changed = False
        nodes = {
            name: _SavedNode({k: birth.declared for k, birth in node.births.items()}, node.bd_seq)
            for name, node in self.nodes.items()
        }
        return msgspec.json.encode(_Saved(self._of, nodes))

    def _write(self, snapshot: bytes) -> None:
        if self._path is None:
            return
        temporary = self._path.with_name(self._path.name + ".new")
        try:
            temporary.write_bytes(snapshot)
            os.replace(temporary, self._path)
        except OSError as error:
            log.warning("after a restart Sparkplug data wait for the next births",
                        file=str(self._path), error=str(error))  # fmt: skip
