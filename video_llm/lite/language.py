"""SmolLM2 for answering: a Llama (Touvron et al. 2023) whose parts have the names that transformers gives them.

transformers is the specification, and what training uses. Its import and the making of a model with it take 3 s of a
processor, of the 10 s that an answer about a minute may take.
"""

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from tvu.weights.errors import WeightsError


@dataclass(frozen=True)
class LlamaConfig:
    """The shape of a plain Llama; fields as in its `config.json`, where what is not here must be as in SmolLM2.

    Raises ValueError for a Llama of another kind.
    """

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    rms_norm_eps: float
    max_position_embeddings: int
    rope_parameters: dict[str, Any]
    model_type: str = "llama"
    hidden_act: str = "silu"
    attention_bias: bool = False
    mlp_bias: bool = False
    tie_word_embeddings: bool = True

    def __post_init__(self) -> None:
        is_plain = not (self.attention_bias or self.mlp_bias) and self.tie_word_embeddings
        is_llama = self.model_type == "llama" and self.hidden_act == "silu"
        if not (is_plain and is_llama and self.rope_parameters["rope_type"] == "default"):
            raise ValueError(f"no plain Llama: {self}")

    @classmethod
    def read(cls, folder: Path) -> "LlamaConfig":
        """Of the model whose files lie in `folder`."""
        told = json.loads((folder / "config.json").read_text("utf-8"))
        return cls(**{field.name: told[field.name] for field in fields(cls) if field.name in told})


@dataclass(frozen=True)
class Read:
    """What a language model made of embeddings `[S, L, C]`, under the name that transformers has for it."""

    last_hidden_state: Tensor


class CausalLlama(nn.Module):
    """The language model, and its output layer that shares its table."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.config = config
        self.model = Llama(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.lm_head.weight = self.model.embed_tokens.weight

    @property
    def device(self) -> torch.device:
        return self.lm_head.weight.device

    def get_input_embeddings(self) -> nn.Embedding:
        return self.model.embed_tokens

    def set_table(self, table: Tensor) -> None:
        """`[V, C]`: a row for each token that can be read or written, of which there may be more now."""
        rows, width = table.shape
        self.config = replace(self.config, vocab_size=rows)
        self.model.embed_tokens = nn.Embedding(rows, width, _weight=table).requires_grad_(False)
        self.lm_head = nn.Linear(width, rows, bias=False, device="meta")
        self.lm_head.weight = self.model.embed_tokens.weight


class Llama(nn.Module):
    """Everything but the output layer."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        # Left empty: random numbers for a table without memory, as `load_language` makes it, import torch's compiler.
        empty = torch.empty(config.vocab_size, config.hidden_size)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, _weight=empty)
        self.layers = nn.ModuleList([Block(config) for _ in range(config.num_hidden_layers)])
        self.norm = Norm(config)
        self.rotary_emb = Rotary(config)

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embed_tokens

    def forward(self, inputs_embeds: Tensor, use_cache: bool = False) -> Read:
        """Embeddings `[S, L, C]`, each read from its left; what pads them on the right is read too. Nothing is kept."""
        x = inputs_embeds
        positions = torch.arange(x.shape[1], device=x.device)[None]
        cos, sin = self.rotary_emb(x, positions)
        for layer in self.layers:
            x = layer(x, cos, sin)
        return Read(self.norm(x))


class Block(nn.Module):
    """Attention, then the gated layer, each beside what comes in."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.self_attn = Attention(config)
        self.mlp = Gated(config)
        self.input_layernorm = Norm(config)
        self.post_attention_layernorm = Norm(config)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class Attention(nn.Module):
    """Causal attention of H heads in groups that share keys and values, rotated by their places."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        width, self.head_dim = config.hidden_size, config.head_dim
        heads, groups = config.num_attention_heads * self.head_dim, config.num_key_value_heads * self.head_dim
        self.q_proj = nn.Linear(width, heads, bias=False)
        self.k_proj = nn.Linear(width, groups, bias=False)
        self.v_proj = nn.Linear(width, groups, bias=False)
        self.o_proj = nn.Linear(heads, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        q, k, v = (
            layer(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)  # `[S, H, L, D]`
            for layer in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = rotated(q, cos, sin), rotated(k, cos, sin)
        seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        out: Tensor = self.o_proj(seen.transpose(1, 2).flatten(2))
        return out


class Gated(nn.Module):
    """`down(silu(gate(x)) * up(x))`."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


class Norm(nn.Module):
    """RMSNorm, its statistics in float32."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(config.hidden_size))
        self.eps = config.rms_norm_eps

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * functional.rms_norm(x.float(), self.weight.shape, eps=self.eps).to(x.dtype)


class Rotary(nn.Module):
    """Rotary positions (Su et al. 2021): cos and sin `[1, L, D]` of places int64 `[1, L]`, in the dtype of `like`."""

    inv_freq: Tensor

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        exponent = torch.arange(0, config.head_dim, 2, dtype=torch.float32, device="cpu") / config.head_dim
        self.register_buffer("inv_freq", config.rope_parameters["rope_theta"] ** -exponent, persistent=False)

    def forward(self, like: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        angles = places[..., None].float() * self.inv_freq.float()
        angles = torch.cat([angles, angles], dim=-1)
        return angles.cos().to(like.dtype), angles.sin().to(like.dtype)


def rotated(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """`[S, H, L, D]`: the halves of each head as real and imaginary parts, turned by their places."""
    real, imaginary = heads.chunk(2, dim=-1)
    return heads * cos[:, None] + torch.cat([-imaginary, real], dim=-1) * sin[:, None]


def load_language(folder: Path, dtype: torch.dtype) -> CausalLlama:
    """The model whose files lie in `folder`, in `eval()`. Raises WeightsError where they hold no such model."""
    try:
        config = LlamaConfig.read(folder)
        with torch.device("meta"):  # every number comes from the file
            causal = CausalLlama(config)
        state = {name: each.to(dtype) for name, each in load_file(folder / "model.safetensors").items()}
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
        causal.load_state_dict(state, assign=True)
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsError(
            f"{folder} holds no language model: {reason}", hint="tvu models pull smollm2-135m"
        ) from error
    causal.lm_head.weight = causal.model.embed_tokens.weight
    return causal.requires_grad_(False).eval()
