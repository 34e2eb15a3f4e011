"""A tokenizer of single bytes with ChatML's marks, and the processor of a tiny model."""

from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from tests.video_llm.models.tiny import text_config, tiny_config
from tvu.video_llm.models.configuration import TvuConfig
from tvu.video_llm.models.new_tokens import VIDEO, add_tokens
from tvu.video_llm.models.parts import build_codec
from tvu.video_llm.models.processing import TvuProcessor


def byte_tokenizer() -> PreTrainedTokenizerFast:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: number for number, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(mark, special=True) for mark in ("<|im_start|>", "<|im_end|>")])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|im_start|>", eos_token="<|im_end|>", pad_token="<|im_end|>"
    )


def tiny_processor(**fields: Any) -> tuple[TvuConfig, TvuProcessor]:
    """A processor and the config of a model for its tokenizer; `fps` is the processor's."""
    fps = fields.pop("fps", 1.0)
    codec = fields.get("codec", {"name": "text"})
    tokenizer = byte_tokenizer()
    add_tokens(tokenizer, build_codec(codec))
    config = tiny_config(
        **{"codec": codec, **fields},
        text_config=text_config(vocab_size=len(tokenizer)),
        video_token_id=tokenizer.convert_tokens_to_ids(VIDEO),
    )
    return config, TvuProcessor.for_model(config, tokenizer, fps=fps)
