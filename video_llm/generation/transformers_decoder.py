"""Any causal language model of transformers, run as transformers runs it, row by row: slower, and right."""

import copy
import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from tvu.video_llm.generation.language import Prefix


class TransformersDecoder:
    """What `FusedDecoder` cannot run: models of other families, quantised ones, ones that span several devices.

    Models whose memory cannot be taken back to an earlier position (sliding windows, recurrences) guess nothing ahead,
    and a row of theirs that `advance` holds back has ended. Nothing is captured.

    Raises ValueError for a model whose memory cannot be handed to it.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        cache_argument(model)
        self.vocab_size: int = model.config.vocab_size
        self.max_positions: int = getattr(model.config, "max_position_embeddings", None) or 2**31
        self.device: torch.device = model.device
        self.can_rewind = all(type(layer) is DynamicLayer for layer in DynamicCache(config=model.config).layers)

    @torch.inference_mode()
    def embed(self, ids: Tensor) -> Tensor:
        """ids int64 `[...]` to embeddings `[..., C]`."""
        table = self._model.get_input_embeddings()
        return table(ids.to(table.weight.device))

    @contextmanager
    def borrow(self, rows: int, capacity: int) -> Iterator["_RowByRow"]:
        """A workspace; its rows grow as they are filled. Raises ValueError for a model in training mode."""
        if self._model.training:
            raise ValueError("in training mode a model drops some of what it knows and may cache nothing: call eval()")
        yield _RowByRow(self._model, rows, self.can_rewind)


class _RowByRow:
    def __init__(self, model: Any, rows: int, can_rewind: bool) -> None:
        self._model, self._can_rewind = model, can_rewind
        self._cache_argument = cache_argument(model)
        self._caches = [DynamicCache(config=model.config) for _ in range(rows)]
        self._lengths = [0] * rows

    @torch.inference_mode()
    def prefill(self, row: int, embeddings: Tensor) -> Tensor:
        logits = self._read(row, inputs_embeds=embeddings[None])
        self._lengths[row] += len(embeddings)
        return logits[0, -1]

    @torch.inference_mode()
    def step(self, ids: Tensor) -> Tensor:
        self._trim()
        device = self._model.get_input_embeddings().weight.device
        return torch.cat(
            [self._read(row, input_ids=new[None].to(device), logits_to_keep=len(new)) for row, new in enumerate(ids)]
        )

    def advance(self, counts: Sequence[int]) -> None:
        self._lengths = [length + n for length, n in zip(self._lengths, counts, strict=True)]

    def keep(self, row: int, logits: Tensor) -> Prefix:
        return Prefix(self._lengths[row], logits.clone(), copy.deepcopy(self._caches[row]))

    def restore(self, row: int, prefix: Prefix) -> None:
        self._caches[row] = copy.deepcopy(prefix.memory)
        self._lengths[row] = prefix.length

    def reorder(self, order: Sequence[int], since: int = 0) -> None:
        self._trim()
        self._caches = [copy.deepcopy(self._caches[source]) for source in order]
        self._lengths = [self._lengths[source] for source in order]

    def _trim(self) -> None:
        """Forget what the last step read and `advance` did not keep."""
        for cache, length in zip(self._caches, self._lengths, strict=True):
            if self._can_rewind and cache.get_seq_length() > length:
                cache.crop(length - cache.get_seq_length())  # told as how many to remove

    def _read(self, row: int, *, logits_to_keep: int = 1, **inputs: Tensor) -> Tensor:
        cache = self._caches[row]
        new = next(iter(inputs.values())).shape[1]
        place = self._lengths[row] + torch.arange(new, device=self._model.device)
        memory = {self._cache_argument: cache, "use_cache": True}
        logits: Tensor = self._model(**inputs, **memory, position_ids=place[None], logits_to_keep=logits_to_keep).logits
        return logits.to(self._model.device, torch.float32)  # the head may lie on another device than the first layers


def cache_argument(model: Any) -> str:
    """What `forward` of a causal language model calls its memory: `cache` in newer releases of transformers.

    Raises ValueError for a model that keeps none as the others do.
    """
    known = inspect.signature(model.forward).parameters
    for name in ("cache", "past_key_values", "cache_params"):
        if name in known:
            return name
    raise ValueError(f"{type(model).__name__} has no memory that can be handed to it")
