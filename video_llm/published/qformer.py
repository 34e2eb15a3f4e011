"""The Q-Former (BLIP-2, Li et al. 2023, arXiv 2301.12597): learned queries that gather what a vision tower saw.

BERT-base whose even layers let the queries, and only them, attend to the tower. Queries and a text share self-attention
and have feed-forward layers of their own. Names are those of the published files, under `Qformer.` or `qformer.`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EPS = 1e-12
HEAD = 64  # channels of a head of BERT-base (768 / 12), which no shape tells


@dataclass(frozen=True)
class QFormerConfig:
    """Its shape. tower_width: of what it looks at. words, positions: rows of BERT's tables, 0 without a text."""

    width: int
    layers: int
    inner: int
    tower_width: int
    cross_layers: tuple[int, ...]
    words: int = 0
    positions: int = 0

    @classmethod
    def of(cls, state: Mapping[str, Tensor]) -> "QFormerConfig":
        """Read off the shapes; names as after `Qformer.`. Raises KeyError where a telling one is missing."""
        layers = {int(name.split(".")[3]) for name in state if name.startswith("bert.encoder.layer.")}
        if not layers:
            raise KeyError("bert.encoder.layer.0")
        key = "bert.encoder.layer.{}.crossattention.self.key.weight"
        crossing = tuple(layer for layer in sorted(layers) if key.format(layer) in state)
        if not crossing:
            raise KeyError(key.format(0))
        words = state.get("bert.embeddings.word_embeddings.weight")
        width, tower_width = state[key.format(crossing[0])].shape
        return cls(
            width=width,
            layers=max(layers) + 1,
            inner=len(state["bert.encoder.layer.0.intermediate_query.dense.weight"]),
            tower_width=tower_width,
            cross_layers=crossing,
            words=0 if words is None else len(words),
            positions=0 if words is None else len(state["bert.embeddings.position_embeddings.weight"]),
        )


class Heads(nn.Module):
    """Query, key and value of one attention."""

    def __init__(self, width: int, seen_width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(seen_width, width)
        self.value = nn.Linear(seen_width, width)

    def forward(self, x: Tensor, seen: Tensor, mask: Tensor | None) -> Tensor:
        """x `[K, L, C]`, seen `[K, N, E]`, mask bool `[K, N]` of what may be looked at. Returns `[K, L, C]`."""
        heads = max(1, x.shape[-1] // HEAD)
        q, k, v = (
            made.unflatten(-1, (heads, -1)).transpose(1, 2)
            for made in (self.query(x), self.key(seen), self.value(seen))
        )
        where = None if mask is None else mask[:, None, None]
        return F.scaled_dot_product_attention(q, k, v, attn_mask=where).transpose(1, 2).flatten(2)


class Added(nn.Module):
    """LayerNorm(dense(made) + x): what ends every sublayer of BERT."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.dense = nn.Linear(inner, width)
        self.LayerNorm = nn.LayerNorm(width, eps=EPS)

    def forward(self, made: Tensor, x: Tensor) -> Tensor:
        return self.LayerNorm(self.dense(made) + x)


class Dense(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, inner)


class Layer(nn.Module):
    def __init__(self, config: QFormerConfig, crosses: bool) -> None:
        super().__init__()
        width, inner = config.width, config.inner
        self.attention = nn.ModuleDict({"self": Heads(width, width), "output": Added(width, width)})
        self.crossattention = (
            nn.ModuleDict({"self": Heads(width, config.tower_width), "output": Added(width, width)})
            if crosses
            else None
        )
        self.intermediate_query, self.output_query = Dense(width, inner), Added(width, inner)
        if config.words:
            self.intermediate, self.output = Dense(width, inner), Added(width, inner)

    def forward(self, x: Tensor, queries: int, seen: Tensor, mask: Tensor | None) -> Tensor:
        x = self.attention["output"](self.attention["self"](x, x, mask), x)
        asking, text = x[:, :queries], x[:, queries:]
        if self.crossattention is not None:
            asking = self.crossattention["output"](self.crossattention["self"](asking, seen, None), asking)
        asking = self.output_query(F.gelu(self.intermediate_query.dense(asking)), asking)
        if not text.shape[1]:
            return asking
        return torch.cat([asking, self.output(F.gelu(self.intermediate.dense(text)), text)], dim=1)


class Embeddings(nn.Module):
    def __init__(self, config: QFormerConfig) -> None:
        super().__init__()
        if config.words:
            self.word_embeddings = nn.Embedding(config.words, config.width)
            self.position_embeddings = nn.Embedding(config.positions, config.width)
        self.LayerNorm = nn.LayerNorm(config.width, eps=EPS)


class Bert(nn.Module):
    def __init__(self, config: QFormerConfig) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        layers = [Layer(config, number in config.cross_layers) for number in range(config.layers)]
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(layers)})


class QFormer(nn.Module):
    def __init__(self, config: QFormerConfig) -> None:
        super().__init__()
        self.config = config
        self.bert = Bert(config)

    def forward(
        self, queries: Tensor, seen: Tensor, text: Tensor | None = None, text_mask: Tensor | None = None
    ) -> Tensor:
        """queries `[1, Q, C]`, seen `[K, N, E]`, text int64 `[K, L]` with mask bool `[K, L]`. Returns `[K, Q, C]`.

        The text has positions 0, 1, ... from its first column, padding or not, as in the published models; queries have
        none.
        """
        x = queries.expand(len(seen), -1, -1)
        mask = None
        if text is not None and text_mask is not None:
            place = torch.arange(text.shape[1], device=text.device)
            words = self.bert.embeddings.word_embeddings(text) + self.bert.embeddings.position_embeddings(place)
            x = torch.cat([x, words], dim=1)
            mask = torch.cat([text_mask.new_ones(len(seen), queries.shape[1]), text_mask], dim=1)
        x = self.bert.embeddings.LayerNorm(x)
        count = queries.shape[1]
        for layer in cast(nn.ModuleList, self.bert.encoder["layer"]):
            x = layer(x, count, seen, mask)
        return x[:, :count]
