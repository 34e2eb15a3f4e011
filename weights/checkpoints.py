"""A published checkpoint file to named tensors, without running anything that it brings.

Imports torch, so only code that is about to load weights imports this module.
"""

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from tvu.weights.errors import WeightsError

WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
# Trainers write their log, their arguments and a best score beside the weights. What these packages define is read as
# a `_LeftOut`, which is empty and does nothing; anything else that is no tensor refuses the file.
LEFT_OUT = ("mmengine", "mmcv", "numpy", "argparse", "pathlib")
LEFT_OUT_NAME = "builtins.getattr"  # by which the log of mmengine names its own methods


class _LeftOut:
    """What stands where a file has an object that is no tensor: it takes whatever it is given and keeps nothing."""

    def __new__(cls, *_: object, **__: object) -> "_LeftOut":
        return super().__new__(cls)

    def __init__(self, *_: object, **__: object) -> None: ...

    def __setstate__(self, _: object) -> None: ...


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, or of a file written by `torch.save`, under their published names.

    A state dict inside `state_dict`, `model_state_dict`, `model` or `net` is taken out, also out of several of them;
    what lies beside it and is no tensor is dropped. Tensors are on the CPU in their stored dtype, and where the format
    allows they stay in the file until they are read.
    Raises WeightsError if the file is missing, empty, cut short or no checkpoint, and if reading it would run code.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}", hint="give the path of one file") from error
    if not start:
        raise WeightsError(f"{path} is empty", hint="download it again")
    if start[8:9] == b"{":
        content: object = _safetensors(path)
    elif start.startswith((b"PK", b"\x80")):
        content = _pickled(path, is_zip=start.startswith(b"PK"))
    else:
        hint = "tvu reads safetensors and files of torch.save"
        if start.startswith((b"<", b"version ")):
            hint = "a web page or a Git LFS pointer was saved under its name: download the file itself"
        raise WeightsError(f"{path} is no checkpoint", hint=hint)
    for _ in WRAPPERS:  # a bound, since a damaged file may hold itself
        inner = [content[name] for name in WRAPPERS if isinstance(content, Mapping) and name in content]
        content = next((value for value in inner if isinstance(value, Mapping)), content)
    pairs = content.items() if isinstance(content, Mapping) else ()
    tensors = {name: value.detach() for name, value in pairs if isinstance(name, str) and isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError(f"{path} holds no named tensors", hint="is it the state dict of a network?")
    return tensors


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, ValueError) as error:
        raise _damaged(path) from error


def _pickled(path: Path, *, is_zip: bool) -> Any:
    """What torch reads of the file with `weights_only`; objects of `LEFT_OUT` packages come as `_LeftOut`."""
    left: list[Any] = []
    try:
        if is_zip:  # the older format has no list of names to look at first
            foreign = get_unsafe_globals_in_checkpoint(path)
            code = next((name for name in foreign if not _is_left_out(name)), None)
            if code is not None:
                raise _needs_code(path, code)
            left = [(_LeftOut, name) for name in foreign]
        with safe_globals(left):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except WeightsError:
        raise
    except UnpicklingError as error:
        if "GLOBAL" in str(error):
            raise _needs_code(path, "a class of its own") from error
        raise _damaged(path) from error
    except Exception as error:  # a damaged pickle fails wherever it happens to be read wrongly
        raise _damaged(path) from error


def _is_left_out(name: str) -> bool:
    return name == LEFT_OUT_NAME or name.split(".")[0] in LEFT_OUT


def _needs_code(path: Path, code: str) -> WeightsError:
    hint = "code from a checkpoint is never run: ask its authors for a state dict or for safetensors"
    return WeightsError(f"{path} holds more than tensors: {code}", hint=hint)


def _damaged(path: Path) -> WeightsError:
    return WeightsError(f"{path} is damaged or cut short", hint="download it again")
