"""Decodes the pictures that were asked for with PyAV, in the reader process.

The clock says which pictures are wanted, by their presentation time stamps, and decoded frames are matched by theirs.
Nothing is counted: a frame that is hidden or too damaged to decode shifts no other.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from tvu.video_llm.errors import VideoError
from tvu.video_llm.media.batches import BatchSender
from tvu.video_llm.media.container import DAMAGED, open_container, video_stream
from tvu.video_llm.media.pixels import Converter, Geometry, ThumbnailMaker
from tvu.video_llm.media.wire import Message

MIN_FRAMES_SAVED = 24  # a seek refills the decoder's pipeline, which costs about as much as decoding these
BACK_OFFS = (0, 1, 4, 16)  # key pictures; some formats land later than they were asked to
MAX_THREADS = 8  # more of them hold more frames, and gain little
# Formats whose seek looks for a decode time stamp; the others look for a presentation time stamp.
SEEKS_BY_DTS = {"mpegts", "mpeg"}
# Codecs where a frame that the stream marks as no reference is needed by no other frame (in HEVC a higher temporal
# layer may still refer to it, so there nothing is skipped).
SKIPS_EXACTLY = {"h264", "mpeg2video"}


def answer_frames(request: Message, send: Callable[[Message], None], tick: Callable[[], None]) -> None:
    """Sends the frames `wanted` (int64 `[T]` ticks of the clock, increasing) in `batch` messages; see `BatchSender`."""
    fields, arrays = request.fields, request.arrays
    geometry = Geometry(**fields["geometry"])
    sender = BatchSender(send, geometry.height, geometry.width, fields["batch_frames"])
    thumbnails = ThumbnailMaker(geometry) if fields["thumbnails"] else None
    converter = Converter(geometry)

    seen = -1 << 63

    def see(frame: VideoFrame) -> None:
        nonlocal seen
        if thumbnails is not None and _tick_of(frame) > seen:  # what is decoded again is no news
            seen = _tick_of(frame)
            sender.add_thumbnail(seen, thumbnails.thumbnail(frame))

    reader = FrameReader(
        fields["fd"], Table(arrays["ticks"], arrays["decode_ticks"], arrays["is_key"]), fields["is_counted"], tick, see
    )
    runs = plan_runs(
        arrays["wanted"], arrays["ticks"], arrays["is_key"], MIN_FRAMES_SAVED if fields["may_seek"] else None
    )
    for wanted, frame in reader.frames(runs):
        sender.add(wanted, _tick_of(frame), converter.rgb(frame))
    sender.flush()


def _tick_of(frame: VideoFrame) -> int:
    assert frame.pts is not None  # frames without a time are never delivered
    return frame.pts


def decoder_threads() -> int:
    """How many threads decode: one for each core that we may use."""
    return min(len(os.sched_getaffinity(0)), MAX_THREADS)


@dataclass(frozen=True)
class Run:
    """Pictures to decode in one go: `wanted` ticks, increasing, from the key picture at row `key` of the clock.

    Without a `key`, from the start of the file.
    """

    key: int | None
    wanted: tuple[int, ...]


def plan_runs(
    wanted: NDArray[np.int64], ticks: NDArray[np.int64], is_key: NDArray[np.bool_], min_frames_saved: int | None
) -> list[Run]:
    """Where to seek: a new run where that saves at least `min_frames_saved` frames over decoding on (None: never)."""
    keys = np.flatnonzero(is_key)
    runs: list[Run] = []
    open_run: list[int] = []
    open_key: int | None = None
    last_row = 0
    for tick, row in zip(wanted.tolist(), np.searchsorted(ticks, wanted).tolist(), strict=True):
        before = np.searchsorted(keys, row, side="right") - 1
        key = int(keys[before]) if before >= 0 else None
        saves = min_frames_saved is not None and key is not None and key - last_row >= min_frames_saved
        if not open_run or saves:
            if open_run:
                runs.append(Run(open_key, tuple(open_run)))
            open_run, open_key = [], key
        open_run.append(tick)
        last_row = row
    if open_run:
        runs.append(Run(open_key, tuple(open_run)))
    return runs


@dataclass(frozen=True)
class Table:
    """The clock's columns; see `MediaClock`."""

    ticks: NDArray[np.int64]
    decode_ticks: NDArray[np.int64]
    is_key: NDArray[np.bool_]


