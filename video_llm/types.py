"""What the stages hand to each other: frozen, and checked once on construction."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.types import Span, VisualTokens

if TYPE_CHECKING:
    from torch import Tensor

Evidence = Literal["visual", "speech", "screen-text"]
EVIDENCE: tuple[Evidence, ...] = get_args(Evidence)

Decoder = Literal["pyav", "decord"]
DECODERS: tuple[Decoder, ...] = get_args(Decoder)


@dataclass(frozen=True)
class VideoClip:
    """A video, or a part of one, that has been opened: what is known of it before any pixel is decoded.

    path: the file, or a folder of pictures.
    span: the part to look at, seconds from the start of the file.
    duration_seconds: of the whole file, by its clock.
    fps: mean frames a second by the clock, for people to read; never used to compute a time.
    num_frames: pictures that the clock lists for the whole file.
    height, width: pixels as displayed, after rotation.
    has_audio: whether there is a sound track that can be decoded.
    decoder: the reader that will deliver its frames.
    """

    path: Path
    span: Span
    duration_seconds: float
    fps: float
    num_frames: int
    height: int
    width: int
    has_audio: bool = False
    decoder: Decoder = "pyav"

    def __post_init__(self) -> None:
        if self.num_frames < 1 or self.height < 1 or self.width < 1:
            raise ValueError(f"a clip needs pictures, not {self.num_frames} of {self.width}x{self.height}")
        if not (math.isfinite(self.duration_seconds) and self.duration_seconds > 0):
            raise ValueError(f"a clip needs a duration, not {self.duration_seconds}")
        if not (self.span.start_seconds >= 0 and self.span.end_seconds <= self.duration_seconds + 1e-6):
            raise ValueError(f"{self.span} leaves the file's {self.duration_seconds} s")


@dataclass(frozen=True)
class FrameBatch:
    """Decoded frames.

    pixels: uint8 `[B, T, 3, H, W]`, RGB, display rotation applied.
    pts_seconds: float64 `[B, T]`, when each frame appears on the screen, seconds from the start of the file.
    """

    pixels: NDArray[np.uint8]
    pts_seconds: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.pixels.ndim != 5 or self.pixels.shape[2] != 3 or self.pixels.dtype != np.uint8:
            raise ValueError(f"pixels must be uint8 [B, T, 3, H, W], not {self.pixels.dtype} {self.pixels.shape}")
        if self.pts_seconds.shape != self.pixels.shape[:2]:
            raise ValueError(f"times {self.pts_seconds.shape} do not match pixels {self.pixels.shape}")


@dataclass(frozen=True)
class Prompt:
    """What a language model reads: text, and places for what was seen.

    input_ids: int64 `[B, L]`, rows padded on the right.
    is_visual: bool `[B, L]`, true where a visual token stands; `input_ids` there mean nothing.
    lengths:   int64 `[B]`, how much of each row is real.
    visual:    the tokens for those places, in the width of the language model, frame by frame. Of B videos, or of one
               that all B prompts are about; None where no prompt has a place for any.
    """

    input_ids: "Tensor"
    is_visual: "Tensor"
    lengths: "Tensor"
    visual: VisualTokens | None = None

    def __post_init__(self) -> None:
        rows, size = self.input_ids.shape
        if self.is_visual.shape != (rows, size) or self.lengths.shape != (rows,):
            raise ValueError(f"is_visual {tuple(self.is_visual.shape)} for prompts {(rows, size)}")
        if self.visual is None and bool(self.is_visual.any()):
            raise ValueError("there are places for visual tokens, and no tokens")
        if self.visual is not None and len(self.visual.features) not in (1, rows):
            raise ValueError(f"{len(self.visual.features)} videos for {rows} prompts")


@dataclass(frozen=True)
class Request:
    """What a language model is asked, in more words than a question.

    user:    the turn beside the video. system: what is told before it, where anything is.
    prefill: how the answer begins; the model goes on from there, and what it writes does not hold it.
    """

    user: str
    system: str = ""
    prefill: str = ""


StopReason = Literal["end", "stop-text", "length"]
"""Why a model stopped: it ended its answer, wrote one of the texts that end one, or was out of tokens."""


@dataclass(frozen=True)
class Generation:
    """What a language model wrote.

    text:      detokenized, without special tokens, up to and without the text that ended it.
    token_ids: what was written, without the token that ended it.
    log_probs: of each of them, at temperature 1 and before top_k and top_p however it was drawn: among what was
               allowed for a constrained answer, after the contrast for a contrasted one.
    stop:      why it ended.
    steps:     forward passes after the prompt was read; fewer than tokens where guesses were right.
    drafted, accepted: how many tokens were guessed, and how many of those guesses were right.
    """

    text: str
    token_ids: tuple[int, ...]
    log_probs: tuple[float, ...]
    stop: StopReason
    steps: int = 0
    drafted: int = 0
    accepted: int = 0

    def __post_init__(self) -> None:
        if len(self.token_ids) != len(self.log_probs):
            raise ValueError(f"{len(self.log_probs)} probabilities of {len(self.token_ids)} tokens")


@dataclass(frozen=True)
class Grounding:
    """One occurrence of what was asked for.

    score: calibrated probability that the event is in `span`.
    evidence: the channel it comes from; phrase: what was seen, heard or read there.
    """

    span: Span
    score: float
    evidence: Evidence
    phrase: str = ""

    def __post_init__(self) -> None:
        if not 0.0 <= self.score <= 1.0:
            raise ValueError(f"a score is a probability, not {self.score}")
        if self.evidence not in EVIDENCE:
            raise ValueError(f"unknown evidence {self.evidence!r}")


@dataclass(frozen=True)
class ScoreCurve:
    """How well a question fits each moment, for drawing: one channel of one question.

    times: float64 `[T]` seconds; scores: float32 `[T]` probabilities.
    """

    evidence: Evidence
    times: NDArray[np.float64]
    scores: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.times.shape != self.scores.shape or self.times.ndim != 1:
            raise ValueError(f"a curve needs one score a time, not {self.scores.shape} for {self.times.shape}")


@dataclass(frozen=True)
class Timing:
    """Wall-clock seconds of each stage of one answer."""

    decode_s: float = 0.0
    encode_s: float = 0.0
    temporal_s: float = 0.0
    generate_s: float = 0.0
    total_s: float = 0.0


@dataclass(frozen=True)
class Answer:
    """What one question about one clip came to; `groundings` best first, empty where nothing was found.

    is_in_words:   whether the question asked for words, which then are the answer, moments or none.
    prompt:        what a language model read, a mark for each run of visual tokens; empty where there is none.
    frame_seconds: when the frames appear that were looked at, file seconds; empty where the model does not tell.
    """

    question: str
    text: str
    groundings: tuple[Grounding, ...]
    model: str
    timing: Timing = field(default_factory=Timing)
    notes: tuple[str, ...] = ()  # what the user should know of this answer, e.g. a channel that could not run
    curves: tuple[ScoreCurve, ...] = ()  # for drawing; empty from models that give none
    prompt: str = ""
    frame_seconds: tuple[float, ...] = ()
    is_in_words: bool = False

    def __post_init__(self) -> None:
        scores = [g.score for g in self.groundings]
        if scores != sorted(scores, reverse=True):
            raise ValueError("groundings must come best first")


class VideoModel(Protocol):
    """What every model of tvu can do, however it does it."""

    name: str

    def find(self, clip: VideoClip, queries: Sequence[str]) -> list[Answer]:
        """When each query happens, in spans and a sentence; the video is decoded and encoded once for all of them."""
        ...

    def ground(self, clip: VideoClip, queries: Sequence[str]) -> list[list[Grounding]]:
        """The spans alone, best first."""
        ...

    def answer(self, clip: VideoClip, question: str) -> Answer:
        """Free text and groundings for one question."""
        ...
