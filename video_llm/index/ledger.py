"""Which videos are indexed, where their vectors are, and the words in them: tables of the store's SQLite file.

A video is known by its content and the part of it that was asked for, so it stays known when it is moved or copied.
Words are found by SQLite's own full-text index, FTS5; where a Python's SQLite has none, only by their meaning.
"""

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tvu.temporal.types import Span
from tvu.video_llm.cache import LEDGER, FeatureCache
from tvu.video_llm.errors import OutputError
from tvu.video_llm.index.shards import Columns
from tvu.video_llm.scout.match import plain_words
from tvu.video_llm.types import EVIDENCE, Evidence, VideoClip

NO_FTS5 = "words were searched by their meaning only: the SQLite of this Python has no FTS5"

_TABLES = """
CREATE TABLE IF NOT EXISTS indexed (
  id INTEGER PRIMARY KEY, content TEXT NOT NULL, part TEXT NOT NULL, decoder TEXT NOT NULL, space TEXT NOT NULL,
  model TEXT NOT NULL, path BLOB NOT NULL, start_seconds REAL NOT NULL, end_seconds REAL NOT NULL,
  duration_seconds REAL NOT NULL, fps REAL NOT NULL, num_frames INTEGER NOT NULL, height INTEGER NOT NULL,
  width INTEGER NOT NULL, has_audio INTEGER NOT NULL, tried TEXT NOT NULL, channels TEXT NOT NULL,
  indexed_at REAL NOT NULL, UNIQUE (content, part, decoder, space));
CREATE TABLE IF NOT EXISTS vectors (
  item INTEGER NOT NULL, kind TEXT NOT NULL, shard TEXT NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL,
  PRIMARY KEY (item, kind)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS vectors_of_shard ON vectors (shard);
CREATE TABLE IF NOT EXISTS units (
  item INTEGER NOT NULL, number INTEGER NOT NULL, channel TEXT NOT NULL, start_seconds REAL NOT NULL,
  end_seconds REAL NOT NULL, certainty REAL NOT NULL, text TEXT NOT NULL, word_row INTEGER NOT NULL,
  PRIMARY KEY (item, number)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS units_by_row ON units (word_row);
"""
_WORDS = "CREATE VIRTUAL TABLE IF NOT EXISTS unit_words USING fts5 (text, tokenize = 'porter unicode61')"
_ITEM = (
    "id, content, part, decoder, space, model, path, start_seconds, end_seconds, duration_seconds, fps, num_frames, "
    "height, width, has_audio, tried, channels, indexed_at"
)


@dataclass(frozen=True)
class StoredUnit:
    """A sentence that was said or a line that was shown; `number` counts those of one video."""

    item: int
    number: int
    channel: Evidence
    span: Span
    certainty: float
    text: str


@dataclass(frozen=True)
class Item:
    """A video, or a part of one, that is indexed.

    part: what was asked for, as in its address; content: a hash of the file. space: what its vectors are vectors of.
    clip: the file where it was when it was indexed. tried: the channels that were asked for; channels: those of them
    that it has. indexed_at: seconds since 1970. id: its number in the ledger, 0 before it has one.
    """

    content: str
    part: str
    space: str
    model: str
    clip: VideoClip
    tried: tuple[Evidence, ...]
    channels: tuple[Evidence, ...]
    indexed_at: float = 0.0
    id: int = 0


