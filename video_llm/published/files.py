"""A folder of downloaded files: which of them are there, and the tensors in them. Nothing that they bring is run."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from tvu.weights.checkpoints import read_checkpoint
from tvu.weights.errors import WeightsError

INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
SINGLES = ("model.safetensors", "pytorch_model.bin")


def find_file(folder: Path, *names: str) -> Path | None:
    """The first of `names` that is a file in `folder`, or in a folder inside it; None where none is."""
    for name in names:
        found = [folder / name, *sorted(folder.glob(f"*/{name}")), *sorted(folder.glob(f"*/*/{name}"))]
        path = next((path for path in found if path.is_file()), None)
        if path is not None:
            return path
    return None


def need_file(folder: Path, *names: str, origin: str) -> Path:
    """`find_file`, or WeightsError that says what is missing and where it comes from."""
    path = find_file(folder, *names)
    if path is None:
        raise WeightsError(f"{folder} has no {' or '.join(names)}", hint=f"it comes from {origin}")
    return path


def find_folder(folder: Path, *words: str) -> Path | None:
    """The folder inside `folder`, or inside one of those, whose name holds one of `words`; None where none does."""
    inside = [path for path in (*sorted(folder.glob("*")), *sorted(folder.glob("*/*"))) if path.is_dir()]
    return next((path for word in words for path in inside if word in path.name.lower()), None)


def read_json(path: Path) -> dict[str, Any]:
    """An object of a JSON file. Raises WeightsError where the file holds none."""
    try:
        told = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        reason = str(error).split("\n")[0]
        raise WeightsError(f"{path} cannot be read: {reason}", hint="download it again") from error
    if not isinstance(told, dict):
        raise WeightsError(f"{path} holds no settings", hint="download it again")
    return told


def own_config(folder: Path, origin: str) -> dict[str, Any]:
    """The `config.json` of `folder` itself: folders inside it have others, of parts. Raises WeightsError."""
    if not (folder / "config.json").is_file():
        raise WeightsError(f"{folder} has no config.json", hint=f"it comes from {origin}")
    return read_json(folder / "config.json")


def has_shards(folder: Path) -> bool:
    """Whether `folder` itself holds the weights of a model of transformers, in one file or in several."""
    return any((folder / name).is_file() for name in (*INDEXES, *SINGLES))


def read_shards(folder: Path, origin: str) -> dict[str, Tensor]:
    """The tensors of a model of transformers, in one file or in the shards that its index names.

    Safetensors win over pickled files. Raises WeightsError where a file is missing, damaged or carries code, where a
    shard lacks a tensor that the index promises, and where the index leads out of the folder.
    """
    for name, single in zip(INDEXES, SINGLES, strict=True):
        if (folder / name).is_file():
            return _read_indexed(folder / name, origin)
        if (folder / single).is_file():
            return read_checkpoint(folder / single)
    raise WeightsError(f"{folder} has none of {', '.join((*SINGLES, *INDEXES))}", hint=f"they come from {origin}")


def _read_indexed(index: Path, origin: str) -> dict[str, Tensor]:
    places = read_json(index).get("weight_map")
    if not isinstance(places, Mapping) or not all(isinstance(name, str) for name in places.values()):
        raise WeightsError(f"{index} names no shards", hint="download it again")
    tensors: dict[str, Tensor] = {}
    for name in sorted(set(places.values())):
        if Path(name).name != name:
            raise WeightsError(f"{index} names {name!r}, which is not in its folder", hint="download it again")
        if not (index.parent / name).is_file():
            raise WeightsError(f"{index.parent} lacks the shard {name}", hint=f"it comes from {origin}")
        tensors |= read_checkpoint(index.parent / name)
    lacking = [key for key in places if key not in tensors]
    if lacking:
        raise WeightsError(f"the shards of {index} lack {_some(lacking)}", hint="download them again")
    return tensors


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return ", ".join(names[:2]) + more
