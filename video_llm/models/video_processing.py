"""Videos as the model takes them: what is on the screen at chosen times, resized, each with its span by the clock."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoVideoProcessor, BaseVideoProcessor, BatchFeature

from tvu.temporal.types import Span
from tvu.video_llm.decode import clock_of, open_video, read_frames
from tvu.video_llm.encode import Pixels, squashed
from tvu.video_llm.models.configuration import TvuConfig, vision_outline
from tvu.video_llm.sample import SamplingConfig, sampling_times
from tvu.video_llm.types import FrameBatch, VideoClip

FAST_INPUTS = ("fast_pixel_values_videos", "fast_frame_spans", "fast_frame_counts")
VIDEO_INPUTS = ("pixel_values_videos", "frame_spans", "frame_counts", *FAST_INPUTS)
"""What a batch of videos is called; the fast path's are there where there is one."""

NO_TIMES = "frames without times: give pts_seconds, when each appears, and spans, which part of the file they show"

_Piece = tuple[Pixels, NDArray[np.float64]]  # some resized frames and when they appear


@dataclass(frozen=True)
class TimedFrames:
    """Resized frames uint8 `[T, 3, S, S]` and their spans float64 `[T, 2]`, file seconds."""

    pixels: Pixels
    spans: NDArray[np.float64]


@dataclass(frozen=True)
class SeenVideo:
    """What the model gets of one video; part: the stretch of the file that was looked at."""

    part: Span
    frames: TimedFrames
    fast: TimedFrames | None = None


class TvuVideosKwargs(TypedDict, total=False):
    """What a video processor is made of; see `TvuVideoProcessor`."""

    vision_config: dict[str, Any]
    fast_path: dict[str, Any] | None
    fps: float
    max_frames: int | None


class TvuVideoProcessor(BaseVideoProcessor):
    """Videos to `pixel_values_videos` uint8, `frame_spans` float64 seconds and `frame_counts`.

    vision_config: of the model; its tower says how pictures are resized and normalises them itself.
    fast_path:     of the model, None where there is none.
    fps:           looks a second; max_frames: at most so many looks, spread evenly over a longer video.

    A video is a path (also `path#t=12.5,40`), a `FrameBatch`, or an array uint8 `[T, 3, H, W]`; the last two need to be
    told when they were shown. A frame stands from its appearance to that of the next one that was looked at, the last
    one to the end of the part. A picture that is still on the screen at the next look is taken once. No time is ever
    computed from an index and a frame rate, so transformers' `VideoMetadata` is refused.
    """

    valid_kwargs = TvuVideosKwargs  # type: ignore[assignment]
    model_input_names = ["pixel_values_videos", "frame_spans", "frame_counts"]  # noqa: RUF012
    vision_config: dict[str, Any] = {"name": "efficientnet-lite0", "grid": 7}  # noqa: RUF012
    fast_path: dict[str, Any] | None = None
    fps: float = 1.0
    max_frames: int | None = 100

    def preprocess(self, videos: Any, **kwargs: Any) -> BatchFeature:
        """A batch of videos; see `seen` for what may be told beside them."""
        kwargs.pop("return_tensors", None)
        return as_batch(self.seen(videos, **kwargs))

    def seen(
        self,
        videos: Any,
        pts_seconds: Sequence[Any] | None = None,
        spans: Sequence[Span | None] | None = None,
        *,
        fps: float | None = None,
        max_frames: int | None = None,
        video_metadata: None = None,
        **others: Any,
    ) -> list[SeenVideo]:
        """Every video of a list (or one, or lists of lists) as the model gets it.

        pts_seconds: for each array when its frames appear, `[T]` increasing file seconds.
        spans:       for each array or `FrameBatch` the part of the file that its frames show.
        fps, max_frames: in place of the processor's own; for paths.

        Raises ValueError for frames without times and for anything else that was told, VideoError for a file that
        cannot be read.
        """
        if video_metadata is not None or others.pop("do_sample_frames", True) is not True:
            raise ValueError(f"an index divided by a frame rate is not a time; {NO_TIMES}")
        if others:
            raise ValueError(f"a video processor does not know {', '.join(others)}")
        listed = list(_flat(videos))
        for name, told in (("pts_seconds", pts_seconds), ("spans", spans)):
            if told is not None and len(told) != len(listed):
                raise ValueError(f"{len(told)} {name} for {len(listed)} videos")
        sampling = SamplingConfig(fps=fps or self.fps, max_frames=max_frames or self.max_frames)
        return [
            self._from_file(video, sampling)
            if isinstance(video, str | Path)
            else self._from_frames(video, pts_seconds[i] if pts_seconds else None, spans[i] if spans else None)
            for i, video in enumerate(listed)
        ]

    def _from_file(self, address: str | Path, sampling: SamplingConfig) -> SeenVideo:
        """One pass over the file for both paths; memory holds resized frames and one batch of others."""
        clip = open_video(address)
        shown_at = clock_of(clip).shown_at
        paths = [(shown_at(sampling_times(clip, sampling)), self._resized)]
        sides = [vision_outline(self.vision_config).side]
        if self.fast_path is not None:
            dense = SamplingConfig(fps=self.fast_path.get("fps", 8.0), max_frames=self.fast_path.get("max_frames"))
            paths.append((shown_at(sampling_times(clip, dense)), self._resized_fast))
            sides.append(self._fast_side)
        every = np.unique(np.concatenate([shown for shown, _ in paths]))
        pieces: list[list[_Piece]] = [[] for _ in paths]
        done = 0
        for batch in read_frames(clip, every, max_side=_max_side(clip, max(sides))):
            pixels, pts = batch.pixels[0], batch.pts_seconds[0]
            for (shown, resized), kept in zip(paths, pieces, strict=True):
                wanted = np.isin(every[done : done + len(pts)], shown)
                if wanted.any():
                    kept.append((resized(pixels[wanted]), pts[wanted]))
            done += len(pts)
        frames, *fast = [_timed(kept, clip.span) for kept in pieces]
        return SeenVideo(clip.span, frames, *fast)

    def _from_frames(self, video: Any, pts_seconds: Any, part: Span | None) -> SeenVideo:
        if isinstance(video, Mapping):  # what a chat template of newer transformers makes of a dataclass: its fields
            if video.keys() != {"pixels", "pts_seconds"}:
                raise ValueError(f"a video is a path, frames or a FrameBatch, not a mapping of {', '.join(video)}")
            video = FrameBatch(**video)
        if isinstance(video, FrameBatch):
            if len(video.pixels) != 1:
                raise ValueError(f"a batch of frames is one video here, not {len(video.pixels)}")
            pixels, pts = video.pixels[0], video.pts_seconds[0]
        else:
            if pts_seconds is None:
                raise ValueError(NO_TIMES)
            pixels, pts = np.asarray(video), np.asarray(pts_seconds, dtype=np.float64)
        if part is None:
            raise ValueError(NO_TIMES)
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1] != 3 or pts.shape != pixels.shape[:1]:
            raise ValueError(f"frames are uint8 [T, 3, H, W] with [T] times, not {pixels.shape} with {pts.shape}")
        if not len(pts) or not (np.diff(pts) >= 0).all() or not pts[0] <= pts[-1] < part.end_seconds:
            raise ValueError(f"times increase and lie before the end of {part}, not {pts}")
        is_gone = np.append(pts[1:] <= part.start_seconds, False)
        pixels, pts = pixels[~is_gone], pts[~is_gone]
        fast = None if self.fast_path is None else _timed([(self._resized_fast(pixels), pts)], part)
        return SeenVideo(part, _timed([(self._resized(pixels), pts)], part), fast)

    def _resized(self, pixels: Pixels) -> Pixels:
        return vision_outline(self.vision_config).resized(pixels)

    def _resized_fast(self, pixels: Pixels) -> Pixels:
        return squashed(pixels, self._fast_side)

    @property
    def _fast_side(self) -> int:
        return (self.fast_path or {}).get("side", 224)


