"""TAN: which sentences of a narration are seen at all, and when (Han et al., CVPR 2022, arXiv 2204.02968)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tvu.temporal.alignment.similarity import TEMPERATURE, UnitVectors, mask_padding, silence_padding, unit
from tvu.temporal.alignment.windows import Window, stitch
from tvu.temporal.alignment.word_vectors import Word2VecText

ALIGNABILITY_STAGE = 2
"""The stage of the joint encoder whose alignability is read: the official code found the third to work best."""


@dataclass(frozen=True)
class TanConfig:
    """Sizes and options of an aligner; the defaults are those of the published file ("E6D6").

    encoder_layers:    blocks over the video alone, at least one.
    decoder_layers:    blocks over video and texts together, at least one.
    video_width:       C of the video features (S3D of MIL-NCE: 1024).
    text_width:        C of the sentence vectors (word2vec tower: 512, BERT: 768).
    width:             channels inside; 512 in every published file.
    heads:             attention heads.
    positions:         rows of the tables of positions.
    pos_enc:           table of video positions: "learned", or "sine" for fixed ones.
    use_text_pos_enc:  whether texts carry their place in the list into the joint encoder.
    random_pos_start:  whether, in training, a table is read from a random row in [0, half the length). The official
                       class does so by default and even in evaluation, where its answers change from call to call;
                       here it is off by default and never on in evaluation.
    alignability_head: whether a linear head says if a text is seen in the video at all.
    """

    encoder_layers: int = 6
    decoder_layers: int = 6
    video_width: int = 1024
    text_width: int = 512
    width: int = 512
    heads: int = 8
    positions: int = 1024
    pos_enc: str = "learned"
    use_text_pos_enc: bool = False
    random_pos_start: bool = False
    alignability_head: bool = True

    def __post_init__(self) -> None:
        if self.encoder_layers < 1 or self.decoder_layers < 1:
            raise ValueError(f"{self.encoder_layers} + {self.decoder_layers} layers: each encoder needs one")
        if self.width % 2 or self.width % self.heads:
            raise ValueError(f"width {self.width} is not even, or not a multiple of {self.heads} heads")
        if self.pos_enc not in ("learned", "sine"):
            raise ValueError(f"positions are learned or sine, not {self.pos_enc!r}")


@dataclass(frozen=True)
class TanOutput:
    """What the two encoders make of B videos; the last stage is the answer, every stage is trained.

    A stage is the normed input of every block but the first, and the normed output of the last.

    dual:               video encoder against texts that have seen no video; L = encoder_layers stages.
    joint:              video and texts that have seen each other; L = decoder_layers stages.
    dual_alignability:  `[B, S]` logits (None without the head).
    joint_alignability: `[L, B, S]` logits (None without the head).
    """

    dual: UnitVectors
    joint: UnitVectors
    dual_alignability: Tensor | None
    joint_alignability: Tensor | None


class TemporalAligner(nn.Module):
    """A dual encoder, which finds texts fast, and a joint encoder, which lets video and texts look at each other.

    The names of parameters are those of the official files. Features are cast to the dtype of the weights, in which
    everything is returned. The published model saw windows of 64 features, one per second.
    """

    temporal_pos_embed: Tensor

    def __init__(self, config: TanConfig = TanConfig(), words: Word2VecText | None = None) -> None:
        """words: the tower that makes sentence vectors, as `bert`, its name in the official files whatever it is."""
        super().__init__()
        width = config.width
        self.config = config
        if words is not None:
            self.bert = words
        self.video_temporal_encoder = _TemporalEncoder(width, config.encoder_layers, config.heads)
        self.joint_temporal_encoder = _TemporalEncoder(width, config.decoder_layers, config.heads)
        self.video_pre_proj = nn.Linear(config.video_width, width, bias=False)
        self.text_pre_proj = nn.Linear(config.text_width, width, bias=False)
        self.ln_text_init = nn.LayerNorm(width)
        self.ln_video_init = nn.LayerNorm(width)
        self.ln_position_init = nn.LayerNorm(width)
        self.ln_video_post_enc = nn.LayerNorm(width)
        self.ln_joint_post_enc = nn.LayerNorm(width)
        if config.pos_enc == "learned":
            self.temporal_pos_embed = nn.Parameter(torch.empty(config.positions, width).normal_(std=0.01))
        else:
            self.register_buffer("temporal_pos_embed", _sine_table(config.positions, width))
        self.text_temporal_pos_embed = nn.Parameter(torch.empty(config.positions, width).normal_(std=0.01))
        self.mlp = nn.Linear(width, width)  # read by nothing; the official files carry it
        if config.alignability_head:
            self.binary_head = nn.Linear(width, 1)
        self._initialise()

    def forward(
        self,
        video: Tensor,
        text: Tensor,
        video_padding: Tensor | None = None,
        text_padding: Tensor | None = None,
        *,
        interpolate_video_from: int | None = None,
        interpolate_text_from: int | None = None,
    ) -> TanOutput:
        """Both encoders, for training and for official numbers.

        video: `[B, T, video_width]`, padding `[B, T]` bool; text: `[B, S, text_width]`, padding `[B, S]` bool.
        Padding is not attended to, but must be finite, and what is said of it means nothing.
        interpolate_*_from: that many rows of the table, stretched linearly over the length (half-pixel centres), in
        place of one row per position: a whole video in one pass, of any length.
        Raises ValueError if a table of positions is too short.
        """
        dtype = self.video_pre_proj.weight.dtype
        frames = self.ln_video_init(self.video_pre_proj(video.to(dtype)))
        texts = self.ln_text_init(self.text_pre_proj(text.to(dtype)))
        placed = frames + self._positions(self.temporal_pos_embed, video.shape[1], interpolate_video_from)
        dual_video = self.video_temporal_encoder(placed, video_padding, self.ln_video_post_enc)

        # the official class draws the random start anew for each encoder
        placed = frames + self._positions(self.temporal_pos_embed, video.shape[1], interpolate_video_from)
        said = texts
        if self.config.use_text_pos_enc:
            said = texts + self._positions(self.text_temporal_pos_embed, text.shape[1], interpolate_text_from)
        hidden = None
        if video_padding is not None or text_padding is not None:
            hidden = torch.cat((_mask_of(video, video_padding), _mask_of(text, text_padding)), dim=1)
        joint = self.joint_temporal_encoder(torch.cat((placed, said), dim=1), hidden, self.ln_joint_post_enc)
        joint_video, joint_text = joint.split((video.shape[1], text.shape[1]), dim=2)

        has_head = self.config.alignability_head
        return TanOutput(
            UnitVectors(unit(texts).expand(len(dual_video), -1, -1, -1), unit(dual_video)),
            UnitVectors(unit(joint_text), unit(joint_video)),
            self.binary_head(texts).squeeze(-1) if has_head else None,
            self.binary_head(joint_text).squeeze(-1) if has_head else None,
        )

    def align(
        self, video: Tensor, text: Tensor, video_padding: Tensor | None = None, text_padding: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """How well each text fits each frame, and whether it is seen at all, in one pass over at most 1024 frames.

        Arguments as in `forward`; whatever the padding holds, NaN too, the answer is that of the unpadded video.
        Returns `[B, S, T]`, the mean of both encoders' cosines over 0.07, MASKED at padding, and `[B, S]`, the joint
        encoder's alignability logit (None without the head).
        """
        frames, frames_hidden = silence_padding(video, video_padding)
        texts, texts_hidden = silence_padding(text, text_padding)
        output = self(frames, texts, frames_hidden, texts_hidden)
        logits = (output.dual.cosine()[-1] + output.joint.cosine()[-1]) / (2 * TEMPERATURE)
        alignability = output.joint_alignability
        if alignability is not None:
            alignability = alignability[min(ALIGNABILITY_STAGE, len(alignability) - 1)]
        return mask_padding(logits, video_padding, text_padding), alignability

    def align_in_windows(self, video: Tensor, text: Tensor, windows: Sequence[Window]) -> tuple[Tensor, Tensor | None]:
        """A video of any length, seen in windows of 64 frames: the way the published numbers were made.

        video `[T, video_width]`, text `[S, text_width]`; windows from `windows_by_time` where the texts have times,
        else from `sliding_windows`. Returns `[S, T]` logits averaged by coverage, MASKED where no window looked, and
        `[S]` alignability likewise, 0 where no window looked (None without the head).
        """
        seen = []
        for window in windows:
            frames, texts = (slice(part.start, part.stop) for part in (window.frames, window.texts))
            seen.append(self.align(video[None, frames], text[None, texts]))
        logits = stitch(windows, [logits[0] for logits, _ in seen], len(text), len(video))
        if not self.config.alignability_head:
            return logits, None
        per_text = [Window(range(1), window.texts) for window in windows]
        votes = [votes[0, :, None] for _, votes in seen if votes is not None]
        return logits, stitch(per_text, votes, len(text), 1, uncovered=0.0)[:, 0]

    def _positions(self, table: Tensor, length: int, interpolate_from: int | None) -> Tensor:
        """`[1, length, width]`: rows of the table, normed."""
        if interpolate_from:
            source = table[None, :interpolate_from].transpose(1, 2)
            rows = F.interpolate(source, size=length, mode="linear", align_corners=False).transpose(1, 2)
        elif length > len(table):
            raise ValueError(f"a table of {len(table)} positions for a length of {length}")
        else:
            start = 0
            if self.training and self.config.random_pos_start:
                start = int(torch.randint(max(1, min(length // 2, len(table) - length)), ()))
            rows = table[None, start : start + length]
        return self.ln_position_init(rows)

    def _initialise(self) -> None:
        width = self.config.width
        linears = [self.video_pre_proj, self.text_pre_proj, self.mlp]
        for linear in [*linears, *([self.binary_head] if self.config.alignability_head else [])]:
            nn.init.normal_(linear.weight, std=0.01)
            if linear.bias is not None:
                nn.init.zeros_(linear.bias)
        onto_stream = (2 * width * self.config.decoder_layers) ** -0.5
        for block in [*self.video_temporal_encoder.resblocks, *self.joint_temporal_encoder.resblocks]:
            nn.init.normal_(block.attn.in_proj_weight, std=width**-0.5)
            nn.init.normal_(block.attn.out_proj.weight, std=onto_stream)
            nn.init.normal_(block.mlp.c_fc.weight, std=(2 * width) ** -0.5)
            nn.init.normal_(block.mlp.c_proj.weight, std=onto_stream)


class _TemporalEncoder(nn.Module):
    def __init__(self, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(_PreNormBlock(width, heads) for _ in range(layers))

    def forward(self, x: Tensor, padding: Tensor | None, last_norm: nn.LayerNorm) -> Tensor:
        """`[L, B, X, width]`: the stages of `[B, X, width]`."""
        stages = []
        for block in self.resblocks:
            x, normed_input = block(x, padding)
            stages.append(normed_input)
        return torch.stack([*stages[1:], last_norm(x)])


class _PreNormBlock(nn.Module):
    """A block as in CLIP."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_1 = nn.LayerNorm(width)
        self.mlp = _QuickGeluNetwork(width)
        self.ln_2 = nn.LayerNorm(width)

    def forward(self, x: Tensor, padding: Tensor | None) -> tuple[Tensor, Tensor]:
        """`[B, X, width]` after the block, and its input after the first norm."""
        normed = self.ln_1(x)
        seen, _ = self.attn(normed, normed, normed, key_padding_mask=padding, need_weights=False)
        x = x + seen
        return x + self.mlp(self.ln_2(x)), normed


class _QuickGeluNetwork(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width)
        self.c_proj = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.c_fc(x)
        return self.c_proj(hidden * torch.sigmoid(1.702 * hidden))


def _sine_table(rows: int, width: int) -> Tensor:
    """`[rows, width]`: positions spread over one turn, sines and cosines interleaved; float32 steps as official."""
    angle = torch.arange(rows) / (torch.tensor([rows - 1]) + 1e-6) * (2 * math.pi)
    channel = torch.arange(width, dtype=torch.float32)
    angles = angle[:, None] / 10_000 ** (2 * (channel // 2) / width)
    return torch.stack((angles[:, 0::2].sin(), angles[:, 1::2].cos()), dim=2).flatten(1)


def _mask_of(features: Tensor, padding: Tensor | None) -> Tensor:
    return features.new_zeros(features.shape[:2], dtype=torch.bool) if padding is None else padding
