"""Features of a video, kept by what the file contains: a second question decodes nothing.

An entry is a folder of `.npy` arrays (read memory-mapped) and one `entry.json`, see `index/entries.py`: a reader never
sees half of one, and one that is damaged is dropped and made anew. Any number of processes may read and write. A cache
that cannot be written is no error: the answer comes without it, and `FeatureCache.trouble` says why.
"""

import hashlib
import math
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tvu.video_llm.errors import OutputError, VideoError
from tvu.video_llm.index.entries import CacheEntry, read_entry, remove_entry, write_entry
from tvu.video_llm.index.upkeep import ROOM, bytes_in, evict, held

__all__ = ["LEDGER", "CacheConfig", "CacheEntry", "FeatureCache"]

CHUNK = 1 << 22
LEDGER = "ledger.sqlite3"
LIMIT = "TVU_CACHE_GB"
DEFAULT_GIGABYTES = 20.0  # about 300 hours of `scout`'s features
ASKED_AT_ONCE = 500  # values in one SQL statement; old builds of SQLite take 999


@dataclass(frozen=True)
class CacheConfig:
    """How much a cache may hold.

    max_bytes: above it, the entries that were not used for longest go; None for no limit.
    """

    max_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.max_bytes is not None and self.max_bytes < 0:
            raise ValueError(f"a cache holds no {self.max_bytes} bytes")

    @classmethod
    def from_environment(cls) -> "CacheConfig":
        """As `$TVU_CACHE_GB` says, in gigabytes of 10^9 bytes, `inf` for no limit. Raises OutputError if it is no
        number."""
        text = os.environ.get(LIMIT, "").strip()
        try:
            gigabytes = float(text) if text else DEFAULT_GIGABYTES
            if not gigabytes >= 0:
                raise ValueError(text)
        except ValueError as error:
            raise OutputError(f"{LIMIT} is no number of gigabytes: {text!r}", hint=f"{LIMIT}=20, or inf") from error
        return cls(None if math.isinf(gigabytes) else int(gigabytes * 1e9))


