"""Frames of a clip in another order, as a video that any model can be asked about.

The frames are sampled first and permuted then. They are written without loss (FFV1, RGB) into a temporary Matroska
file, each on the screen for the same share of the clip's duration, so a model sees the pixels of the clip, at the pace
of the clip, through the path that every video takes: nothing in it needs to know that the order is not the true one.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from tvu.temporal.sampling import times_evenly
from tvu.video_llm.decode import open_video, read_frames
from tvu.video_llm.errors import OutputError
from tvu.video_llm.types import VideoClip

PERMUTATIONS = 5
BLOCKS = (2, 4)
ORIGINAL = "original"
PERMUTED = tuple(f"permuted-{seed}" for seed in range(PERMUTATIONS))
CONDITIONS = (ORIGINAL, "identity", *PERMUTED, *(f"blocks-{length}" for length in BLOCKS), "reversed", "still")
"""`original` is what the others are held against; `identity` is the same once more, so a difference tells of a model
that does not repeat itself. `blocks-4`: runs of four frames change places. `still`: the middle frame all the time."""

MAX_SIDE = 1024  # no model looks closer, and sixteen frames of a 4K film are 400 MB
_MILLISECONDS = 1000  # what Matroska counts in


def order_under(condition: str, count: int, seed_text: str) -> NDArray[np.int64]:
    """int64 `[count]`: which of `count` frames is seen at each place. Raises ValueError for an unknown condition.

    seed_text: names the clip; the same text gives the same permutations. They are drawn uniformly from all.
    """
    frames = np.arange(count, dtype=np.int64)
    kind, _, number = condition.partition("-")
    if condition not in CONDITIONS:
        raise ValueError(f"no condition is called {condition!r}")
    if kind == "reversed":
        return frames[::-1].copy()
    if kind == "still":
        return np.full(count, count // 2, np.int64)
    if kind in ("permuted", "blocks"):
        draw = np.random.default_rng([int(number), kind == "blocks", *seed_text.encode(errors="surrogatepass")])
        blocks = np.array_split(frames, range(int(number), count, int(number))) if kind == "blocks" else list(frames)
        return np.hstack([blocks[i] for i in draw.permutation(len(blocks))])
    return frames


@contextmanager
def reordered(clip: VideoClip, order: NDArray[np.int64], seconds: float) -> Iterator[VideoClip]:
    """A clip whose T frames are those of `clip` in the order `[T]`, each shown for `seconds / T`; gone after the block.

    The frames of `clip` are on the screen in the middles of T equal parts of its span, and made to fit into
    1024 pixels where they are larger. Raises VideoError, and OutputError where no temporary file can be written.
    """
    pixels = _sampled(clip, len(order))
    with tempfile.TemporaryDirectory(prefix="tvu-order-") as folder:  # a new name each time: models remember clips
        path = Path(folder) / "frames.mkv"
        try:
            write_lossless(pixels[order], seconds, path)
        except (OSError, av.FFmpegError) as error:
            hint = "is there room? TMPDIR names another folder"
            raise OutputError(f"no temporary video can be written: {error.strerror}", hint=hint) from error
        yield open_video(path, decoder=clip.decoder)


@lru_cache(maxsize=1)  # the conditions of one clip follow each other
def _sampled(clip: VideoClip, count: int) -> NDArray[np.uint8]:
    """uint8 `[count, 3, H, W]`."""
    batches = read_frames(clip, times_evenly(clip.span, count), max_side=MAX_SIDE)
    return np.concatenate([batch.pixels[0] for batch in batches])


def write_lossless(pixels: NDArray[np.uint8], seconds: float, path: Path) -> None:
    """Write uint8 `[T, 3, H, W]` as a video of `seconds`, all frames equally long, to a tick of a millisecond."""
    count, _, height, width = pixels.shape
    starts = [round(i * seconds * _MILLISECONDS / count) for i in range(count + 1)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=_MILLISECONDS, options={"threads": "1"})
        stream.width, stream.height, stream.pix_fmt = width, height, "bgr0"
        stream.codec_context.time_base = Fraction(1, _MILLISECONDS)
        for picture, start, end in zip(pixels.transpose(0, 2, 3, 1), starts[:-1], starts[1:], strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.time_base, frame.pts, frame.duration = Fraction(1, _MILLISECONDS), start, end - start
            for packet in stream.encode(frame):
                packet.duration = end - start  # the encoder tells none, and the last frame would be gone at once
                container.mux(packet)