class TvuBatch(BatchFeature):
    """A `BatchFeature` whose seconds stay float64 when it is moved to a half-precision device."""

    def to(self, *args: Any, **kwargs: Any) -> "TvuBatch":
        exact = {name: value for name, value in self.items() if name.endswith("frame_spans")}
        super().to(*args, **kwargs)
        for name, value in exact.items():
            self[name] = value.to(self["pixel_values_videos"].device)
        return self


def as_batch(seen: Sequence[SeenVideo]) -> TvuBatch:
    """Videos of different lengths side by side: frames padded with zeros, spans with the end of the last one."""
    values = _padded([each.frames for each in seen])
    fast = [each.fast for each in seen if each.fast is not None]
    if fast:
        values |= {f"fast_{name}": value for name, value in _padded(fast).items()}
    return TvuBatch(values)


def _padded(videos: Sequence[TimedFrames]) -> dict[str, Tensor]:
    most = max(len(video.spans) for video in videos)
    pixels = np.zeros((len(videos), most, *videos[0].pixels.shape[1:]), np.uint8)
    spans = np.empty((len(videos), most, 2))
    for video, into_pixels, into_spans in zip(videos, pixels, spans, strict=True):
        count = len(video.spans)
        into_pixels[:count], into_spans[:count], into_spans[count:] = video.pixels, video.spans, video.spans[-1, 1]
    counts = torch.tensor([len(video.spans) for video in videos])
    return {
        "pixel_values_videos": torch.from_numpy(pixels),
        "frame_spans": torch.from_numpy(spans),
        "frame_counts": counts,
    }


def _timed(pieces: Sequence[_Piece], part: Span) -> TimedFrames:
    """All pieces as one; a picture that comes again, since it stayed or the next could not be decoded, is kept once."""
    pts = np.concatenate([pts for _, pts in pieces])
    is_new = np.diff(pts, prepend=-np.inf) > 0
    starts = np.maximum(pts[is_new], part.start_seconds)
    spans = np.stack([starts, np.append(starts[1:], part.end_seconds)], axis=-1)
    return TimedFrames(np.concatenate([pixels for pixels, _ in pieces])[is_new], spans)


def _max_side(clip: VideoClip, side: int) -> int:
    """The longer side at which the shorter one is at least `side`."""
    return math.ceil(side * max(clip.height, clip.width) / min(clip.height, clip.width))


def _flat(videos: Any) -> Iterator[Any]:
    if isinstance(videos, list | tuple):
        for video in videos:
            yield from _flat(video)
    else:
        yield videos


AutoVideoProcessor.register(TvuConfig, TvuVideoProcessor, exist_ok=True)