class FrameReader:
    """Delivers frames by their time stamps from one open file.

    fd: the file; the reader moves its position.
    is_counted: the file has no time stamps, ticks are counts of decoded frames.
    tick: called for every packet; see: called for every decoded frame.
    """

    def __init__(
        self, fd: int, table: Table, is_counted: bool, tick: Callable[[], None], see: Callable[[VideoFrame], None]
    ) -> None:
        self._fd = fd
        self._table = table
        self._keys = np.flatnonzero(table.is_key)
        self._is_counted = is_counted
        self._can_seek = not is_counted
        self._tick = tick
        self._see = see
        self._open()

    def frames(self, runs: list[Run]) -> Iterator[tuple[int, VideoFrame]]:
        """Each wanted tick with the frame on the screen then, in order.

        Raises VideoError where nothing can be decoded.
        """
        for i, run in enumerate(runs):
            if not self._can_seek:
                yield from self._shown_frames(None, deque(tick for later in runs[i:] for tick in later.wanted))
                return
            todo = deque(run.wanted)
            yield from self._exact_frames(run.key, todo)
            if todo:
                yield from self._shown_frames(run.key, todo)

    def _exact_frames(self, key: int | None, todo: deque[int]) -> Iterator[tuple[int, VideoFrame]]:
        """The frames that carry exactly the wanted time stamps, decoding as little as possible; delivered ticks leave
        `todo`.

        Stops early where a wanted frame does not come: the seek landed too late, or its packet is hidden or damaged.
        """
        if not self._go_to(key):
            return
        wanted, last = set(todo), todo[-1]
        context = self._stream.codec_context
        # One field of an interlaced picture may be a reference and the other not.
        skips = context.name in SKIPS_EXACTLY and context.field_order <= 1
        for packet in self._packets():
            if skips:
                context.skip_frame = "DEFAULT" if packet.pts in wanted else "NONREF"
            frames = self._decode(packet)
            is_last = packet.pts == last
            if is_last:
                frames += self._decode(None)  # instead of feeding it more packets until it lets go of this frame
            for frame in frames:
                if frame.pts is None:
                    continue
                self._see(frame)
                if todo and frame.pts == todo[0]:
                    yield todo.popleft(), frame
                elif todo and frame.pts > todo[0]:
                    return
            if is_last:
                return

    def _shown_frames(self, key: int | None, todo: deque[int]) -> Iterator[tuple[int, VideoFrame]]:
        """For each wanted tick the last frame that starts at or before it, decoding everything from ever further
        back."""
        for start in self._starts(key):
            yield from self._shown_frames_from(start, todo)
            if not todo:
                return
        raise VideoError("has no picture that can be decoded", hint=DAMAGED)

    def _starts(self, key: int | None) -> Iterator[int | None]:
        """Rows of key pictures ever further back, and at last None, the start of the file."""
        if key is not None:
            at = int(np.searchsorted(self._keys, key))
            for back in BACK_OFFS:
                if at >= back:
                    yield int(self._keys[at - back])
            # Seeking does not work in this file if even the furthest back-off was not far enough.
            self._can_seek = at < BACK_OFFS[-1]
        yield None

    def _shown_frames_from(self, start: int | None, todo: deque[int]) -> Iterator[tuple[int, VideoFrame]]:
        if not self._go_to(start):
            return
        self._stream.codec_context.skip_frame = "DEFAULT"
        before: VideoFrame | None = None
        for packet in self._packets():
            for frame in self._decode(packet):
                if self._is_counted:
                    frame.pts = self._num_decoded
                    self._num_decoded += 1
                if frame.pts is None:
                    continue
                self._see(frame)
                while todo and frame.pts > todo[0]:
                    if before is None and start is not None:
                        return  # landed too late
                    yield todo.popleft(), before or frame
                while todo and frame.pts == todo[0]:
                    yield todo.popleft(), frame
                if not todo:
                    return
                before = frame
        while todo and before is not None:
            yield todo.popleft(), before

    def _open(self) -> None:
        self._container = open_container(self._fd)
        self._stream = video_stream(self._container)
        self._stream.codec_context.thread_type = "AUTO"
        self._stream.codec_context.thread_count = decoder_threads()
        self._is_at_start = True
        self._num_decoded = 0

    def _go_to(self, key: int | None) -> bool:
        """Be where decoding can start for the key picture at row `key`, or at the start of the file; False if seeking
        fails."""
        if key is None:
            if not self._is_at_start:
                self._container.close()
                self._open()
            return True
        by_dts = self._container.format.name in SEEKS_BY_DTS
        target = self._table.decode_ticks[key] if by_dts else self._table.ticks[key]
        try:
            self._container.seek(int(target), stream=self._stream)
        except (av.FFmpegError, OSError):
            return False
        self._is_at_start = False
        return True

    def _packets(self) -> Iterator[av.Packet]:
        """Packets from here on, the first of them a key picture after a seek, and at the end one that flushes the
        decoder."""
        has_key = self._is_at_start
        self._is_at_start = False
        try:
            for packet in self._container.demux(self._stream):
                self._tick()
                has_key = has_key or packet.is_keyframe
                if has_key:
                    yield packet
        except (av.FFmpegError, OSError):
            pass  # the clock ends here too

    def _decode(self, packet: av.Packet | None) -> list[VideoFrame]:
        try:
            return self._stream.codec_context.decode(packet)
        except (av.FFmpegError, EOFError):
            return []  # damaged: the picture before it stays on the screen
