"""Decodes the sound track with PyAV, in the reader process."""

import contextlib
from collections.abc import Callable

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from tvu.video_llm.errors import VideoError
from tvu.video_llm.media.container import audio_stream, open_container
from tvu.video_llm.media.wire import Message

PREROLL_SECONDS = 1.0  # decoders of lossy sound need some packets before the first one that is heard
# Between the samples counted and the time stamps: more is a gap or an overlap, less is rounding.
MAX_DRIFT_SECONDS = 0.04
CHUNK_SECONDS = 1.0


def answer_sound(request: Message, send: Callable[[Message], None], tick: Callable[[], None]) -> None:
    """Sends `samples` messages: float32 `[S]` mono and `at`, the index of the first one, counted from `start`.

    Where stored packets overlap, so may the messages; where packets are missing or damaged, there is a gap.
    """
    fields = request.fields
    rate, start, end = fields["rate"], fields["start"], fields["end"]
    track = _Track(rate, start, send)
    with open_container(fields["fd"]) as container:
        stream = audio_stream(container)
        if stream is None or stream.time_base is None:
            raise VideoError("has no sound that can be decoded")
        tick_seconds = float(stream.time_base)
        if start > PREROLL_SECONDS:
            # Not every format can seek; then everything before is decoded too.
            with contextlib.suppress(av.FFmpegError, OSError):
                container.seek(int((start - PREROLL_SECONDS + fields["zero"]) / tick_seconds), stream=stream)
        try:
            for packet in container.demux(stream):
                tick()
                for frame in _decode(stream, packet):
                    seconds = None if frame.pts is None else frame.pts * tick_seconds - fields["zero"]
                    if seconds is not None and seconds >= end:
                        track.finish()
                        return
                    track.add(frame, seconds)
        except (av.FFmpegError, OSError):
            pass  # the rest of a damaged file is silent
    track.finish()


def _decode(stream: av.AudioStream, packet: av.Packet) -> list[AudioFrame]:
    try:
        return stream.codec_context.decode(packet)
    except (av.FFmpegError, EOFError):
        return []


class _Track:
    """Resamples one stretch of sound after the other; a stretch ends where the time stamps leave the count of
    samples."""

    def __init__(self, rate: int, start: float, send: Callable[[Message], None]) -> None:
        self._rate = rate
        self._start = start
        self._send = send
        self._resampler: AudioResampler | None = None
        self._shape: tuple[object, ...] = ()
        self._next_seconds = 0.0  # file seconds of the next stored sample, by counting
        self._at = 0  # index of the next resampled sample
        self._chunk: list[NDArray[np.float32]] = []

    def add(self, frame: AudioFrame, seconds: float | None) -> None:
        """The next decoded frame and when it is heard, None where it does not say."""
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        seconds = self._next_seconds if seconds is None else seconds
        is_new = self._resampler is None or shape != self._shape
        if is_new or abs(seconds - self._next_seconds) > MAX_DRIFT_SECONDS:
            self.finish()
            self._resampler = AudioResampler(format="flt", layout="mono", rate=self._rate)
            self._shape = shape
            self._at = round((seconds - self._start) * self._rate)
            self._next_seconds = seconds
        self._next_seconds += frame.samples / frame.sample_rate
        frame.pts = None  # the resampler shall not stretch the sound to fit its time stamps
        self._resample(frame)

    def finish(self) -> None:
        """Send what the resampler still holds."""
        if self._resampler is not None:
            self._resample(None)
            self._flush()
            self._resampler = None

    def _resample(self, frame: AudioFrame | None) -> None:
        assert self._resampler is not None
        for resampled in self._resampler.resample(frame):
            self._chunk.append(np.asarray(resampled.to_ndarray(), np.float32).reshape(-1))
        if sum(map(len, self._chunk)) >= CHUNK_SECONDS * self._rate:
            self._flush()

    def _flush(self) -> None:
        if not self._chunk:
            return
        samples = np.nan_to_num(np.concatenate(self._chunk)).clip(-1.0, 1.0)
        self._chunk = []
        if self._at + len(samples) > 0:
            self._send(Message("samples", {"at": self._at}, {"samples": samples}))
        self._at += len(samples)
