"""What the three published models have in common: one look at the whole clip, a prompt around it, an answer."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tvu.temporal.spans import clamp
from tvu.temporal.time_tokens.codec import TimeCodec
from tvu.temporal.time_tokens.lita import LitaTimeTokens
from tvu.temporal.time_tokens.read_times import Status, Times, read_times
from tvu.temporal.types import Span, VisualTokens
from tvu.video_llm.decode import clock_of, read_frames
from tvu.video_llm.errors import PromptTooLong
from tvu.video_llm.generate import GenerateConfig, generate
from tvu.video_llm.generation.constraint import GrammarConstraint
from tvu.video_llm.generation.language import LanguageModel
from tvu.video_llm.generation.span_scores import SpanSearch, best_spans
from tvu.video_llm.parse import in_words, moved, parse_groundings, readable
from tvu.video_llm.pipeline import Report, be_silent
from tvu.video_llm.published.differences import Difference
from tvu.video_llm.published.keys import LoadReport
from tvu.video_llm.published.memory import MemoryPlan, PublishedConfig
from tvu.video_llm.sample import SamplingConfig, sampling_times
from tvu.video_llm.splice import rows_of
from tvu.video_llm.stopwatch import Stage, Stopwatch
from tvu.video_llm.types import Answer, Generation, Grounding, Prompt, Request, VideoClip
from tvu.video_llm.video_llm import engine_of

Pixels = NDArray[np.uint8]
Seconds = NDArray[np.float64]
FAR_APART = 10.0  # seconds between two frames from which on an answer says so
SHOWN = "<video>"  # stands for the visual tokens where a prompt is told to people


@dataclass(frozen=True)
class Sight:
    """A clip as a model looked at it.

    part:         what of the file.
    seconds:      float64 `[T]`, when each frame appears, file seconds; the same frame may come several times.
    told_seconds: float64 `[T]`, when each frame is to the model, from the start of the part; under `official` index
                  over mean rate, otherwise by the clock.
    duration:     seconds of the part to the model, by the same rule.
    visual:       `[1, T', N, C]`, what the language model sees.
    """

    part: Span
    seconds: Seconds
    told_seconds: Seconds
    duration: float
    visual: VisualTokens

    @property
    def furthest_apart(self) -> float:
        """Seconds between two frames, where they are furthest apart."""
        return float(np.diff([self.part.start_seconds, *self.seconds, self.part.end_seconds]).max())


@dataclass(frozen=True)
class Loaded:
    """What every loader hands to its model: in evaluation mode, on its device, every number from a file."""

    language_model: Any
    tokenizer: Any
    report: LoadReport
    plan: MemoryPlan


class PublishedModel(ABC):
    """A published Video-LLM as a model of tvu; it remembers the clip that it looked at last.

    Prompts, frames and readings are those it was trained with; under `config.official` those of its published
    evaluation. `differences()` lists what that changes.
    """

    DIFFERENCES: ClassVar[tuple[Difference, ...]]
    codec_name: ClassVar[str]
    most_new_tokens: ClassVar[int] = 512

    def __init__(
        self,
        name: str,
        loaded: Loaded,
        config: PublishedConfig,
        *,
        min_score: float = 0.0,
        report: Report = be_silent,
    ) -> None:
        self.name, self.config, self.min_score = name, config, min_score
        self.tokenizer, self.load_report, self.plan = loaded.tokenizer, loaded.report, loaded.plan
        self.language: LanguageModel = engine_of(loaded.language_model)
        self.stopwatch = Stopwatch()
        self._report = report
        self._sight: tuple[tuple[VideoClip, SamplingConfig | None], Sight] | None = None

    @classmethod
    def differences(cls) -> tuple[Difference, ...]:
        """What `official` changes."""
        return cls.DIFFERENCES

    # --- what each model says of itself ---

    @property
    @abstractmethod
    def codec(self) -> TimeCodec:
        """How it writes time."""

    @abstractmethod
    def frame_indices(self, num_frames: int) -> NDArray[np.int64]:
        """Which of `num_frames` frames its published evaluation looks at."""

    @abstractmethod
    def frame_places(self, num_frames: int) -> Seconds:
        """The same in time, as parts of the clip in [0, 1]."""

    @abstractmethod
    def longer_side(self, clip: VideoClip) -> int:
        """Pixels of the longer side of a frame that its vision tower needs."""

    @abstractmethod
    def resized(self, pixels: Pixels) -> Pixels:
        """Frames as its tower takes them."""

    @abstractmethod
    def see(self, pixels: Pixels, place: Tensor, spans: Tensor, told_seconds: Seconds) -> VisualTokens:
        """Visual tokens at the width of the language model.

        pixels: uint8 `[U, 3, S, S]`, every different frame once; place `[T]` int64: which of them frame t is; spans
        `[1, T, 2]` float64 file seconds.
        """

    @abstractmethod
    def around(self, request: Request, told_seconds: Seconds) -> tuple[list[int], list[int]]:
        """The ids before and after the visual tokens."""

    @abstractmethod
    def moment_request(self, query: str) -> Request:
        """How it is asked when something happens."""

    @property
    @abstractmethod
    def official_generation(self) -> GenerateConfig:
        """How its published evaluation has it write."""

    @abstractmethod
    def official_reading(self, generation: Generation, duration: float) -> tuple[str, tuple[float, float] | None]:
        """The text and the one span, seconds from the start of the part, that its published evaluation reads."""

    # --- the protocol of every model ---

    def answer(self, clip: VideoClip, question: str) -> Answer:
        """What the model says, and the spans that it tells. Raises VideoError, and PromptTooLong."""
        sight = self._look(clip, None)
        prompt = self.prompt([Request(question)], sight)
        (generation,) = self._write(prompt, self.writing())
        if self.config.official:
            return self._official(question, generation, sight, prompt)
        groundings = parse_groundings(generation, sight.part, cast(Any, self.reader))
        told = tuple(each for each in groundings if each.score >= self.min_score)
        return self._told(question, readable(generation.text, sight.part, self.codec), told, sight, prompt)

    def find(self, clip: VideoClip, queries: Sequence[str]) -> list[Answer]:
        """The likeliest spans of each query; under `official` the one that is read in what the model writes."""
        if not queries:
            return []
        sight = self._look(clip, None)
        prompt = self.prompt([self.moment_request(query) for query in queries], sight)
        if self.config.official:
            written = [self._write(self._row(prompt, row), self.writing())[0] for row in range(len(queries))]
            return [
                self._official(query, generation, sight, self._row(prompt, row))
                for row, (query, generation) in enumerate(zip(queries, written, strict=True))
            ]
        return [
            self._told(query, in_words(found), tuple(found), sight, self._row(prompt, row))
            for row, (query, found) in enumerate(zip(queries, self._likeliest(prompt, sight), strict=True))
        ]

    def ground(self, clip: VideoClip, queries: Sequence[str]) -> list[list[Grounding]]:
        """The spans alone, best first."""
        return [list(answer.groundings) for answer in self.find(clip, queries)]

    def write(
        self, clip: VideoClip, request: Request, *, sampling: SamplingConfig | None = None, max_new_tokens: int
    ) -> Answer:
        """The likeliest text after `request`, to the character.

        sampling: the frames among which the model takes its own; None: all of the clip. Raises VideoError, and
        PromptTooLong.
        """
        sight = self._look(clip, sampling)
        prompt = self.prompt([request], sight)
        (generation,) = self._write(prompt, GenerateConfig(max_new_tokens=max_new_tokens))
        return self._told(request.user, generation.text, (), sight, prompt)

    # --- how it does that ---

    def prompt(self, requests: Sequence[Request], sight: Sight) -> Prompt:
        """A row for each request, all of them about the same clip."""
        (seen,) = rows_of(sight.visual)
        ids, visual = [], []
        for request in requests:
            before, after = self.around(request, sight.told_seconds)
            ids.append(torch.tensor([*before, *[0] * len(seen), *after]))
            visual.append(torch.tensor([False] * len(before) + [True] * len(seen) + [False] * len(after)))
        lengths = torch.tensor([len(row) for row in ids])
        padded = torch.nn.utils.rnn.pad_sequence
        return Prompt(padded(ids, batch_first=True), padded(visual, batch_first=True), lengths, sight.visual)

    def told_prompt(self, prompt: Prompt, row: int = 0) -> str:
        """A row in words, with one mark for the visual tokens."""
        length = int(prompt.lengths[row])
        ids, visual = prompt.input_ids[row, :length], prompt.is_visual[row, :length].nonzero().flatten()
        first, last = int(visual[0]), int(visual[-1])
        return f"{self.tokenizer.decode(ids[:first])}{SHOWN}{self.tokenizer.decode(ids[last + 1 :])}"

    def writing(self) -> GenerateConfig:
        """How free text is written: the likeliest tokens, or as the published evaluation draws them."""
        config = self.official_generation if self.config.official else GenerateConfig(self.most_new_tokens)
        most = self.config.max_new_tokens
        return config if most is None else replace(config, max_new_tokens=most)

    @property
    def reader(self) -> SimpleNamespace:
        """What `parse_groundings` asks of a processor."""
        return SimpleNamespace(tokenizer=self.tokenizer, codec={"name": self.codec_name}, read_answer=self._read)

    def _read(self, text: str, duration: float) -> Times:
        try:
            return Times(tuple(self.codec.decode_spans(text, duration)), (), "", Status.SPANS, ())
        except ValueError:
            return read_times(text, duration, self.codec if isinstance(self.codec, LitaTimeTokens) else None)

    @torch.inference_mode()
    def _look(self, clip: VideoClip, sampling: SamplingConfig | None) -> Sight:
        if self._sight is None or self._sight[0] != (clip, sampling):
            self._sight = (clip, sampling), self._looked(clip, sampling)
        return self._sight[1]

    def _looked(self, clip: VideoClip, sampling: SamplingConfig | None) -> Sight:
        part, clock = clip.span, clock_of(clip)
        shown = clock.pts_seconds
        first = clock.index_at(part.start_seconds)
        last = max(first + 1, int(np.searchsorted(shown, part.end_seconds)))
        among = shown[first:last] if sampling is None else clock.shown_at(sampling_times(clip, sampling))
        if self.config.official or sampling is not None:
            at = among[self.frame_indices(len(among))]
        else:
            wanted = part.start_seconds + part.seconds * self.frame_places(len(among))
            at = among[np.clip(np.searchsorted(among, wanted + 1e-9, side="right") - 1, 0, len(among) - 1)]
        unique, place = np.unique(at, return_inverse=True)
        # at its own size where the published code resizes once: shrinking while decoding costs less and blurs otherwise
        side = None if self.config.official else self.longer_side(clip)
        batches = self.stopwatch.over("decode_s", read_frames(clip, unique, max_side=side, batch_frames=16))
        small = []
        for batch in batches:
            small.append(self.resized(batch.pixels[0]))
            self._report("decode", sum(map(len, small)) / len(unique))
        if self.config.official:
            told = np.searchsorted(shown, at) - first
            times, duration = told / clip.fps, (last - first) / clip.fps
        else:
            times, duration = np.maximum(at - part.start_seconds, 0.0), part.seconds
        ends = np.maximum(np.append(at[1:], part.end_seconds), at)
        spans = torch.from_numpy(np.stack([at, ends], axis=-1))[None]
        with self._timed("encode_s"):
            seen = self.see(np.concatenate(small), torch.from_numpy(place.reshape(-1)), spans, times)
        self._report("encode", 1.0)
        return Sight(part, at, times, duration, seen)

    def _write(self, prompt: Prompt, config: GenerateConfig) -> list[Generation]:
        room = self.language.max_positions - int(prompt.lengths.max())
        if room < 1:
            raise PromptTooLong(
                f"the prompt has {int(prompt.lengths.max())} positions, and {self.name} can hold "
                f"{self.language.max_positions} with its answer",
                hint="ask a shorter question",
            )
        with self._timed("generate_s"):
            config = replace(config, max_new_tokens=min(config.max_new_tokens, room))
            return generate(prompt, self.language, self.tokenizer, config)

    def _likeliest(self, prompt: Prompt, sight: Sight) -> list[list[Grounding]]:
        """The likeliest spans of each row; none where the part is too short for the model to tell one."""
        try:
            constraint = GrammarConstraint.of(self.codec, sight.duration, self.tokenizer)
        except ValueError:
            return [[] for _ in prompt.input_ids]
        with self._timed("generate_s"):
            found = best_spans(prompt, self.language, [constraint] * len(prompt.input_ids), SpanSearch())
        return [
            [
                Grounding(inside, score, "visual")
                for span, score in spans
                if score >= self.min_score and (inside := clamp(moved(span, sight.part), sight.part))
            ]
            for spans in found
        ]

    def _official(self, question: str, generation: Generation, sight: Sight, prompt: Prompt) -> Answer:
        text, times = self.official_reading(generation, sight.duration)
        score = math.exp(sum(generation.log_probs) / max(1, len(generation.log_probs)))
        span = None
        if times is not None and times[0] < times[1]:
            span = clamp(moved(Span(*times), sight.part), sight.part)
        groundings = () if span is None else (Grounding(span, min(1.0, score), "visual"),)
        return self._told(question, text, groundings, sight, prompt)

    def _told(
        self, question: str, text: str, groundings: tuple[Grounding, ...], sight: Sight, prompt: Prompt
    ) -> Answer:
        apart = sight.furthest_apart
        far = f"{self.name} saw frames up to {apart:.0f} s apart: ask about a part of the video for closer times"
        return Answer(
            question,
            text,
            groundings,
            self.name,
            self.stopwatch.read(),
            (far,) if apart > FAR_APART else (),
            prompt=self.told_prompt(prompt),
            frame_seconds=tuple(np.unique(sight.seconds).tolist()),
        )

    @staticmethod
    def _row(prompt: Prompt, row: int) -> Prompt:
        one = slice(row, row + 1)
        return Prompt(prompt.input_ids[one], prompt.is_visual[one], prompt.lengths[one], prompt.visual)

    @contextmanager
    def _timed(self, stage: Stage) -> Iterator[None]:
        with self.stopwatch.at(stage):
            yield
            if self.language.device.type == "cuda":
                torch.cuda.synchronize(self.language.device)


def in_batches(items: Tensor, size: int) -> Iterator[Tensor]:
    """`items` in runs of at most `size` along the first axis: bounds the memory of a tower."""
    yield from items.split(size)
