"""`lite`: appearance, motion and bodies through STORM's temporal encoder into SmolLM2-135M, which is asked *when*.

A small head (`head.py`) reads spans and their scores off the visual tokens and the words of the question in one pass;
answers that can be listed are judged by what it finds (`judge.py`). For answers in words the language model reads the
question, the tokens and what the head found, and writes text with time tokens; a model may do without it. A head may
also listen to it (`listens`): a causal model's hidden states at the visual tokens know what the question before them
looks for.

    slow  [B, T, 4, 1280] -> 4 tokens a step \\
    motion [B, T, M]      -> 1 token a step   > [B, T, 6, width] -> temporal encoder -> one token a step -> reduction
    body  [B, T, 104]     -> 1 token a step  /    -> [B, V, 576], a token each half second
    hands [B, T, 92]      -> added to that of the body
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
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
from tvu.video_llm.lite.content import MOST_CLAUSES
from tvu.video_llm.lite.found import CLAUSE_PLACES, NAMES, TOLD_SHOTS, TOLD_SPANS, are_told, found_places
from tvu.video_llm.lite.head import KNOWN, GroundingHead, Known, Moments, best_spans, known_of
from tvu.video_llm.lite.inputs import BODY_CHANNELS, GRID, HAND_CHANNELS, SLOW_CHANNELS, STEPS_PER_SECOND, LiteInputs
from tvu.video_llm.lite.judge import BEST_SPANS, AnswerJudge, Heard, Offered
from tvu.video_llm.lite.prior import ClassEvidence, Evidence, Meaning, ToldShots, prior_of
from tvu.video_llm.models.parts import build_codec, build_reductions, build_temporal_encoder

CELLS = GRID[0] * GRID[1]
Told = Mapping[str, Any]


@dataclass(frozen=True)
class LiteConfig:
    """The shape of a model; parts are told as in the config of the Video-LLM (`models/parts.py`).

    width:      of the tokens that the temporal encoder mixes.
    merged:     of the one token a step that comes out of it.
    temporal:   the temporal encoder; None: none.
    reductions: of the tokens in time, one after the other.
    codec:      how times are written in text.
    motion:     the fields of SqueezeTime's config.
    reads:      whether there is a language model; without one it finds moments and judges answers, and writes nothing.
    listens:    whether the head hears what the language model made of the tokens; else that is there for words alone,
                and is needed only where some are to be written.
    head_width, head_layers: of the head.
    judges:     whether it judges the answers that a question allows, for which it has to know what questions mean.
    has_prior:  whether head and visual tokens are told what is known without training (`prior.py`, `shots.py`).
    paths:      which of `slow`, `motion`, `body` and `hands` the model looks at; the others are zeros to it.
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
    reads: bool = True
    listens: bool = False
    judges: bool = True
    has_prior: bool = True
    head_width: int = 320
    head_layers: int = 4
    paths: Sequence[str] = ("slow", "motion", "body", "hands")
    rank: int = 8
    scale: float = 1.0
    language_width: int = 576
    word_size: float = 0.13
    known_tokens: int = 49152

    def __post_init__(self) -> None:
        if self.head_layers < 1 or self.head_width < 8 or self.head_width % 8:
            raise ValueError("a head has at least one layer, and eight parts of its width attend by themselves")
        if not (self.hears or self.has_prior):
            raise ValueError("a head that does not hear what was read is told what is known of questions")
        if not set(self.paths) <= {"slow", "motion", "body", "hands"} or not self.paths:
            raise ValueError(f"paths are slow, motion, body and hands, not {self.paths}")

    @property
    def hears(self) -> bool:
        """Whether nothing is found before the language model has read."""
        return self.reads and self.listens

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
        self.hands = _unheard(HAND_CHANNELS, 256, width) if "hands" in config.paths else None
        self.places = nn.Parameter(torch.randn(CELLS + 2, width) * 0.02)
        self.nothing = nn.Parameter(torch.randn(3, width) * 0.02)  # in place of a path that a step lacks
        self.temporal_encoder: Any = build_temporal_encoder(config.temporal, width)
        self.merge = nn.Sequential(nn.LayerNorm((CELLS + 2) * width), nn.Linear((CELLS + 2) * width, merged))
        self.reductions, channels = build_reductions(list(config.reductions), merged)
        self.channels = channels
        if not config.reads:
            return
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

    def forward(self, inputs: LiteInputs, spans: Tensor | None = None) -> tuple[VisualTokens, Tensor]:
        """Merged tokens `[B, V, 1, D]` with their spans, and the same at the language model's width `[B, V, L]`.

        spans: float64 `[B, T, 2]` file seconds of the steps; counted from 0 in quarter seconds if None.
        """
        tokens = self.tokens(inputs, spans)
        return tokens, self.rows(tokens)

    def tokens(self, inputs: LiteInputs, spans: Tensor | None = None) -> VisualTokens:
        """What the head sees, and words are made of: the first of `forward`."""
        tokens = self.step_tokens(inputs, spans)
        tokens = encode_time(tokens, self.temporal_encoder)
        batch, steps, places, width = tokens.features.shape
        one = self.merge(tokens.features.reshape(batch, steps, places * width))
        tokens = VisualTokens.from_frames(one[:, :, None], tokens.spans, (1, 1), tokens.lengths)
        return compress_tokens(tokens, *self.reductions.steps).flatten()

    def rows(self, tokens: VisualTokens) -> Tensor:
        """`[B, V, L]`, what the language model reads of them, where there is one: the second of `forward`."""
        x = tokens.features.squeeze(2)
        x = x + self.clock(relative_time(tokens).to(x.dtype))
        rows: Tensor = self.as_words(self.out(x))
        return rows

    def step_tokens(self, inputs: LiteInputs, spans: Tensor | None = None) -> VisualTokens:
        """Six tokens a step, before anything is mixed: `[B, T, 6, width]` on a (1, 6) grid."""
        paths = self.config.paths
        pictures = inputs.slow
        if self.training:  # no two cameras see alike, and none as the features that are drawn
            gains = torch.randn(len(pictures), 1, 1, pictures.shape[-1], device=pictures.device)
            pictures = pictures * (1 + GAINS * gains).to(pictures.dtype)
        slow = self._path(self.slow(pictures), inputs.has_slow[..., None], 0, "slow" in paths)
        motion = self._path(self.motion(inputs.motion), inputs.has_motion, 1, "motion" in paths)
        body = self._path(self.body(inputs.body), inputs.has_body, 2, "body" in paths)
        if self.hands is not None:
            body = body + self.hands(inputs.hands) * inputs.has_hands[..., None]
        features = torch.cat([slow, motion[:, :, None], body[:, :, None]], dim=2) + self.places
        if spans is None:
            batch, steps = inputs.has_slow.shape
            starts = torch.arange(steps, device=features.device, dtype=torch.float64) / STEPS_PER_SECOND
            spans = torch.stack([starts, starts + 1 / STEPS_PER_SECOND], -1).expand(batch, -1, -1)
        return VisualTokens.from_frames(features, spans, (1, CELLS + 2), inputs.lengths)

    def _path(self, tokens: Tensor, has: Tensor, which: int, is_used: bool) -> Tensor:
        nothing = self.nothing[which].to(tokens.dtype).expand_as(tokens)
        return torch.where(has[..., None], tokens, nothing) if is_used else nothing


