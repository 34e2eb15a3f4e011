"""The outermost structure of a file, read from its bytes: does it end where it says, and does it have an index."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

HEAD_BYTES = 1 << 16
MAX_BOXES = 1000  # of a file's top level; only a fragmented recording has more
SEGMENT, CLUSTER, CUES = (
    b"\x18\x53\x80\x67",
    b"\x1f\x43\xb6\x75",
    b"\x1c\x53\xbb\x6b",
)  # Matroska element ids (RFC 9559)
SEEK_TO_CUES = b"\x53\xab\x84" + CUES + b"\x53\xac"


def ends_early(path: Path, container: str) -> bool:
    """Whether the last outermost part claims more bytes than there are; False for formats that claim nothing."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if container.startswith("mov"):
            return any(length is not None and at + length > size for _, at, length in _boxes(file))
        head = file.read(HEAD_BYTES)
    if container.startswith("matroska"):
        start, length = _segment(head)
        return length is not None and start + length > size
    if container == "avi":
        return 8 + int.from_bytes(head[4:8], "little") > size
    return container == "mpegts" and size % 188 != 0


def has_cues(path: Path) -> bool:
    """Whether a Matroska or WebM file has an index: in its head, or where its head says and the file still goes."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    at = head.find(SEEK_TO_CUES)
    if at < 0:
        return CUES in head.partition(CLUSTER)[0]
    at += len(SEEK_TO_CUES)
    position = int.from_bytes(head[at + 1 : at + 1 + (head[at] & 0x0F)], "big")
    return _segment(head)[0] + position < path.stat().st_size


def movie_seconds(path: Path) -> float | None:
    """The duration that an MP4 or MOV file states for itself, which FFmpeg replaces by the sum of its samples'."""
    with path.open("rb") as file:
        for name, at, _ in _boxes(file):
            if name == b"moov":
                file.seek(at + 8)
                head = file.read(44)
                if len(head) < 44 or head[4:8] != b"mvhd":
                    return None
                layout = ">28xIQ" if head[8] == 1 else ">20xII"
                timescale, duration = struct.unpack_from(layout, head)
                return duration / timescale if timescale and duration else None
    return None


def _boxes(file: BinaryIO) -> Iterator[tuple[bytes, int, int | None]]:
    """Top-level boxes of an ISO base media file (ISO/IEC 14496-12, section 4.2): name, start, and length as they say.

    A length of None goes on to the end of the file; so does damage.
    """
    at = 0
    for _ in range(MAX_BOXES):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        yield head[4:8], at, length if length >= 8 else None
        if length < 8:
            return
        at += length


def _segment(head: bytes) -> tuple[int, int | None]:
    """Where the contents of the first Segment start and how many bytes it claims; None where it does not say."""
    at = head.find(SEGMENT) + len(SEGMENT)
    if at < len(SEGMENT) or at >= len(head) or head[at] == 0:
        return 0, None
    width = 9 - head[at].bit_length()
    length = int.from_bytes(head[at : at + width], "big") & ((1 << 7 * width) - 1)
    return at + width, None if length == (1 << 7 * width) - 1 else length