class IndexLedger:
    """The tables of one store. Its methods raise OutputError where the file cannot be used."""

    def __init__(self, cache: FeatureCache) -> None:
        self.cache = cache
        self.has_fts5 = True

    def items(self, space: str | None = None) -> list[Item]:
        """Every video that is indexed, in this space or in any, in the order in which they came."""
        if not (self.cache.root / LEDGER).exists():
            return []
        where, values = ("WHERE space = ?", [space]) if space is not None else ("", [])
        with self._open() as ledger:
            return [_item(row) for row in ledger.execute(f"SELECT {_ITEM} FROM indexed {where} ORDER BY id", values)]

    def columns(self, kind: str, items: Iterable[int]) -> list[Columns]:
        """Where the vectors of these videos are; of each at most one run of columns."""
        wanted = set(items)
        with self._open() as ledger:
            rows = ledger.execute("SELECT item, shard, first, count FROM vectors WHERE kind = ?", (kind,))
            return [Columns(*row) for row in rows if row[0] in wanted]

    def columns_in(self, kind: str, shard: str) -> list[Columns]:
        """All that is still in use of a shard, in its order."""
        query = "SELECT item, shard, first, count FROM vectors WHERE kind = ? AND shard = ? ORDER BY first"
        with self._open() as ledger:
            return [Columns(*row) for row in ledger.execute(query, (kind, shard))]

    def sizes(self, space: str, kind: str) -> dict[str, int]:
        """Every shard with vectors of a space, and how many of its columns are in use."""
        query = (
            "SELECT shard, SUM(count) FROM vectors JOIN indexed ON indexed.id = vectors.item"
            " WHERE kind = ? AND space = ? GROUP BY shard"
        )
        with self._open() as ledger:
            return dict(ledger.execute(query, (kind, space)))

    def shards(self) -> set[str]:
        """Names of all shards in use."""
        with self._open() as ledger:
            return {name for (name,) in ledger.execute("SELECT DISTINCT shard FROM vectors")}

    def add(
        self, found: Sequence[tuple[Item, Sequence[StoredUnit]]], vectors: Mapping[str, Sequence[tuple[str, int, int]]]
    ) -> None:
        """Record videos, all or none, in place of what was known of the same content through no more channels.

        vectors: for each kind and each video the shard, the first column and how many; none of 0 columns is kept.
        """
        with self._open() as ledger, ledger:
            ledger.execute("BEGIN IMMEDIATE")  # what is read below is still so when it is written
            for place, (item, units) in enumerate(found):
                if not _make_way(ledger, item, self.has_fts5):
                    continue
                number = ledger.execute(f"INSERT INTO indexed ({_ITEM}) VALUES ({_marks(18)})", _row(item)).lastrowid
                assert number is not None
                for kind, runs in vectors.items():
                    if runs[place][2]:
                        ledger.execute("INSERT INTO vectors VALUES (?, ?, ?, ?, ?)", (number, kind, *runs[place]))
                self._add_units(ledger, number, units)

    def _add_units(self, ledger: sqlite3.Connection, item: int, units: Sequence[StoredUnit]) -> None:
        first = 1 + (ledger.execute("SELECT MAX(word_row) FROM units").fetchone()[0] or 0)
        for row, unit in enumerate(units, first):
            span = unit.span.start_seconds, unit.span.end_seconds
            told = (item, unit.number, unit.channel, *span, unit.certainty, unit.text, row)
            ledger.execute(f"INSERT INTO units VALUES ({_marks(8)})", told)
        if self.has_fts5:
            words = ((row, " ".join(plain_words(unit.text))) for row, unit in enumerate(units, first))
            ledger.executemany("INSERT INTO unit_words (rowid, text) VALUES (?, ?)", words)

    def move(self, kind: str, moved: Sequence[tuple[Columns, str, int]]) -> list[str]:
        """Columns that were copied, each with its new shard and first column there; what changed meanwhile stays.

        Returns the names of the old shards that nothing is in any more.
        """
        with self._open() as ledger:
            with ledger:
                ledger.execute("BEGIN IMMEDIATE")
                for old, shard, first in moved:
                    ledger.execute(
                        "UPDATE vectors SET shard = ?, first = ?"
                        " WHERE item = ? AND kind = ? AND shard = ? AND first = ?",
                        (shard, first, old.item, kind, old.shard, old.first),
                    )
            left = {name for (name,) in ledger.execute("SELECT DISTINCT shard FROM vectors")}
            return sorted({old.shard for old, _, _ in moved} - left)

    def forget(self, items: Sequence[int]) -> None:
        """Videos that are not to be known any more."""
        with self._open() as ledger, ledger:
            ledger.execute("BEGIN IMMEDIATE")
            for item in items:
                _forget_number(ledger, item, self.has_fts5)

    def units(self, which: Iterable[tuple[int, int]]) -> dict[tuple[int, int], StoredUnit]:
        """Units by video and number; those that are gone are left out."""
        found = {}
        with self._open() as ledger:
            for place in which:
                row = ledger.execute(
                    "SELECT item, number, channel, start_seconds, end_seconds, certainty, text FROM units"
                    " WHERE item = ? AND number = ?",
                    place,
                ).fetchone()
                if row is not None:
                    found[place] = _unit(row)
        return found

    def units_with(
        self, words: Sequence[str], items: Sequence[int], channels: Iterable[Evidence], most: int
    ) -> list[StoredUnit]:
        """Units of these videos and channels with any of the words or a form of them, the best by BM25 first; none
        without FTS5."""
        wanted = sorted(set(channels) & set(EVIDENCE))
        with self._open() as ledger:
            if not self.has_fts5 or not words or not wanted:
                return []
            ledger.execute("CREATE TEMP TABLE wanted (item INTEGER PRIMARY KEY)")
            ledger.executemany("INSERT OR IGNORE INTO wanted VALUES (?)", ((item,) for item in items))
            match = " OR ".join(f'"{word}"' for word in words)  # of letters, digits, points and apostrophes
            rows = ledger.execute(
                "SELECT units.item, number, channel, start_seconds, end_seconds, certainty, units.text"
                " FROM unit_words JOIN units ON units.word_row = unit_words.rowid"
                " WHERE unit_words MATCH ? AND units.item IN (SELECT item FROM wanted)"
                f" AND channel IN ({_marks(len(wanted))}) ORDER BY rank LIMIT ?",
                (match, *wanted, most),
            )
            return [_unit(row) for row in rows]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with self.cache.ledger() as ledger:
                if not _is_laid_out(ledger):
                    ledger.executescript(_TABLES)
                self.has_fts5 = _has_words(ledger)
                yield ledger
        except (sqlite3.Error, OSError) as error:
            raise OutputError(
                f"the index in {self.cache.root} cannot be used: {error}", hint="tvu index verify mends what it can"
            ) from error


