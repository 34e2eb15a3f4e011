"""TimeSuite's token shuffle: neighbours side by side on the channels, then one projection (arXiv 2410.19702)."""

import torch
from torch import Tensor, nn

from tvu.temporal.reduction.means import mean_over_frames, without_padding
from tvu.temporal.tape import TemporalAdapter
from tvu.temporal.types import VisualTokens


class TokenShuffle(nn.Module):
    """`merge_len` consecutive tokens into one: concatenated on channels, projected by `merge_proj`.

    adapter: a TAPE whose output is added (official key `temp_adap`); None leaves it out, as in training stage 1.

    Tokens come as the official bridge gives them: T clips of N query outputs, C channels. They keep that order, and
    N % merge_len == 0 keeps the neighbours within a clip (ValueError otherwise).
    """

    def __init__(self, merge_len: int, channels: int, width: int, adapter: TemporalAdapter | None = None) -> None:
        super().__init__()
        if merge_len < 1:
            raise ValueError(f"a shuffle merges 1 token or more, not {merge_len}")
        self.merge_len = merge_len
        self.merge_proj = nn.Linear(merge_len * channels, width)
        self.temp_adap = adapter

    @classmethod
    def from_projection(
        cls, projection: nn.Linear, merge_len: int, adapter: TemporalAdapter | None = None
    ) -> "TokenShuffle":
        """A shuffle that starts as `projection` of the mean of `merge_len` neighbours: W = [P ... P] / merge_len.

        The bias is copied, where the official code lets both layers share one tensor.
        """
        shuffle = cls(merge_len, projection.in_features, projection.out_features, adapter)
        shuffle.merge_proj.to(projection.weight)
        with torch.no_grad():
            shuffle.merge_proj.weight.copy_(projection.weight.repeat(1, merge_len) / merge_len)
            shuffle.merge_proj.bias.copy_(projection.bias)
        return shuffle

    def merge(self, x: Tensor, lengths: Tensor) -> Tensor:
        """x `[B, L, C]`, lengths `[B]` real tokens. Returns `[B, L / merge_len, width]`, zeros in the padding."""
        beside = without_padding(x, lengths).unflatten(1, (-1, self.merge_len)).flatten(2)
        merged = self.merge_proj(beside)
        if self.temp_adap is not None:
            merged = merged + self.temp_adap(x, lengths)
        return without_padding(merged, lengths // self.merge_len)

    def still(self, x: Tensor) -> Tensor:
        """A still image: every token beside itself, so none is lost and time adds nothing.

        x `[B, L, C]`. Returns `[B, L, width]`.
        """
        return self.merge_proj(x.repeat(1, 1, self.merge_len))

    def forward(self, tokens: VisualTokens) -> VisualTokens:
        """`[B, T, N, C]` to `[B, T, N / merge_len, width]` on a (1, N / merge_len) grid."""
        clips, queries = tokens.features.shape[1:3]
        if queries % self.merge_len:
            raise ValueError(f"{queries} tokens a clip are not groups of {self.merge_len}")
        flat = tokens.flatten()
        merged = self.merge(flat.features.squeeze(2), flat.lengths)
        sources = mean_over_frames(flat.sources, flat.lengths, self.merge_len)
        left = queries // self.merge_len
        return VisualTokens(
            features=merged.unflatten(1, (clips, left)),
            spans=without_padding(tokens.spans, tokens.lengths),
            grid=(1, left),
            sources=sources.reshape(-1, clips, left, 3),
            lengths=tokens.lengths,
        )
