"""Folders like the published ones: every name of the official files, numbers that are random, and few of them."""

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

LETTERS = "▁abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,?!'\":;-<>/[]()"
WORDS = ("▁A", "▁man", "ma", "an", "man", "▁m", "▁ma", "se", "seconds", "on", "ond", "onds", "sec", "▁at", "at")
NUMBERS = torch.Generator().manual_seed(0)


def numbers(*shape: int, scale: float = 0.2) -> Tensor:
    return (torch.randn(shape, generator=NUMBERS) * scale).half()


def norm(width: int) -> Tensor:
    return (1 + 0.1 * torch.randn(width, generator=NUMBERS)).half()


# --- vocabularies ---


def pieces() -> list[tuple[str, float, int]]:
    """A Llama's vocabulary in small: marks, bytes, words in the order of their merging, letters."""
    marks = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3)]
    codes = [(f"<0x{byte:02X}>", 0.0, 6) for byte in range(256)]
    words = sorted(WORDS, key=len)
    told = [(word, -float(place), 1) for place, word in enumerate(words)]
    return marks + codes + told + [(letter, -1000.0 - place, 1) for place, letter in enumerate(LETTERS)]


def _varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def write_vocabulary(path: Path, kind: int = 2) -> int:
    """A `tokenizer.model`; returns how many pieces it has."""
    data = b""
    for text, score, number in pieces():
        entry = _field(1, text.encode()) + _varint(2 << 3 | 5) + struct.pack("<f", score)
        data += _field(1, entry + _varint(3 << 3) + _varint(number))
    path.write_bytes(data + _field(2, _varint(3 << 3) + _varint(kind)))
    return len(pieces())


# --- language models ---


def llama(vocab: int, width: int, layers: int, heads: int, inner: int, groups: int | None = None) -> dict[str, Tensor]:
    head = width // heads
    keys = (groups or heads) * head
    state = {
        "model.embed_tokens.weight": numbers(vocab, width, scale=1.0),
        "model.norm.weight": norm(width),
        "lm_head.weight": numbers(vocab, width),
    }
    for layer in range(layers):
        shapes = {
            "self_attn.q_proj": (width, width),
            "self_attn.k_proj": (keys, width),
            "self_attn.v_proj": (keys, width),
            "self_attn.o_proj": (width, width),
            "mlp.gate_proj": (inner, width),
            "mlp.up_proj": (inner, width),
            "mlp.down_proj": (width, inner),
        }
        state |= {f"model.layers.{layer}.{name}.weight": numbers(*shape) for name, shape in shapes.items()}
        state |= {f"model.layers.{layer}.{at}_layernorm.weight": norm(width) for at in ("input", "post_attention")}
    return state


