"""Checkpoints of a few thousand random weights, as `save_pretrained` of each family lays them out, and offline."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers as hf
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

SIDE, PATCH = 16, 8
VISION_MARKS = ("<|im_start|>", "<|im_end|>")
QWEN = {
    "<|vision_start|>": None,
    "<|vision_end|>": None,
    "<|image_pad|>": "image_token",
    "<|video_pad|>": "video_token",
}
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}{% for part in message['content'] %}"
    "{% if part['type'] == 'video' %}{{ 'VIDEO' }}{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{{ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
QWEN_TEMPLATE = CHATML.replace("VIDEO", "<|vision_start|><|video_pad|><|vision_end|>")
LLAVA_TEMPLATE = CHATML.replace("VIDEO", "<video>\n")
VICUNA_TEMPLATE = (
    "{% for message in messages %}{{ message['role'].upper() + ': ' }}{% for part in message['content'] %}"
    "{% if part['type'] == 'video' %}{{ '<video>\n' }}{% else %}{{ part['text'] + ' ' }}{% endif %}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 8192,
    "initializer_range": 0.2,
    "tie_word_embeddings": False,
}
CLIP: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": SIDE,
    "patch_size": PATCH // 2,
    "projection_dim": 16,
}


def tokenizer_of(marks: dict[str, str | None], template: str, bos: bool = False) -> Any:
    """Single bytes, ChatML's marks and those of a family; marks with a name are attributes of the tokenizer."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: number for number, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(mark, special=True) for mark in (*VISION_MARKS, *marks)])
    named = {name: mark for mark, name in marks.items() if name}
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        extra_special_tokens=named,
        chat_template=template,
    )