def _unheard(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Layers that add nothing until they have learned, so that a model may get them later; the same in every run, or
    the mean of two that got them knows less than each (LOG.md)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        first, last = nn.Linear(inputs, hidden), nn.Linear(hidden, outputs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(first, nn.GELU(), last)


GAINS = 0.15  # by which channels of pictures differ between videos in training
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
    is_visual: bool `[S, L]`, of the tokens of the video and of what is found in it, for the question and for each of
    the C things that questions name (`content.clauses_of`).
    video: int64 `[S]`, which of the B videos each is about.
    answers:   bool `[S, L]`: tokens that the model is to write (targets).
    last_asked: int64 `[S]`, the place of the last token before the answer, where everything was read.
    clause_of: int64 `[C]`, in which sequence each thing is named, in order.
    meaning: of `prior.texts_of`, the questions, what they name, and the options; None where the head is not told.
    offered: the options, None where none are judged.
    """

    ids: Tensor
    is_visual: Tensor
    video: Tensor
    answers: Tensor
    last_asked: Tensor
    clause_of: Tensor
    meaning: Meaning | None = None
    offered: Offered | None = None


class LiteModel(nn.Module):
    """Eyes, the adapted language model with its new words, and the head.

    language: transformers' `LlamaModel` (without its output layer, which is tied to the table), adapted in place; None
    of a model that does not read.
    class_names: ids of the names of the K classes that `prior.ClassEvidence` knows; None: shots are told without them.
    """

    names: Tensor

    def __init__(
        self, config: LiteConfig, language: Any | None, class_names: Sequence[Sequence[int]] | None = None
    ) -> None:
        super().__init__()
        if (language is not None) != config.reads:
            raise ValueError("a model reads with a language model, and has none where it does not")
        self.config = config
        self.codec = build_codec(config.codec)
        self.eyes = Eyes(config)
        heard = config.language_width if config.hears else None
        self.head = GroundingHead(
            heard, self.eyes.channels, config.head_width, config.head_layers, has_prior=config.has_prior
        )
        self.judge = AnswerJudge(self.head.summary_width) if config.has_prior and config.judges else None
        self.language: Any = language
        if language is None:
            return
        # What is known for the question and what the head finds goes into its visual tokens too, or words would know
        # less than the head.
        self.told = nn.Linear((KNOWN if config.has_prior else 0) + FINDINGS, config.language_width)
        nn.init.zeros_(self.told.weight)
        nn.init.zeros_(self.told.bias)
        adapt(language, config.rank, config.scale)
        table = language.get_input_embeddings().weight
        self.grades = nn.Parameter(0.05 * torch.randn(GRADES + 1, config.language_width))  # the last: of nothing
        self.register_buffer("names", _as_words(class_names, table, config.word_size), persistent=False)
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
        rows = self.rows_for(tokens, rows, reading, known, evidence)
        hidden = self.language(inputs_embeds=self.embed(rows, tokens, reading), use_cache=False).last_hidden_state
        return LiteOutput(self, tokens, reading, hidden, known)

    def known(self, tokens: VisualTokens, reading: Reading, evidence: Evidence | None) -> Known | None:
        """What is known of each question, of each thing that they name and of the options, without training; None of a
        model that is not told."""
        meaning, video = reading.meaning, self._videos(reading)
        if not self.config.has_prior or evidence is None or meaning is None:
            return None
        with torch.autocast(evidence.classes.device.type, enabled=False):
            prior = prior_of(evidence.classes, meaning.classes, video)
            seconds = tokens.spans.float()[video]
            return known_of(prior, meaning, evidence.shots, video, tokens.mask[video], seconds)

    def rows_for(
        self,
        tokens: VisualTokens,
        rows: Tensor,
        reading: Reading,
        known: Known | None,
        evidence: Evidence | None = None,
    ) -> Tensor:
        """What stands at the visual places of S sequences, `[S, R, L]`; `is_row` says which of them are read.

        First what is found of each thing that the question names. Then the rows `[B, V, L]` of its video, with the
        time token of each, what is known for the question, and what the head finds before anything is read. Then this
        once more in words, and the shots of the video in words (`found.found_places`).
        """
        video, size = reading.video, len(reading.ids)
        look = self._first_look(tokens, reading, known)
        asked = look.part(slice(size))
        told = findings_of(asked, tokens.spans.float()[video])
        if self.config.has_prior:
            numbers = told.new_zeros(*told.shape[:2], KNOWN) if known is None else known.numbers[:size]
            told = torch.cat([numbers, told], dim=-1)
        timed = rows + self.time_rows(tokens).to(rows.dtype)
        seen = timed[video] + self.told(told.to(self.told.weight.dtype)).to(rows.dtype)
        if not are_told(self.codec):
            return seen
        words = [
            self._clauses_in_words(look.part(slice(size, None)), tokens, reading),
            seen,
            self._spans_in_words(asked, tokens, video),
            self._shots_in_words(asked, tokens, video, None if evidence is None else evidence.told),
        ]
        return torch.cat([each.to(rows.dtype) for each in words], dim=1)

    def _videos(self, reading: Reading) -> Tensor:
        """int64 `[R]`: the video that each question, each thing that they name, and each option is about."""
        of = [torch.arange(len(reading.video), device=reading.video.device), reading.clause_of]
        if reading.offered is not None:
            of.append(reading.offered.rows)
        return reading.video[torch.cat(of)]

    def look(
        self, tokens: VisualTokens, reading: Reading, evidence: Evidence | None = None, *, judges_only: bool = False
    ) -> "Look":
        """What the head says where nothing is read, of the questions; and of their options, where they have any.

        judges_only: gradients are those of the judge.
        """
        return self._look(tokens, reading, self.known(tokens, reading, evidence), judges_only=judges_only)

    def _look(
        self, tokens: VisualTokens, reading: Reading, known: Known | None, *, judges_only: bool = False
    ) -> "Look":
        size, offered = len(reading.video), reading.offered
        if self.judge is None or known is None or offered is None or not len(offered.question):
            return Look(self._unread(tokens, reading.video, None if known is None else known.first(size)), None)
        video = self._videos(reading)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not judges_only):
            moments = self._unread(tokens, video, known)
        spans, _ = best_spans(moments, BEST_SPANS)
        heard = Heard.of(moments, place_of(spans, tokens, video))
        return Look(moments.part(slice(size)), self.judge(heard, reading.clause_of, offered))

    def _unread(self, tokens: VisualTokens, video: Tensor, known: Known | None) -> Moments:
        visual = tokens.features.squeeze(2)[video]
        moments: Moments = self.head(None, visual, None, tokens.spans.float()[video], tokens.mask[video], known)
        return moments

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
        """What the head says before the language model read anything, of the questions and of what they name: as it
        will when it is asked, with nothing dropped out."""
        is_training = self.head.training
        self.head.eval()
        size = len(reading.video) + len(reading.clause_of)
        video = reading.video if known is None else self._videos(reading)[:size]
        look = self._unread(tokens, video, None if known is None else known.first(size))
        self.head.train(is_training)
        return look

    def _clauses_in_words(self, look: Moments, tokens: VisualTokens, reading: Reading) -> Tensor:
        """`[S, CLAUSE_PLACES * MOST_CLAUSES, L]`: of each thing that a question names where it is, and how surely."""
        size, of, width = len(reading.ids), reading.clause_of, self.new_rows.shape[1]
        rows = self.new_rows.new_zeros(size, MOST_CLAUSES, CLAUSE_PLACES, width)
        if len(of) and len(look.present) == len(of):
            spans, _ = best_spans(look, 1)
            times = self._time_row(place_of(spans[:, 0], tokens, reading.video[of]))
            before = functional.pad(_counts(reading).cumsum(0), (1, 0))
            number = torch.arange(len(of), device=of.device) - before[of]
            told = torch.cat([times, self._grade(look.present.sigmoid())[:, None]], dim=1)
            rows = rows.index_put((of, number), told)
        return rows.flatten(1, 2)

    def _spans_in_words(self, asked: Moments, tokens: VisualTokens, video: Tensor) -> Tensor:
        """`[S, 3 TOLD_SPANS + 1, L]`: of the best spans two time tokens and how good each is, then whether anything is
        there.

        What stands before an answer as the answer has it is copied; flags on visual tokens would have to be searched.
        """
        spans, scores = best_spans(asked, TOLD_SPANS)
        times = self._time_row(place_of(spans, tokens, video))
        told = torch.cat([times, self._grade(scores)[:, :, None]], dim=2).flatten(1, 2)
        return torch.cat([told, self._grade(asked.present.sigmoid())[:, None]], dim=1)

    def _shots_in_words(self, asked: Moments, tokens: VisualTokens, video: Tensor, shots: ToldShots | None) -> Tensor:
        """`[S, TOLD_SHOTS * (3 + NAMES), L]`: of each shot two time tokens, how good a span over it is, and the names
        of what it looks like."""
        if shots is None:
            return self.grades[-1].expand(len(video), TOLD_SHOTS * (3 + NAMES), -1)
        times = self._time_row(place_of(shots.spans, tokens, torch.arange(len(shots.spans), device=video.device)))
        names = self.grades[-1].expand(*shots.classes.shape, -1)
        if len(self.names):
            has_name = (shots.classes >= 0)[..., None]
            names = torch.where(has_name, self.names[shots.classes.clamp(min=0)].to(names.dtype), names)
        grades = self._grade(best_score_at(asked, shots.spans.mean(-1)[video]))
        told = torch.cat([times[video], grades[:, :, None], names[video]], dim=2)
        return torch.where(shots.is_shot[video][..., None, None], told, self.grades[-1]).flatten(1, 2)

    def _grade(self, probability: Tensor) -> Tensor:
        return self.grades[(probability * (GRADES - 1)).round().long()]

    def embed(self, rows: Tensor, tokens: VisualTokens, reading: Reading) -> Tensor:
        """Sequences as embeddings `[S, L, C]`, rows `[S, R, L]` (`rows_for`) of each one at its visual places."""
        known = self.config.known_tokens
        old = self.language.get_input_embeddings()(reading.ids.clamp(max=known - 1))
        new = self.new_rows[(reading.ids - known).clamp(min=0)]
        text = torch.where((reading.ids >= known)[..., None], new.to(old.dtype), old)
        return text.masked_scatter(reading.is_visual[..., None], rows[self.is_row(tokens, reading)].to(text.dtype))

    def is_row(self, tokens: VisualTokens, reading: Reading) -> Tensor:
        """bool `[S, R]`: which rows of `rows_for` are read."""
        lengths, most = tokens.lengths[reading.video][:, None], tokens.spans.shape[1]
        place = torch.arange(self.first_row + most + found_places(self.codec), device=lengths.device)
        is_clause = place < (CLAUSE_PLACES * _counts(reading))[:, None].clamp(max=self.first_row)
        return (
            is_clause
            | ((place >= self.first_row) & (place < self.first_row + lengths))
            | (place >= self.first_row + most)
        )

    @property
    def first_row(self) -> int:
        """The row of the first token of a video among those of `rows_for`."""
        return CLAUSE_PLACES * MOST_CLAUSES if are_told(self.codec) else 0


def _counts(reading: Reading) -> Tensor:
    """int64 `[S]`: how many things each question names."""
    return torch.zeros_like(reading.video).scatter_add(0, reading.clause_of, torch.ones_like(reading.clause_of))


def _as_words(names: Sequence[Sequence[int]] | None, table: Tensor, size: float) -> Tensor:
    """float32 `[K, L]`: the mean of the words of each name, as large as words are."""
    if names is None:
        return table.new_zeros(0, table.shape[1], dtype=torch.float32)
    means = torch.stack([table[torch.tensor(ids, device=table.device)].detach().float().mean(0) for ids in names])
    return means * size / means.square().mean(-1, keepdim=True).sqrt().clamp(min=1e-6)


@torch.no_grad()
def findings_of(moments: Moments, seconds: Tensor) -> Tensor:
    """float32 `[S, V, FINDINGS]`, of each token: whether it is inside; the best score of a span that it is in; whether
    it is in the best span, and its first or last; whether what is asked for is there at all.

    seconds: float32 `[S, V, 2]` of the tokens.
    """
    middle = seconds.mean(-1)
    (spans,), _ = (each.unbind(1) for each in best_spans(moments, 1))
    best = ((middle >= spans[:, :1]) & (middle < spans[:, 1:]) & moments.is_real).float()
    before, after = functional.pad(best, (1, 0))[:, :-1], functional.pad(best, (0, 1))[:, 1:]
    told = (
        moments.inside.sigmoid() * moments.is_real,
        best_score_at(moments, middle) * moments.is_real,
        *(best, best * (1 - before), best * (1 - after)),
        moments.present.sigmoid()[:, None].expand_as(best) * moments.is_real,
    )
    return torch.stack(told, dim=-1)


def best_score_at(moments: Moments, middle: Tensor) -> Tensor:
    """float32 `[S, N]`: the score of the best span that holds each of the times `[S, N]` seconds."""
    proposals, middle = moments.proposals, middle[:, None]
    within = (middle >= proposals.spans[..., :1]) & (middle < proposals.spans[..., 1:])  # `[S, P, N]`
    return ((proposals.logits.sigmoid() * proposals.is_real)[..., None] * within).amax(1)


def place_of(spans: Tensor, tokens: VisualTokens, video: Tensor) -> Tensor:
    """`[S, ..., 2]`: where spans `[S, ..., 2]` seconds are in their videos `[S]`, from 0 to 1."""
    first = tokens.spans.float()[video, :1, 0]
    ends = tokens.spans.float()[..., 1].gather(1, (tokens.lengths - 1).clamp(min=0)[:, None])[video]
    wide = (len(spans), *[1] * (spans.ndim - 1))
    return (spans - first.view(wide)) / (ends - first).view(wide).clamp(min=1e-6)


@dataclass(frozen=True)
class Look:
    """What the head says of S questions; judged: float32 `[K]`, a logit of each of their options, None without any."""

    moments: Moments
    judged: Tensor | None


@dataclass(frozen=True)
class LiteOutput:
    """What one pass came to; losses and moments are computed when they are asked for."""

    model: LiteModel
    tokens: VisualTokens
    reading: Reading
    hidden: Tensor  # `[S, L, C]`
    known: Known | None = None  # of the questions and of all that follows them

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

    def moments(self) -> Moments:
        """What the head makes of it."""
        if not self.model.config.hears:
            return self._unread.moments
        video = self.reading.video
        is_real = self.tokens.mask[video]
        first, most = self.model.first_row, is_real.shape[1]
        rows = self.model.is_row(self.tokens, self.reading)
        places = self.hidden.new_zeros(*rows.shape, self.hidden.shape[-1])
        places = places.masked_scatter(rows[..., None], self.hidden[self.reading.is_visual])
        places = places[:, first : first + most] * is_real[..., None]
        asked = self.hidden[torch.arange(len(video), device=video.device), self.reading.last_asked]
        visual = self.tokens.features.squeeze(2)[video]
        seconds = self.tokens.spans.float()[video]
        known = None if self.known is None else self.known.first(len(video))
        return self.model.head(places, visual.to(places.dtype), asked, seconds, is_real, known)

    def judged(self) -> Tensor | None:
        """float32 `[K]`, a logit of each option, None where there are none; nothing of it is read."""
        return self._unread.judged

    @cached_property
    def _unread(self) -> Look:
        return self.model._look(self.tokens, self.reading, self.known)
