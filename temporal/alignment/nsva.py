"""NSVA: narrations or steps find their second in a whole video (Li et al., arXiv 2312.14055, ECCV 2024)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tvu.temporal.alignment.similarity import TEMPERATURE, UnitVectors, mask_padding, silence_padding, unit
from tvu.temporal.alignment.windows import sliding_windows, stitch

BACKBONE_WIDTHS = {"internvideo": 768, "CLIP": 768, "S3D": 512}
"""Width of the features of video and text, by the name that the official configuration gives their backbone."""


@dataclass(frozen=True)
class NsvaConfig:
    """Sizes of an aligner; the defaults are those of the published files.

    feature_width:    C of the video and text features: see BACKBONE_WIDTHS.
    width:            channels inside; even, and a multiple of `heads`.
    similarity_width: D of the space in which texts and frames are compared.
    heads:            attention heads.
    encoder_layers:   layers over the video; 0 leaves it as projected.
    decoder_layers:   layers over the texts, at least one; each gives a similarity of its own.
    feedforward:      hidden width of the two-layer networks.
    dropout:          probability, in training only.
    max_frames:       rows of the fixed table of video positions.
    max_texts:        rows of the learned table of text positions.
    """

    feature_width: int = 768
    width: int = 256
    similarity_width: int = 64
    heads: int = 8
    encoder_layers: int = 3
    decoder_layers: int = 3
    feedforward: int = 2048
    dropout: float = 0.1
    max_frames: int = 5000
    max_texts: int = 1024

    def __post_init__(self) -> None:
        if self.width % 2 or self.width % self.heads:
            raise ValueError(f"width {self.width} is not even, or not a multiple of {self.heads} heads")
        if self.encoder_layers < 0 or self.decoder_layers < 1:
            raise ValueError(
                f"{self.encoder_layers} encoder and {self.decoder_layers} decoder layers give no similarity"
            )


class NsvaAligner(nn.Module):
    """Video seconds attend to each other; texts attend to each other and to the video; cosines say what is when.

    The names of parameters are those of the official files (`NSVA_narration.pth`: ordered texts, `NSVA_step.pth`:
    unordered). A position is added where attention compares (queries and keys), never to what it carries (values):
    the rule of DETR. No norm closes the video encoder; one norm serves every decoder layer.

    Features are cast to the dtype of the weights, in which everything is returned. The published features come one per
    second, un-normalised; what a frame stands for is told to `decode`, not to the model.
    """

    def __init__(self, config: NsvaConfig = NsvaConfig()) -> None:
        super().__init__()
        width = config.width
        self.config = config
        self.visual_proj = nn.Sequential(nn.Linear(config.feature_width, width), nn.LayerNorm(width))
        self.text_proj = nn.Sequential(nn.Linear(config.feature_width, width), nn.LayerNorm(width))
        self.visual_pos_enc = _SinePositions(config.max_frames, width)
        self.text_pos_enc = nn.Embedding(config.max_texts, width)
        self.visual_encoder = _VideoEncoder(config)
        self.decoder = _TextDecoder(config)
        self.v_sim_proj = nn.Linear(width, config.similarity_width)
        self.t_sim_proj = nn.Linear(width, config.similarity_width)
        # The official files carry these two heads, which nothing trains and nothing reads.
        self.alignable_head = nn.Linear(width, 2)
        self.timestamp_head = nn.Sequential(_LayerList([nn.Linear(width, 128), nn.Linear(128, 128), nn.Linear(128, 1)]))
        self.apply(_initialise)

    def forward(
        self,
        video: Tensor,
        text: Tensor,
        video_padding: Tensor | None = None,
        text_padding: Tensor | None = None,
        *,
        ordered: bool,
    ) -> UnitVectors:
        """Texts after each of L decoder layers, and the video, as unit vectors; for training, and for official numbers.

        video:   `[B, T, C]`, T at most `max_frames`; padding `[B, T]` bool, true where there is no frame.
        text:    `[B, S, C]`, at most `max_texts` if ordered; padding `[B, S]` bool.
        ordered: whether the texts come in the order they were said (narrations): their places in the list are then told
                 to the model. Without it (steps), permuting the texts permutes the answer and nothing else.

        Padding is not attended to, but must be finite, and its own similarities mean nothing: `align` cares for both.
        Raises ValueError if a table of positions is too short.
        """
        num_frames, num_texts = video.shape[1], text.shape[1]
        if num_frames > self.config.max_frames or (ordered and num_texts > self.config.max_texts):
            raise ValueError(f"no positions for {num_frames} frames or {num_texts} texts")
        dtype = self.v_sim_proj.weight.dtype
        when = self.visual_pos_enc.pe[:, :num_frames]
        place = self.text_pos_enc.weight[:num_texts] if ordered else 0
        frames = self.visual_encoder(self.visual_proj(video.to(dtype)), when, video_padding)
        texts = self.decoder(self.text_proj(text.to(dtype)), place, text_padding, frames, when, video_padding)
        video_unit = unit(self.v_sim_proj(frames))  # [B, T, D]
        return UnitVectors(unit(self.t_sim_proj(texts)), video_unit.expand(len(texts), -1, -1, -1))

    def align(
        self,
        video: Tensor,
        text: Tensor,
        video_padding: Tensor | None = None,
        text_padding: Tensor | None = None,
        *,
        ordered: bool,
    ) -> Tensor:
        """How well each text fits each frame: `[B, S, T]`, cosine / 0.07 of the last layer, MASKED at padding.

        Arguments as in `forward`; whatever the padding holds, NaN too, the answer is that of the unpadded video. A
        video that outgrows the table of positions (5000 frames) is seen in windows of 1200 frames, the longest that
        training saw, every 600, their logits averaged: an official rule does not exist.
        """
        text, text_hidden = silence_padding(text, text_padding)
        num_texts, num_frames = text.shape[1], video.shape[1]
        length = hop = num_frames
        if num_frames > self.config.max_frames:
            length, hop = min(1200, self.config.max_frames), min(1200, self.config.max_frames) // 2
        windows = sliding_windows(num_frames, num_texts, length, hop)

        def seen(frames: range) -> Tensor:
            inside = slice(frames.start, frames.stop)
            part, hidden = silence_padding(
                video[:, inside], None if video_padding is None else video_padding[:, inside]
            )
            return self(part, text, hidden, text_hidden, ordered=ordered).cosine()[-1] / TEMPERATURE

        logits = stitch(windows, (seen(window.frames) for window in windows), num_texts, num_frames)
        return mask_padding(logits, video_padding, text_padding)


class _SinePositions(nn.Module):
    """`pe` `[1, rows, width]`: sines and cosines of the position, interleaved (Vaswani et al. 2017, section 3.5)."""

    pe: Tensor

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        # Computed in float32 step by step like the official table: other roundings show beyond a hundred seconds.
        frequency = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10_000.0) / width))
        angle = torch.arange(rows, dtype=torch.float32)[:, None] * frequency
        self.register_buffer("pe", torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1)[None])


class _LayerList(nn.Module):
    """Layers under the name `layers`, as the official keys want them."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)


