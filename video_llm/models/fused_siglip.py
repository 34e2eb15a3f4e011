"""SigLIP for inference: the same function of the same weights in fewer and better launches.

What is different from transformers' module, which is the specification:

- one product gives queries, keys and values;
- bias and GELU are applied where the product of the first MLP layer ends (cuBLASLt's epilogue), and the MLP is padded
  with hidden channels of zero weight to a width that the matrix units divide (GELU(0) = 0, so nothing changes);
- a residual sum and the LayerNorm after it are one kernel;
- the patch embedding is one product, of a row length that memory can be read in whole sectors of.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tvu.kernels.add_layer_norm import add_layer_norm

FRAMES_AT_ONCE = 72  # the fastest of 8 to 256 on an H200, where few tiles of the products are left half empty
MLP_MULTIPLE = 128
ROW_MULTIPLE = 8  # elements: 16 bytes of bfloat16

Fingerprint = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class _Norm:
    weight: Tensor  # [C]
    bias: Tensor  # [C]
    eps: float


@dataclass(frozen=True)
class _Linear:
    weight: Tensor  # [N, K]
    bias: Tensor  # [N]

    def __call__(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight, self.bias)


@dataclass(frozen=True)
class _Block:
    before_attention: _Norm
    qkv: _Linear
    out: _Linear
    before_mlp: _Norm
    up: _Linear
    down: _Linear


@dataclass(frozen=True)
class FusedSiglip:
    """A SigLIP tower's weights as the fast path wants them. Built by `of`, called with normalised frames."""

    patch: int
    heads: int
    embed: _Linear
    positions: Tensor  # [N, C]
    blocks: tuple[_Block, ...]
    final: _Norm | None

    @classmethod
    def of(cls, vision_model: Any, has_final_norm: bool, *, mlp_multiple: int = MLP_MULTIPLE) -> "FusedSiglip":
        """The fused form of a `SiglipVisionModel`; its weights are copied where they change shape and shared elsewhere.

        Raises ValueError where `can_fuse` says no.
        """
        if not can_fuse(vision_model):
            raise ValueError("only a SigLIP of plain linear layers, GELU (tanh), one dtype and one device can be fused")
        embeddings = vision_model.embeddings
        with torch.no_grad():
            rows = embeddings.patch_embedding.weight.flatten(1)
            return cls(
                embeddings.patch_size,
                vision_model.config.num_attention_heads,
                _Linear(_padded(rows, 1, ROW_MULTIPLE), embeddings.patch_embedding.bias.detach()),
                embeddings.position_embedding.weight.detach(),
                tuple(_block(layer, mlp_multiple) for layer in vision_model.encoder.layers),
                _norm(vision_model.post_layernorm) if has_final_norm else None,
            )

    def __call__(self, unit: Tensor) -> Tensor:
        """Normalised frames `[K, 3, S, S]` to `[K, N, C]`, without gradients."""
        parts = unit.split(FRAMES_AT_ONCE)
        if len(parts) == 1:
            return self._run(unit)
        out = unit.new_empty(len(unit), *self.positions.shape)
        for part, place in zip(parts, out.split(FRAMES_AT_ONCE), strict=True):
            place.copy_(self._run(part))
        return out

    def _run(self, unit: Tensor) -> Tensor:
        x = self._embedded(unit)  # [K, N, C], the residual stream
        first = self.blocks[0].before_attention if self.blocks else self.final
        normal = (
            x if first is None else functional.layer_norm(x, first.weight.shape, first.weight, first.bias, first.eps)
        )
        for place, block in enumerate(self.blocks):
            last = place + 1 == len(self.blocks)
            following = self.final if last else self.blocks[place + 1].before_attention
            x, normal = _add_norm(x, block.out(self._attended(block.qkv(normal))), block.before_mlp)
            update = block.down(linear_gelu(normal, block.up.weight, block.up.bias))
            if following is None:
                return x + update
            x, normal = _add_norm(x, update, following)
        return normal

    def _embedded(self, unit: Tensor) -> Tensor:
        frames, channels, height, width = unit.shape
        p, rows, columns = self.patch, height // self.patch, width // self.patch
        whole = unit[:, :, : rows * p, : columns * p].reshape(frames, channels, rows, p, columns, p)
        patches = unit.new_zeros(frames, rows, columns, self.embed.weight.shape[1])
        patches[..., : channels * p * p].unflatten(-1, (channels, p, p)).copy_(whole.permute(0, 2, 4, 1, 3, 5))
        return self.embed(patches.flatten(1, 2)).add_(self.positions)

    def _attended(self, qkv: Tensor) -> Tensor:
        """`[K, N, 3 * C]` to `[K, N, C]`"""
        q, k, v = qkv.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # each [K, heads, N, D]
        return functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def can_fuse(vision_model: Any) -> bool:
    """Whether every layer is what the fused form assumes: adapters, quantised layers and split devices are not."""
    linears = [
        linear
        for layer in vision_model.encoder.layers
        for attention in [layer.self_attn]
        for linear in (attention.q_proj, attention.k_proj, attention.v_proj, attention.out_proj, *_mlp(layer))
    ]
    places = {(parameter.device, parameter.dtype) for parameter in vision_model.parameters()}
    tanh = vision_model.config.hidden_act == "gelu_pytorch_tanh"
    return tanh and len(places) == 1 and all(type(linear) is nn.Linear for linear in linears)


