"""A video-language model of transformers as a model of tvu: our clock and our engine around its processor."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from tvu.temporal.time_tokens.read_times import Times, read_times
from tvu.temporal.time_tokens.text_times import TextTimes
from tvu.temporal.types import VisualTokens
from tvu.video_llm.decode import read_frames
from tvu.video_llm.errors import BackendError, PromptTooLong
from tvu.video_llm.frame_features import Frames, Seen, wanted_seconds
from tvu.video_llm.generation.constraint import GrammarConstraint
from tvu.video_llm.generation.language import Prefix
from tvu.video_llm.hf.config import HfConfig
from tvu.video_llm.hf.engine import VideoReader
from tvu.video_llm.hf.families import FAMILIES, Family, family_of
from tvu.video_llm.hf.frames import Look, look_at, metadata_of, shared_steps, step_seconds
from tvu.video_llm.hf.positions import rotary_positions
from tvu.video_llm.hf.prompts import conversation, preface
from tvu.video_llm.long_video import sampling_of
from tvu.video_llm.parse import in_words
from tvu.video_llm.pipeline import PipelineConfig, Report, be_silent, weigh_queries
from tvu.video_llm.sample import SamplingConfig, sampling_times
from tvu.video_llm.stopwatch import Stopwatch
from tvu.video_llm.types import Answer, Prompt, Request, VideoClip, VideoModel
from tvu.video_llm.video_llm import Looked, VideoLLM

LEAST_WINDOW = 16.0  # seconds: models of few frames look less often, not at less


@dataclass(frozen=True)
class AnswerReader:
    """What reading an answer needs of a processor: `TextTimes` out of the grammar, and times as people write them."""

    tokenizer: Any

    @property
    def codec(self) -> dict[str, Any]:
        return {"name": "text"}

    def read_answer(self, text: str, duration: float) -> Times:
        """The times of one answer, seconds from the start of the part that the model saw."""
        return read_times(text, duration)


@dataclass(frozen=True, eq=False)
class Read:
    """A video as its processor prepared it, before any question.

    inputs:    what the model takes beside ids: pixels and their grids.
    head:      int64 `[H]`, the prompt up to the end of the video.
    beginning: int64 `[P]`, what every question to the pipeline begins with: head and preface.
    steps:     when each step of time of the model is, seconds from the start of the part; first_seconds: when the
               first frame in each of them is.
    """

    inputs: dict[str, Any]
    head: Tensor
    beginning: Tensor
    steps: tuple[float, ...]
    first_seconds: tuple[float, ...]


class HfVideoLLM(VideoLLM):
    """A model and its processor, run by our own generation engine. It remembers the clip it looked at last.

    The stages are those of `VideoLLM`; here the frames are chosen and thinned out before the vision tower, and the
    tower runs with the language model in one pass over all that comes before the question. That pass counts as
    encoding. Answers of `ground` and `find` are constrained to spans, `24.3 - 30.4 seconds`, and scored by the
    probabilities of their tokens; those of `answer` and `write` are free.

    Raises ValueError for a processor without a place for videos, or one that cannot write times.
    """

    config: HfConfig

    def __init__(  # without that of VideoLLM, which builds the parts of our own kind of model
        self,
        name: str,
        model: Any,
        processor: Any,
        config: HfConfig | None = None,
        *,
        proposer: VideoModel | None = None,
        report: Report = be_silent,
    ) -> None:
        self.name, self.model, self.hf_processor = name, model.eval(), processor
        self.family: Family = family_of(model.config.model_type)
        self.processor = cast(Any, AnswerReader(processor.tokenizer))
        config = config or HfConfig()
        fps, frames = config.fps or self.family.fps, config.max_frames or self.family.max_frames
        seconds = config.window_seconds or max(LEAST_WINDOW, frames / fps)
        self.config = replace(config, fps=fps, max_frames=frames, windows=replace(config.windows, seconds=seconds))
        self.proposer, self.report = proposer, report
        self.codec = TextTimes()
        self.stopwatch = Stopwatch()
        self.reader = VideoReader(model)
        self.language = self.reader.decoder
        self._cache = None
        self._skims = False
        self._memory = {}
        self._looked = Looked()
        self._seen: tuple[Frames, Look] | None = None
        conversation(Request("?"), processor, self.family)
        GrammarConstraint.of(self.codec, 10.0, self.tokenizer, stop_ids=self._stop_ids)

    # --- the protocol of every model ---

    def find(self, clip: VideoClip, queries: Sequence[str]) -> list[Answer]:
        """As `VideoLLM.find`; the score of a span counts how likely the event is there at all, also in a short clip."""
        if not queries or sampling_of(clip, self) is not None:  # windows are weighed one by one
            return super().find(clip, queries)
        config = PipelineConfig(clip.span.start_seconds, clip.span.end_seconds, decoder=clip.decoder)
        there = weigh_queries(clip.path, queries, self, config)  # first, so that its time is told with the answers
        return [self._weighed(a, likely) for a, likely in zip(super().find(clip, queries), there, strict=True)]

    def _weighed(self, answer: Answer, likely: float) -> Answer:
        scaled = [replace(g, score=g.score * likely) for g in answer.groundings]
        found = tuple(g for g in scaled if g.score >= self.config.least_score)
        return replace(answer, text=in_words(found), groundings=found)

    @property
    def _notes(self) -> tuple[str, ...]:
        kind = self.model.config.model_type
        unknown = "" if kind in FAMILIES else f"models of type {kind} are not known here: times are told in the text"
        dropped = 0 if self._seen is None else self._seen[1].dropped
        fewer = f"{dropped} frames were left out, each like the one before it" if dropped else ""
        return tuple(note for note in (unknown, fewer) if note)

    # --- the stages, in the order in which the pipeline tells them ---

    @property
    def sampling(self) -> SamplingConfig:
        return SamplingConfig(fps=self.config.fps or self.family.fps, max_frames=self.config.max_frames)

    def sample_frames(self, clip: VideoClip, sampling: SamplingConfig | None = None) -> Frames:
        """Which frames to look at, no larger than the processor makes them."""
        return Frames(clip, replace(sampling or self.sampling, max_side=self._longer_side(clip)))

    def encode_frames(self, frames: Frames) -> Look:
        """The frames themselves, without those that `dropped` leaves out. Raises VideoError."""
        if self._seen is None or self._seen[0] != frames:
            clip, sampling = frames.clip, frames.sampling
            times = sampling_times(clip, sampling)
            apart = float(np.median(np.diff(times))) if len(times) > 1 else clip.span.seconds
            pts = wanted_seconds(clip, sampling)
            batches = read_frames(clip, pts, max_side=sampling.max_side, batch_frames=sampling.batch_frames)
            look = look_at(self.stopwatch.over("decode_s", batches), clip.span, apart, self.config.dropped)
            self._seen = frames, look
        return self._seen[1]

    def encode_time(self, seen: Seen) -> VisualTokens:
        """Nothing: these models learn times with their prompt, or by its positions."""
        return seen.tokens

    def compress_tokens(self, tokens: VisualTokens, seen: Seen) -> VisualTokens:
        """Nothing more: frames are left out before the tower, since no family takes fewer tokens than it makes."""
        return tokens

    def build_prompt(self, questions: Sequence[str | Request], tokens: VisualTokens, seen: Seen) -> Prompt:
        """A prompt for each question; to a `Request` nothing is added but the video."""
        look = cast(Look, seen)
        read: Read = self._once("read", look, lambda: self._process(look))
        rows = [torch.cat([read.head, self._after_video(self._asked(question, look))]) for question in questions]
        lengths = torch.tensor([len(row) for row in rows])
        ids = pad_sequence(rows, batch_first=True)
        prompt = Prompt(ids, torch.zeros_like(ids, dtype=torch.bool), lengths)  # the places are in the prefix
        self._looked.add(self.told(prompt), look.frame_seconds)
        return prompt

    def told(self, prompt: Prompt) -> str:
        """The first row in words, with one mark for each run of visual tokens."""
        ids = prompt.input_ids[0, : int(prompt.lengths[0])].tolist()
        visual = set(self._visual_ids)
        short = [i for n, i in enumerate(ids) if not (n and i in visual and ids[n - 1] == i)]
        text: str = self.tokenizer.decode(short)
        return text

    def probability_of_yes(self, prompt: Prompt) -> list[float]:
        """Of each row, against no; 0 below `least_presence`, but in a search, which is to miss nothing."""
        likely = super().probability_of_yes(prompt)
        return likely if self._skims else [p if p >= self.config.least_presence else 0.0 for p in likely]

    @contextmanager
    def carrying_time(self) -> Iterator[None]:
        """Nothing is carried: each window is a video of its own."""
        yield

    # --- how a video becomes a prefix ---

    def _process(self, look: Look) -> Read:
        """What the processor of the model makes of the frames and their times."""
        processor, video = self.hf_processor, self.hf_processor.video_processor
        size = int(getattr(video, "temporal_patch_size", None) or 1)
        seconds = look.relative_seconds
        order = shared_steps(seconds, size, look.apart)
        seconds = seconds[order]
        steps = tuple(step_seconds(seconds, size).tolist())
        metadata = metadata_of(seconds, look.part.seconds, whole=self.family.times == "whole stamps")
        pixels = torch.from_numpy(cast(Any, look.pixels)[order])
        first, second = (self._asked(letter, look, steps) for letter in "AB")
        with self._timed("encode_s"):
            try:
                inputs = dict(
                    processor(
                        text=[first],
                        videos=[[pixels]],  # of the one prompt: SmolVLM counts them by prompt
                        video_metadata=[metadata],
                        do_sample_frames=False,
                        input_data_format="channels_first",
                        add_special_tokens=not self._starts(first),
                        return_tensors="pt",
                        **self._size(len(order)),
                    )
                )
            except (ValueError, TypeError, RuntimeError, KeyError, AttributeError) as error:
                reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
                raise BackendError(f"{type(processor).__name__} takes no such video: {reason}") from error
        ids = inputs.pop("input_ids")[0]
        head = self._head_of(ids, first)
        rows = [torch.cat([head, self._after_video(text)]) for text in (first, second)]
        shared = min(map(len, rows))
        agree = int((rows[0][:shared] == rows[1][:shared]).long().cumprod(0).sum())
        for name in ("attention_mask", "token_type_ids", "video_metadata", "num_patches"):
            inputs.pop(name, None)
        if self.family.rotary:
            inputs.pop("second_per_grid_ts", None)  # one interval for a whole video: positions hold every time
        if "mm_token_type_ids" in inputs:
            inputs["mm_token_type_ids"] = torch.as_tensor(inputs["mm_token_type_ids"])[:, : len(head)]
        return Read(inputs, head, rows[0][:agree], steps, tuple(seconds[::size].tolist()))

    def _asked(self, question: str | Request, look: Look, steps: tuple[float, ...] | None = None) -> str:
        """The conversation, with one mark for the video."""
        if isinstance(question, Request):
            return conversation(question, self.hf_processor, self.family)
        if steps is None:
            steps = self._memory["read"][1].steps
        text = f"{preface(self.family, look.part.seconds, steps)}\n{question}"
        return conversation(Request(text), self.hf_processor, self.family)

    def _head_of(self, ids: Tensor, text: str) -> Tensor:
        """The ids up to the end of the video. Raises BackendError where the tokenizer joins it to what follows."""
        tail = self._after_video(text)
        head = ids[: len(ids) - len(tail)]
        if len(tail) >= len(ids) or not torch.equal(ids[len(head) :], tail) or self._is_visual(ids[len(head) :]).any():
            hint = "its processor or its chat template is not as its family has it"
            raise BackendError("the tokenizer joins the video to the text behind it", hint=hint)
        return head

    def _after_video(self, text: str) -> Tensor:
        """The ids int64 `[n]` of what follows the video, as they are behind a visual token."""
        visual = self._visual_ids[0]
        behind = text.split(self.hf_processor.video_token, 1)[1]
        marked = f"{self.tokenizer.convert_ids_to_tokens(visual)}{behind}"
        ids = self.tokenizer(marked, add_special_tokens=False).input_ids
        return torch.tensor(ids[ids.index(visual) + 1 :], dtype=torch.long)  # sentencepiece may put a blank before all

    @property
    def _visual_ids(self) -> tuple[int, ...]:
        """The ids that stand for visual tokens: of videos, or of pictures in families that know no other."""
        config = self.model.config
        named = [getattr(config, f"{kind}_token_id", None) for kind in ("video", "image")]
        named += [getattr(config, f"{kind}_token_index", None) for kind in ("video", "image")]
        return tuple(dict.fromkeys(i for i in named if isinstance(i, int)))

    def _is_visual(self, ids: Tensor) -> Tensor:
        return torch.isin(ids, torch.tensor(self._visual_ids))

    def _positions(self, read: Read) -> Tensor | None:
        """int64 `[3, H]` of the head; None where the model computes its own."""
        if not self.family.rotary:
            return None
        merge = int(self.model.config.vision_config.spatial_merge_size)
        frames, height, width = (int(n) for n in read.inputs["video_grid_thw"][0])
        rows, columns = height // merge, width // merge
        if self.family.times == "stamps":  # every step stands between stamps, as a picture of its own
            grids, steps = [(1, rows, columns)] * frames, [[0]] * frames
        else:
            grids = [(frames, rows, columns)]
            rate = getattr(self.model.config.vision_config, "tokens_per_second", None)
            is_timed = self.family.times == "positions" and rate is not None
            steps = [[round(s * (rate or 1)) for s in read.first_seconds] if is_timed else list(range(frames))]
        try:
            return rotary_positions(self._is_visual(read.head), grids, steps)
        except ValueError as error:
            raise BackendError(f"the processor makes another prompt than {self.name} needs: {error}") from error

    def _prefix(self, prompt: Prompt) -> Prefix:
        look, read = self._memory["read"]
        head, offset, axes = self._once("head", look, lambda: self._read_head(read))
        self.reader.text_side.offset, self.reader.text_side.axes = offset, axes
        length = len(read.beginning)
        begins = bool((prompt.lengths > length).all()) and bool((prompt.input_ids[:, :length] == read.beginning).all())
        return self._once("beginning", look, lambda: self._extended(head, read)) if begins else head

    def _read_head(self, read: Read) -> tuple[Prefix, int, int]:
        if len(read.head) >= self.language.max_positions:
            raise PromptTooLong(
                f"the video has {len(read.head)} positions, more than the {self.language.max_positions} of the model",
                hint="look at fewer frames, e.g. ?max_frames=16",
            )
        with self._timed("encode_s"):
            return self.reader.read(read.head, read.inputs, self._positions(read))

    @torch.inference_mode()
    def _extended(self, head: Prefix, read: Read) -> Prefix:
        more = read.beginning[len(read.head) :].to(self.language.device)
        if not len(more):
            return head
        with self.language.borrow(1, len(read.beginning)) as workspace:
            workspace.restore(0, head)
            return workspace.keep(0, workspace.prefill(0, self.language.embed(more)))

    # --- what it takes ---

    @property
    def tokenizer(self) -> Any:
        return self.hf_processor.tokenizer

    def _starts(self, text: str) -> bool:
        """Whether a prompt begins with the token that the tokenizer would put before it."""
        return bool(self.tokenizer.bos_token) and text.startswith(self.tokenizer.bos_token)

    @property
    def _max_pixels(self) -> int | None:
        return self.config.max_pixels or self.family.max_pixels

    def _longer_side(self, clip: VideoClip) -> int:
        """Pixels of the longer side that are enough for the processor."""
        ratio = max(clip.height, clip.width) / min(clip.height, clip.width)
        if self._max_pixels is not None:
            return max(1, math.floor(math.sqrt(self._max_pixels * ratio)))
        size = getattr(self.hf_processor.video_processor, "size", None) or {}
        sides = [size.get(name) for name in ("height", "width", "shortest_edge", "longest_edge")]
        return math.ceil(max([s for s in sides if s] or [448]) * ratio)

    def _size(self, frames: int) -> dict[str, Any]:
        """The bounds of the processor, drawn closer to `max_pixels` where it takes pictures of any size."""
        size = getattr(self.hf_processor.video_processor, "size", None) or {}
        if self._max_pixels is None or self.family.pixels_of is None:
            return {}
        most = self._max_pixels * (frames if self.family.pixels_of == "video" else 1)
        edges = {name: size.get(name) for name in ("shortest_edge", "longest_edge")}
        return {"size": {name: min(edge, most) if edge else most for name, edge in edges.items()}}
