"""Outputs appear whole or not at all."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tvu.video_llm.errors import OutputError


@contextmanager
def written_beside(out: Path) -> Iterator[Path]:
    """A path beside `out` to write to, renamed to `out` when the block ends well and removed when it does not.

    Raises OutputError where `out` is no regular file, or where the block, or the renaming, meets a full disk, a missing
    folder or missing permissions.
    """
    if out.exists() and not out.is_file():  # a rename would put a file in place of a device or a folder
        raise OutputError(f"{out} is not a regular file", hint="name a file to write")
    beside = out.with_name(f".{os.getpid()}.part")
    try:
        yield beside
        beside.replace(out)
    except OSError as error:
        raise OutputError(
            f"{out} cannot be written: {error.strerror or error}", hint="is there room and permission?"
        ) from error
    finally:
        beside.unlink(missing_ok=True)


def write_text(out: Path, text: str) -> None:
    """`text` as UTF-8 into `out`. Raises OutputError."""
    with written_beside(out) as beside:
        beside.write_text(text, "utf-8")


def hold(file: IO[Any], path: Path) -> None:
    """Keep other processes from writing to the open file until it is closed. Raises OutputError where one does."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OutputError(f"another process works on {path}", hint="wait for it, or name another output") from error
    except OSError:
        pass  # a file system without locks: nothing to be held against
