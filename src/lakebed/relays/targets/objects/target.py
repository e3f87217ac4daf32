"""`objects: "exports/", format: parquet, every: 1h`: paths, files and the position of a lane."""

import re
from collections import defaultdict
from collections.abc import Sequence
from functools import partial

import msgspec

from lakebed.documents.source import Path
from lakebed.ports.objects import Objects
from lakebed.ports.relays import Delivery, Record, Refusal, TargetUnavailable
from lakebed.relays.targets import options as rules
from lakebed.relays.targets.objects.formats import FORMATS
from lakebed.relays.targets.showing import text_of
from lakebed.relays.targets.target import Options, Surroundings, TargetKind
from lakebed.vocabulary.errors import LakebedError, NotFound
from lakebed.vocabulary.times import HOUR, to_datetime

_FOREIGN = re.compile(r"[^A-Za-z0-9._=-]")
_FOLDER = re.compile(r"[A-Za-z0-9._=-]+(/[A-Za-z0-9._=-]+)*/?\Z")


class _State(msgspec.Struct):
    """What is known of a lane: files below `position` are there, and `files` may be."""

    position: int = -1
    next: int = -1
    files: tuple[str, ...] = ()


class ObjectsTarget:
    """Implements `ports.relays.Target`."""

    def __init__(self, options: Options, around: Surroundings) -> None:
        self._around = around
        self._owner, _, self._relay = around.relay.partition("/")
        self._folder = f"{self._owner}/{str(options['objects']).strip('/')}"
        self._path = str(options.get("path", "{date}"))
        self._format = str(options.get("format", "ndjson"))
        self._lane = f"{self._relay.replace('/', '-')}-{around.partition}.{around.lane}"
        self._state_name = f"{self._owner}/.relays/{self._lane}.json"
        self._state: _State | None = None
        self._store: Objects | None = None

    def position(self) -> int | None:
        try:
            self._state = self._recovered()
        except LakebedError as error:
            raise TargetUnavailable(str(error)) from None
        return None if self._state.position < 0 else self._state.position

    def send(self, delivery: Delivery) -> Sequence[Refusal]:
        if self._state is None:
            self.position()
        assert self._state is not None
        before, end = self._state.position, delivery.position.offset
        if end <= before:
            return ()  # they are there, and the answer got lost
        files = self._files(delivery)
        self._state = None  # until all are there
        try:
            self._save(_State(before, end, tuple(files)))
            for name, records in files.items():
                self._opened().put(name, FORMATS[self._format](records))
            self._save(_State(end))
        except LakebedError as error:
            raise TargetUnavailable(str(error)) from None
        self._state = _State(end)
        return ()

    def close(self) -> None:
        self._store = self._state = None

    def _files(self, delivery: Delivery) -> dict[str, list[Record]]:
        """The records of each file, by its name, in which the position makes it another one."""
        found: dict[str, list[Record]] = defaultdict(list)
        for record in delivery.records:
            levels = rules.filled(self._path, partial(_text, record)).split("/")
            path = "/".join(map(_level, levels))
            name = f"{self._lane}-{delivery.position.offset:012}.{self._format}"
            found[f"{self._folder}/{path}/{name}"].append(record)
        return found

    def _recovered(self) -> _State:
        """The state of the lane, when what was under way has ended one way or the other."""
        store = self._opened()
        try:
            state = msgspec.json.decode(store.get(self._state_name), type=_State)
        except NotFound:
            return _State()
        except msgspec.MsgspecError:
            raise TargetUnavailable(f"{self._state_name} is damaged: delete it") from None
        if not state.files:
            return state
        there = [name for name in state.files if _is_there(store, name)]
        if len(there) == len(state.files):
            state = _State(state.next)
        else:
            for name in there:
                store.delete(name)
            state = _State(state.position)
        self._save(state)
        return state

    def _save(self, state: _State) -> None:
        self._opened().put(self._state_name, msgspec.json.encode(state))

    def _opened(self) -> Objects:
        if self._store is None:
            if self._around.objects is None:
                raise TargetUnavailable("this process has no object store")
            self._store = self._around.objects()
        return self._store


def _is_there(store: Objects, name: str) -> bool:
    folder = name.rpartition("/")[0]
    return name in store.sizes(f"{folder}/")


def _text(record: Record, name: str) -> str:
    moment = to_datetime(record.time)
    if name == "date":
        return moment.strftime("%Y-%m-%d")
    return moment.strftime("%H") if name == "hour" else text_of(record, name)


def _level(text: str) -> str:
    """A part of a path that leads nowhere else."""
    level = _FOREIGN.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), text)
    return level if level.strip(".") else "-"


def _check_folder(value: object) -> object:
    if not isinstance(value, str) or len(value) > 512 or not _FOLDER.match(value):
        raise ValueError("a folder such as exports/ or exports/plant/")
    if any(not level.strip(".") for level in value.strip("/").split("/")):
        raise ValueError("no part of a folder is . or ..")
    return value


def _check(options: Options) -> Sequence[tuple[Path, str]]:
    return rules.problems(
        options,
        {
            "objects": _check_folder,
            "format": rules.choice("format", *FORMATS),
            "path": rules.template,
        },
    )


KIND = TargetKind(
    name="objects",
    keys={
        "format": "ndjson, csv or parquet; ndjson if not given",
        "path": 'template of the folders below; "{date}" if not given, also {hour}, {topic}',
    },
    check=_check,
    open=ObjectsTarget,
    batch=100_000,
    every=HOUR,
    lanes=1,
    exact="once",
)
