"""What a model will need before any of it is loaded, and where it is put."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from tvu.video_llm.runtime import MAX_VRAM, memory_limit
from tvu.weights.errors import WeightsError

Precision = Literal["auto", "bf16", "fp16", "fp32"]
DTYPES: Mapping[str, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
WORKING = 1.1  # of what is kept, for what a forward pass holds on the way: a tower's frames, a prompt's layers


@dataclass(frozen=True)
class PublishedConfig:
    """How a published model is loaded and used.

    official:       as its authors evaluate it, quirks included (each model's `DIFFERENCES`); otherwise as it was
                    trained, with times from our clock.
    precision:      of the weights; auto: float32 on a CPU, on a GPU what its authors ran it in. Eight bits would need
                    bitsandbytes, which tvu does not bring.
    device:         where to run; None: the GPUs where there are any.
    max_vram_bytes: at most so much memory, of a CPU too; None: `$TVU_MAX_VRAM` (`24GB`), or what is free.
    offload:        let accelerate keep layers that do not fit in the memory of the CPU; slow.
    max_new_tokens: of a free answer. seed: of what the published evaluation draws.
    """

    official: bool = False
    precision: Precision = "auto"
    device: str | None = None
    max_vram_bytes: int | None = None
    offload: bool = False
    max_new_tokens: int | None = None
    seed: int = 42

    def __post_init__(self) -> None:
        if self.precision not in ("auto", *DTYPES):
            raise ValueError(f"precision is auto, bf16, fp16 or fp32, not {self.precision!r}")
        if self.max_vram_bytes is not None and self.max_vram_bytes < 1:
            raise ValueError(f"max_vram_bytes must be at least 1, not {self.max_vram_bytes}")
        if self.max_new_tokens is not None and self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be at least 1, not {self.max_new_tokens}")

    @property
    def runs_on(self) -> torch.device:
        return torch.device(self.device or ("cuda" if torch.cuda.is_available() else "cpu"))

    def dtype(self, published: torch.dtype) -> torch.dtype:
        """Of the weights, for a model that its authors run in `published`."""
        if self.precision != "auto":
            return DTYPES[self.precision]
        return torch.float32 if self.runs_on.type == "cpu" else published


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes that a model will need, part by part, and how many there may be.

    parts: of the weights. cache_bytes: keys and values of the longest prompt that the model can hold.
    limit_bytes: of all devices that may be used together; per_device: of each GPU.
    """

    parts: Mapping[str, int]
    cache_bytes: int
    limit_bytes: int
    per_device: Mapping[int, int]
    dtype: torch.dtype

    @property
    def total_bytes(self) -> int:
        return int(WORKING * (sum(self.parts.values()) + self.cache_bytes))

    @property
    def fits(self) -> bool:
        return self.total_bytes <= self.limit_bytes

    @property
    def needs_several(self) -> bool:
        """Whether no single GPU holds all of it."""
        return bool(self.per_device) and self.total_bytes > max(self.per_device.values())

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {_gb(size)}" for name, size in self.parts.items())
        return f"{_gb(self.total_bytes)} in {str(self.dtype).removeprefix('torch.')}: {parts}"


def plan_memory(
    model: str, parts: Mapping[str, nn.Module], language: Any, dtype: torch.dtype, config: PublishedConfig
) -> MemoryPlan:
    """What modules that hold no numbers yet will need: their parameters times the bytes of each.

    language: config of the language model, for its cache. Raises WeightsError where it does not fit.
    """
    size = dtype.itemsize
    sizes = {name: size * sum(p.numel() for p in module.parameters()) for name, module in parts.items()}
    width = getattr(language, "head_dim", None) or language.hidden_size // language.num_attention_heads
    positions = language.max_position_embeddings if language.max_position_embeddings < 8192 else 4096
    cache = 2 * language.num_hidden_layers * language.num_key_value_heads * width * positions * size
    free = _free_by_gpu() if config.runs_on.type == "cuda" else {}
    limit = config.max_vram_bytes or memory_limit()
    available = sum(free.values()) if free else _free_on_cpu()
    if config.offload and free:
        available += _free_on_cpu()
    plan = MemoryPlan(sizes, cache, available if limit is None else min(limit, available), free, dtype)
    if not plan.fits:
        have = f"{_gb(plan.limit_bytes)} {'free' if limit is None or limit > available else 'allowed'}"
        hint = f"use a larger device, fp16 or bf16, or raise ${MAX_VRAM}"
        raise WeightsError(f"{model} does not fit into the {have}: it needs {plan}", hint=hint)
    return plan


def put(module: nn.Module, plan: MemoryPlan, config: PublishedConfig, *, may_split: bool = False) -> nn.Module:
    """`module` on the device of the config; one that may be split is spread by accelerate where no GPU holds it all."""
    if not (may_split and config.runs_on.type == "cuda" and (plan.needs_several or config.offload)):
        return module.to(config.runs_on)
    from accelerate import dispatch_model

    return dispatch_model(module, device_map=device_map(module, plan, config))


def device_map(module: nn.Module, plan: MemoryPlan, config: PublishedConfig) -> dict[str, int | str]:
    """Which part of a language model lies where: the first GPU also holds all that sees. No layer is cut."""
    from accelerate import infer_auto_device_map

    others = sum(size for name, size in plan.parts.items() if name != "language model")
    room: dict[int | str, int | str] = {
        gpu: max(0, int(min(free, plan.limit_bytes) / WORKING) - (others if gpu == 0 else 0))
        for gpu, free in plan.per_device.items()
    }
    if config.offload:
        room["cpu"] = _free_on_cpu()
    layers = ["LlamaDecoderLayer", "MistralDecoderLayer"]  # whose residual stream must not cross devices
    found: dict[str, int | str] = infer_auto_device_map(
        module, max_memory=room, no_split_module_classes=layers, dtype=plan.dtype
    )
    return found


def _free_by_gpu() -> dict[int, int]:
    return {gpu: torch.cuda.mem_get_info(gpu)[0] for gpu in range(torch.cuda.device_count())}


def _free_on_cpu() -> int:
    try:
        told = Path("/proc/meminfo").read_text("ascii")
        return 1024 * int(re.search(r"MemAvailable:\s+(\d+)", told)[1])  # type: ignore[index]
    except (OSError, TypeError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.2f} MB"
