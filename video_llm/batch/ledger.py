"""A ledger: what came of each query about each video, a line each, appended as it comes and synced.

A line is written before the next video is begun, so a kill loses at most the video in hand; it is on the disk a fifth
of a second later, or when the run ends, so a power cut loses little more. Every line says what it depends on
(`Row.key`), so the next run knows what is still to do, and what changed since.
"""

import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tvu.video_llm.errors import OutputError, OutputExists
from tvu.video_llm.export import hold, written_beside
from tvu.video_llm.results.read import rows_in
from tvu.video_llm.results.rows import Row

SYNC_SECONDS = 0.2  # between moments at which all is on the disk: each costs more than most tiny files

Place = tuple[str, str]
"""A video, as it was named, and a query: what a ledger has one row of."""


class Ledger:
    """The rows of a batch in a file that this process alone writes to; made by `opened`.

    rows: by video and query, the last that was written of each. settings: what all of them were made with.
    """

    def __init__(self, path: Path, file: BinaryIO, settings: str) -> None:
        self.path = path
        self.settings = settings
        self.rows: dict[Place, Row] = {}
        self._file = file
        self._synced = time.monotonic()
        for row in rows_in(path, may_be_cut=True):
            if row.settings != settings:
                raise OutputExists(
                    f"{path} holds results of another model or other options",
                    hint="name another output, or add --force to begin anew",
                )
            self.rows[row.video, row.question] = row
        self._end_last_line()

    def append(self, rows: Sequence[Row]) -> None:
        """Keep the rows of one video. Raises OutputError."""
        try:
            self._file.write("".join(f"{row.line()}\n" for row in rows).encode("utf-8", "backslashreplace"))
            self._file.flush()
            if time.monotonic() - self._synced >= SYNC_SECONDS:
                self.sync()
        except OSError as error:
            raise OutputError(f"{self.path} cannot be written: {error.strerror or error}") from error
        self.rows |= {(row.video, row.question): row for row in rows}

    def sync(self) -> None:
        """Have all that was appended on the disk. Raises OSError."""
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()

    def finish(self, order: Iterable[Place]) -> list[Row]:
        """Put the file in `order`, one row for each place, and give these rows; others come last, as they were.

        Raises OutputError.
        """
        wanted = [place for place in dict.fromkeys(order) if place in self.rows]
        ordered = [self.rows[place] for place in dict.fromkeys([*wanted, *self.rows])]
        content = "".join(f"{row.line()}\n" for row in ordered).encode("utf-8", "backslashreplace")
        if self.path.read_bytes() != content:
            with written_beside(self.path) as beside:
                beside.write_bytes(content)
        return [self.rows[place] for place in wanted]

    def _end_last_line(self) -> None:
        """Cut off a line that a kill left without its end."""
        size = self._file.seek(0, os.SEEK_END)
        with self.path.open("rb") as file:
            content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < size:
            self._file.truncate(whole)
            self._file.seek(whole)


@contextmanager
def opened(path: Path, settings: str, *, force: bool = False) -> Iterator[Ledger]:
    """The ledger in the file `path`, begun if there is none; `force` begins anew whatever is there.

    Raises OutputExists where the file holds results of other settings or something else, and OutputError where another
    process works on it or it cannot be written.
    """
    if path.exists() and not path.is_file():
        raise OutputError(f"{path} is not a regular file", hint="name a file to write")
    try:
        file = path.open("ab")
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}", hint="is there permission?"
        ) from error
    with file:
        hold(file, path)
        if force:
            file.truncate(0)
        ledger = Ledger(path, file, settings)
        try:
            yield ledger
        finally:
            with contextlib.suppress(OSError):
                ledger.sync()


def merged(ledgers: Iterable[tuple[Path, Iterable[Row]]]) -> list[Row]:
    """The rows of several ledgers as one: each video and query once, in the order in which they first come.

    Of a query that failed in one and was answered in another the answer counts. Raises OutputExists for ledgers of
    different settings, and where two have another answer to the same query about the same content.
    """
    rows: dict[Place, Row] = {}
    settings: dict[str, Path] = {}
    for path, some in ledgers:
        for row in some:
            first = next(iter(settings.items()), (row.settings, path))
            settings.setdefault(row.settings, path)
            if len(settings) > 1:
                raise OutputExists(f"{path} was made with another model or other options than {first[1]}")
            known = rows.get((row.video, row.question))
            if known is None or (known.error and not row.error):
                rows[row.video, row.question] = row
            elif not row.error and (known.key, known.groundings) != (row.key, row.groundings):
                raise OutputExists(
                    f"{path} has another answer to {row.question!r:.60} about {row.video}",
                    hint="the video changed between the runs: ask again about it",
                )
    return list(rows.values())


def due(
    rows: Mapping[Place, Row], video: str, keys: Mapping[str, str], *, retry_errors: bool = False
) -> tuple[str, ...]:
    """The queries about `video` that are still to be asked, by the key of each (see `work.key_of`)."""
    return tuple(
        query
        for query, key in keys.items()
        if (row := rows.get((video, query))) is None or row.key != key or not key or (retry_errors and row.error)
    )
