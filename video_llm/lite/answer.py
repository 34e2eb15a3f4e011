"""`lite` answers: spans from the head, text from SmolLM2, windows of a minute over a long video."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tvu.temporal.spans import clamp, iou
from tvu.temporal.types import Span, VisualTokens
from tvu.video_llm.cache import CacheEntry, FeatureCache
from tvu.video_llm.generate import GenerateConfig, generate
from tvu.video_llm.lite.checkpoint import LoadedLite, load_lite
from tvu.video_llm.lite.head import Moments, scored_spans
from tvu.video_llm.lite.model import Reading
from tvu.video_llm.lite.prompt import LiteTokenizer, sequences
from tvu.video_llm.lite.see import LiteSeen, folder_digest, see, seen_key
from tvu.video_llm.parse import in_words, readable
from tvu.video_llm.pipeline import Report, be_silent
from tvu.video_llm.questions import captions_request
from tvu.video_llm.types import Answer, Grounding, Prompt, ScoreCurve, Timing, VideoClip

OnText = Callable[[str], None]


@dataclass(frozen=True)
class LiteSettings:
    """How `lite` looks at a video.

    window_seconds: looked at once; training saw up to 64 s. overlap_seconds: of neighbouring windows, so that what
    happens at a border is whole in one of them.
    least_score: spans less likely than this are not told.
    max_iou: spans that overlap more are one.
    """

    window_seconds: float = 60.0
    overlap_seconds: float = 12.0
    least_score: float = 0.25
    max_iou: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.overlap_seconds < self.window_seconds:
            raise ValueError("windows overlap by less than their length")


@dataclass(frozen=True)
class Window:
    """One stretch as the language model is to see it: tokens `[1, V, 1, D]` and the same at its width `[1, V, L]`."""

    span: Span
    tokens: VisualTokens
    rows: Tensor


@dataclass(frozen=True)
class Found:
    """What the head says of one query: calibrated groundings, best first, and the curve of being inside."""

    groundings: tuple[Grounding, ...]
    present: float
    curve: ScoreCurve


@dataclass(frozen=True)
class Captioned:
    """One thing that happens, in words."""

    span: Span
    text: str


class Lite:
    """The model behind `-m lite`. It remembers the clip that it looked at last.

    folder: of the checkpoint, by default the one that ships. Weights are loaded when a clip needs them.
    """

    def __init__(
        self,
        name: str = "lite",
        folder: Path | None = None,
        settings: LiteSettings | None = None,
        *,
        cache: FeatureCache | None = None,
        report: Report = be_silent,
    ) -> None:
        self.name = name
        self.settings = settings or LiteSettings()
        self.cache = cache
        self._folder, self._report = folder, report
        self._last: tuple[VideoClip, LiteSeen, list[Window]] | None = None

    @cached_property
    def loaded(self) -> LoadedLite:
        """The checkpoint. Raises WeightsError where a part of it is missing."""
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return load_lite(self._folder, device)

    @cached_property
    def tokenizer(self) -> LiteTokenizer:
        """Ids of what is read and written."""
        from tvu.weights.load import located

        config = self.loaded.model.config
        return LiteTokenizer(located("smollm2-135m") / "tokenizer.json", self.loaded.model.codec, config.known_tokens)

    @cached_property
    def _device(self) -> torch.device:
        return self.loaded.model.new_rows.device

    # --- VideoModel ---

    def find(self, clip: VideoClip, queries: Sequence[str]) -> list[Answer]:
        """When each query happens; the video is decoded and encoded once for all of them."""
        started = time.perf_counter()
        seen, windows, is_new = self.look(clip)
        encoded = time.perf_counter()
        found = self.moments(windows, clip, queries)
        done = time.perf_counter()
        timing = Timing(
            seen.decode_s if is_new else 0.0,
            seen.encode_s if is_new else 0.0,
            max(0.0, encoded - started - (seen.decode_s + seen.encode_s if is_new else 0.0)),
            done - encoded,
            done - started,
        )
        frames = tuple(seen.spans[:, 0].tolist())
        return [
            Answer(
                query,
                in_words(each.groundings),
                each.groundings,
                self.name,
                timing,
                curves=(each.curve,),
                prompt=query,
                frame_seconds=frames,
            )
            for query, each in zip(queries, found, strict=True)
        ]

    def ground(self, clip: VideoClip, queries: Sequence[str]) -> list[list[Grounding]]:
        """The spans alone, best first."""
        return [list(answer.groundings) for answer in self.find(clip, queries)]

    def answer(self, clip: VideoClip, question: str, on_text: OnText | None = None) -> Answer:
        """Text for a question that wants words, spans for one that asks when. Spans come with both."""
        (found,) = self.find(clip, [question])
        if not wants_words(question):
            return found
        started = time.perf_counter()
        text = self.write(clip, question, on_text)
        took = time.perf_counter() - started
        timing = Timing(
            found.timing.decode_s,
            found.timing.encode_s,
            found.timing.temporal_s,
            found.timing.generate_s + took,
            found.timing.total_s + took,
        )
        return Answer(
            question,
            text,
            found.groundings,
            self.name,
            timing,
            curves=found.curves,
            prompt=question,
            frame_seconds=found.frame_seconds,
        )

    # --- what it can do beside ---

    def write(self, clip: VideoClip, question: str, on_text: OnText | None = None, most_new: int = 128) -> str:
        """What SmolLM2 says of the clip; of a long one, of the window that the head thinks most likely."""
        _, windows, _ = self.look(clip)
        window = windows[0]
        if len(windows) > 1:
            present = [self._head([window], [question])[0][1] for window in windows]
            window = windows[int(np.argmax(present))]
        return readable(self._written(window, question, on_text, most_new), window.span, self.loaded.model.codec)

    def caption(self, clip: VideoClip, on_caption: Callable[[Captioned], None] | None = None) -> list[Captioned]:
        """What happens and when, in words, in the order of time; each is told as soon as its window is read."""
        _, windows, _ = self.look(clip)
        told: list[Captioned] = []
        for window in windows:
            text = self._written(window, captions_request(), None, 192)
            for each in captions_in(text, window.span, self.loaded.model.codec):
                if all(each.text != known.text or iou(each.span, known.span) < 0.3 for known in told):
                    told.append(each)
                    if on_caption is not None:
                        on_caption(each)
        return sorted(told, key=lambda each: each.span)

    def look(self, clip: VideoClip) -> tuple[LiteSeen, list[Window], bool]:
        """What a clip looks like, in windows, and whether that is new. Raises VideoError and WeightsError."""
        if self._last is not None and self._last[0] == clip:
            return self._last[1], self._last[2], False
        seen, is_new = self._recalled(clip)
        windows = [self._window(seen, first, last) for first, last in windows_of(len(seen.slow), self.settings)]
        self._last = (clip, seen, windows)
        return seen, windows, is_new

    def moments(self, windows: Sequence[Window], clip: VideoClip, queries: Sequence[str]) -> list[Found]:
        """What the head says of each query, windows put together."""
        settings = self.settings
        per_window = [self._head([window], queries) for window in windows]
        found = []
        for number in range(len(queries)):
            spans: list[tuple[Span, float]] = []
            times, curve = [], []
            for window, told in zip(windows, per_window, strict=True):
                scored, _, inside = told[number]
                for start, end, probability in scored:
                    if end - start > 1e-3 and (span := clamp(Span(start, end), clip.span)) is not None:
                        spans.append((span, probability))
                middle = window.tokens.spans[0].mean(-1).cpu().numpy()
                times.append(middle)
                curve.append(inside)
            present = max(told[number][1] for told in per_window)
            order = np.argsort(np.concatenate(times), kind="stable")
            kept: list[Grounding] = []
            for span, score in sorted(spans, key=lambda each: -each[1]):
                if score >= settings.least_score and all(iou(span, g.span) <= settings.max_iou for g in kept):
                    kept.append(Grounding(span, score, "visual"))
            told_curve = ScoreCurve(
                "visual", np.concatenate(times)[order], np.concatenate(curve)[order].astype(np.float32)
            )
            found.append(Found(tuple(kept), present, told_curve))
        return found

    # --- steps ---

    def _recalled(self, clip: VideoClip) -> tuple[LiteSeen, bool]:
        from tvu.video_llm.encode import lite0_encoder
        from tvu.video_llm.lite.pose import BodyFollower, PoseModels
        from tvu.weights.load import located

        loaded = self.loaded
        cells, pose = lite0_encoder(), located("mediapipe-bodies")
        bodies = BodyFollower(PoseModels(pose))
        makers = (cells.name, f"motion@{folder_digest(loaded.folder)}", f"bodies@{pose.name}")
        key = seen_key(clip, self.cache.content_of(clip.path), makers) if self.cache else ""
        entry = self.cache.load(key) if self.cache else None
        if entry is not None:
            try:
                return LiteSeen.from_arrays(dict(entry.arrays)), False
            except (KeyError, ValueError):  # another version wrote it
                pass
        seen = see(clip, cells, loaded.motion, bodies, lambda done: self._report("watching", done))
        if self.cache is not None:
            self.cache.store(key, CacheEntry(seen.to_arrays(), {}))
        return seen, True

    @torch.inference_mode()
    def _window(self, seen: LiteSeen, first: int, last: int) -> Window:
        part = seen.between(first, last)
        inputs, spans = part.inputs(self._device)
        with _autocast(self._device):
            tokens, rows = self.loaded.model.eyes(inputs, spans - spans[:, :1, :1])
        span = Span(float(part.spans[0, 0]), float(part.spans[-1, 1]))
        return Window(span, tokens, rows)

    @torch.inference_mode()
    def _head(
        self, windows: Sequence[Window], queries: Sequence[str]
    ) -> list[tuple[list[tuple[float, float, float]], float, Any]]:
        """For each query about one window: (start, end, probability) in file seconds, presence, inside `[V]`."""
        (window,) = windows
        counts = window.tokens.lengths.tolist()
        told = sequences(self.tokenizer, [(0, query, "") for query in queries], counts)
        arrays = (told.ids, told.is_visual, told.video, told.answers, told.last_asked)
        reading = Reading(*(torch.from_numpy(array).to(self._device) for array in arrays))
        with _autocast(self._device):
            output = self.loaded.model.read(window.tokens, window.rows, reading)
            moments = output.moments()
        calibration = self.loaded.calibration
        present = moments.present.float().cpu()
        on_cpu = Moments(
            *(each.float().cpu() for each in (moments.inside, moments.quality, moments.spans, moments.present)),
            is_real=moments.is_real.cpu(),
        )
        a, b, c = calibration.span
        result = []
        for row in range(len(queries)):
            there = float(torch.sigmoid(calibration.present[0] + calibration.present[1] * present[row]))
            scored = []
            for start, end, score in scored_spans(on_cpu, row, max_iou=self.settings.max_iou):
                logit = float(np.log(max(score, 1e-6) / max(1 - score, 1e-6)))
                probability = float(1 / (1 + np.exp(-(a + b * logit + c * float(present[row])))))
                scored.append((start + window.span.start_seconds, end + window.span.start_seconds, probability))
            inside = (on_cpu.inside[row].sigmoid() * there).numpy()
            result.append((scored, there, inside))
        return result

    def _written(self, window: Window, question: str, on_text: OnText | None, most_new: int) -> str:
        ids, first = self.tokenizer.prompt(self.tokenizer.encode(question.strip()), window.rows.shape[1])
        input_ids = torch.tensor([ids])
        is_visual = torch.zeros_like(input_ids, dtype=torch.bool)
        is_visual[0, first : first + window.rows.shape[1]] = True
        visual = VisualTokens.from_frames(
            window.rows[:, :, None].float(), window.tokens.spans, (1, 1), window.tokens.lengths
        )
        prompt = Prompt(input_ids, is_visual, torch.tensor([len(ids)]), visual)
        tell = None if on_text is None else (lambda row, text: on_text(text))
        (generation,) = generate(
            prompt, self._engine, self._words, GenerateConfig(max_new_tokens=most_new), on_text=tell
        )
        return generation.text

    @cached_property
    def _engine(self) -> Any:
        from tvu.video_llm.video_llm import engine_of

        return engine_of(self.loaded.causal)

    @cached_property
    def _words(self) -> Any:
        """transformers' tokenizer with the same ids, as the engine wants one."""
        from tokenizers import AddedToken
        from transformers import AutoTokenizer

        from tvu.video_llm.models.new_tokens import VIDEO_END, VIDEO_START
        from tvu.weights.load import located

        words = AutoTokenizer.from_pretrained(located("smollm2-135m"), local_files_only=True)
        words.add_tokens([AddedToken(token, normalized=False) for token in self.loaded.model.codec.added_tokens])
        words.add_tokens([VIDEO_START, VIDEO_END], special_tokens=True)
        return words


