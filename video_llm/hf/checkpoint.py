"""A folder of Hugging Face files, looked at before anything of it is loaded: what it holds, and whether it fits."""

import json
import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tvu.video_llm.errors import UnknownModel
from tvu.weights.errors import WeightsError

PATTERNS = ["*.json", "*.txt", "*.model", "*.jinja", "*.safetensors"]  # nothing that would have to be unpickled
SUFFIXES_OF_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
MOST_HEADER_BYTES = 100_000_000  # as the safetensors format allows
BYTES = {"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2}
FLOATS = ("F64", "F32", "F16", "BF16")
GIB = 2**30


@dataclass(frozen=True)
class Checkpoint:
    """Weights that are there and whole.

    folder:     where they are.
    model_type: as its `config.json` says.
    counts:     how many numbers are stored in each dtype of safetensors.
    """

    folder: Path
    model_type: str
    counts: dict[str, int]

    def weight_bytes(self, dtype_bytes: int) -> int:
        """Bytes of the weights once loaded: floating ones of `dtype_bytes` each, packed integers as they are stored."""
        return sum(n * (dtype_bytes if dtype in FLOATS else BYTES.get(dtype, 1)) for dtype, n in self.counts.items())


def source_of(name: str) -> str:
    """The folder or repository in `hf:SOURCE` or `hf:SOURCE?OPTIONS`."""
    return name.removeprefix("hf:").partition("?")[0]


def find_folder(source: str, *, may_fetch: bool = False) -> Path:
    """The folder of `source`: a folder itself, or a repository `OWNER/NAME` or `OWNER/NAME@REVISION` of the hub.

    A repository is looked for in the cache of huggingface_hub, and fetched where `may_fetch` allows it; files that
    would have to be unpickled are left there. Raises UnknownModel for what is neither, WeightsError where it is not
    here.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return path
    repo, _, revision = source.partition("@")
    if path.exists() or source.startswith((".", "/", "~")) or repo.count("/") != 1:
        raise UnknownModel(f"{source} is not a folder", hint="hf: takes a folder, or OWNER/NAME of a repository")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        found = snapshot_download(
            repo, revision=revision or None, allow_patterns=PATTERNS, local_files_only=not may_fetch
        )
    except HFValidationError:
        raise UnknownModel(f"{source} is no folder, and no name of a repository", hint="write OWNER/NAME") from None
    except LocalEntryNotFoundError as error:
        hint = f"where there is a network: hf download {repo}"
        raise WeightsError(f"{repo} is not in the cache of the hub", hint=hint) from error
    except Exception as error:  # the hub's client raises what its transport does
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        hint = "is the hub reachable, and may you read the repository? HF_ENDPOINT names a mirror"
        raise WeightsError(f"cannot get {repo} from the hub: {reason}", hint=hint) from error
    return Path(found)


def read_folder(folder: Path) -> Checkpoint:
    """What a folder holds, by its headers. Raises UnknownModel for no model, WeightsError for a damaged one."""
    config = folder / "config.json"
    if not config.is_file():
        raise UnknownModel(f"{folder} holds no model: it has no config.json", hint="give a folder of save_pretrained")
    model_type = read_json(config).get("model_type")
    if not isinstance(model_type, str):
        raise WeightsError(f"{config} names no model_type", hint="download it again")
    counts: dict[str, int] = {}
    for file in _weight_files(folder):
        for dtype, count in _stored(file):
            counts[dtype] = counts.get(dtype, 0) + count
    return Checkpoint(folder, model_type, counts)


def read_json(path: Path) -> dict[str, Any]:
    """An object of a JSON file. Raises WeightsError where it is none."""
    try:
        told = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{path} cannot be read: {error}", hint="download it again") from error
    if not isinstance(told, dict):
        raise WeightsError(f"{path} is not what it should be: no object", hint="download it again")
    return told


def check_memory(needed_bytes: int, free_bytes: int | None, where: str, max_gib: float | None) -> None:
    """Raises WeightsError where the weights take more than `max_gib`, or than is free; None is not known.

    The weights alone are counted: activations and what the model remembers of a video come on top.
    """
    limit = max_gib * GIB if max_gib is not None else free_bytes
    if limit is None or needed_bytes <= limit:
        return
    told = "may take" if max_gib is not None else "are free"
    raise WeightsError(
        f"the weights take {needed_bytes / GIB:.1f} GiB on the {where}, of which {limit / GIB:.1f} {told}",
        hint="try a smaller model, ?device_map=auto over several GPUs, or a larger ?max_memory_gib",
    )


def _weight_files(folder: Path) -> list[Path]:
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.is_file():
        return [single]
    if not index.is_file():
        pickles = sorted(p.name for p in folder.iterdir() if p.suffix in SUFFIXES_OF_PICKLES)
        if pickles:
            hint = "pickles can hold code and are never read: get the safetensors of this model, or convert it"
            raise WeightsError(f"{folder} has its weights only as {pickles[0]}", hint=hint)
        raise WeightsError(f"{folder} has no model.safetensors", hint="download the weights too")
    named = read_json(index).get("weight_map")
    if not isinstance(named, dict) or not named or not all(isinstance(name, str) for name in named.values()):
        raise WeightsError(f"{index} names no files", hint="download it again")
    files = [folder / name for name in sorted(set(named.values()))]
    for file in files:
        if file.parent != folder:  # a name may hold `..`
            raise WeightsError(f"{index} names a file outside its folder", hint="do not trust this folder")
        if not file.is_file():
            raise WeightsError(f"{folder} lacks {file.name}", hint="download it again")
    return files


def _stored(path: Path) -> Iterable[tuple[str, int]]:
    """dtype and how many numbers, of every tensor of a safetensors file. Raises WeightsError unless it is whole."""
    damaged = WeightsError(f"{path} is damaged or cut short", hint="download it again")
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(MOST_HEADER_BYTES, size - 8):
            raise damaged
        try:
            told = json.loads(file.read(length))
        except (ValueError, RecursionError):
            raise damaged from None
    if not isinstance(told, dict):
        raise damaged
    end = 0
    try:
        tensors = [(t["dtype"], math.prod(t["shape"]), t["data_offsets"]) for n, t in told.items() if n[:2] != "__"]
        end = max((offsets[1] for _, _, offsets in tensors), default=0)
    except (TypeError, KeyError, IndexError):
        raise damaged from None
    if not tensors or 8 + length + end != size:
        raise damaged
    return [(str(dtype), int(count)) for dtype, count, _ in tensors]
