"""What a model made of the frames of a clip: remembered, so that no frame is decoded or encoded twice."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tvu.temporal.types import Span, VisualTokens
from tvu.video_llm.cache import CacheEntry, FeatureCache
from tvu.video_llm.decode import clock_of, read_frames
from tvu.video_llm.encode import encode_frames, squashed
from tvu.video_llm.models.modeling import FastPath, TvuForConditionalGeneration
from tvu.video_llm.pipeline import Report, be_silent
from tvu.video_llm.sample import SamplingConfig, sampling_times
from tvu.video_llm.stopwatch import Stopwatch
from tvu.video_llm.types import FrameBatch, VideoClip

LAYOUT = 1  # of what is kept in the cache; raised when it, or how it is made, changes
Seconds = NDArray[np.float64]


@dataclass(frozen=True)
class Frames:
    """Which frames of a clip to look at. None of them is decoded before it is needed.

    sampling: for the vision tower; motion: for the fast path, None where there is none.
    """

    clip: VideoClip
    sampling: SamplingConfig
    motion: SamplingConfig | None = None


@dataclass(frozen=True)
class Motion:
    """Tokens of the fast path at the width of the language model, and `[F, 2]` the spans of the frames behind them."""

    tokens: VisualTokens
    frame_spans: Tensor


@dataclass(frozen=True)
class Seen:
    """A stretch of a file as the vision tower sees it: `[1, T, N, C]` at its width, and what the fast path sees."""

    part: Span
    tokens: VisualTokens
    motion: Motion | None = None

    @property
    def frame_seconds(self) -> tuple[float, ...]:
        """When each frame of the vision tower begins to be seen, file seconds."""
        return tuple(self.tokens.spans[0, :, 0].tolist())


@dataclass(frozen=True)
class _Known:
    """Features float16 `[T, ...]` of the pictures that appear at `pts [T]`."""

    frames: Frames
    pts: Seconds
    features: NDArray[np.float16]


class FrameFeatures:
    """Frames to features, by way of memory: of the last clip, for a window that overlaps it, and of the cache.

    cache: where features are kept for the next question, float16, by the content of the file, the sampling and the
           weights of the tower; None keeps nothing.
    """

    def __init__(
        self,
        model: TvuForConditionalGeneration,
        cache: FeatureCache | None = None,
        stopwatch: Stopwatch | None = None,
        report: Report = be_silent,
    ) -> None:
        self._model, self._cache, self._report = model, cache, report
        self._stopwatch = stopwatch or Stopwatch()
        self._last: _Known | None = None
        self._seen: tuple[Frames, Seen] | None = None

    def see(self, frames: Frames) -> Seen:
        """What the model sees of `frames`, the same object while they are asked for again.

        Raises VideoError where they cannot be decoded.
        """
        if self._seen is None or self._seen[0] != frames:
            self._seen = frames, self._see(frames)
        return self._seen[1]

    def _see(self, frames: Frames) -> Seen:
        tower = self._model.vision_tower
        pts, features = self._of_tower(frames)
        tokens = _as_tokens(features, spans_of(pts, frames.clip.span), tower, tower.grid)
        motion = None if frames.motion is None else self._of_fast_path(frames, frames.motion)
        return Seen(frames.clip.span, tokens, motion)

    def _of_tower(self, frames: Frames) -> tuple[Seconds, NDArray[np.float16]]:
        """When each picture that was looked at appears, and its features."""
        key = self._key(frames.clip, frames.sampling, "tower")
        kept = self._load(key, "pts", "features")
        pts, features = kept or self._encoded(frames)
        if kept is None:
            self._store(key, pts=pts, features=features)
        self._last = _Known(frames, pts, features)
        return pts, features

    def _encoded(self, frames: Frames) -> tuple[Seconds, NDArray[np.float16]]:
        """Frames that the last window had are copied, the others are decoded and encoded."""
        clip, last = frames.clip, self._last
        wanted = wanted_seconds(clip, frames.sampling)
        is_known = np.zeros(len(wanted), bool)
        if last is not None and last.frames.clip.path == clip.path and last.frames.sampling == frames.sampling:
            is_known = np.isin(wanted, last.pts)
        if last is not None and is_known.all():
            return wanted, last.features[np.isin(last.pts, wanted)]
        with self._stopwatch.at("encode_s"):
            new = encode_frames(self._read(clip, wanted[~is_known], frames.sampling), self._model.vision_tower)
        is_seen = is_known.copy()
        is_seen[np.flatnonzero(~is_known)[: len(new)]] = True  # a damaged file ends before its clock does
        features = np.empty((len(wanted), *new.shape[1:]), np.float16)
        features[is_seen & ~is_known] = new
        if last is not None and is_known.any():
            features[is_known] = last.features[np.isin(last.pts, wanted)]
        return wanted[is_seen], features[is_seen]

    def _of_fast_path(self, frames: Frames, sampling: SamplingConfig) -> Motion:
        fast: FastPath = self._model.fast_path  # type: ignore[assignment]
        clip = frames.clip
        pts = wanted_seconds(clip, sampling)
        spans = spans_of(pts, clip.span)
        key = self._key(clip, sampling, "motion")
        kept = self._load(key, "spans", "features")
        if kept is None:
            with self._stopwatch.at("encode_s"):
                read = self._read(clip, pts, sampling)
                small = [squashed(batch.pixels[0], self._motion_side) for batch in read]
                pixels = torch.from_numpy(np.concatenate(small))[None].to(self._model.device)
                tokens = fast(pixels, spans[None, : pixels.shape[1]].to(pixels.device))
            kept = tokens.spans[0].cpu().numpy(), tokens.features[0].half().cpu().numpy()
            self._store(key, spans=kept[0], features=kept[1])
        of_snippets, features = kept
        return Motion(_as_tokens(features, torch.from_numpy(np.array(of_snippets)), fast, fast.grid), spans)

    def _read(self, clip: VideoClip, pts: Seconds, sampling: SamplingConfig) -> Iterator[FrameBatch]:
        batches = read_frames(clip, pts, max_side=sampling.max_side, batch_frames=sampling.batch_frames)
        done = 0
        for batch in self._stopwatch.over("decode_s", batches):
            done += batch.pixels.shape[1]
            self._report("watching", min(1.0, done / len(pts)))
            yield batch

    @property
    def _motion_side(self) -> int:
        return int((self._model.config.fast_path or {}).get("side", 224))

    @cached_property
    def _names(self) -> dict[str, str]:
        """What features are features of."""
        model = self._model
        motion = "" if model.fast_path is None else f"{weights_digest(model.fast_path)} {model.config.fast_path}"
        return {"tower": weights_digest(model.vision_tower), "motion": motion}

    def _key(self, clip: VideoClip, sampling: SamplingConfig, network: str) -> str:
        if self._cache is None:
            return ""
        span = f"{clip.span.start_seconds:.6f}-{clip.span.end_seconds:.6f}"
        return f"{self._cache.content_of(clip.path)} {span} {clip.decoder} {sampling} {self._names[network]} {LAYOUT}"

    def _load(self, key: str, first: str, second: str) -> tuple[NDArray[Any], NDArray[Any]] | None:
        entry = None if self._cache is None else self._cache.load(key)
        if entry is None or not {first, second} <= entry.arrays.keys():
            return None
        return entry.arrays[first], entry.arrays[second]

    def _store(self, key: str, **arrays: NDArray[Any]) -> None:
        if self._cache is not None:
            self._cache.store(key, CacheEntry(arrays, {}))


def wanted_seconds(clip: VideoClip, config: SamplingConfig) -> Seconds:
    """float64 `[T]`, when each picture to look at appears; one that stays on the screen is looked at once."""
    pts = clock_of(clip).shown_at(sampling_times(clip, config))
    return pts[np.diff(pts, prepend=-np.inf) > 0]


def spans_of(pts: Seconds, part: Span) -> Tensor:
    """float64 `[T, 2]`: a frame stands from its appearance to that of the next one, the last to the end of `part`."""
    starts = np.maximum(pts, part.start_seconds)
    return torch.from_numpy(np.stack([starts, np.append(starts[1:], part.end_seconds)], axis=-1))


def weights_digest(module: nn.Module) -> str:
    """A name for what `module` makes of a picture, and so for features of it: it changes with every weight."""
    digest = hashlib.blake2b(type(module).__name__.encode(), digest_size=16)
    for name, value in sorted(module.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _as_tokens(features: NDArray[np.float16], spans: Tensor, module: nn.Module, grid: tuple[int, int]) -> VisualTokens:
    """Of one clip, in the dtype and on the device of `module`."""
    weight = next(module.parameters())
    return VisualTokens.from_frames(
        torch.from_numpy(np.array(features))[None].to(weight), spans[None].to(weight.device), grid
    )