def sentencepiece_like() -> Any:
    """As Llama's: a blank before the text, bytes for what has no piece, and a token that the tokenizer puts first."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *map(chr, range(33, 127))]
    model = models.BPE({piece: n for n, piece in enumerate(pieces)}, [], unk_token="<unk>", byte_fallback=True)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    strip = decoders.Strip(" ", 1, 0)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), strip])
    tokenizer.add_special_tokens([AddedToken(mark, special=True) for mark in ("<s>", "</s>", "<image>", "<video>")])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    named = {"image_token": "<image>", "video_token": "<video>"}
    ends = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "</s>"}
    return hf.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **ends, extra_special_tokens=named)


def _text(tokenizer: Any, model_type: str = "qwen2", **fields: Any) -> dict[str, Any]:
    ends = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    return {"model_type": model_type, "vocab_size": len(tokenizer), **SIZES, **ends, **fields}


def _qwen(kind: str) -> tuple[Any, Any]:
    tokenizer = tokenizer_of(QWEN, QWEN_TEMPLATE)
    ids = {f"{name}_token_id": tokenizer.convert_tokens_to_ids(f"<|{name}_pad|>") for name in ("image", "video")}
    ids |= {f"vision_{n}_token_id": tokenizer.convert_tokens_to_ids(f"<|vision_{n}|>") for n in ("start", "end")}
    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}
    if kind == "qwen3_vl":
        vision = {
            "depth": 2, "hidden_size": 16, "num_heads": 2, "intermediate_size": 32, "patch_size": PATCH,
            "spatial_merge_size": 2, "temporal_patch_size": 2, "out_hidden_size": 32, "num_position_embeddings": 16,
            "deepstack_visual_indexes": [0, 1], "initializer_range": 0.2,
        }  # fmt: skip
        text = _text(tokenizer, "qwen3_vl_text", head_dim=8, rope_parameters=rope)
        config: Any = hf.Qwen3VLConfig(text_config=text, vision_config=vision, **ids)
        video: Any = hf.Qwen3VLVideoProcessor(patch_size=PATCH, size={"shortest_edge": 256, "longest_edge": 2**16})
        image = hf.Qwen2VLImageProcessor(patch_size=PATCH, size={"shortest_edge": 256, "longest_edge": 1024})
        return hf.Qwen3VLForConditionalGeneration(config), hf.Qwen3VLProcessor(
            image, tokenizer, video, chat_template=QWEN_TEMPLATE
        )
    text = _text(tokenizer, f"{kind}_text", rope_parameters=rope)
    size = {"shortest_edge": 256, "longest_edge": 1024}
    image = hf.Qwen2VLImageProcessor(patch_size=PATCH, size=size)
    video = hf.Qwen2VLVideoProcessor(patch_size=PATCH, size=size)
    if kind == "qwen2_vl":
        vision = {
            "depth": 2, "embed_dim": 16, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2, "patch_size": PATCH,
            "spatial_merge_size": 2, "temporal_patch_size": 2,
        }  # fmt: skip
        config = hf.Qwen2VLConfig(text_config=text, vision_config=vision, **ids)
        return hf.Qwen2VLForConditionalGeneration(config), hf.Qwen2VLProcessor(
            image, tokenizer, video, chat_template=QWEN_TEMPLATE
        )
    vision = {
        "depth": 2, "hidden_size": 16, "out_hidden_size": 32, "num_heads": 2, "intermediate_size": 32,
        "patch_size": PATCH, "spatial_merge_size": 2, "temporal_patch_size": 2, "window_size": 32,
        "fullatt_block_indexes": [1], "tokens_per_second": 25,
    }  # fmt: skip
    config = hf.Qwen2_5_VLConfig(text_config=text, vision_config=vision, **ids)
    return hf.Qwen2_5_VLForConditionalGeneration(config), hf.Qwen2_5_VLProcessor(
        image, tokenizer, video, chat_template=QWEN_TEMPLATE
    )


def _llava_onevision() -> tuple[Any, Any]:
    tokenizer = tokenizer_of({"<image>": "image_token", "<video>": "video_token"}, LLAVA_TEMPLATE)
    vision = {"model_type": "siglip_vision_model", **CLIP, "vision_use_head": False}
    config = hf.LlavaOnevisionConfig(
        vision_config=vision,
        text_config=_text(tokenizer),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=[[SIDE, SIDE]],
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
    )
    size = {"height": SIDE, "width": SIDE}
    processor = hf.LlavaOnevisionProcessor(
        hf.LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=[[SIDE, SIDE]]),
        tokenizer,
        hf.LlavaOnevisionVideoProcessor(size=size),
        num_image_tokens=(SIDE // CLIP["patch_size"]) ** 2,
        vision_feature_select_strategy="full",
        chat_template=LLAVA_TEMPLATE,
    )
    return hf.LlavaOnevisionForConditionalGeneration(config), processor


def _llava_next_video() -> tuple[Any, Any]:
    tokenizer = sentencepiece_like()
    config = hf.LlavaNextVideoConfig(
        vision_config={"model_type": "clip_vision_model", **CLIP},
        text_config=_text(tokenizer, "llama"),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=[[SIDE, SIDE]],
    )
    shared = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
    processor = hf.LlavaNextVideoProcessor(
        hf.LlavaNextVideoVideoProcessor(**shared),
        hf.LlavaNextImageProcessor(**shared, image_grid_pinpoints=[[SIDE, SIDE]]),
        tokenizer,
        chat_template=VICUNA_TEMPLATE,
        patch_size=CLIP["patch_size"],
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    return hf.LlavaNextVideoForConditionalGeneration(config), processor


def _video_llava() -> tuple[Any, Any]:
    tokenizer = tokenizer_of({"<image>": "image_token", "<video>": "video_token"}, LLAVA_TEMPLATE)
    config = hf.VideoLlavaConfig(
        vision_config={"model_type": "clip_vision_model", **CLIP},
        text_config=_text(tokenizer, "llama"),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_seq_length=16,
        video_seq_length=17 * 8,
    )
    shared = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
    processor = hf.VideoLlavaProcessor(
        hf.VideoLlavaImageProcessor(**shared),
        hf.VideoLlavaVideoProcessor(**shared),
        tokenizer,
        patch_size=CLIP["patch_size"],
        num_additional_image_tokens=1,
        chat_template=LLAVA_TEMPLATE,
    )
    return hf.VideoLlavaForConditionalGeneration(config), processor


def _internvl() -> tuple[Any, Any]:
    marks: dict[str, str | None] = {
        "<img>": "start_image_token",
        "</img>": "end_image_token",
        "<IMG_CONTEXT>": "context_image_token",
        "<video>": "video_token",
    }
    tokenizer = tokenizer_of(marks, LLAVA_TEMPLATE)
    vision = {
        "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
        "image_size": [SIDE, SIDE], "patch_size": [4, 4],
    }  # fmt: skip
    config = hf.InternVLConfig(
        vision_config=vision,
        text_config=_text(tokenizer),
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
    )
    size = {"height": SIDE, "width": SIDE}
    processor = hf.InternVLProcessor(
        hf.GotOcr2ImageProcessor(size=size),
        tokenizer,
        hf.InternVLVideoProcessor(size=size),
        image_seq_length=4,
        chat_template=LLAVA_TEMPLATE,
    )
    return hf.InternVLForConditionalGeneration(config), processor


def _smolvlm() -> tuple[Any, Any]:
    marks: dict[str, str | None] = {
        "<fake_token_around_image>": "fake_image_token",
        "<image>": "image_token",
        "<end_of_utterance>": "end_of_utterance_token",
        "<global-img>": "global_image_token",
    }
    tokenizer = tokenizer_of(marks, LLAVA_TEMPLATE)
    config = hf.SmolVLMConfig(
        vision_config={"model_type": "smolvlm_vision", **{k: v for k, v in CLIP.items() if k != "projection_dim"}},
        text_config=_text(tokenizer, "llama"),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=tokenizer.pad_token_id,
    )
    edge = {"longest_edge": SIDE}
    processor = hf.SmolVLMProcessor(
        hf.SmolVLMImageProcessor(size=edge, max_image_size=edge),
        tokenizer,
        hf.SmolVLMVideoProcessor(size=edge, max_image_size=edge, num_frames=64, fps=1),
        image_seq_len=4,
        chat_template=LLAVA_TEMPLATE,
    )
    return hf.SmolVLMForConditionalGeneration(config), processor


def _video_llama_3() -> tuple[Any, Any]:
    tokenizer = tokenizer_of(QWEN, LLAVA_TEMPLATE.replace("<video>", "<|video_pad|>"))
    config = hf.VideoLlama3Config(
        vision_config={**{k: v for k, v in CLIP.items() if k != "projection_dim"}, "patch_size": PATCH},
        text_config=_text(tokenizer),
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<|video_pad|>"),
    )
    shared = {"patch_size": PATCH, "size": {"shortest_edge": 256, "longest_edge": 1024}}
    processor = hf.VideoLlama3Processor(
        hf.VideoLlama3ImageProcessor(**shared),
        tokenizer,
        hf.VideoLlama3VideoProcessor(**shared),
        chat_template=tokenizer.chat_template,
    )
    return hf.VideoLlama3ForConditionalGeneration(config), processor


def _glm4v() -> tuple[Any, Any]:
    kinds = ("image", "video")
    named: dict[str, str | None] = {f"<|{kind}|>": f"{kind}_token" for kind in kinds}
    named |= {f"<|{edge}_of_{kind}|>": None for kind in kinds for edge in ("begin", "end")}
    template = LLAVA_TEMPLATE.replace("<video>\n", "<|begin_of_video|><|video|><|end_of_video|>")
    tokenizer = tokenizer_of(named, template)
    vision = {
        "depth": 2, "hidden_size": 16, "num_heads": 2, "intermediate_size": 32, "out_hidden_size": 32,
        "image_size": 32, "patch_size": PATCH,
    }  # fmt: skip
    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}
    config = hf.Glm4vConfig(
        vision_config=vision,
        text_config=_text(tokenizer, "glm4v_text", rope_parameters=rope),
        **{f"{kind}_token_id": tokenizer.convert_tokens_to_ids(f"<|{kind}|>") for kind in kinds},
        **{f"{k}_start_token_id": tokenizer.convert_tokens_to_ids(f"<|begin_of_{k}|>") for k in kinds},
        **{f"{k}_end_token_id": tokenizer.convert_tokens_to_ids(f"<|end_of_{k}|>") for k in kinds},
    )
    shared = {"patch_size": PATCH, "size": {"shortest_edge": 256, "longest_edge": 4096}}
    processor = hf.Glm4vProcessor(
        hf.Glm4vImageProcessor(**shared), tokenizer, hf.Glm4vVideoProcessor(**shared), chat_template=template
    )
    return hf.Glm4vForConditionalGeneration(config), processor


FAMILIES: dict[str, Callable[[], tuple[Any, Any]]] = {
    "qwen2_vl": lambda: _qwen("qwen2_vl"),
    "qwen2_5_vl": lambda: _qwen("qwen2_5_vl"),
    "qwen3_vl": lambda: _qwen("qwen3_vl"),
    "llava_onevision": _llava_onevision,
    "llava_next_video": _llava_next_video,
    "video_llava": _video_llava,
    "internvl": _internvl,
    "smolvlm": _smolvlm,
    "video_llama_3": _video_llama_3,
    "glm4v": _glm4v,  # one that `hf/families.py` does not know
}


def write(family: str, folder: Path) -> Path:
    """A checkpoint of `family`, always the same one."""
    torch.manual_seed(0)
    model, processor = FAMILIES[family]()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
