"""The checks of the disks: file system, fsync, free space."""

import errno
import os
import shutil
import stat
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from lakebed.diagnosis.finding import Finding, bad, note, ok
from lakebed.runtime.settings import Settings
from lakebed.stores.home import readable_by_others
from lakebed.system.advice import advice
from lakebed.system.disk import FEW_FILES, few_files, room_at
from lakebed.vocabulary.sizes import rounded_size

_MEMORY = {"tmpfs", "ramfs"}
_REMOTE = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs", "ceph", "glusterfs"}
_UNORDERED = {"nobarrier", "barrier=0"}  # mount options with which an fsync stops at a cache
_FSYNCS = 15
_SLOW = 0.03  # seconds; a slower fsync limits the rate of single messages


def disks(settings: Settings) -> Iterator[Finding]:
    """Check the home's disk, and those of embedded stores elsewhere."""
    home = settings.home.absolute()
    place = existing(home)
    if place != home:
        yield note("home", f"{home} is not there yet; the first start makes it")
    if not os.access(place, os.W_OK | os.X_OK):
        readonly = os.statvfs(place).f_flag & os.ST_RDONLY
        what = "lies on a read-only disk" if readonly else "may not be written to by this user"
        number = errno.EROFS if readonly else errno.EACCES
        yield bad("home", f"{place} {what}", advice(OSError(number, "")))
        return
    if place == home and readable_by_others(home):
        mode = stat.S_IMODE(home.stat().st_mode)
        yield note("home", f"{home} is open to other users ({mode:04o})", f"chmod 700 {home}")
    yield from _preloaded(os.environ.get("LD_PRELOAD", ""))
    for folder in _folders(settings, place):
        yield _file_system(folder)
        yield _fsync(folder)
        yield _space(settings, folder)


def _folders(settings: Settings, home: Path) -> list[Path]:
    """One folder on each device with stores; the home's is the first."""
    urls = (settings.journal.url, settings.catalog.url, settings.series.url)
    paths = [url.partition(":")[2] for url in urls if url.startswith(("sqlite:", "chdb:"))]
    found = [home, *(existing((settings.home / path).absolute()) for path in paths)]
    return list({folder.stat().st_dev: folder for folder in reversed(found)}.values())[::-1]


def _preloaded(libraries: str) -> Iterator[Finding]:
    if "eatmydata" in libraries:
        yield bad(
            "fsync", "LD_PRELOAD has libeatmydata: fsync does nothing", "start without LD_PRELOAD"
        )


def existing(path: Path) -> Path:
    """The path, or the nearest existing folder above it."""
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _file_system(place: Path) -> Finding:
    kind, options = _mount(place)
    if kind in _MEMORY:
        return bad(
            "disk", f"{place} is on {kind}: memory", "choose a --home on a disk to keep anything"
        )
    if kind in _REMOTE:
        return bad(
            "disk",
            f"{place} is on {kind}, over a network: SQLite's locks and WAL do not work there",
            "choose a --home on a local disk, or stores with a server",
        )
    if unordered := sorted(_UNORDERED & set(options)):
        return bad(
            "disk",
            f"{place} is mounted with {', '.join(unordered)}: a loss of power may take what was"
            " acknowledged",
            "mount it without that option",
        )
    if kind == "overlay":
        return note(
            "disk", f"{place} is inside a container ({kind})", "mount a volume to outlive it"
        )
    return ok("disk", f"{place} is on {kind or 'a file system of unknown kind'}")


def _mount(place: Path) -> tuple[str, list[str]]:
    """File system and options of the longest mount point above it."""
    import psutil

    mounts = {Path(part.mountpoint): part for part in psutil.disk_partitions(all=True)}
    real = place.resolve()
    for folder in (real, *real.parents):
        if folder in mounts:
            return mounts[folder].fstype, mounts[folder].opts.split(",")
    return "", []


def _fsync(place: Path) -> Finding:
    """Measure an fsync, which decides how fast single messages are acknowledged."""
    taken = []
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            for _ in range(_FSYNCS):
                file.write(b"x" * 4096)
                file.flush()
                begun = time.perf_counter()
                os.fsync(file.fileno())
                taken.append(time.perf_counter() - begun)
    except OSError as error:
        return bad("fsync", f"{place}: {error.strerror}", advice(error))
    middle = statistics.median(taken)
    text = f"{middle * 1000:.2f} ms (median of {_FSYNCS}): each acknowledgement waits for one"
    if middle > _SLOW:
        return note("fsync", text, "batches hide it; a faster disk would help single messages")
    return ok("fsync", text)


def _space(settings: Settings, place: Path) -> Finding:
    whole, _, free = shutil.disk_usage(place)
    text = f"{rounded_size(free)} of {rounded_size(whole)} free at {place}"
    least, limit = settings.limits.disk_free, settings.journal.limit
    left = room_at(place)
    if left.files is not None:
        text = f"{text}, and {left.files} files"
        if few_files(left, place):
            few = bad if left.files < FEW_FILES else note
            advice = "remove files, or move the home to a disk with more inodes (df -i)"
            return few("space", f"{text}: few inodes are left", advice)
    if free < least:
        return bad(
            "space", f"{text}, sources are held back below {rounded_size(least)}", "free some space"
        )
    if free < least + limit:
        return note(
            "space",
            f"{text}, less than the journal's limit of {rounded_size(limit)}",
            "lower journal.limit or free some space",
        )
    return ok("space", text)