class FeatureCache:
    """Entries under `root`, found by a key that names content, sampling and encoder.

    config: None asks the environment. Raises OutputError where that makes no sense.
    trouble: why something was not kept, empty where all was; evicted: how many entries this object made go for others.
    """

    def __init__(self, root: Path, config: CacheConfig | None = None) -> None:
        self.root = root
        self.config = config or CacheConfig.from_environment()
        self.trouble = ""
        self.evicted = 0
        self._ledger = root / LEDGER

    def load(self, key: str) -> CacheEntry | None:
        """The entry, or None where there is none that reads back."""
        folder = self.folder_of(key)
        try:
            return read_entry(folder)
        except NotADirectoryError:
            return None
        except (OSError, ValueError):
            remove_entry(folder)
            return None

    def store(self, key: str, entry: CacheEntry) -> None:
        """Keep `entry`, and make room for it where that is needed; a failure is noted in `trouble`."""
        try:
            size = write_entry(self.folder_of(key), entry)
            if size and self.config.max_bytes is not None:
                self._make_room(size, self.config.max_bytes)
        except OSError as error:
            self.trouble = f"features are not kept: {error.strerror}: {self.root}"
        except sqlite3.Error as error:
            self.trouble = f"room for features is not made: {error}: {self.root}"

    def content_of(self, path: Path) -> str:
        """A hash of what is in the file, or in every picture of a folder; remembered by path, size and time of change.

        Raises VideoError if it cannot be read.
        """
        files, stamp = _stamp_of(path)
        known = self._recall([stamp]).get(stamp)
        if known is None:
            known = _hash_of(files)
            self._remember(stamp, known)
        return known

    def contents_known(self, paths: Iterable[Path]) -> dict[Path, str]:
        """Of those paths whose content was hashed before and that did not change since: the hash. Nothing is read."""
        stamps = {}
        for path in paths:
            with suppress(VideoError):
                stamps[path] = _stamp_of(path)[1]
        known = self._recall(list(stamps.values()))
        return {path: known[stamp] for path, stamp in stamps.items() if stamp in known}

    def folder_of(self, key: str) -> Path:
        """Where the entry of that key is, or would be."""
        digest = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
        return self.root / digest[:2] / digest

    # --- the ledger ---

    @contextmanager
    def ledger(self) -> Iterator[sqlite3.Connection]:
        """A connection to the SQLite file beside the entries. Raises sqlite3.Error, and OSError without a folder."""
        self.root.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self._ledger, timeout=30)) as ledger:
            with suppress(sqlite3.OperationalError):  # another process is just doing it, and that is for everybody
                if ledger.execute("PRAGMA journal_mode").fetchone() != ("wal",):
                    ledger.execute("PRAGMA journal_mode = WAL")
            ledger.execute("PRAGMA synchronous = NORMAL")  # what the last moments before a power cut wrote may be lost
            ledger.execute(
                "CREATE TABLE IF NOT EXISTS contents (stamp TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID"
            )
            ledger.execute(
                "CREATE TABLE IF NOT EXISTS totals (name TEXT PRIMARY KEY, bytes INTEGER NOT NULL) WITHOUT ROWID"
            )
            yield ledger

    @contextmanager
    def held_open(self) -> Iterator[None]:
        """While it is held the ledger is not written out to its file after every use: a new file costs 0.2 ms, not 2.

        Raises sqlite3.Error, and OSError where there can be no ledger.
        """
        with self.ledger():
            yield

    def _recall(self, stamps: Sequence[str]) -> dict[str, str]:
        if not self._ledger.exists():
            return {}
        known: dict[str, str] = {}
        with suppress(sqlite3.Error, OSError), self.ledger() as ledger:
            for start in range(0, len(stamps), ASKED_AT_ONCE):
                some = stamps[start : start + ASKED_AT_ONCE]
                marks = ", ".join("?" * len(some))
                known.update(ledger.execute(f"SELECT stamp, content FROM contents WHERE stamp IN ({marks})", some))
        return known

    def _remember(self, stamp: str, content: str) -> None:
        try:
            with self.ledger() as ledger, ledger:
                ledger.execute("INSERT OR REPLACE INTO contents VALUES (?, ?)", (stamp, content))
        except (OSError, sqlite3.Error) as error:
            self.trouble = f"features are not kept: {error}: {self.root}"

    def _make_room(self, new_bytes: int, max_bytes: int) -> None:
        """Count what was added, and only where the count says so look at what is there: an entry costs the same
        however many there are.

        A process that is killed between its entry and the count makes the count too small by that entry; whoever looks
        at what is there sets it right.
        """
        with self.ledger() as ledger:
            with ledger:
                ledger.execute("UPDATE totals SET bytes = bytes + ? WHERE name = 'entries'", (new_bytes,))
            counted = ledger.execute("SELECT bytes FROM totals WHERE name = 'entries'").fetchone()
            if counted is not None and counted[0] <= max_bytes:
                return
            with held(self.root / ".room.lock", wait=False) as is_ours:
                if not is_ours:  # another process is at it
                    return
                gone, left = evict(self.root, max_bytes, down_to=ROOM)
                self.evicted += gone
                with ledger:  # what others added meanwhile is counted twice at worst
                    told = ("entries", left)
                    if counted is None:
                        ledger.execute("INSERT OR REPLACE INTO totals VALUES (?, ?)", told)
                    else:
                        change = left - counted[0]
                        ledger.execute("UPDATE totals SET bytes = bytes + ? WHERE name = 'entries'", (change,))

    def recount(self) -> int:
        """Bytes of all entries, counted anew. Raises OSError and sqlite3.Error."""
        total = bytes_in(self.root)
        with self.ledger() as ledger, ledger:
            ledger.execute("INSERT OR REPLACE INTO totals VALUES ('entries', ?)", (total,))
        return total


def _stamp_of(path: Path) -> tuple[list[Path], str]:
    """The files behind `path`, and a hash of their names, sizes and times of change."""
    try:
        files = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
        stats = [(p, p.stat()) for p in files]
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise VideoError(f"{path} cannot be read: {reason}", hint="check the path") from error
    stamp = hashlib.blake2b(digest_size=16)
    for file, stat in stats:
        told = f"{file.resolve()}\0{stat.st_size}\0{stat.st_mtime_ns}\0{stat.st_ino}\0"
        stamp.update(told.encode(errors="surrogateescape"))
    return files, stamp.hexdigest()


def _hash_of(files: list[Path]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for file in files:
        try:
            with file.open("rb") as stream:
                while chunk := stream.read(CHUNK):
                    digest.update(chunk)
        except OSError as error:
            raise VideoError(f"{file} cannot be read: {error.strerror}", hint="check its permissions") from error
        digest.update(b"\0")
    return digest.hexdigest()
