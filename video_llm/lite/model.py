"""`lite`: appearance, motion and bodies through STORM's temporal encoder into SmolLM2-135M, which is asked *when*.

The question comes before the video: a causal model's hidden states at the visual tokens then know what is looked for,
and a small head (`head.py`) reads spans and their scores off them in one pass. Text with time tokens comes after.

    slow  [B, T, 4, 1280] -> 4 tokens a step \\
    motion [B, T, M]      -> 1 token a step   > [B, T, 6, width] -> temporal encoder -> one token a step -> reduction
    body  [B, T, 104]     -> 1 token a step  /    -> [B, V, 576], a token each half second
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tvu.temporal.compress import compress_tokens
from tvu.temporal.encode_time import encode_time
from tvu.temporal.squeezetime.network import SqueezeTimeConfig
from tvu.temporal.time_tokens.lita import LitaTimeTokens
from tvu.temporal.types import VisualTokens
from tvu.video_llm.lite.adapters import adapt
from tvu.video_llm.lite.found import TOLD_SPANS, found_places
from tvu.video_llm.lite.head import KNOWN, GroundingHead, Known, Moments, best_spans, known_of
from tvu.video_llm.lite.inputs import BODY_CHANNELS, GRID, SLOW_CHANNELS, STEPS_PER_SECOND, LiteInputs
from tvu.video_llm.lite.prior import ClassEvidence, Evidence, prior_of
from tvu.video_llm.models.parts import build_codec, build_reductions, build_temporal_encoder

CELLS = GRID[0] * GRID[1]
Told = Mapping[str, Any]


@dataclass(frozen=True)
class LiteConfig:
    """The shape of a model; parts are told as in the config of the Video-LLM (`models/parts.py`).

    width:      of the tokens that the temporal encoder mixes.
    merged:     of the one token a step that comes out of it, and of the head.
    temporal:   the temporal encoder; None: none.
    reductions: of the tokens in time, one after the other.
    codec:      how times are written in text.
    motion:     the fields of SqueezeTime's config.
    has_prior:  whether head and visual tokens are told what is known without training (`prior.py`, `shots.py`).
    paths:      which of `slow`, `motion` and `body` the model looks at; the others are zeros to it.
    rank:       of the adapters; scale: what their product is multiplied with.
    language_width, known_tokens, word_size: of the language model, SmolLM2-135M's; the last is the root mean square
                of its table, at which visual tokens start.
    """

    width: int = 192
    merged: int = 384
    temporal: Told | None = field(
        default_factory=lambda: {"name": "storm", "mixer": "mamba2", "layers": 2, "d_state": 64, "headdim": 48}
    )
    reductions: Sequence[Told] = ({"name": "pool", "frames": 2},)
    codec: Told = field(default_factory=lambda: {"name": "lita", "num_time_tokens": 100})
    motion: Told = field(
        default_factory=lambda: {
            "layers": [2, 2, 2, 2],
            "is_bottleneck": False,
            "widths": [32, 64, 128, 256],
            "code_sides": [28, 14, 7, 3],
        }
    )
    has_prior: bool = True
    paths: Sequence[str] = ("slow", "motion", "body")
    rank: int = 16
    scale: float = 1.0
    language_width: int = 576
    word_size: float = 0.13
    known_tokens: int = 49152

    def __post_init__(self) -> None:
        if not set(self.paths) <= {"slow", "motion", "body"} or not self.paths:
            raise ValueError(f"paths are slow, motion and body, not {self.paths}")

    @property
    def motion_config(self) -> SqueezeTimeConfig:
        """The config of the motion network."""
        fields: Told = {name: tuple(v) if isinstance(v, list) else v for name, v in self.motion.items()}
        return SqueezeTimeConfig(**fields)

    def to_json(self) -> dict[str, Any]:
        """Plain values, as `LiteConfig(**values)` takes them."""
        return asdict(self)


class Eyes(nn.Module):
    """What is seen, as visual tokens for the language model: everything before it."""

    def __init__(self, config: LiteConfig) -> None:
        super().__init__()
        self.config = config
        width, merged = config.width, config.merged
        self.slow = nn.Sequential(nn.LayerNorm(SLOW_CHANNELS), nn.Linear(SLOW_CHANNELS, width))
        motion = config.motion_config.num_channels
        self.motion = nn.Sequential(nn.LayerNorm(motion), nn.Linear(motion, width))
        self.body = nn.Sequential(nn.Linear(BODY_CHANNELS, 256), nn.GELU(), nn.Linear(256, width))
        self.places = nn.Parameter(torch.randn(CELLS + 2, width) * 0.02)
        self.nothing = nn.Parameter(torch.randn(3, width) * 0.02)  # in place of a path that a step lacks
        self.temporal_encoder: Any = build_temporal_encoder(config.temporal, width)
        self.merge = nn.Sequential(nn.LayerNorm((CELLS + 2) * width), nn.Linear((CELLS + 2) * width, merged))
        self.reductions, channels = build_reductions(list(config.reductions), merged)
        self.clock = nn.Linear(CLOCK, channels)
        self.out = nn.Sequential(
            nn.LayerNorm(channels),
            nn.Linear(channels, channels),
            nn.GELU(),
            nn.Linear(channels, config.language_width),
        )
        # As large as words are: what comes in sixteen times larger, as a plain layer has it, no block can change.
        self.as_words = nn.RMSNorm(config.language_width, eps=1e-5)
        nn.init.constant_(self.as_words.weight, config.word_size)
        self.channels = channels

    def forward(self, inputs: LiteInputs, spans: Tensor | None = None) -> tuple[VisualTokens, Tensor]:
        """Merged tokens `[B, V, 1, D]` with their spans, and the same at the language model's width `[B, V, L]`.

        spans: float64 `[B, T, 2]` file seconds of the steps; counted from 0 in quarter seconds if None.
        """
        tokens = self.step_tokens(inputs, spans)
        tokens = encode_time(tokens, self.temporal_encoder)
        batch, steps, places, width = tokens.features.shape
        one = self.merge(tokens.features.reshape(batch, steps, places * width))
        tokens = VisualTokens.from_frames(one[:, :, None], tokens.spans, (1, 1), tokens.lengths)
        tokens = compress_tokens(tokens, *self.reductions.steps).flatten()
        x = tokens.features.squeeze(2)
        x = x + self.clock(relative_time(tokens).to(x.dtype))
        return tokens, self.as_words(self.out(x))

    def step_tokens(self, inputs: LiteInputs, spans: Tensor | None = None) -> VisualTokens:
        """Six tokens a step, before anything is mixed: `[B, T, 6, width]` on a (1, 6) grid."""
        paths = self.config.paths
        slow = self._path(self.slow(inputs.slow), inputs.has_slow[..., None], 0, "slow" in paths)
        motion = self._path(self.motion(inputs.motion), inputs.has_motion, 1, "motion" in paths)
        body = self._path(self.body(inputs.body), inputs.has_body, 2, "body" in paths)
        features = torch.cat([slow, motion[:, :, None], body[:, :, None]], dim=2) + self.places
        if spans is None:
            batch, steps = inputs.has_slow.shape
            starts = torch.arange(steps, device=features.device, dtype=torch.float64) / STEPS_PER_SECOND
            spans = torch.stack([starts, starts + 1 / STEPS_PER_SECOND], -1).expand(batch, -1, -1)
        return VisualTokens.from_frames(features, spans, (1, CELLS + 2), inputs.lengths)

    def _path(self, tokens: Tensor, has: Tensor, which: int, is_used: bool) -> Tensor:
        nothing = self.nothing[which].to(tokens.dtype).expand_as(tokens)
        return torch.where(has[..., None], tokens, nothing) if is_used else nothing


CLOCK = 64
GRADES = 11  # of a probability in words: tenths
FINDINGS = 6  # numbers of the head that each visual token is told before the language model reads it


def relative_time(tokens: VisualTokens) -> Tensor:
    """`[B, V, 64]` float32: sines and cosines of where the middle of each token is between the first and the last.

    Relative, as LITA's time tokens are; from half a turn over the whole video to a turn in a hundredth of it.
    """
    place = place_in_video(tokens)
    turns = torch.logspace(-0.3, 2.0, CLOCK // 2, device=place.device)
    angles = place[..., None] * turns * 2 * torch.pi
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def place_in_video(tokens: VisualTokens) -> Tensor:
    """float32 `[B, V]`: where the middle of each token is, 0 at the start of the first and 1 at the end of the last."""
    last = (tokens.lengths - 1).clamp(min=0)
    start = tokens.spans[:, :1, 0]
    end = tokens.spans[..., 1].gather(1, last[:, None])
    return ((tokens.spans.mean(-1) - start) / (end - start).clamp(min=1e-6)).float()


@dataclass(frozen=True)
class Reading:
    """S sequences as the language model reads them: question, video, answer.

    ids:       int64 `[S, L]`, padded on the right with anything; visual places hold `config.known_tokens - 1` or so.
    is_visual: bool `[S, L]`, of the tokens of the video and of what is found in it.
    video: int64 `[S]`, which of the B videos each is about.
    answers:   bool `[S, L]`: tokens that the model is to write (targets).
    last_asked: int64 `[S]`, the place of the last token before the answer, where everything was read.
    meaning, classes: float `[S, 384]` and `[S, K]`, see `prior.Meaning`; None where the head is not told.
    """

    ids: Tensor
    is_visual: Tensor
    video: Tensor
    answers: Tensor
    last_asked: Tensor
    meaning: Tensor | None = None
    classes: Tensor | None = None


class LiteModel(nn.Module):
    """Eyes, the adapted language model with its new words, and the head.

    language: transformers' `LlamaModel` (without its output layer, which is tied to the table), adapted in place.
    """

    def __init__(self, config: LiteConfig, language: Any) -> None:
        super().__init__()
        self.config = config
        self.codec = build_codec(config.codec)
        self.eyes = Eyes(config)
        self.head = GroundingHead(config.language_width, self.eyes.channels, has_prior=config.has_prior)
        # What is known for the question and what the head finds goes into its visual tokens too, or words would know
        # less than the head.
        self.told = nn.Linear((KNOWN if config.has_prior else 0) + FINDINGS, config.language_width)
        nn.init.zeros_(self.told.weight)
        nn.init.zeros_(self.told.bias)
        self.language = language
        adapt(language, config.rank, config.scale)
        table = language.get_input_embeddings().weight
        self.grades = nn.Parameter(0.05 * torch.randn(GRADES, config.language_width))  # of what the head finds
        new = len(self.codec.added_tokens) + 2  # the start and the end of a video
        self.new_rows = nn.Parameter(table.float().mean(0).repeat(new, 1) + 0.05 * torch.randn(new, table.shape[1]))

    @property
    def table(self) -> Tensor:
        """`[known + new, C]`: a row for each token that can be read or written."""
        known = self.language.get_input_embeddings().weight[: self.config.known_tokens]
        return torch.cat([known, self.new_rows.to(known.dtype)])

    def forward(self, inputs: LiteInputs, reading: Reading, evidence: ClassEvidence | None = None) -> "LiteOutput":
        """Everything that training needs, in one pass; times count from the first step."""
        tokens, rows = self.eyes(inputs)
        return self.read(tokens, rows, reading, None if evidence is None else evidence(inputs, tokens))

    def read(
        self, tokens: VisualTokens, rows: Tensor, reading: Reading, evidence: Evidence | None = None
    ) -> "LiteOutput":
        """The sequences about videos that were looked at before: tokens `[B, V, 1, D]`, rows `[B, V, L]`, and what
        their pictures show without training."""
        known = self.known(tokens, reading, evidence)
        embeddings = self.embed(self.rows_for(tokens, rows, reading, known), tokens.lengths, reading)
        hidden = self.language(inputs_embeds=embeddings, use_cache=False).last_hidden_state
        return LiteOutput(self, tokens, reading, hidden, known)

    def known(self, tokens: VisualTokens, reading: Reading, evidence: Evidence | None) -> Known | None:
        """What is known of each question without training; None of a model that is not told."""
        meaning, classes, video = reading.meaning, reading.classes, reading.video
        if not self.config.has_prior or evidence is None or classes is None or meaning is None:
            return None
        with torch.autocast(evidence.classes.device.type, enabled=False):
            prior = prior_of(evidence.classes, classes, video)
            seconds = tokens.spans.float()[video]
            return known_of(prior, meaning, evidence.shots, video, tokens.mask[video], seconds)

    def rows_for(self, tokens: VisualTokens, rows: Tensor, reading: Reading, known: Known | None) -> Tensor:
        """Rows `[B, V, L]` of videos as the S questions about them see them, `[S, V + F, L]`: with the time token of
        each, what is known for the question, and what the head finds before anything is read; this once more in words,
        in F rows that follow those of the video (`found.found_places`)."""
        video = reading.video
        first = self._first_look(tokens, reading, known)
        told = findings_of(first, tokens.spans.float()[video])
        if self.config.has_prior:
            numbers = told.new_zeros(*told.shape[:2], KNOWN) if known is None else known.numbers
            told = torch.cat([numbers, told], dim=-1)
        timed = rows + self.time_rows(tokens).to(rows.dtype)
        seen = timed[video] + self.told(told.to(self.told.weight.dtype)).to(rows.dtype)
        return torch.cat([seen, self._in_words(first, tokens, video).to(rows.dtype)], dim=1)

    def time_rows(self, tokens: VisualTokens) -> Tensor:
        """`[B, V, L]`: the row of the time token that an answer would write for each token, where a codec has one for
        each part of a video: a time is then copied, not worked out. Zeros for other codecs."""
        if not isinstance(self.codec, LitaTimeTokens):
            return self.new_rows.new_zeros(1, 1, self.new_rows.shape[1])
        return self._time_row(place_in_video(tokens))

    def _time_row(self, place: Tensor) -> Tensor:
        last = len(self.codec.added_tokens) - 1
        return self.new_rows[(place.clamp(0, 1) * last).round().long()]

    @torch.no_grad()
    def _first_look(self, tokens: VisualTokens, reading: Reading, known: Known | None) -> Moments:
        """What the head says before the language model read anything."""
        video = reading.video
        visual = tokens.features.squeeze(2)[video]
        return self.head(None, visual, None, tokens.spans.float()[video], tokens.mask[video], known)

    def _in_words(self, moments: Moments, tokens: VisualTokens, video: Tensor) -> Tensor:
        """`[S, F, L]`: of the best spans two time tokens and how good each is, then whether anything is there.

        What stands before an answer as the answer has it is copied; flags on visual tokens would have to be searched.
        """
        places = found_places(self.codec)
        if not places:
            return self.new_rows.new_zeros(len(video), 0, self.new_rows.shape[1])
        spans, scores = best_spans(moments, TOLD_SPANS)
        first = tokens.spans.float()[video, :1, 0]
        ends = tokens.spans.float()[..., 1].gather(1, (tokens.lengths - 1).clamp(min=0)[:, None])[video]
        place = (spans - first[..., None]) / (ends - first).clamp(min=1e-6)[..., None]
        grades = torch.cat([scores, moments.present.sigmoid()[:, None]], dim=1)
        graded = self.grades[(grades * (len(self.grades) - 1)).round().long()]
        told = torch.cat([self._time_row(place), graded[:, :-1, None]], dim=2).flatten(1, 2)
        return torch.cat([told, graded[:, -1:]], dim=1)

    def embed(self, rows: Tensor, lengths: Tensor, reading: Reading) -> Tensor:
        """Sequences as embeddings `[S, L, C]`, rows `[S, V + F, L]` of each one's video at its visual places."""
        known = self.config.known_tokens
        old = self.language.get_input_embeddings()(reading.ids.clamp(max=known - 1))
        new = self.new_rows[(reading.ids - known).clamp(min=0)]
        text = torch.where((reading.ids >= known)[..., None], new.to(old.dtype), old)
        real = self.is_row(lengths[reading.video], rows.shape[1])
        return text.masked_scatter(reading.is_visual[..., None], rows[real].to(text.dtype))

    def is_row(self, lengths: Tensor, rows: int) -> Tensor:
        """bool `[S, V + F]`: which rows of `rows_for` are read, of questions about videos of `lengths [S]` tokens."""
        place = torch.arange(rows, device=lengths.device)
        return (place < lengths[:, None]) | (place >= rows - found_places(self.codec))


