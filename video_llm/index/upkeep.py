"""Keeping the feature store in order: how much there is, room made for more, damage found, leftovers swept away.

Entries lie in `root/xx/`, by the first two letters of their name; what is searched lies in `root/search/xx/`, and goes
last: it is a hundredth of the size and serves every question.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tvu.video_llm.index.entries import REMOVING, WRITING, is_sealed, read_entry, remove_entry

SEARCH = "search"  # the folder of what is searched, a store of its own inside the store
ORPHAN_SECONDS = 60.0  # a nameless folder younger than this may still be of a writer who has not locked it yet
ROOM = 0.9  # of the limit that is left full when room is made, so that it is not made again for the next entry


@dataclass(frozen=True)
class Kept:
    """An entry: its folder, its bytes, and when it was used last, seconds since 1970."""

    folder: Path
    bytes: int
    used_seconds: float


@dataclass(frozen=True)
class Verified:
    """entries: how many were read, to the last byte; damaged: those that were dropped, and why; unsealed: how many an
    early version wrote without hashes, so that only their sizes speak for them."""

    entries: int
    bytes: int
    damaged: tuple[str, ...]
    unsealed: int


def kept_in(root: Path) -> Iterator[Kept]:
    """Every entry right under `root`; none where there is no such folder."""
    for folder in _folders(root):
        with suppress(OSError):  # it went away meanwhile
            with os.scandir(folder) as files:
                size = sum(file.stat(follow_symlinks=False).st_size for file in files)
            yield Kept(folder, size, folder.stat().st_mtime)


def bytes_in(root: Path) -> int:
    """Bytes of all entries, those that are searched included."""
    return sum(kept.bytes for part in (root, root / SEARCH) for kept in kept_in(part))


def evict(root: Path, max_bytes: int, *, down_to: float = 1.0) -> tuple[int, int]:
    """Drop the entries that were not used for longest until all take `down_to` of `max_bytes` at most.

    Returns how many went, and how many bytes are left. Nothing goes where there is no need. A process that reads an
    entry keeps what it has opened: a mapped file lives on without its name.
    """
    kept = sorted(kept_in(root), key=lambda each: each.used_seconds)
    left = sum(each.bytes for each in kept) + sum(each.bytes for each in kept_in(root / SEARCH))
    gone = 0
    if left <= max_bytes:
        return 0, left
    for each in kept:
        if left <= max_bytes * down_to:
            break
        gone += remove_entry(each.folder)
        left -= each.bytes
    return gone, left


def verify(root: Path) -> Verified:
    """Read every byte of every entry and drop what is damaged; it is made anew when it is next needed."""
    entries, size, unsealed = 0, 0, 0
    damaged = []
    for part in (root, root / SEARCH):
        for kept in kept_in(part):
            try:
                if read_entry(kept.folder, every_byte=True) is None:
                    continue
                os.utime(kept.folder, (kept.used_seconds, kept.used_seconds))  # being verified is no use
                unsealed += not is_sealed(kept.folder)
            except (OSError, ValueError) as error:
                damaged.append(str(error))
                remove_entry(kept.folder)
            entries += 1
            size += kept.bytes
    return Verified(entries, size, tuple(damaged), unsealed)


def sweep(root: Path) -> int:
    """Remove what writers left that were killed; returns how many leftovers there were."""
    swept = 0
    for part in (root, root / SEARCH):
        for prefix in (WRITING, REMOVING):
            for left in part.glob(f"??/{prefix}*"):
                with suppress(OSError):
                    if time.time() - left.stat().st_mtime > ORPHAN_SECONDS and not _is_locked(left):
                        shutil.rmtree(left, ignore_errors=True)
                        swept += 1
    return swept


@contextmanager
def held(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold the lock file `path`, which goes when its holder dies; False where another has it and we do not wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        try:
            yield True
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)  # a child that was forked meanwhile has the file open too


def _folders(root: Path) -> Iterator[Path]:
    with suppress(OSError):
        for shelf in sorted(root.iterdir()):
            if len(shelf.name) == 2 and shelf.is_dir():
                yield from (folder for folder in sorted(shelf.iterdir()) if not folder.name.startswith("."))


def _is_locked(folder: Path) -> bool:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
