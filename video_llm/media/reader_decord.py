"""The second reader: decord, its frames counted against the clock and never found by its own seeking.

Its seeks lose count where key pictures have leading ones (HEVC) or no index (FLV), so frames are only ever taken one
after the other from the first on, and only from files whose frames it times as the clock does. That way it is right
or refuses:

right: constant and variable rate, rotation, HEVC with 10 bits, VP9 with hidden frames, fragmented MP4, a picture
after the sound
refused: edit lists, MPEG-TS, MPEG-PS, AVI with B-frames, Matroska without an index, AV1, GIF, pictures under about 32
pixels

It is several times slower than PyAV, most of all far into a file, and knows neither the shape of pixels nor the HDR
curves. Runs in the reader process.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tvu.video_llm.errors import VideoError
from tvu.video_llm.media.batches import BatchSender
from tvu.video_llm.media.pixels import Converter, Geometry, ThumbnailMaker
from tvu.video_llm.media.wire import Message

MAX_ERROR_SECONDS = 0.5e-3  # decord rounds its times to float32 seconds


def answer_frames(request: Message, send: Callable[[Message], None], tick: Callable[[], None]) -> None:
    """Sends the frames `wanted` (int64 `[T]` ticks of the clock, increasing) in `batch` messages; see `BatchSender`.

    Thumbnails are of the wanted frames only.
    """
    try:
        import decord
    except ImportError as error:
        raise VideoError(
            "needs decord, which is not installed", hint="decord has no wheel for this platform"
        ) from error
    from av.video.frame import VideoFrame

    fields, wanted, ticks = request.fields, request.arrays["wanted"], request.arrays["ticks"]
    size = Geometry(fields["geometry"]["height"], fields["geometry"]["width"])  # decord turns pictures by itself
    sender = BatchSender(send, size.height, size.width, fields["batch_frames"])
    converter, thumbnails = Converter(size), ThumbnailMaker(size)
    try:
        video = decord.VideoReader(f"/dev/fd/{fields['fd']}", num_threads=2)
        times = np.sort(video.get_frame_timestamp(range(len(video)))[:, 0].astype(np.float64))
    except (decord.DECORDError, RuntimeError, AssertionError) as error:
        raise VideoError("cannot be read by decord") from error
    numerator, denominator = fields["tick_seconds"]
    if not _agree(times, (ticks - ticks[0]) * numerator / denominator):
        raise VideoError("has other times for decord than by its clock")
    tick_at = dict(zip(np.searchsorted(ticks, wanted).tolist(), wanted.tolist(), strict=True))
    for row in range(max(tick_at) + 1):
        tick()
        try:
            picture = video.next()
        except (decord.DECORDError, RuntimeError, StopIteration) as error:
            raise VideoError("cannot be decoded by decord to its end") from error
        if row not in tick_at:
            continue
        pixels = picture.asnumpy()
        if pixels.ndim != 3 or pixels.shape[2] != 3:  # of very small pictures
            raise VideoError("has pictures that decord returns in the wrong shape")
        frame = VideoFrame.from_ndarray(pixels, format="rgb24")
        sender.add(tick_at[row], tick_at[row], converter.rgb(frame))
        if fields["thumbnails"]:
            sender.add_thumbnail(tick_at[row], thumbnails.thumbnail(frame))
    sender.flush()


def _agree(times: NDArray[np.float64], clock_times: NDArray[np.float64]) -> bool:
    """Whether decord's frames, `[M]` seconds, are the clock's, `[N]` seconds from its first; decord rounds to
    float32."""
    if times.shape != clock_times.shape:
        return False
    allowed = MAX_ERROR_SECONDS + 2 * np.spacing(np.abs(times).astype(np.float32))
    return bool((np.abs(times - times[0] - clock_times) <= allowed).all())