class _PostNormLayer(nn.Module):
    """What video and text layers share; every sub-layer is added to its input and the sum is normed."""

    def __init__(self, config: NsvaConfig) -> None:
        super().__init__()
        self.self_attn = _attention(config)
        self.linear1 = nn.Linear(config.width, config.feedforward)
        self.linear2 = nn.Linear(config.feedforward, config.width)
        self.norm1 = nn.LayerNorm(config.width)
        self.norm2 = nn.LayerNorm(config.width)
        self.dropout = nn.Dropout(config.dropout)

    def attend_to_self(self, x: Tensor, position: Tensor | int, padding: Tensor | None) -> Tensor:
        placed = x + position
        seen, _ = self.self_attn(placed, placed, x, key_padding_mask=padding, need_weights=False)
        return self.norm1(x + self.dropout(seen))

    def feed_forward(self, x: Tensor) -> Tensor:
        return x + self.dropout(self.linear2(self.dropout(self.linear1(x).relu())))


class _VideoLayer(_PostNormLayer):
    def forward(self, video: Tensor, when: Tensor, padding: Tensor | None) -> Tensor:
        return self.norm2(self.feed_forward(self.attend_to_self(video, when, padding)))


class _TextLayer(_PostNormLayer):
    def __init__(self, config: NsvaConfig) -> None:
        super().__init__(config)
        self.multihead_attn = _attention(config)
        self.norm3 = nn.LayerNorm(config.width)

    def forward(
        self,
        text: Tensor,
        place: Tensor | int,
        text_padding: Tensor | None,
        video: Tensor,
        when: Tensor,
        video_padding: Tensor | None,
    ) -> Tensor:
        text = self.attend_to_self(text, place, text_padding)
        seen, _ = self.multihead_attn(
            text + place, video + when, video, key_padding_mask=video_padding, need_weights=False
        )
        text = self.norm2(text + self.dropout(seen))
        return self.norm3(self.feed_forward(text))


class _VideoEncoder(nn.Module):
    def __init__(self, config: NsvaConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_VideoLayer(config) for _ in range(config.encoder_layers))

    def forward(self, video: Tensor, when: Tensor, padding: Tensor | None) -> Tensor:
        for layer in self.layers:
            video = layer(video, when, padding)
        return video


class _TextDecoder(nn.Module):
    def __init__(self, config: NsvaConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_TextLayer(config) for _ in range(config.decoder_layers))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, text: Tensor, *context: Tensor | int | None) -> Tensor:
        """`[L, B, S, width]`: the texts after every layer, normed."""
        stages = []
        for layer in self.layers:
            text = layer(text, *context)
            stages.append(self.norm(text))
        return torch.stack(stages)


def _attention(config: NsvaConfig) -> nn.MultiheadAttention:
    return nn.MultiheadAttention(config.width, config.heads, config.dropout, batch_first=True)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.trunc_normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