def part_of(start_seconds: float | None, end_seconds: float | None) -> str:
    """What names a part of a file in the ledger, before anybody knows how long the file is."""
    ends = ("" if end is None else f"{end:.6f}" for end in (start_seconds, end_seconds))
    return "-".join(ends)


def is_damaged(cache: FeatureCache) -> bool:
    """Whether SQLite cannot make sense of the ledger; it is set aside then, and begun anew by whoever writes next."""
    path = cache.root / LEDGER
    if not path.exists():
        return False
    try:
        with cache.ledger() as ledger:
            if ledger.execute("PRAGMA quick_check").fetchone() == ("ok",):
                return False
    except sqlite3.OperationalError:  # busy, or not ours to write: that is no damage
        return False
    except sqlite3.DatabaseError:
        pass
    for ending in ("", "-wal", "-shm"):
        with suppress(OSError):
            old = Path(f"{path}{ending}")
            old.replace(f"{path}.damaged{ending}")
    return True


def _is_laid_out(ledger: sqlite3.Connection) -> bool:
    names = "SELECT COUNT(*) FROM sqlite_master WHERE name IN ('indexed', 'vectors', 'units')"
    return bool(ledger.execute(names).fetchone()[0] == 3)


def _has_words(ledger: sqlite3.Connection) -> bool:
    """Whether words can be looked up. Another Python may have made the table, or may have left words out of it."""
    newest = "SELECT (SELECT MAX(word_row) FROM units), (SELECT MAX(rowid) FROM unit_words)"
    try:
        if not ledger.execute("SELECT 1 FROM sqlite_master WHERE name = 'unit_words'").fetchone():
            ledger.execute(_WORDS)
        there, known = ledger.execute(newest).fetchone()
        if (there or 0) > (known or 0):
            with ledger:
                ledger.execute("BEGIN IMMEDIATE")
                known = ledger.execute(newest).fetchone()[1] or 0
                left = ledger.execute("SELECT word_row, text FROM units WHERE word_row > ?", (known,)).fetchall()
                words = ((row, " ".join(plain_words(text))) for row, text in left)
                ledger.executemany("INSERT INTO unit_words (rowid, text) VALUES (?, ?)", words)
    except sqlite3.OperationalError as error:
        if "fts5" not in str(error):
            raise
        return False
    return True


def _make_way(ledger: sqlite3.Connection, item: Item, has_fts5: bool) -> bool:
    """Forget what is known of the same content; False where that was indexed through all channels of `item` and
    others, by a process that runs beside this one."""
    place = item.content, item.part, item.clip.decoder, item.space
    query = "SELECT id, tried FROM indexed WHERE content = ? AND part = ? AND decoder = ? AND space = ?"
    for number, tried in ledger.execute(query, place).fetchall():
        if set(json.loads(tried)) > set(item.tried):
            return False
        _forget_number(ledger, number, has_fts5)
    return True


def _forget_number(ledger: sqlite3.Connection, item: int, has_fts5: bool) -> None:
    if has_fts5:
        rows = ledger.execute("SELECT word_row FROM units WHERE item = ?", (item,)).fetchall()
        ledger.executemany("DELETE FROM unit_words WHERE rowid = ?", rows)
    for table, column in (("units", "item"), ("vectors", "item"), ("indexed", "id")):
        ledger.execute(f"DELETE FROM {table} WHERE {column} = ?", (item,))


def _marks(count: int) -> str:
    return ", ".join("?" * count)


def _row(item: Item) -> tuple[object, ...]:
    clip = item.clip
    return (
        None,
        item.content,
        item.part,
        clip.decoder,
        item.space,
        item.model,
        os.fsencode(clip.path),  # a name need not be text
        clip.span.start_seconds,
        clip.span.end_seconds,
        clip.duration_seconds,
        clip.fps,
        clip.num_frames,
        clip.height,
        clip.width,
        int(clip.has_audio),
        json.dumps(item.tried),
        json.dumps(item.channels),
        item.indexed_at or time.time(),
    )


def _item(row: Sequence[Any]) -> Item:
    number, content, part, decoder, space, model, path, start, end, duration, fps, frames, height, width, *rest = row
    has_audio, tried, channels, indexed_at = rest
    path, span = Path(os.fsdecode(path)), Span(start, end)
    clip = VideoClip(path, span, duration, fps, frames, height, width, bool(has_audio), decoder)
    tried, channels = tuple(json.loads(tried)), tuple(json.loads(channels))
    return Item(content, part, space, model, clip, tried, channels, indexed_at, number)


def _unit(row: tuple[int, int, Evidence, float, float, float, str]) -> StoredUnit:
    item, number, channel, start, end, certainty, text = row
    return StoredUnit(item, number, channel, Span(start, end), certainty, text)
