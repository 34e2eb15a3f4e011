"""Surveys a media file in the reader process: every packet's times, and one decoded picture."""

from collections.abc import Callable
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream
from numpy.typing import NDArray

from tvu.video_llm.errors import VideoError
from tvu.video_llm.media.clock import NO_TICK
from tvu.video_llm.media.container import DAMAGED, audio_stream, open_container, video_stream
from tvu.video_llm.media.pixels import display_matrix, geometry_of
from tvu.video_llm.media.wire import Message

MAX_PACKETS_WITHOUT_PICTURE = 500


def answer_survey(request: Message, send: Callable[[Message], None], tick: Callable[[], None]) -> None:
    """Sends one `survey` message: header fields, and per-packet arrays of the video and the audio track."""
    fd = request.fields["fd"]
    fields: dict[str, Any] = {}
    with open_container(fd) as container:
        stream = video_stream(container)
        fields |= _header(container, stream)
        audio = audio_stream(container)
        arrays = _packet_arrays(container, stream, audio, tick)
        is_cut = bool(arrays["is_hidden"][0])
        if audio is not None:
            fields["audio"] = {
                "codec": audio.codec_context.name,
                "rate": audio.codec_context.sample_rate,
                "channels": audio.codec_context.channels,
                "tick_seconds": _fraction(audio.time_base),
            }
    fields["shift_ticks"] = _edit_list_shift(fd, arrays, tick) if is_cut else 0
    with open_container(fd) as container:
        fields["picture"] = _first_picture(container, video_stream(container), tick)
    send(Message("survey", fields, arrays))


def _header(container: InputContainer, stream: VideoStream) -> dict[str, Any]:
    rate = stream.average_rate or stream.guessed_rate or stream.base_rate
    duration = None
    if stream.duration and stream.time_base:
        duration = float(stream.duration * stream.time_base)
    elif container.duration:
        duration = container.duration / av.time_base
    return {
        "container": container.format.name,
        "start_seconds": (container.start_time or 0) / av.time_base,
        "codec": stream.codec_context.name,
        "tick_seconds": _fraction(stream.time_base),
        "num_video_tracks": len(container.streams.video),
        "num_covers": sum(bool(s.disposition & Disposition.attached_pic) for s in container.streams.video),
        "num_frames": stream.frames or None,
        "duration_seconds": duration,
        "fps": float(rate) if rate else None,
        "audio": None,
    }


def _fraction(value: object) -> list[int]:
    return [value.numerator, value.denominator] if value else [1, 90_000]  # type: ignore[attr-defined]


def _packet_arrays(
    container: InputContainer, video: VideoStream, audio: av.AudioStream | None, tick: Callable[[], None]
) -> dict[str, NDArray[Any]]:
    """Demuxes the whole file without decoding.

    Returns int64 `pts`, `dts`, `duration`, `position` and bool `is_key`, `is_hidden`, each `[P]`, of the video packets,
    and int64 `[2, P]` `audio`, the pts and duration of the audio packets that have a pts.
    """
    rows: list[tuple[int, int, int, int, bool, bool]] = []
    heard: list[tuple[int, int]] = []
    hides_frames = video.codec_context.name == "vp8"
    index = video.index
    is_torn = False
    try:
        for packet in container.demux([s for s in (video, audio) if s is not None]):
            tick()
            pts = packet.pts
            if packet.stream_index != index:
                if pts is not None:
                    heard.append((pts, packet.duration or 0))
                continue
            if not packet.size and packet.dts is None:
                continue  # the flush at the end
            hidden = packet.is_discard or not packet.size
            is_torn = packet.is_corrupt
            if hides_frames and not hidden:
                hidden = not memoryview(packet)[0] >> 4 & 1  # the show_frame bit of RFC 6386, section 9.1
            dts = packet.dts
            rows.append(
                (
                    NO_TICK if pts is None else pts,
                    NO_TICK if dts is None else dts,
                    packet.duration or 0,
                    packet.pos or 0,
                    packet.is_keyframe,
                    hidden,
                )
            )
    except (av.FFmpegError, OSError):
        pass  # the rest of a damaged file is lost; what came before it is not
    if is_torn:
        rows[-1] = (*rows[-1][:-1], True)  # the file ends inside this packet
    if not rows:
        raise VideoError("has a video stream without pictures", hint=DAMAGED)
    columns = list(zip(*rows, strict=True))
    return {
        "pts": np.array(columns[0], np.int64),
        "dts": np.array(columns[1], np.int64),
        "duration": np.array(columns[2], np.int64),
        "position": np.array(columns[3], np.int64),
        "is_key": np.array(columns[4], np.bool_),
        "is_hidden": np.array(columns[5], np.bool_),
        "audio": np.array(heard, np.int64).reshape(-1, 2).T,
    }


def _edit_list_shift(fd: int, arrays: dict[str, NDArray[Any]], tick: Callable[[], None]) -> int:
    """Minus the ticks by which FFmpeg shows the first picture of a cut too early.

    An edit list may start inside a picture. FFmpeg then hides this picture and moves all others to close the gap; read
    without that correction, the first picture which is shown has its true time.
    """
    first = int(np.flatnonzero(~arrays["is_hidden"])[0]) if (~arrays["is_hidden"]).any() else 0
    shown = arrays["pts"][~arrays["is_hidden"] & (arrays["pts"] != NO_TICK)]
    frame = int(np.median(np.diff(np.unique(shown)))) if len(shown) > 1 else 0
    with open_container(fd, {"advanced_editlist": "0"}) as container:
        for packet in container.demux(video_stream(container)):
            tick()
            if packet.pos == arrays["position"][first] and packet.pts is not None:
                shift = packet.pts - int(arrays["pts"][first])
                return -shift if 0 < shift < frame else 0
    return 0


def _first_picture(container: InputContainer, stream: VideoStream, tick: Callable[[], None]) -> dict[str, Any]:
    """What only a decoded picture tells surely: size, shape and orientation.

    Raises VideoError where none can be decoded.
    """
    stream.codec_context.thread_count = 1
    for num_packets, packet in enumerate(container.demux(stream), 1):
        tick()
        try:
            frames = packet.decode()
        except av.FFmpegError:
            frames = []
        for frame in frames:
            aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
            geometry = geometry_of(frame.width, frame.height, float(aspect or 1), display_matrix(frame))
            return {
                "width": frame.width,
                "height": frame.height,
                "is_interlaced": frame.interlaced_frame or stream.codec_context.field_order > 1,
                "sample_aspect": float(aspect or 1),
                "pixel_format": frame.format.name,
                "bit_depth": max(component.bits for component in frame.format.components),
                "color_transfer": int(frame.color_trc),
                "color_primaries": int(frame.color_primaries),
                "geometry": vars(geometry),
            }
        if num_packets >= MAX_PACKETS_WITHOUT_PICTURE:
            break
    raise VideoError("has no picture that can be decoded", hint=DAMAGED)
