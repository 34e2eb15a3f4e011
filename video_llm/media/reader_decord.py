"""The second reader: decord, its frames found by the clock's times and not by its own index arithmetic.

What it can and cannot do (each row has a test): constant and variable rate, rotation and HEVC come out right; files
cut with an edit list, MPEG-TS and hidden pictures are refused where its own table of times does not agree with the
clock. It is slower than PyAV, ignores the shape of pixels, and decodes with a 2021 FFmpeg. Runs in the reader process.
"""

from collections.abc import Callable

import numpy as np

from tvu.video_llm.errors import VideoError
from tvu.video_llm.media.batches import BatchSender
from tvu.video_llm.media.pixels import Converter, Geometry, ThumbnailMaker
from tvu.video_llm.media.wire import Message

FRAMES_AT_ONCE = 8
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

    fields, wanted = request.fields, request.arrays["wanted"]
    size = Geometry(fields["geometry"]["height"], fields["geometry"]["width"])  # decord turns pictures by itself
    sender = BatchSender(send, size.height, size.width, fields["batch_frames"])
    converter, thumbnails = Converter(size), ThumbnailMaker(size)
    try:
        video = decord.VideoReader(f"/dev/fd/{fields['fd']}", num_threads=2)
        times = video.get_frame_timestamp(range(len(video)))[:, 0].astype(np.float64)
    except (decord.DECORDError, RuntimeError, AssertionError) as error:
        raise VideoError("cannot be read by decord") from error
    numerator, denominator = fields["tick_seconds"]
    indices = _indices_at(times, wanted * numerator / denominator)
    for start in range(0, len(wanted), FRAMES_AT_ONCE):
        some = indices[start : start + FRAMES_AT_ONCE]
        try:
            pictures = video.get_batch(some.tolist()).asnumpy()
        except (decord.DECORDError, RuntimeError) as error:
            raise VideoError("cannot be decoded by decord to its end") from error
        for picture, ticks in zip(pictures, wanted[start : start + FRAMES_AT_ONCE].tolist(), strict=True):
            tick()
            frame = VideoFrame.from_ndarray(picture, format="rgb24")
            sender.add(ticks, ticks, converter.convert(frame))
            if fields["thumbnails"]:
                sender.add_thumbnail(ticks, thumbnails.thumbnail(frame))
    sender.flush()


def _indices_at(times: np.ndarray, wanted_seconds: np.ndarray) -> np.ndarray:
    """int64 `[T]`: decord's indices of the frames that start at `wanted_seconds` by its own table of `times`.

    Raises VideoError where the table has none there.
    """
    order = np.argsort(times, kind="stable")
    nearest = np.searchsorted(times[order], wanted_seconds)
    before, after = np.maximum(nearest - 1, 0), np.minimum(nearest, len(times) - 1)
    is_before = np.abs(times[order[before]] - wanted_seconds) < np.abs(times[order[after]] - wanted_seconds)
    indices = order[np.where(is_before, before, after)]
    allowed = MAX_ERROR_SECONDS + 2 * np.spacing(np.abs(wanted_seconds).astype(np.float32))
    if (np.abs(times[indices] - wanted_seconds) > allowed).any() or times.min() < 0:
        raise VideoError("has times that decord does not see")
    return indices
