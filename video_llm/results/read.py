"""Rows read back from the files that hold them."""

import json
from collections.abc import Iterator
from pathlib import Path

from tvu.video_llm.errors import OutputExists, QueriesError
from tvu.video_llm.results.rows import Row


def rows_in(path: Path, *, may_be_cut: bool = False) -> Iterator[Row]:
    """The rows of a JSON Lines file, in its order.

    may_be_cut: the last line may lack its end, and is then left out. Raises OutputExists, which names the line, where
    that is a file to be written to, else QueriesError.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise QueriesError(f"{path} cannot be read: {error.strerror}", hint="name a file of results") from error
    for number, line in enumerate(lines[:-1] if may_be_cut else lines, start=1):
        if not line.strip():
            continue
        try:
            yield Row.from_json(json.loads(line))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            told = f"{path}, line {number} is no result of tvu: {error!r:.80}"
            if may_be_cut:
                raise OutputExists(told, hint="name another output, or add --force to begin anew") from error
            raise QueriesError(told, hint="`tvu ground -o FILE.jsonl` writes such files") from error
