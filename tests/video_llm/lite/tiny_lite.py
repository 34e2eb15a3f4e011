"""A `lite` small enough for tests: a random language model of 32 channels that reads bytes, and all around it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tvu.temporal.squeezetime.network import SqueezeTime
from tvu.video_llm.lite.checkpoint import Calibration, save_lite
from tvu.video_llm.lite.head import MEANING, GroundingHead
from tvu.video_llm.lite.inputs import BODY_CHANNELS, HAND_CHANNELS, LiteInputs
from tvu.video_llm.lite.model import LiteConfig, LiteModel
from tvu.video_llm.lite.prior import Meaning

KNOWN = 258  # bytes, and the two marks of turns


def tiny_config(**changes: Any) -> LiteConfig:
    told: dict[str, Any] = {
        "width": 16,
        "merged": 24,
        "temporal": {"name": "storm", "mixer": "mamba2", "layers": 1, "d_state": 8, "headdim": 8},
        "codec": {"name": "lita", "num_time_tokens": 20},
        "motion": {
            "layers": [1, 1, 1, 1],
            "is_bottleneck": False,
            "widths": [8, 8, 16, 16],
            "code_sides": [28, 14, 7, 3],
        },
        "has_prior": False,
        "listens": True,
        "head_width": 256,
        "head_layers": 3,
        "rank": 2,
        "language_width": 32,
        "known_tokens": KNOWN,
    }
    return LiteConfig(**{**told, **changes})


def tiny_causal(seed: int = 0) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=KNOWN,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        tie_word_embeddings=True,
        max_position_embeddings=2048,
        eos_token_id=KNOWN - 1,
        bos_token_id=KNOWN - 2,
    )
    return LlamaForCausalLM(config).eval()


def tiny_model(seed: int = 0, **changes: Any) -> LiteModel:
    causal, config = tiny_causal(seed), tiny_config(**changes)
    model = LiteModel(config, causal.model if config.reads else None).eval()
    listens(model.head)
    return model


def listens(head: GroundingHead) -> GroundingHead:
    """A head that has learned to make use of what the language model read: before, that says nothing to it."""
    for part in (head.hidden, head.asked):
        if part is not None:
            part[-1].reset_parameters()
    return head


def tiny_meaning(vectors: Tensor, classes: Tensor, words: int = 3, seed: int = 0) -> Meaning:
    """Of texts of noise for words."""
    noise = torch.randn(len(vectors), words, MEANING, generator=torch.Generator().manual_seed(seed))
    return Meaning(vectors, classes, noise, torch.ones(len(vectors), words, dtype=torch.bool))


def byte_tokenizer() -> Tokenizer:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken("<|im_start|>", special=True), AddedToken("<|im_end|>", special=True)])
    return tokenizer


def save_language(folder: Path) -> Path:
    """The language model and its tokenizer, as the weights of SmolLM2 lie in their folder, and names of classes."""
    tiny_causal().save_pretrained(folder)
    tokens = PreTrainedTokenizerFast(
        tokenizer_object=byte_tokenizer(), eos_token="<|im_end|>", bos_token="<|im_start|>", pad_token="<|im_end|>"
    )
    tokens.save_pretrained(folder)
    (folder / "classes.json").write_text('["dog", "cat", "car", "cup", "sea", "fox"]', "utf-8")
    return folder


def save_tiny(folder: Path, seed: int = 0, **changes: Any) -> Path:
    """A checkpoint of an untrained model; reads=False: of one without a language model."""
    config, language = tiny_config(**changes), tiny_causal().model
    torch.manual_seed(seed)
    model = LiteModel(config, language if config.reads else None)
    listens(model.head)
    trained = {name: each for name, each in model.named_parameters() if each.requires_grad}
    for name, each in trained.items():
        if name.endswith(".up"):
            torch.nn.init.normal_(each, std=0.05)
    motion = SqueezeTime(config.motion_config).state_dict()
    save_lite(folder, config, trained, motion, Calibration(), {"steps": 0})
    return folder


def tiny_inputs(lengths: Sequence[int], seed: int = 0, motion_channels: int = 16) -> LiteInputs:
    generator = torch.Generator().manual_seed(seed)
    batch, steps = len(lengths), max(lengths)
    there = torch.arange(steps) < torch.tensor(lengths)[:, None]

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(batch, steps, *shape, generator=generator)

    slow, motion, body, hands = (
        noise(*shape) for shape in ((4, 1280), (motion_channels,), (BODY_CHANNELS,), (HAND_CHANNELS,))
    )
    return LiteInputs(slow, motion, body, hands, there, there, there, there, torch.tensor(lengths))
