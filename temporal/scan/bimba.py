"""Scan, then select: the token compressor of BIMBA (Islam et al. 2025, arXiv 2503.09590, section 3.2).

Queries, which are pooled video tokens, stand evenly among the tokens of the whole video; bidirectional Mamba blocks let
them collect what is around and far from them; the queries alone are kept.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from tvu.temporal.scan.bidirectional import BidirectionalMamba
from tvu.temporal.scan.mamba import Mamba, MambaConfig
from tvu.temporal.types import VisualTokens


class MambaCompressor(nn.Module):
    """Queries that have read all tokens of a video; parameter names are the official ones.

    mixer:         sizes of every block. depth: blocks; the published model has one.
    multi_scale:   every second frame of the video tokens, from the first on, goes on to the next block.
    bidirectional: blocks look both ways, as in the published model (`bimamba`).
    norm, residual: RMSNorm before a mixer and the sum after it, as in the published model (`use_norm`, `use_res`).

    The official code can put queries to the right of all tokens instead (`query_pos="right"`), but fails there on a
    name it never sets: left out.
    """

    def __init__(
        self,
        mixer: MambaConfig,
        depth: int = 1,
        *,
        multi_scale: bool = True,
        bidirectional: bool = True,
        norm: bool = True,
        residual: bool = True,
    ) -> None:
        super().__init__()
        self.multi_scale = multi_scale
        self.layers = nn.ModuleList(_Block(mixer, bidirectional, norm, residual) for _ in range(depth))

    def forward(self, tokens: Tensor, queries: Tensor) -> Tensor:
        """tokens `[B, T, N, C]` of the video, queries `[B, F, K, C]`: F slots of K. Returns `[B, F, K, C]`."""
        shape, per_frame = queries.shape, tokens.shape[2]
        queries = queries.flatten(1, 2)
        for layer in self.layers:
            tokens = tokens.flatten(1, 2)
            of_queries, of_tokens = (
                places.to(tokens.device) for places in interleave(tokens.shape[1], queries.shape[1])
            )
            mixed = torch.cat([queries, tokens], dim=1).index_select(1, torch.cat([of_queries, of_tokens]).argsort())
            mixed = layer(mixed)
            queries, tokens = mixed[:, of_queries], mixed[:, of_tokens].unflatten(1, (-1, per_frame))
            if self.multi_scale:
                tokens = tokens[:, ::2]
        return queries.reshape(shape)

    def compress(self, tokens: VisualTokens, queries: VisualTokens) -> VisualTokens:
        """The queries, a reduction of the same videos, after reading `tokens`.

        A query keeps the span and the source of what it was pooled from: it has looked at the whole video, and stands
        for its own place in it. Videos of a batch are read one by one, so that none sees padding.
        """
        features = torch.zeros_like(queries.features)
        for row, (length, kept) in enumerate(zip(tokens.lengths.tolist(), queries.lengths.tolist(), strict=True)):
            features[row, :kept] = self(
                tokens.features[row : row + 1, :length], queries.features[row : row + 1, :kept]
            )[0]
        return replace(queries, features=features)


def interleave(num_tokens: int, num_queries: int) -> tuple[Tensor, Tensor]:
    """Places of the queries and of the tokens in their joint sequence, int64, ascending.

    Queries stand at num_queries + 1 whole numbers, evenly from the first place to the last, without the first: the last
    place is a query's. Raises ValueError without a token or a query, where places would coincide.
    """
    if num_tokens < 1 or num_queries < 1:
        raise ValueError(f"{num_queries} queries do not stand among {num_tokens} tokens")
    length = num_tokens + num_queries
    # An integer linspace truncates, and counts its second half from the end: part of the official rule.
    of_queries = torch.linspace(0, length - 1, num_queries + 1, dtype=torch.int64)[1:]
    is_token = torch.ones(length, dtype=torch.bool)
    is_token[of_queries] = False
    return of_queries, is_token.nonzero()[:, 0]


class _Block(nn.Module):
    def __init__(self, config: MambaConfig, bidirectional: bool, norm: bool, residual: bool) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(config.d_model, eps=1e-6) if norm else nn.Identity()
        self.mixer = BidirectionalMamba(config) if bidirectional else Mamba(config)
        self.residual = residual
        if isinstance(self.mixer, BidirectionalMamba):
            with torch.no_grad():  # the backward A starts with ones on its diagonal, as in VideoMambaPro
                self.mixer.A_b_log.fill_diagonal_(0)

    def forward(self, x: Tensor) -> Tensor:
        mixed = self.mixer(self.norm(x))
        return x + mixed if self.residual else mixed
