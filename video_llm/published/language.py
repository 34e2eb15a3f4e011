"""The language model of a published Video-LLM: built without numbers, filled from its files, run by our engine."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding
from transformers.models.mistral.modeling_mistral import MistralRotaryEmbedding

from tvu.weights.errors import WeightsError

FIELDS = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "rms_norm_eps",
    "max_position_embeddings",
    "rope_theta",
    "sliding_window",
)
"""What is taken of a published `config.json`; everything else is as the family has it."""


def empty_language_model(told: Mapping[str, Any], state: Mapping[str, Tensor], *, family: str, where: str) -> Any:
    """A Llama or Mistral without numbers, of the shape that `told` and the tensors agree on.

    told:   its `config.json`, for what shapes do not say: heads, positions, the base of the rotary positions.
    state:  its tensors under the names of transformers; widths, layers and rows of the vocabulary are read off them.
    Raises WeightsError where one of the telling tensors is missing, or config and tensors contradict each other.
    """
    try:
        vocabulary, width = state["model.embed_tokens.weight"].shape
        inner = state["model.layers.0.mlp.up_proj.weight"].shape[0]
        keys = state["model.layers.0.self_attn.k_proj.weight"].shape[0]
    except KeyError as error:
        raise WeightsError(
            f"{where} holds no {family}: {error.args[0]} is missing", hint="download it again"
        ) from error
    except ValueError as error:
        raise WeightsError(f"{where} holds no {family}: a table has another shape", hint="download it again") from error
    layers = 1 + max(int(name.split(".")[2]) for name in state if name.startswith("model.layers."))
    heads = told.get("num_attention_heads", width // 128)
    seen = {"hidden_size": width, "intermediate_size": inner, "num_hidden_layers": layers}
    for name, value in seen.items():
        if told.get(name, value) != value:
            hint = "config and weights are of two models, or shards are missing"
            raise WeightsError(f"{where} has a {name} of {value}, its config says {told[name]}", hint=hint)
    if not isinstance(heads, int) or heads < 1 or width % heads:
        raise WeightsError(f"{where} has a width of {width} and {heads!r} heads", hint="download its config again")
    fields: dict[str, Any] = {name: told[name] for name in FIELDS if told.get(name) is not None} | seen
    fields.setdefault("num_key_value_heads", keys // (width // heads))
    # rope_theta is 1e6 for Mistral v0.2: newer releases of transformers read it in here only
    rope = {"rope_type": "default", "rope_theta": fields.pop("rope_theta", 10_000.0)}
    common = {"vocab_size": vocabulary, "num_attention_heads": heads, "tie_word_embeddings": False}
    window = fields.pop("sliding_window", None)
    is_llama = family == "llama"
    classes: tuple[Any, Any, Any] = (
        (LlamaConfig, LlamaForCausalLM, LlamaRotaryEmbedding)
        if is_llama
        else (MistralConfig, MistralForCausalLM, MistralRotaryEmbedding)
    )
    of_config, of_model, of_positions = classes
    more = {} if is_llama else {"sliding_window": window}
    config = of_config(**(fields | common | more), rope_parameters=rope)
    with torch.device("meta"):
        model = of_model(config)
    model.model.rotary_emb = of_positions(config)  # a table that is computed, not stored: no file would fill it
    return model.eval()