def clip_vision(width: int, layers: int, inner: int, side: int, patch: int) -> dict[str, Tensor]:
    state = {
        "embeddings.class_embedding": numbers(width),
        "embeddings.patch_embedding.weight": numbers(width, 3, patch, patch),
        "embeddings.position_embedding.weight": numbers((side // patch) ** 2 + 1, width),
        "embeddings.position_ids": torch.arange((side // patch) ** 2 + 1)[None],
    }
    for name in ("pre_layrnorm", "post_layernorm"):
        state |= {f"{name}.weight": norm(width), f"{name}.bias": numbers(width)}
    for layer in range(layers):
        at = f"encoder.layers.{layer}."
        for name, (rows, columns) in {
            **{f"self_attn.{each}_proj": (width, width) for each in ("k", "v", "q", "out")},
            "mlp.fc1": (inner, width),
            "mlp.fc2": (width, inner),
        }.items():
            state |= {f"{at}{name}.weight": numbers(rows, columns), f"{at}{name}.bias": numbers(rows)}
        for name in ("layer_norm1", "layer_norm2"):
            state |= {f"{at}{name}.weight": norm(width), f"{at}{name}.bias": numbers(width)}
    return {f"vision_model.{name}": value for name, value in state.items()}


# --- files ---


def write_json(path: Path, told: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(told), "utf-8")


def write_shards(folder: Path, state: Mapping[str, Tensor], shards: int, *, pickled: bool = True) -> None:
    """Shards and their index, as transformers writes them."""
    suffix, stem = (".bin", "pytorch_model") if pickled else (".safetensors", "model")
    names = sorted(state)
    places: dict[str, str] = {}
    for number in range(shards):
        file = f"{stem}-{number + 1:05d}-of-{shards:05d}{suffix}"
        part = {name: state[name].clone() for name in names[number::shards]}
        if pickled:
            torch.save(part, folder / file)
        else:
            save_file(part, folder / file)
        places |= dict.fromkeys(part, file)
    total = sum(tensor.nbytes for tensor in state.values())
    write_json(folder / f"{stem}{suffix}.index.json", {"metadata": {"total_size": total}, "weight_map": places})


# --- LITA ---

CLIP = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": 56,
    "patch_size": 14,
}


def lita_state(vocab: int, width: int = 64) -> dict[str, Tensor]:
    state = llama(vocab, width, layers=2, heads=4, inner=96)
    state["model.mm_projector.weight"] = numbers(width, CLIP["hidden_size"])
    state["model.mm_projector.bias"] = numbers(width)
    for layer in range(2):  # a table that releases of that time stored
        state[f"model.layers.{layer}.self_attn.rotary_emb.inv_freq"] = torch.ones(8)
    return state


def write_lita(
    folder: Path, *, tower: str = "folder", drop: Sequence[str] = (), replace: Mapping[str, Tensor] | None = None
) -> Path:
    """tower: where the vision tower is: `folder`, `checkpoint` or `nowhere`."""
    folder.mkdir(parents=True, exist_ok=True)
    base = write_vocabulary(folder / "tokenizer.model")
    vocab = base + 100
    write_json(
        folder / "config.json",
        {
            "architectures": ["LitaLlamaForCausalLM"],
            "model_type": "lita",
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 96,
            "rms_norm_eps": 1e-6,
            "max_position_embeddings": 640,
            "mm_hidden_size": 32,
            "mm_vision_select_layer": -2,
            "mm_vision_select_feature": "patch",
            "mm_vision_tower": "/nowhere/clip-vit-large-patch14",
            "mm_use_im_start_end": False,
            "mm_use_im_patch_token": False,
            "image_aspect_ratio": "square",
            "input_type": "video",
            "video_arch": "temporal_spatial_pool",
            "num_frames": 100,
            "num_time_tokens": 100,
            "time_token_ids": list(range(base, vocab)),
            "pad_token_id": 0,
            "vocab_size": vocab,
        },
    )
    write_json(folder / "added_tokens.json", {f"<t{i}>": base + i for i in range(100)})
    state = lita_state(vocab)
    vision = clip_vision(32, 3, 64, 56, 14)
    if tower == "folder":
        own = folder / "clip-vit-large-patch14"
        own.mkdir(exist_ok=True)
        write_json(own / "config.json", {"model_type": "clip", "vision_config": CLIP})
        text = {"text_model.embeddings.token_embedding.weight": numbers(4, 8), "logit_scale": torch.ones(())}
        torch.save(vision | text, own / "pytorch_model.bin")
    elif tower == "checkpoint":
        state |= {f"model.vision_tower.vision_tower.{name}": value for name, value in vision.items()}
    state = {name: value for name, value in state.items() if name not in drop} | dict(replace or {})
    write_shards(folder, state, 3)
    return folder


# --- towers of VTG-LLM and VideoChat-T ---


def blocks(prefix: str, width: int, depth: int, inner: int) -> dict[str, Tensor]:
    """Blocks of BEiT."""
    state = {}
    for block in range(depth):
        at = f"{prefix}blocks.{block}."
        for name in ("norm1", "norm2"):
            state |= {f"{at}{name}.weight": norm(width), f"{at}{name}.bias": numbers(width)}
        state |= {f"{at}attn.{name}": numbers(width) for name in ("q_bias", "v_bias")}
        state[f"{at}attn.qkv.weight"] = numbers(3 * width, width)
        for name, (rows, columns) in {
            "attn.proj": (width, width),
            "mlp.fc1": (inner, width),
            "mlp.fc2": (width, inner),
        }.items():
            state |= {f"{at}{name}.weight": numbers(rows, columns), f"{at}{name}.bias": numbers(rows)}
    return state


def eva(width: int = 176, depth: int = 2, inner: int = 64, patch: int = 14, grid: int = 2) -> dict[str, Tensor]:
    return {
        "visual_encoder.cls_token": numbers(1, 1, width),
        "visual_encoder.pos_embed": numbers(1, 1 + grid * grid, width),
        "visual_encoder.patch_embed.proj.weight": numbers(width, 3, patch, patch),
        "visual_encoder.patch_embed.proj.bias": numbers(width),
        **blocks("visual_encoder.", width, depth, inner),
    }


def qformer(width: int, tower_width: int, *, layers: int = 4, inner: int = 64, words: int = 0) -> dict[str, Tensor]:
    """Names after `Qformer.` or `qformer.`; even layers look at the tower."""
    at = "bert.embeddings."
    state = {f"{at}LayerNorm.weight": norm(width), f"{at}LayerNorm.bias": numbers(width)}
    if words:
        state[f"{at}word_embeddings.weight"] = numbers(words, width)
        state[f"{at}position_embeddings.weight"] = numbers(512, width)
        state[f"{at}position_ids"] = torch.arange(512)[None]
    for layer in range(layers):
        at = f"bert.encoder.layer.{layer}."
        linear: dict[str, tuple[int, int]] = {}
        for kind, seen in (("attention", width), ("crossattention", tower_width)):
            if kind == "attention" or layer % 2 == 0:
                linear |= {f"{kind}.self.query": (width, width), f"{kind}.output.dense": (width, width)}
                linear |= {f"{kind}.self.{name}": (width, seen) for name in ("key", "value")}
        for end in ("_query", "") if words else ("_query",):
            linear |= {f"intermediate{end}.dense": (inner, width), f"output{end}.dense": (width, inner)}
        for name, (rows, columns) in linear.items():
            state |= {f"{at}{name}.weight": numbers(rows, columns), f"{at}{name}.bias": numbers(rows)}
            if "output" in name:
                beside = f"{at}{name.removesuffix('dense')}LayerNorm"
                state |= {f"{beside}.weight": norm(width), f"{beside}.bias": numbers(width)}
    return state


def adapters(base: Mapping[str, Tensor], names: Sequence[str], rank: int) -> dict[str, Tensor]:
    """An adapter for every matrix whose name ends in one of `names`, under the names that peft gives it."""
    state = {}
    for name, weight in base.items():
        module = name.removesuffix(".weight")
        if module.endswith(tuple(names)):
            at = f"base_model.model.{module}"
            state[f"{at}.lora_A.default.weight"] = numbers(rank, weight.shape[1]).float()
            state[f"{at}.lora_B.default.weight"] = numbers(weight.shape[0], rank).float()
    return state


# --- VTG-LLM ---

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")


def vtg_llm_state(vocab: int, *, base_layer: bool = True, frames: int = 12) -> dict[str, Tensor]:
    width, channels = 64, 128
    base = llama(vocab, width, layers=2, heads=4, inner=96)
    state = adapters(base, ATTENTION, rank=4)
    for name, value in base.items():
        named = (
            name.replace(".weight", ".base_layer.weight") if base_layer and name.split(".")[-2] in ATTENTION else name
        )
        state[f"base_model.model.{named}"] = value
    state = {f"llama_model.{name}": value for name, value in state.items()}
    seconds = torch.zeros(8192, channels)
    seconds[[0, 1, 3, 6]] = torch.randn(4, channels, generator=NUMBERS)
    state |= eva()
    state |= {"ln_vision.weight": norm(176).float(), "ln_vision.bias": numbers(176).float()}
    state |= {"query_tokens": numbers(1, 8, channels).float()}
    state |= {f"Qformer.{name}": value for name, value in qformer(channels, 176).items()}
    state |= {
        "video_frame_position_embedding.weight": numbers(frames, channels).float(),
        "video_time_position_embedding": seconds,
        "sampler.slots": numbers(channels, 16).float(),
        "llama_proj.weight": numbers(width, channels).float(),
        "llama_proj.bias": numbers(width).float(),
    }
    return state


def write_vtg_llm(
    folder: Path,
    *,
    base_layer: bool = True,
    pad: bool = False,
    drop: Sequence[str] = (),
    replace: Mapping[str, Tensor] | None = None,
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    words = folder / "llama-2-7b-chat-hf"
    words.mkdir(exist_ok=True)
    base = write_vocabulary(words / "tokenizer.model")
    told = {"model_type": "llama", "num_attention_heads": 4, "rms_norm_eps": 1e-5, "max_position_embeddings": 900}
    write_json(words / "config.json", told)
    state = vtg_llm_state(base + 12 + pad, base_layer=base_layer)
    state = {name: value for name, value in state.items() if name not in drop} | dict(replace or {})
    optimizer = {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 3e-5, "params": [0]}]}
    whole = {"model": state, "optimizer": optimizer, "config": {"run": {"lr": 3e-5}}, "scaler": {}, "epoch": 9}
    torch.save(whole, folder / "vtgllm.pth")
    return folder


# --- VideoChat-T ---

EVERY_LINEAR = (*ATTENTION, "gate_proj", "up_proj", "down_proj", "lm_head")
BERT_WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS.lower(), *(f"##{x}" for x in LETTERS.lower()))
TAPE = {"merge_len": 4, "clips": 2, "channels": 128, "hidden": 16}


def tape(width: int, *, merge_len: int = 4, clips: int = 2, channels: int = 128, hidden: int = 16) -> dict[str, Tensor]:
    """TAPE under `temp_adap.`."""
    shapes: dict[str, tuple[int, ...]] = {
        "linear_input": (hidden, channels),
        "linear_output": (width, hidden),
        "fc.0": (hidden, hidden, clips + 1),
    }
    norms = ["fc.1.layer_norm"]
    for name, kernel in (("DwConv1", 9), ("DwConv2", 9), ("UpConv1", 5), ("UpConv0", 5)):
        shapes |= {f"{name}.0": (hidden, 1, kernel), f"{name}.1": (hidden, hidden, 1)}
        norms.append(f"{name}.2.layer_norm")
    state = {}
    for name, shape in shapes.items():
        state |= {f"temp_adap.{name}.weight": numbers(*shape).float()}
        state |= {f"temp_adap.{name}.bias": numbers(shape[0]).float()}
    for name in norms:
        state |= {f"temp_adap.{name}.weight": norm(hidden).float(), f"temp_adap.{name}.bias": numbers(hidden).float()}
    return state


def umt(width: int = 128, depth: int = 2, inner: int = 64, patch: int = 16) -> dict[str, Tensor]:
    return {
        "vision_encoder.encoder.patch_embed.proj.weight": numbers(width, 3, 1, patch, patch),
        "vision_encoder.encoder.patch_embed.proj.bias": numbers(width),
        **blocks("vision_encoder.encoder.", width, depth, inner),
        "vision_layernorm.weight": norm(width),
        "vision_layernorm.bias": numbers(width),
    }


def write_videochat_t(
    folder: Path, *, drop: Sequence[str] = (), replace: Mapping[str, Tensor] | None = None, wrapped: bool = False
) -> Path:
    """drop, replace: of `timesuite.pth`. wrapped: under `model`, as training writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    channels, width, rows = 128, 64, len(BERT_WORDS) + 1  # and [DEC]
    vision = {"name": "vit_l14", "img_size": 32, "num_frames": 8, "return_index": -2, "ckpt_num_frame": 4}
    model = {"num_frames": 16, "clip_frames": 8, "token_merge_len": 4, "extra_num_query_token": 24}
    write_json(folder / "config.json", {"model": {**model, "qformer_text_input": True, "vision_encoder": vision}})
    bert = folder / "bert-base-uncased"
    bert.mkdir(exist_ok=True)
    (bert / "vocab.txt").write_text("\n".join(BERT_WORDS) + "\n", "utf-8")

    mistral = folder / "Mistral-7B-Instruct-v0.2"
    mistral.mkdir(exist_ok=True)
    vocab = write_vocabulary(mistral / "tokenizer.model")
    base = llama(vocab, width, layers=2, heads=4, inner=96, groups=2)
    told = {"model_type": "mistral", "num_attention_heads": 4, "num_key_value_heads": 2, "rope_theta": 1e6}
    told |= {"sliding_window": None, "max_position_embeddings": 1400, "rms_norm_eps": 1e-5, "vocab_size": vocab}
    write_json(mistral / "config.json", told)
    write_shards(mistral, base, 2, pickled=False)

    queries = {f"qformer.{name}": value for name, value in qformer(channels, 128, words=rows).items()}
    torch.save({"model": umt() | queries | {"query_tokens": numbers(1, 8, channels)}}, folder / "umt_l16_qformer.pth")
    stage_3 = {
        **umt(),
        **{f"qformer.{name}": value for name, value in qformer(channels, 128, words=rows).items()},
        "query_tokens": numbers(1, 8, channels),
        "extra_query_tokens": numbers(1, 24, channels),
        "mistral_proj.weight": numbers(width, channels),
        "mistral_proj.bias": numbers(width),
        **{f"mistral_model.{name}": value for name, value in adapters(base, ATTENTION, rank=4).items()},
    }
    torch.save(stage_3, folder / "videochat2_mistral_7b_stage3.pth")
    last = {
        **{
            f"qformer.{name}": value.float()
            for name, value in qformer(channels, 128, words=rows).items()
            if "ids" not in name
        },
        "query_tokens": numbers(1, 8, channels).float(),
        "extra_query_tokens": numbers(1, 24, channels).float(),
        "clip_proj.weight": numbers(channels, channels).float(),
        "clip_proj.bias": numbers(channels).float(),
        "merge_proj.weight": numbers(width, 4 * channels).float(),
        "merge_proj.bias": numbers(width).float(),
        **tape(width),
        **{f"mistral_model.{name}": value for name, value in adapters(base, EVERY_LINEAR, rank=4).items()},
    }
    last = {name: value for name, value in last.items() if name not in drop} | dict(replace or {})
    torch.save({"model": last, "epoch": 1} if wrapped else last, folder / "timesuite.pth")
    return folder
