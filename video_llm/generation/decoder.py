"""Llama and its kin, run for generation: one static cache, few and fused operations, steps captured on a GPU."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from threading import Lock
from typing import Any

import torch
from torch import Tensor, nn

from tvu.kernels.cache_attention import (
    append_and_attend,
    cached_attention,
    causal_attention,
    rotate_and_append,
    signed,
)
from tvu.kernels.half_weight import HalfWeight
from tvu.kernels.norm_linear import (
    Weight,
    linear_add,
    linear_add_plain,
    norm_gated_linear,
    norm_gated_linear_plain,
    norm_linear,
    norm_linear_plain,
)
from tvu.video_llm.generation.kv_cache import KVCache
from tvu.video_llm.generation.language import Prefix

FAMILY = ("llama", "mistral", "qwen2", "qwen3")
STATIC_ROPE = ("default", "linear", "llama3", "yarn")  # tables that do not change with the length of the prompt
SMALLEST_CAPACITY = 512
FEW_ROWS = 16  # up to which 16-bit weights pay on a CPU: beyond, it computes longer than it reads
HALVE_AFTER = 128  # steps on a CPU: making those weights costs about what they save in so many
CPU_CHUNK, GPU_CHUNK = 512, 8192  # positions of a prompt that are read at once: bounds the memory of a prefill


@dataclass(frozen=True)
class _Layer:
    """The weights of one layer, those that read the same input joined into one."""

    attention_norm: Tensor
    qkv: Weight  # [(H + 2 * G) * D, C]
    qkv_bias: Tensor | None
    head_norms: tuple[Tensor, Tensor, float] | None
    out: Weight  # [C, H * D]
    out_bias: Tensor | None
    mlp_norm: Tensor
    gate_up: Weight  # [2 * I, C]
    down: Weight  # [C, I]


class FusedDecoder:
    """A Llama, Mistral, Qwen2 or Qwen3 of transformers, run by our own loop with the same weights.

    model: the transformers model, in the dtype and on the device it shall run in. It keeps working: its weights become
           views of the joined ones, so nothing is held twice. In training mode too, nothing is dropped here.

    On a CPU, once enough was generated for it to pay, steps read float32 weights that float16 can hold as float16, for
    half of their bytes more of memory: what is computed is the same.

    Weights may change in place, as an optimizer changes them, between two workspaces; a change through `.data`, which
    PyTorch does not count, is missed by those 16-bit copies. A model whose weights were replaced (cast, moved, resized,
    wrapped by adapters) needs a new decoder. Threads may use one decoder on a CPU; on a GPU one at a time.

    Raises ValueError for a model that `can_run` refuses.
    """

    def __init__(self, model: Any) -> None:
        if not can_run(model):
            raise ValueError(f"{type(model).__name__} is not of the family of {', '.join(FAMILY)}")
        config = model.config
        self.vocab_size: int = config.vocab_size
        self.max_positions: int = config.max_position_embeddings
        self.device: torch.device = model.device
        self.can_rewind = True
        self._heads: int = config.num_attention_heads
        self._groups: int = config.num_key_value_heads
        self._width: int = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self._eps: float = config.rms_norm_eps
        self._scale = self._width**-0.5
        self._model = model
        self._rotary = model.model.rotary_emb
        self._tables: dict[int, tuple[Tensor, Tensor]] = {}
        self._spare: _FusedWorkspace | None = None
        self._lock = Lock()
        self._steps = 0
        with torch.inference_mode(False), torch.no_grad():  # joined weights can still be trained
            self._layers = [_joined(layer, self._eps) for layer in model.model.layers]
            self._norm: Tensor = model.model.norm.weight.data
            self._table: Tensor = model.model.embed_tokens.weight.data
            self._head: Tensor = _join([model.lm_head.weight])
        self.dtype = self._head.dtype
        self._places, self._versions = _identity(model)

    @cached_property
    def _halved(self) -> tuple[list[_Layer], Weight]:
        """The layers and the head as `HalfWeight`s, or as they are where that would lose anything."""
        matrices = [matrix for layer in self._layers for matrix in (layer.qkv, layer.out, layer.gate_up, layer.down)]
        if not all(isinstance(m, Tensor) and HalfWeight.fits(m) for m in [*matrices, self._head]):
            return self._layers, self._head
        halves = [
            replace(
                layer,
                qkv=_half(layer.qkv),
                out=_half(layer.out),
                gate_up=_half(layer.gate_up),
                down=_half(layer.down),
            )
            for layer in self._layers
        ]
        return halves, _half(self._head)

    @torch.inference_mode()
    def embed(self, ids: Tensor) -> Tensor:
        """ids int64 `[...]` to embeddings `[..., C]`."""
        return self._table[ids.to(self.device)]

    @contextmanager
    def borrow(self, rows: int, capacity: int) -> Iterator["_FusedWorkspace"]:
        """A workspace; the last one that was given back is used again where it fits, with the steps it has captured."""
        with self._lock:
            self._know_weights()
            found, self._spare = self._spare, None
        if found is None or found.cache.rows != rows or not capacity <= found.cache.capacity <= 4 * capacity + 4096:
            del found  # before the new one is made: there may not be room for both
            found = _FusedWorkspace(self, self._new_cache(rows, capacity))
        with torch.inference_mode():
            found.cache.set_lengths([0] * rows)
        try:
            yield found
        finally:
            self._spare = found

    def _know_weights(self) -> None:
        """16-bit copies of weights that have changed are forgotten; ValueError where the model has other weights."""
        places, versions = _identity(self._model)
        if places != self._places:
            raise ValueError("the weights of the model were replaced after this decoder was made: make a new one")
        if versions != self._versions:
            self._versions = versions
            self._steps = 0
            self.__dict__.pop("_halved", None)

    def _new_cache(self, rows: int, capacity: int) -> KVCache:
        size = SMALLEST_CAPACITY
        while size < capacity:
            size = size * 2 if size < 8192 else size + 8192  # few sizes, so that caches are used again; little waste
        return KVCache(len(self._layers), rows, self._groups, size, self._width, dtype=self.dtype, device=self.device)

    def tables(self, positions: int) -> tuple[Tensor, Tensor]:
        """cos and sin float32 `[positions, D]` of the rotary positions."""
        if positions not in self._tables:
            place = torch.arange(positions, device=self.device)[None]
            like = torch.empty(1, dtype=torch.float32, device=self.device)
            cos, sin = self._rotary(like, place)
            self._tables[positions] = cos[0].float(), sin[0].float()
        return self._tables[positions]

    def prefill(self, embeddings: Tensor, cache: KVCache, row: int) -> Tensor:
        """See `Workspace.prefill`; embeddings `[L, C]` are read chunk by chunk."""
        cos, sin = self.tables(cache.capacity)
        lengths = cache.lengths[row : row + 1]
        chunk = GPU_CHUNK if self.device.type == "cuda" else CPU_CHUNK
        last = embeddings
        for start in range(0, len(embeddings), chunk):
            x = embeddings[None, start : start + chunk].to(self.dtype)
            before = cache.host_lengths[row]
            after = before + x.shape[1]
            if after > cache.capacity:
                raise ValueError(f"{after} positions do not fit into a cache of {cache.capacity}")
            for index, layer in enumerate(self._layers):
                keys, values = cache.keys[index, row : row + 1], cache.values[index, row : row + 1]
                qkv = norm_linear(x, layer.attention_norm, self._eps, layer.qkv, layer.qkv_bias)
                q = rotate_and_append(qkv, cos, sin, lengths, keys, values, norms=layer.head_norms)
                seen = causal_attention(q, keys[:, :, :after], values[:, :, :after], self._scale)
                x = self._finish(layer, x, seen)
            cache.set_length(row, after)
            last = x[0, -1:]
        return self._logits(last, self._head)[0]

    def step(self, ids: Tensor, cache: KVCache) -> Tensor:
        """See `Workspace.step`: nothing in here waits for the device."""
        cos, sin = self.tables(cache.capacity)
        self._steps += 1
        pays = self.device.type == "cpu" and ids.numel() <= FEW_ROWS and self._steps > HALVE_AFTER
        layers, head = self._halved if pays else (self._layers, self._head)
        if self.device.type == "cpu" and ids.shape[1] == 1 and len(set(cache.host_lengths)) == 1:
            return self._even_step(ids, cache, layers, head)
        x = self._table[ids]
        for index, layer in enumerate(layers):
            keys, values = cache.keys[index], cache.values[index]
            qkv = norm_linear(x, layer.attention_norm, self._eps, layer.qkv, layer.qkv_bias)
            q = rotate_and_append(qkv, cos, sin, cache.lengths, keys, values, norms=layer.head_norms)
            x = self._finish(layer, x, cached_attention(q, keys, values, cache.lengths, self._scale))
        return self._logits(x, head)

    def _even_step(self, ids: Tensor, cache: KVCache, layers: Sequence[_Layer], head: Weight) -> Tensor:
        """The same step for one token of rows of one length, where nothing runs but the arithmetic."""
        length = cache.host_lengths[0]
        cos, sin = (table[length].to(self.dtype) for table in self.tables(cache.capacity))
        sin = signed(sin)
        x = self._table[ids]
        for layer, keys, values in zip(layers, cache.keys, cache.values, strict=True):
            qkv = norm_linear_plain(x, layer.attention_norm, self._eps, layer.qkv, layer.qkv_bias)
            seen = append_and_attend(qkv, cos, sin, length, keys, values, self._scale, norms=layer.head_norms)
            x = linear_add_plain(seen.flatten(2), layer.out, x, layer.out_bias)
            inner = norm_gated_linear_plain(x, layer.mlp_norm, self._eps, layer.gate_up)
            x = linear_add_plain(inner, layer.down, x)
        return norm_linear_plain(x, self._norm, self._eps, head).float()

    def _finish(self, layer: _Layer, x: Tensor, seen: Tensor) -> Tensor:
        x = linear_add(seen.flatten(2), layer.out, x, layer.out_bias)
        return linear_add(norm_gated_linear(x, layer.mlp_norm, self._eps, layer.gate_up), layer.down, x)

    def _logits(self, x: Tensor, head: Weight) -> Tensor:
        return norm_linear(x, self._norm, self._eps, head).float()


class _FusedWorkspace:
    """Rows of one cache, and the steps that were captured on it."""

    def __init__(self, decoder: FusedDecoder, cache: KVCache) -> None:
        self.decoder, self.cache = decoder, cache
        self._captured: dict[int, _CapturedStep] = {}

    @torch.inference_mode()
    def prefill(self, row: int, embeddings: Tensor) -> Tensor:
        return self.decoder.prefill(embeddings, self.cache, row)

    @torch.inference_mode()
    def step(self, ids: Tensor) -> Tensor:
        new = ids.shape[1]
        if max(self.cache.host_lengths) + new > self.cache.capacity:
            raise ValueError(f"{new} more positions do not fit into a cache of {self.cache.capacity}")
        if self.decoder.device.type != "cuda":
            return self.decoder.step(ids, self.cache)
        if new not in self._captured:
            self._captured[new] = _CapturedStep(self.decoder, self.cache, new)
        return self._captured[new](ids)

    @torch.inference_mode()
    def advance(self, counts: Sequence[int]) -> None:
        self.cache.set_lengths([length + n for length, n in zip(self.cache.host_lengths, counts, strict=True)])

    @torch.inference_mode()
    def keep(self, row: int, logits: Tensor) -> Prefix:
        return Prefix(self.cache.host_lengths[row], logits.clone(), self.cache.copy_of(row))

    @torch.inference_mode()
    def restore(self, row: int, prefix: Prefix) -> None:
        self.cache.put(row, *prefix.memory)

    @torch.inference_mode()
    def reorder(self, order: Sequence[int], since: int = 0) -> None:
        self.cache.reorder(order, since)


class _CapturedStep:
    """One step as a CUDA graph: replaying it costs one launch, where the step itself is hundreds."""

    def __init__(self, decoder: FusedDecoder, cache: KVCache, new: int) -> None:
        self._ids = torch.zeros(cache.rows, new, dtype=torch.int64, device=decoder.device)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # kernels are compiled, and libraries opened, before anything is captured
            for _ in range(2):
                decoder.step(self._ids, cache)
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._logits = decoder.step(self._ids, cache)

    def __call__(self, ids: Tensor) -> Tensor:
        self._ids.copy_(ids)
        self._graph.replay()
        return self._logits


def can_run(model: Any) -> bool:
    """Whether `FusedDecoder` computes what this transformers model computes.

    Layers that are no plain linear ones (adapters, quantised weights) compute more than their weight says.
    """
    config = model.config
    rope = getattr(config, "rope_parameters", None) or {}
    layers = getattr(config, "layer_types", None) or ["full_attention"]
    return (
        config.model_type in FAMILY
        and getattr(config, "hidden_act", None) == "silu"
        and not getattr(config, "mlp_bias", False)
        and not (config.model_type == "mistral" and config.sliding_window)
        and set(layers) == {"full_attention"}
        and rope.get("rope_type", "default") in STATIC_ROPE
        and rope.get("partial_rotary_factor", 1.0) == 1.0
        and not getattr(model, "quantization_method", None)
        and len({parameter.device for parameter in model.parameters()}) == 1
        and hasattr(model, "lm_head")
        and all(
            type(module) in (nn.Linear, nn.Embedding)
            for name, module in model.named_modules()
            if name.endswith(("_proj", "lm_head", "embed_tokens"))
        )
    )


def _joined(layer: Any, eps: float) -> _Layer:
    attention, mlp = layer.self_attn, layer.mlp
    three = [attention.q_proj, attention.k_proj, attention.v_proj]
    head_norms = None
    if hasattr(attention, "q_norm"):
        head_norms = (attention.q_norm.weight.data, attention.k_norm.weight.data, eps)
    out_bias = attention.o_proj.bias
    return _Layer(
        attention_norm=layer.input_layernorm.weight.data,
        qkv=_join([linear.weight for linear in three]),
        qkv_bias=None if three[0].bias is None else _join([linear.bias for linear in three]),
        head_norms=head_norms,
        out=_join([attention.o_proj.weight]),
        out_bias=None if out_bias is None else out_bias.data,
        mlp_norm=layer.post_attention_layernorm.weight.data,
        gate_up=_join([mlp.gate_proj.weight, mlp.up_proj.weight]),
        down=_join([mlp.down_proj.weight]),
    )


def _join(parameters: Sequence[Any]) -> Tensor:
    """The parameters one under another; each becomes a view of its part, unless a decoder has made it one before."""
    if len(parameters) == 1:
        return parameters[0].data
    first, sizes = parameters[0].data, [len(parameter) for parameter in parameters]
    ends = accumulate((parameter.numel() for parameter in parameters), initial=first.storage_offset())
    if all(
        parameter.is_contiguous()
        and parameter.data.untyped_storage().data_ptr() == first.untyped_storage().data_ptr()
        and parameter.storage_offset() == end
        for parameter, end in zip(parameters, ends, strict=False)
    ):
        return first.as_strided((sum(sizes), *first.shape[1:]), first.stride())
    whole = torch.cat([parameter.data for parameter in parameters])
    for parameter, part in zip(parameters, whole.split(sizes), strict=True):
        parameter.data = part
    return whole


def _identity(model: Any) -> tuple[list[int], list[int]]:
    """Where the weights lie, and how often each has changed since."""
    weights = list(model.parameters())
    return [w.data_ptr() for w in weights], [0 if w.is_inference() else w._version for w in weights]


def _half(weight: Weight) -> HalfWeight:
    return weight if isinstance(weight, HalfWeight) else HalfWeight(weight)
