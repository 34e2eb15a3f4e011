"""From a folder or a repository to a model: looked at first, loaded without running anything that it brings."""

import re
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoProcessor
from transformers.models.auto import modeling_auto
from transformers.utils import logging

from tvu.temporal.errors import TvuError
from tvu.video_llm.errors import BackendError, UnknownModel
from tvu.video_llm.hf.checkpoint import GIB, Checkpoint, check_memory, find_folder, read_folder
from tvu.video_llm.hf.config import HfConfig, parse_name
from tvu.video_llm.hf.families import FAMILIES
from tvu.video_llm.hf.model import HfVideoLLM
from tvu.video_llm.pipeline import Report, be_silent
from tvu.video_llm.runtime import memory_limit
from tvu.weights.errors import WeightsError

LOCAL: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
WHICH = f"models that see videos, such as {', '.join(FAMILIES)}"


def load_hf(
    name: str, config: HfConfig | None = None, *, may_fetch: bool = False, report: Report = be_silent
) -> HfVideoLLM:
    """`hf:FOLDER`, `hf:OWNER/NAME`, with options behind a `?` (`config.parse_name`).

    may_fetch: fetch what of a repository is not in the cache of the hub.
    Raises UnknownModel for what is no such model, WeightsError where it is missing, damaged, too large, or not what its
    config says, and BackendError where a library that it needs is missing.
    """
    source, config = parse_name(name, config)
    checkpoint = read_folder(find_folder(source, may_fetch=may_fetch))
    model_class = _class_of(checkpoint)
    dtype = _dtype_of(config)
    _check_memory(checkpoint, config, dtype)
    logging.disable_progress_bar()  # stderr is ours
    logging.set_verbosity_error()
    try:
        processor = _processor(checkpoint)
        model = _model(checkpoint, model_class, config, dtype)
        _check_vocabulary(processor, model)
        return HfVideoLLM(name, model, processor, config, report=report)
    except TvuError:
        raise
    except ImportError as error:
        hint = "pip install num2words" if "num2words" in str(error) else "install it beside tvu"
        raise BackendError(f"{source} needs a library: {_first_line(error)}", hint=hint) from error
    except Exception as error:  # transformers, tokenizers and safetensors raise whatever they like about a file
        raise WeightsError(
            f"{source} cannot be loaded: {_first_line(error)}", hint="download it again, or save it again"
        ) from error


def _class_of(checkpoint: Checkpoint) -> Any:
    """The class of transformers for its type. Raises UnknownModel for none, and one that needs code of its own."""
    names = {
        **modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
        **getattr(modeling_auto, "MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES", {}),
    }
    kind = checkpoint.model_type
    if kind not in names:
        raise UnknownModel(f"{checkpoint.folder} holds a model of type {kind!r}, which is none of {WHICH}", hint=WHICH)
    import transformers

    return getattr(transformers, names[kind])


def _processor(checkpoint: Checkpoint) -> Any:
    """Tokenizer, processor of frames and chat template. Raises UnknownModel for one that takes no videos."""
    processor = AutoProcessor.from_pretrained(checkpoint.folder, **LOCAL)
    has_place = getattr(processor, "video_processor", None) is not None and getattr(processor, "video_token", None)
    if not has_place or not getattr(processor, "tokenizer", None):
        kind = checkpoint.model_type
        raise UnknownModel(f"{checkpoint.folder} holds a model of type {kind!r}, which takes no videos", hint=WHICH)
    return processor


def _model(checkpoint: Checkpoint, model_class: Any, config: HfConfig, dtype: torch.dtype) -> Any:
    """The weights, every one of them. Raises WeightsError where some are missing, left over, or of another shape."""
    settings = AutoConfig.from_pretrained(checkpoint.folder, **LOCAL)
    if type(settings).model_type != checkpoint.model_type:
        raise WeightsError(f"{checkpoint.folder}/config.json is not of one model", hint="download it again")
    told: dict[str, Any] = {"dtype": dtype, "use_safetensors": True, "output_loading_info": True}
    if config.device_map is not None:
        told["device_map"] = config.device_map
    model, found = model_class.from_pretrained(checkpoint.folder, config=settings, **told, **LOCAL)
    for what, names in (
        ("lacks", found["missing_keys"]),
        ("has weights that its model does not know", found["unexpected_keys"]),
        ("has weights of another shape", found["mismatched_keys"]),
    ):
        if names:
            first = sorted(str(name) for name in names)[0]
            told_of = f"{what}: {first}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
            raise WeightsError(f"{checkpoint.folder} {told_of}", hint="are weights and config.json of one model?")
    if config.device_map is None:
        model.to("cuda" if torch.cuda.is_available() else "cpu")
    return model


def _check_vocabulary(processor: Any, model: Any) -> None:
    rows = model.get_input_embeddings().weight.shape[0]
    last = max(processor.tokenizer.get_vocab().values())
    if last >= rows:
        raise WeightsError(
            f"the tokenizer writes {last + 1} tokens, the model knows {rows}", hint="are they of one model?"
        )


def _dtype_of(config: HfConfig) -> torch.dtype:
    if config.dtype is None:
        return torch.bfloat16 if torch.cuda.is_available() else torch.float32
    found = getattr(torch, config.dtype, None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise UnknownModel(f"{config.dtype} is no floating dtype", hint="bfloat16, float16 or float32")
    return found


def _check_memory(checkpoint: Checkpoint, config: HfConfig, dtype: torch.dtype) -> None:
    needed = checkpoint.weight_bytes(dtype.itemsize)
    allowed = memory_limit()
    limit = config.max_memory_gib or (allowed / GIB if allowed else None)
    if torch.cuda.is_available():
        count = torch.cuda.device_count() if config.device_map else 1
        free = sum(torch.cuda.mem_get_info(number)[0] for number in range(count))
        check_memory(needed, free, "GPU", limit)
    else:
        check_memory(needed, _free_memory(), "CPU", limit)


def _free_memory() -> int | None:
    """Bytes that Linux says a program may still take; None where nobody says."""
    try:
        told = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    except OSError:
        return None
    return int(told[1]) * 1024 if told else None


def _first_line(error: Exception) -> str:
    return re.split(r"\n|\. ", str(error).strip())[0] or type(error).__name__