def fingerprint(module: nn.Module) -> Fingerprint:
    """Where each parameter lies and how often it was written in place: it changes when weights or modules do."""
    found, waiting = [], [module]
    while waiting:  # through the modules' own dicts, as Module.parameters() takes longer than launching a block
        module = waiting.pop()
        waiting.extend(child for child in module._modules.values() if child is not None)
        for p in module._parameters.values():
            if p is not None:
                found.append((p.data_ptr(), 0 if p.is_inference() else p._version))
    return tuple(found)


def linear_gelu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """gelu(linear(x)), GELU in its tanh form: x `[..., K]`, weight `[N, K]`, bias `[N]`; returns `[..., N]`."""
    if x.is_cuda:  # whose epilogue is the tanh form; on a CPU the same function of torch takes the erf form
        return torch._addmm_activation(bias, x.flatten(0, -2), weight.t(), use_gelu=True).unflatten(0, x.shape[:-1])
    return functional.gelu(functional.linear(x, weight, bias), approximate="tanh")


def _add_norm(x: Tensor, update: Tensor, norm: _Norm) -> tuple[Tensor, Tensor]:
    return add_layer_norm(x, update, norm.weight, norm.bias, eps=norm.eps)


def _block(layer: Any, mlp_multiple: int) -> _Block:
    attention, (up, down) = layer.self_attn, _mlp(layer)
    three = (attention.q_proj, attention.k_proj, attention.v_proj)
    return _Block(
        _norm(layer.layer_norm1),
        _Linear(torch.cat([linear.weight for linear in three]), torch.cat([linear.bias for linear in three])),
        _Linear(attention.out_proj.weight.detach(), attention.out_proj.bias.detach()),
        _norm(layer.layer_norm2),
        _Linear(_padded(up.weight, 0, mlp_multiple), _padded(up.bias, 0, mlp_multiple)),
        _Linear(_padded(down.weight, 1, mlp_multiple), down.bias.detach()),
    )


def _mlp(layer: Any) -> tuple[Any, Any]:
    return layer.mlp.fc1, layer.mlp.fc2


def _norm(norm: Any) -> _Norm:
    return _Norm(norm.weight.detach(), norm.bias.detach(), norm.eps)


def _padded(x: Tensor, dim: int, multiple: int) -> Tensor:
    """x with zeros appended along `dim` until `multiple` divides it; x itself where it does."""
    missing = -x.shape[dim] % multiple
    if not missing:
        return x.detach()
    return torch.cat([x, x.new_zeros(*x.shape[:dim], missing, *x.shape[dim + 1 :])], dim=dim)
