"""JSON files that others wrote, and what is wrong with them."""

import gzip
import json
import zlib
from pathlib import Path

from tvu.video_llm.benchmarks.types import Json
from tvu.video_llm.errors import BenchmarkError

MOST_BYTES = 1 << 30  # of the text of one file
LARGEST = 1e12


def read_json(path: Path) -> Json:
    """What is in a JSON file, gzipped or not, whatever its name. Raises BenchmarkError if that cannot be told."""
    text = read_text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BenchmarkError(f"{path} is no JSON: {error}", hint="is it cut off?") from error


def read_json_lines(path: Path) -> list[tuple[int, Json]]:
    """The number, from 1, and the value of each line of a JSON Lines file that is not empty.

    The file may be gzipped. Raises BenchmarkError with the number of a line that is no JSON.
    """
    values = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            try:
                values.append((number, json.loads(line)))
            except (ValueError, RecursionError) as error:
                raise BenchmarkError(f"{path}, line {number} is no JSON: {error}", hint="is it cut off?") from error
    return values


def read_text(path: Path) -> str:
    """A file of text in UTF-8, with or without a byte order mark, gzipped or not. Raises BenchmarkError."""
    try:
        with path.open("rb") as file:
            is_gzip = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if is_gzip else path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError as error:
        raise BenchmarkError(f"there is no file {path}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise BenchmarkError(f"{path} cannot be read: {error}", hint="is it cut off?") from error
    if len(content) > MOST_BYTES:
        raise BenchmarkError(f"{path} holds more than {MOST_BYTES >> 30} GiB of text")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BenchmarkError(f"{path} is no JSON nor other text in UTF-8: {error}") from error


def is_number(value: Json) -> bool:
    """Whether it is a number that can be a time or a score: finite, of a sensible size, and not true or false."""
    return type(value) in (int, float) and abs(value) <= LARGEST  # of JSON: no subclasses, and bool is another type


def malformed(path: Path, what: str) -> BenchmarkError:
    """The error about a file that is no such file; `what` goes on from its name."""
    return BenchmarkError(f"{path.name} {what}", hint="`tvu bench list` tells where the official files are")
