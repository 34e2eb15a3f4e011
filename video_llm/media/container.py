"""Opening a media file with PyAV, in the reader process."""

import os

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from tvu.video_llm.errors import VideoError
from tvu.video_llm.media.limits import MAX_PIXELS

DAMAGED = "the file is damaged or cut short, or not a video"


def open_container(fd: int, options: dict[str, str] | None = None) -> InputContainer:
    """The media file behind the open descriptor `fd`, from its beginning; `options` are the demuxer's.

    FFmpeg is given the descriptor and no other protocol: a name like `http:x.mp4` is only a name, and a playlist
    inside the file cannot make it open anything else. Raises VideoError where FFmpeg does not know the contents.
    """
    limits = {"fd": str(fd), "protocol_whitelist": "fd", "max_pixels": str(MAX_PIXELS)}
    os.lseek(fd, 0, os.SEEK_SET)
    try:
        return av.open("fd:", mode="r", options=limits | (options or {}), metadata_errors="replace")
    except av.FFmpegError as error:
        raise VideoError("cannot be read as a video", hint=DAMAGED) from error


def video_stream(container: InputContainer) -> VideoStream:
    """The track to look at, ready to decode: FFmpeg's best one that is not a cover picture.

    Raises VideoError where there is none, or its pictures are larger than any we decode.
    """
    tracks = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not tracks:
        raise VideoError("has no video stream", hint="is it an audio file?" if container.streams.audio else DAMAGED)
    best = container.streams.best("video")
    stream = best if best in tracks else tracks[0]
    assert isinstance(stream, VideoStream)
    if stream.codec_context is None:
        raise VideoError(
            "is coded in a way that no decoder here reads", hint="convert it with ffmpeg -i IN -c:v libx264 OUT.mp4"
        )
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > MAX_PIXELS:
        side = int(MAX_PIXELS**0.5)
        raise VideoError(
            f"claims pictures of {width}x{height}", hint=f"tvu reads up to as many pixels as {side}x{side}"
        )
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    return stream


def audio_stream(container: InputContainer) -> AudioStream | None:
    """The sound track to listen to, or None where none can be decoded."""
    tracks = [s for s in container.streams.audio if s.codec_context is not None]
    if not tracks:
        return None
    best = container.streams.best("audio")
    return best if isinstance(best, AudioStream) and best in tracks else tracks[0]