def wants_words(question: str) -> bool:
    """Whether a question asks for something else than a time: how many, which, what, yes or no, one of some options."""
    words = question.strip().lower().split()
    if not words:
        return False
    if "options:" in words or "(a)" in words:
        return True
    if " ".join(words[:2]) in (
        "how many",
        "what happens",
        "what is",
        "what does",
        "what are",
        "what did",
        "what comes",
    ):
        return True
    return words[0] in ("is", "are", "does", "do", "did", "was", "were", "who", "why", "describe", "summarize", "how")


def windows_of(steps: int, settings: LiteSettings) -> list[tuple[int, int]]:
    """First and last step (exclusive) of each window; the last is moved back to end with the video."""
    from tvu.video_llm.lite.inputs import STEPS_PER_SECOND

    size = round(settings.window_seconds * STEPS_PER_SECOND)
    hop = size - round(settings.overlap_seconds * STEPS_PER_SECOND)
    if steps <= size:
        return [(0, steps)]
    firsts = [*range(0, steps - size, hop), steps - size]
    return [(first, first + size) for first in firsts]


def captions_in(text: str, part: Span, codec: Any) -> Iterator[Captioned]:
    """Captions of an answer that tells two times before each sentence, in file seconds."""
    import re

    time_ = "(?:" + "|".join(re.escape(token) for token in codec.added_tokens) + ")"
    for match in re.finditer(rf"({time_})\s*({time_})\s*([^<]+)", text):
        start, end = (codec.decode(match[i], part.seconds) for i in (1, 2))
        words = match[3].strip()
        if words and end > start:
            yield Captioned(Span(part.start_seconds + start, part.start_seconds + end), words)


def _autocast(device: torch.device) -> Any:
    from contextlib import nullcontext

    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()
