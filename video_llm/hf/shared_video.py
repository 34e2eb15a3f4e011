"""Many rows after one video: what was read of the video is held once, and rows of one length are stepped together."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch
from torch import Tensor
from transformers import Cache
from transformers.cache_utils import DynamicLayer

from tvu.video_llm.generation.language import Prefix
from tvu.video_llm.generation.transformers_decoder import cache_argument

Layers = tuple[tuple[Tensor, Tensor], ...]
"""Keys and values of every layer, `[R, H, S, D]`."""


def layers_of(cache: Any) -> Layers:
    """What a dynamic cache holds. Tensors are never written to again: whoever adds to them makes new ones."""
    return tuple((layer.keys, layer.values) for layer in cache.layers)


class _Behind(DynamicLayer):
    """The memory of one layer: rows of their own behind one prefix of all of them.

    The prefix is put before the rows only while the layer attends, so its copies live for one layer at a time.
    """

    def __init__(self, before: tuple[Tensor, Tensor], own: tuple[Tensor, Tensor]) -> None:
        super().__init__()
        self._before = before
        self.keys, self.values = own
        self.device, self.dtype = own[0].device, own[0].dtype
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        keys = self.keys = torch.cat([cast(Tensor, self.keys), key_states], dim=-2)
        values = self.values = torch.cat([cast(Tensor, self.values), value_states], dim=-2)
        return _after(self._before[0], keys), _after(self._before[1], values)

    def get_seq_length(self, *args: Any) -> int:
        return int(self._before[0].shape[-2] + cast(Tensor, self.keys).shape[-2])


@dataclass(frozen=True)
class _Row:
    """before: of the prefix, one row. own: of this row, at least `length` positions, of which no more count."""

    before: Layers = ()
    own: Layers = ()
    length: int = 0

    @property
    def start(self) -> int:
        return int(self.before[0][0].shape[-2]) if self.before else 0


class SharedVideoDecoder:
    """A `LanguageModel` of a multimodal model whose memory is plain keys and values, behind prefixes of `VideoReader`.

    It differs from `TransformersDecoder` in that no row holds the prefix, which for a video is gigabytes, and that the
    rows of a beam are one batch. model: a `TextSide`.
    """

    def __init__(self, model: Any) -> None:
        self.can_rewind = True
        self._model = model
        self._cache_argument = cache_argument(model)
        self.device: torch.device = model.device
        self.vocab_size: int = model.config.vocab_size
        self.max_positions: int = getattr(model.config, "max_position_embeddings", None) or 2**31

    @torch.inference_mode()
    def embed(self, ids: Tensor) -> Tensor:
        """ids int64 `[...]` to embeddings `[..., C]`."""
        found: Tensor = self._model.get_input_embeddings()(ids.to(self.device))
        return found

    @contextmanager
    def borrow(self, rows: int, capacity: int) -> Iterator["_Rows"]:
        """A workspace; its rows grow as they are filled."""
        yield _Rows(self._model, self._cache_argument, [_Row() for _ in range(rows)])


@dataclass
class _Rows:
    """A workspace; `rows` are values, so that they can be told apart, kept and copied for nothing."""

    model: Any
    cache_argument: str
    rows: list[_Row]
    _stepped: list[_Row] = field(default_factory=list)

    @torch.inference_mode()
    def prefill(self, row: int, embeddings: Tensor) -> Tensor:
        (self.rows[row],), logits = self._read([self.rows[row]], 1, inputs_embeds=embeddings[None])
        return logits[0, -1]

    @torch.inference_mode()
    def step(self, ids: Tensor) -> Tensor:
        groups: dict[tuple[int, int], list[int]] = {}
        for number, row in enumerate(self.rows):
            groups.setdefault((id(row.before), row.length), []).append(number)
        found: list[Tensor] = [ids] * len(self.rows)
        self._stepped = list(self.rows)
        for numbers in groups.values():
            told = ids[numbers].to(self.model.device)
            read, logits = self._read([self.rows[n] for n in numbers], ids.shape[1], input_ids=told)
            for number, row, values in zip(numbers, read, logits, strict=True):
                self._stepped[number], found[number] = row, values
        return torch.stack(found)

    def advance(self, counts: Sequence[int]) -> None:
        self.rows = [
            replace(stepped, length=row.length + count)
            for row, stepped, count in zip(self.rows, self._stepped, counts, strict=True)
        ]

    def keep(self, row: int, logits: Tensor) -> Prefix:
        kept, own = self.rows[row], _cut(self.rows[row])
        both = zip(kept.before, own, strict=True)
        memory = tuple((_after(b[0], o[0]), _after(b[1], o[1])) for b, o in both) if kept.before else own
        return Prefix(kept.start + kept.length, logits.clone(), memory)

    def restore(self, row: int, prefix: Prefix) -> None:
        nothing = tuple((k[..., :0, :], v[..., :0, :]) for k, v in prefix.memory)
        self.rows[row] = _Row(prefix.memory, nothing, 0)

    def reorder(self, order: Sequence[int], since: int = 0) -> None:
        self.rows = [self.rows[source] for source in order]

    def _read(self, rows: Sequence[_Row], logits_to_keep: int, **inputs: Tensor) -> tuple[list[_Row], Tensor]:
        """Rows of one prefix and one length, with what they read behind them, and logits `[R, n, V]`."""
        first = rows[0]
        new = next(iter(inputs.values())).shape[1]
        own = [_cut(row) for row in rows]
        if not first.before:
            raise ValueError("these rows begin behind a video")
        layers: list[Any] = [
            _Behind(before, (torch.cat([o[n][0] for o in own]), torch.cat([o[n][1] for o in own])))
            for n, before in enumerate(first.before)
        ]
        memory = {self.cache_argument: Cache(layers=layers), "use_cache": True}
        start = first.start + first.length
        places = torch.arange(start, start + new, device=self.model.device).expand(len(rows), -1)
        logits = self.model(**inputs, **memory, position_ids=places, logits_to_keep=logits_to_keep).logits
        read = [
            _Row(first.before, tuple((layer.keys[n : n + 1], layer.values[n : n + 1]) for layer in layers), new + done)
            for n, done in enumerate(row.length for row in rows)
        ]
        return read, logits.to(self.model.device, torch.float32)


def _cut(row: _Row) -> Layers:
    """What counts of a row's own memory."""
    return tuple((k[..., : row.length, :], v[..., : row.length, :]) for k, v in row.own)


def _after(before: Tensor, own: Tensor) -> Tensor:
    return torch.cat([before.expand(len(own), -1, -1, -1), own], dim=-2)
