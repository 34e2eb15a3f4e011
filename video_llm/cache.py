"""Features of a video, kept by what the file contains: a second question decodes nothing.

An entry is a folder of `.npy` arrays (read memory-mapped) and one `entry.json`. It is written beside its place and
renamed, so a reader never sees half of one; an entry that does not read back is dropped and made anew. A cache that
cannot be written is no error: the answer comes without it, and `FeatureCache.trouble` says why.
"""

import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvu.video_llm.errors import VideoError

CHUNK = 1 << 22


@dataclass(frozen=True)
class CacheEntry:
    """What one channel keeps of one video.

    arrays: by name, of any numeric type. fields: JSON values.
    """

    arrays: Mapping[str, NDArray[Any]]
    fields: Mapping[str, Any]


class FeatureCache:
    """Entries under `root`, found by a key that names content, sampling and encoder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.trouble = ""
        self._ledger = root / "ledger.sqlite3"

    def load(self, key: str) -> CacheEntry | None:
        """The entry, or None where there is none that reads back."""
        folder = self._folder(key)
        try:
            fields = json.loads((folder / "entry.json").read_text("utf-8"))
            arrays = {p.stem: np.load(p, mmap_mode="r", allow_pickle=False) for p in sorted(folder.glob("*.npy"))}
            if sorted(arrays) != fields.pop("arrays"):
                raise ValueError("arrays are missing")
            return CacheEntry(arrays, fields)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            shutil.rmtree(folder, ignore_errors=True)
            return None

    def store(self, key: str, entry: CacheEntry) -> None:
        """Keep `entry`; a failure is noted in `trouble` and otherwise ignored."""
        folder = self._folder(key)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            beside = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder.parent))
            try:
                for name, array in entry.arrays.items():
                    np.save(beside / f"{name}.npy", array, allow_pickle=False)
                fields = {**entry.fields, "arrays": sorted(entry.arrays)}
                (beside / "entry.json").write_text(json.dumps(fields, ensure_ascii=False), "utf-8")
                with suppress(OSError):  # another process was first with the same content: its entry is as good
                    os.rename(beside, folder)  # noqa: PTH104  Path.rename has the same semantics, os says it plainly
            finally:
                shutil.rmtree(beside, ignore_errors=True)
        except OSError as error:
            self.trouble = f"features are not kept: {error.strerror}: {self.root}"

    def content_of(self, path: Path) -> str:
        """A hash of what is in the file, or in every picture of a folder; remembered by path, size and time of change.

        Raises VideoError if it cannot be read.
        """
        try:
            files = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
            stats = [(p, p.stat()) for p in files]
        except OSError as error:
            raise VideoError(f"{path} cannot be read: {error.strerror}", hint="check the path") from error
        stamp = hashlib.blake2b(digest_size=16)
        for file, stat in stats:
            stamp.update(
                f"{file.resolve()}\0{stat.st_size}\0{stat.st_mtime_ns}\0{stat.st_ino}\0".encode(
                    errors="surrogateescape"
                )
            )
        known = self._recall(stamp.hexdigest())
        if known is None:
            known = _hash_of(files)
            self._remember(stamp.hexdigest(), known)
        return known

    def _folder(self, key: str) -> Path:
        digest = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
        return self.root / digest[:2] / digest

    def _connect(self) -> sqlite3.Connection:
        ledger = sqlite3.connect(self._ledger, timeout=5)
        ledger.execute("PRAGMA journal_mode = WAL")
        ledger.execute(
            "CREATE TABLE IF NOT EXISTS contents (stamp TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID"
        )
        return ledger

    def _recall(self, stamp: str) -> str | None:
        if not self._ledger.exists():
            return None
        with suppress(sqlite3.Error), closing(self._connect()) as ledger:
            row = ledger.execute("SELECT content FROM contents WHERE stamp = ?", (stamp,)).fetchone()
            return row[0] if row else None
        return None

    def _remember(self, stamp: str, content: str) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with closing(self._connect()) as ledger, ledger:
                ledger.execute("INSERT OR REPLACE INTO contents VALUES (?, ?)", (stamp, content))
        except (OSError, sqlite3.Error) as error:
            self.trouble = f"features are not kept: {error}: {self.root}"


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
