"""A Video-LLM as a model of tvu: its stages, each in its turn told by `pipeline.py`, and what they remember."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar, cast

import torch

from tvu.temporal.encode_time import StreamingEncoder
from tvu.temporal.reduction.ragged import join
from tvu.temporal.spans import clamp
from tvu.temporal.time_tokens.codec import TimeCodec
from tvu.temporal.types import Span, VisualTokens
from tvu.video_llm.cache import FeatureCache
from tvu.video_llm.carried import CarriedTime
from tvu.video_llm.frame_features import FrameFeatures, Frames, Seen
from tvu.video_llm.generate import GenerateConfig, generate, read_prefix
from tvu.video_llm.generation.constraint import GrammarConstraint, OneOf
from tvu.video_llm.generation.decoder import FusedDecoder, can_run
from tvu.video_llm.generation.language import LanguageModel, Prefix
from tvu.video_llm.generation.span_scores import ScoredSpan, SpanSearch, best_spans
from tvu.video_llm.generation.transformers_decoder import TransformersDecoder
from tvu.video_llm.long_video import answer_in_windows, ground_in_windows
from tvu.video_llm.models.modeling import TvuForConditionalGeneration
from tvu.video_llm.models.parts import build_codec
from tvu.video_llm.models.processing import TvuProcessor
from tvu.video_llm.parse import in_words, moved
from tvu.video_llm.pipeline import Report, be_silent, write_reply
from tvu.video_llm.prompt import (
    begins_with,
    build_prompt,
    build_prompt_without_video,
    prompt_text,
    shared_beginning,
)
from tvu.video_llm.questions import NO, YES
from tvu.video_llm.sample import SamplingConfig
from tvu.video_llm.stopwatch import Stage, Stopwatch
from tvu.video_llm.types import Answer, Generation, Grounding, Prompt, Request, VideoClip, VideoModel
from tvu.video_llm.windows import WindowConfig

T = TypeVar("T")


@dataclass(frozen=True)
class VideoLLMConfig:
    """How a Video-LLM is used; what it is made of says its own `config.json`.

    fps, max_frames: how densely it looks; None: as it was trained.
    generation:      how it writes free text. search: how its best spans are looked for.
    windows:         how it looks at long videos.
    least_score:     spans less likely than this are not told.
    """

    fps: float | None = None
    max_frames: int | None = None
    generation: GenerateConfig = field(default_factory=GenerateConfig)
    search: SpanSearch = field(default_factory=SpanSearch)
    windows: WindowConfig = field(default_factory=WindowConfig)
    least_score: float = 0.1


@dataclass
class Looked:
    """What a search over a video looked at, file seconds, and the prompt that it began with."""

    first_prompt: str = ""
    frame_seconds: set[float] = field(default_factory=set)

    def add(self, prompt: str, frame_seconds: Iterable[float]) -> None:
        self.first_prompt = self.first_prompt or prompt
        self.frame_seconds.update(frame_seconds)


class VideoLLM:
    """A model with its processor, run by our own generation engine. It remembers the clip it looked at last.

    Raises ValueError for the processor of another model.

    cache:    where features of frames are kept; None keeps nothing.
    proposer: what says where in a long video to look closely, e.g. `scout`; None: the model itself, on a few frames.
    """

    def __init__(
        self,
        name: str,
        model: TvuForConditionalGeneration,
        processor: TvuProcessor,
        config: VideoLLMConfig | None = None,
        *,
        cache: FeatureCache | None = None,
        proposer: VideoModel | None = None,
        report: Report = be_silent,
    ) -> None:
        self.name, self.model, self.processor = name, model.eval(), processor
        processor.check(model.config)
        self.config = config or VideoLLMConfig()
        self.proposer = proposer
        self.report = report
        self.codec: TimeCodec = build_codec(processor.codec)
        self.language: LanguageModel = engine_of(model.language_model)
        self.stopwatch = Stopwatch()
        self._cache = cache
        self._features = FrameFeatures(model, cache, self.stopwatch, report)
        self._carried: CarriedTime | None = None
        self._skims = False
        self._memory: dict[str, tuple[Any, Any]] = {}
        self._looked = Looked()

    # --- the protocol of every model ---

    def answer(self, clip: VideoClip, question: str) -> Answer:
        """What the model says, and the spans that it tells. Raises VideoError, and PromptTooLong."""
        self._looked = Looked()
        answer = answer_in_windows(clip, question, self)
        return replace(answer, timing=self.stopwatch.read(), notes=self._notes)

    def find(self, clip: VideoClip, queries: Sequence[str]) -> list[Answer]:
        """The likeliest spans of each query; the time that all of them took is told with the first.

        The prompt of all answers is the first that was read; their frames are those of every window looked at.
        """
        self._looked = Looked()
        answers: list[Answer] = []
        if not queries:
            return answers
        for query, found in zip(queries, ground_in_windows(clip, queries, self), strict=True):
            answers.append(
                Answer(
                    query,
                    in_words(found),
                    tuple(found),
                    self.name,
                    self.stopwatch.read(),
                    self._notes,
                    prompt=self._looked.first_prompt,
                    frame_seconds=tuple(sorted(self._looked.frame_seconds)),
                )
            )
        return answers

    def write(
        self, clip: VideoClip, request: Request, *, sampling: SamplingConfig | None = None, max_new_tokens: int
    ) -> Answer:
        """What the model writes after `request`, to the character; the clip is seen at once, however long it is.

        Raises VideoError, and PromptTooLong.
        """
        answer = write_reply(clip, request, self, sampling, max_new_tokens)
        return replace(answer, timing=self.stopwatch.read(), notes=self._notes)

    def ground(self, clip: VideoClip, queries: Sequence[str]) -> list[list[Grounding]]:
        """The spans alone, best first."""
        return [list(answer.groundings) for answer in self.find(clip, queries)]

    @property
    def _notes(self) -> tuple[str, ...]:
        parts = ", ".join(self.model.config.untrained or ())
        untrained = f"what this model says means nothing yet: untrained are its {parts}" if parts else ""
        trouble = self._cache.trouble if self._cache else ""
        return tuple(note for note in (untrained, trouble) if note)

    # --- the stages, in the order in which the pipeline tells them ---

    def sample_frames(self, clip: VideoClip, sampling: SamplingConfig | None = None) -> Frames:
        """Which frames to look at, at the size that the vision tower needs."""
        fast = self.model.config.fast_path
        side = max(self.model.vision_tower.side, fast.get("side", 224) if fast else 0)
        sampling = replace(sampling or self.sampling, max_side=_longer_side(clip, side))
        motion = (
            None
            if fast is None or self._skims
            else replace(
                sampling,
                fps=fast.get("fps", 8.0),
                max_frames=fast.get("max_frames"),
                keyframes_only=False,
                at_seconds=None,
            )
        )
        return Frames(clip, sampling, motion)

    @torch.inference_mode()
    def encode_frames(self, frames: Frames) -> Seen:
        """Their features, by the vision tower."""
        return self._features.see(frames)

    @torch.inference_mode()
    def encode_time(self, seen: Seen) -> VisualTokens:
        """Tokens that know of each other; of those of earlier windows, where the encoder looks back only."""
        return self._once("aware", seen, lambda: self._encode_time(seen.tokens))

    @torch.inference_mode()
    def compress_tokens(self, tokens: VisualTokens, seen: Seen) -> VisualTokens:
        """Fewer of them, at the width of the language model, and those of the fast path behind."""
        return self._once("few", tokens, lambda: self._compress(tokens, seen))

    def build_prompt(self, questions: Sequence[str | Request], tokens: VisualTokens, seen: Seen) -> Prompt:
        """A prompt for each question, in the model's own form of a conversation."""
        any_two = ("A", "B")
        self._once("beginning", tokens, lambda: shared_beginning(build_prompt(any_two, tokens, seen, self.processor)))
        prompt = build_prompt(questions, tokens, seen, self.processor)
        self._looked.add(self.told(prompt), seen.frame_seconds)
        return prompt

    def told(self, prompt: Prompt) -> str:
        """The first row of a prompt in words."""
        return prompt_text(prompt, self.processor)

    def generate(self, prompt: Prompt, questions: Sequence[str]) -> list[Generation]:
        """Free text for each row of the prompt."""
        with self._timed("generate_s"):
            config = replace(self.config.generation, stop_ids=(*self.config.generation.stop_ids, *self._stop_ids))
            blind = build_prompt_without_video(questions, self.processor) if config.contrast else None
            prefix = self._prefix(prompt)
            return generate(prompt, self.language, self.tokenizer, config, prefix=prefix, without_video=blind)

    def likeliest_text(self, prompt: Prompt, max_new_tokens: int) -> str:
        """What the model writes after the only row of the prompt, each token the likeliest, whatever its own config."""
        with self._timed("generate_s"):
            config = GenerateConfig(max_new_tokens=max_new_tokens, stop_ids=self._stop_ids)
            (told,) = generate(prompt, self.language, self.tokenizer, config, prefix=self._prefix(prompt))
        return told.text

    def best_spans(self, prompt: Prompt, part: Span) -> list[list[ScoredSpan]]:
        """The likeliest spans of each row in file seconds; none where `part` is too short for the model to tell one."""
        if not self._can_tell(part):
            return [[] for _ in prompt.input_ids]
        with self._timed("generate_s"):
            constraint = GrammarConstraint.of(self.codec, part.seconds, self.tokenizer, stop_ids=self._stop_ids)
            rows = [constraint] * len(prompt.input_ids)
            found = best_spans(prompt, self.language, rows, self.config.search, prefix=self._prefix(prompt))
        return [
            [ScoredSpan(inside, score) for span, score in spans if (inside := clamp(moved(span, part), part))]
            for spans in found
        ]

    def probability_of_yes(self, prompt: Prompt) -> list[float]:
        """Of each row, against no."""
        yes = self.tokenizer(YES, add_special_tokens=False).input_ids[0]
        either = [OneOf.of([YES, NO], self.tokenizer, stop_ids=self._stop_ids)] * len(prompt.input_ids)
        brief = GenerateConfig(max_new_tokens=1)
        with self._timed("generate_s"):
            prefix = self._prefix(prompt)
            told = generate(prompt, self.language, self.tokenizer, brief, constraints=either, prefix=prefix)
        likely = [min(1.0, math.exp(each.log_probs[0])) for each in told]
        return [p if each.token_ids[0] == yes else 1 - p for each, p in zip(told, likely, strict=True)]

    # --- what the model is, and what it remembers ---

    @property
    def tokenizer(self) -> Any:
        return self.processor.tokenizer

    @property
    def sampling(self) -> SamplingConfig:
        """As it was trained, where the config says nothing else."""
        trained = self.processor.video_processor
        return SamplingConfig(
            fps=self.config.fps or trained.fps, max_frames=self.config.max_frames or trained.max_frames
        )

    @contextmanager
    def carrying_time(self) -> Iterator[None]:
        """Windows that are looked at in here follow each other: a forward-only encoder goes on from one to the next."""
        encoder = self.model.temporal_encoder
        can_carry = isinstance(encoder, StreamingEncoder) and not getattr(
            getattr(encoder, "config", None), "bidirectional", False
        )
        self._carried = CarriedTime(encoder) if can_carry else None
        if can_carry:
            self._memory.pop("aware", None)  # tokens that know of what other windows, or none, came before
        try:
            yield
        finally:
            self._carried = None
            if can_carry:
                self._memory.pop("aware", None)

    @contextmanager
    def skimming(self) -> Iterator[None]:
        """What is looked at in here is a frame now and then, without the fast path.

        A search is to be cheap, and its frames lie too far apart for what moves between them.
        """
        self._skims = True
        try:
            yield
        finally:
            self._skims = False

    def _encode_time(self, tokens: VisualTokens) -> VisualTokens:
        with self._timed("temporal_s"):
            if self.model.config.project_first:
                tokens = self.model.project(tokens)
            return self._carried(tokens) if self._carried else self.model.encode_time(tokens)

    def _compress(self, tokens: VisualTokens, seen: Seen) -> VisualTokens:
        with self._timed("temporal_s"):
            tokens = self.model.compress_tokens(tokens)
            if not self.model.config.project_first:
                tokens = self.model.project(tokens)
            return tokens if seen.motion is None else join([tokens, seen.motion.tokens])

    def _once(self, stage: str, given: Any, make: Callable[[], T]) -> T:
        """What a stage made of what it was given last, made anew for anything else: a second question costs nothing."""
        known, made = self._memory.get(stage, (None, None))
        if known is not given:
            made = make()
            self._memory[stage] = (given, made)
        return cast(T, made)

    def _prefix(self, prompt: Prompt) -> Prefix | None:
        """The video, and all else that comes before any question about it, read once; None for another video."""
        tokens, beginning = self._memory.get("beginning", (None, None))
        if tokens is not prompt.visual or not begins_with(prompt, beginning):
            return None
        return self._once("prefix", tokens, lambda: read_prefix(beginning, self.language))

    @cached_property
    def _stop_ids(self) -> tuple[int, ...]:
        """What ends an answer beside the tokenizer's own."""
        ends = getattr(self.model.generation_config, "eos_token_id", None)
        return () if ends is None else (ends,) if isinstance(ends, int) else tuple(ends)

    def _can_tell(self, part: Span) -> bool:
        try:
            self.codec.grammar(part.seconds)
        except ValueError:
            return False
        return True

    @contextmanager
    def _timed(self, stage: Stage) -> Iterator[None]:
        """A GPU works on while Python goes ahead: it is waited for, so that seconds count where they are spent."""
        with self.stopwatch.at(stage):
            yield
            if self.model.device.type == "cuda":
                torch.cuda.synchronize(self.model.device)


def engine_of(language_model: Any) -> LanguageModel:
    """Our own engine for the families that it knows, transformers' way for any other model."""
    return FusedDecoder(language_model) if can_run(language_model) else TransformersDecoder(language_model)


def _longer_side(clip: VideoClip, side: int) -> int:
    """Pixels of the longer side where the shorter one has `side`."""
    return math.ceil(side * max(clip.height, clip.width) / min(clip.height, clip.width))