@torch.no_grad()
def findings_of(moments: Moments, seconds: Tensor) -> Tensor:
    """float32 `[S, V, FINDINGS]`, of each token: whether it is inside; the best score of a span that it is in; whether
    it is in the best span, and its first or last; whether what is asked for is there at all.

    seconds: float32 `[S, V, 2]` of the tokens.
    """
    proposals, middle = moments.proposals, seconds.mean(-1)[:, None]
    scores = proposals.logits.sigmoid() * proposals.is_real
    spans = proposals.spans
    within = (middle >= spans[..., :1]) & (middle < spans[..., 1:]) & moments.is_real[:, None]  # `[S, P, V]`
    best = within[torch.arange(len(spans), device=spans.device), scores.argmax(1)].float()
    before, after = functional.pad(best, (1, 0))[:, :-1], functional.pad(best, (0, 1))[:, 1:]
    told = (
        moments.inside.sigmoid() * moments.is_real,
        (scores[..., None] * within).amax(1),
        *(best, best * (1 - before), best * (1 - after)),
        moments.present.sigmoid()[:, None].expand_as(best) * moments.is_real,
    )
    return torch.stack(told, dim=-1)


@dataclass(frozen=True)
class LiteOutput:
    """What one pass came to; losses and moments are computed when they are asked for."""

    model: LiteModel
    tokens: VisualTokens
    reading: Reading
    hidden: Tensor  # `[S, L, C]`
    known: Known | None = None

    def text_loss(self) -> Tensor:
        """Cross entropy of the tokens of the answers; an answer of n tokens weighs as the root of n.

        By tokens alone captions would be half of the loss, and `Yes` against `No` a hundredth of it.
        """
        is_target = self.reading.answers[:, 1:]
        before = self.hidden[:, :-1][is_target]
        if not len(before):
            return self.hidden.sum() * 0.0
        weight = is_target.sum(1, keepdim=True).clamp(min=1).rsqrt().expand(is_target.shape)[is_target]
        logits = functional.linear(before, self.model.table)
        each = functional.cross_entropy(logits.float(), self.reading.ids[:, 1:][is_target], reduction="none")
        return (each * weight).sum() / weight.sum()

    def token_seconds(self) -> Tensor:
        """float32 `[S, V, 2]`, seconds of the visual tokens of each sequence."""
        return self.tokens.spans.float()[self.reading.video]

    def moments(self) -> Moments:
        """What the head makes of it."""
        video = self.reading.video
        is_real = self.tokens.mask[video]
        most = is_real.shape[1]
        rows = self.model.is_row(self.tokens.lengths[video], most + found_places(self.model.codec))
        places = self.hidden.new_zeros(*rows.shape, self.hidden.shape[-1])
        places = places.masked_scatter(rows[..., None], self.hidden[self.reading.is_visual])[:, :most]
        places = places * is_real[..., None]
        asked = self.hidden[torch.arange(len(video), device=video.device), self.reading.last_asked]
        visual = self.tokens.features.squeeze(2)[video]
        seconds = self.token_seconds()
        return self.model.head(places, visual.to(places.dtype), asked, seconds, is_real, self.known)
