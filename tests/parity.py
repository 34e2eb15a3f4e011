"""One case of an official implementation through our modules.

`run(path)` takes a `.safetensors` case, `run_records(path)` a `.json` one; both choose by what the file says of itself
the function in `parity_runners/<module>*.py` that builds our module, and nothing else: any case of the same official
code can be run, whatever its seed, shape or settings.
"""

import importlib
import importlib.util
import json
import sys
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

RUNNERS = Path(__file__).parent / "parity_runners"
PACKAGE = RUNNERS.name

if PACKAGE not in sys.modules:  # by path: this file works however it was imported, and no folder joins sys.path
    _spec = importlib.util.spec_from_file_location(PACKAGE, RUNNERS / "__init__.py")
    assert _spec is not None and _spec.loader is not None
    sys.modules[PACKAGE] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[PACKAGE])

Case = importlib.import_module(f"{PACKAGE}.case").Case


class Outputs(dict[str, Tensor]):
    """Tensors named as in the file, `out.y`; found under the bare name, `y`, too."""

    def __missing__(self, name: str) -> Tensor:
        if name.startswith("out."):
            raise KeyError(name)
        return self[f"out.{name}"]


def run(path: str | Path, dtype: torch.dtype = torch.float64) -> Outputs:
    """What our module, built and fed as the case in `path` says, gives for each of its `out.*`.

    dtype: float64 separates a wrong formula from rounding; float32 is what users run.
    """
    meta, case, kinds = read_case(Path(path), dtype)
    outputs = _found(meta["module"], "RUNNERS")[meta["runner"]](case)
    return Outputs({f"out.{name}": _as_stored(outputs[name].detach(), kinds[name]) for name in case.outputs})


def run_records(path: str | Path) -> list[dict[str, Any]]:
    """Our result for every record in `path`, list after list in the file's order.

    A result is the record with the fields that the official code computed replaced by ours.
    """
    content = json.loads(Path(path).read_text("utf-8"))
    answer = _found(content["module"], "RECORDS")
    return [
        {**record, **answer[f"{content['case']}.{name}"](record, content)}
        for name, records in content.items()
        if isinstance(records, list) and records and isinstance(records[0], dict)
        for record in records
    ]


def read_case(path: Path, dtype: torch.dtype) -> tuple[dict[str, Any], Case, dict[str, torch.dtype]]:
    """The metadata of a case, its tensors (built by their rule where not stored), the dtypes of its outputs."""
    with safe_open(path, framework="pt") as file:
        meta = json.loads(file.metadata()["meta"])
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    kinds = {name.removeprefix("out."): stored.pop(name).dtype for name in list(stored) if name.startswith("out.")}
    rule = meta.get("procedural") or {}
    for name, shape, scale, offset in rule.get("weights") or []:
        stored[f"w.{name}"] = procedural(name, rule["seed"], shape, scale, offset)
    for name, shape, scale, offset in rule.get("inputs") or []:
        stored[f"in.{name}"] = procedural(f"in.{name}", rule["seed"], shape, scale, offset)
    cast = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in stored.items()}
    weights = {name.removeprefix("w."): tensor for name, tensor in cast.items() if name.startswith("w.")}
    inputs = {name.removeprefix("in."): tensor for name, tensor in cast.items() if name.startswith("in.")}
    return meta, Case(meta["config"], weights, inputs, tuple(kinds), dtype), kinds


def _as_stored(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor if dtype.is_floating_point else tensor.to(dtype)


def procedural(name: str, seed: int, shape: list[int], scale: float, offset: float) -> Tensor:
    """A tensor described by a seed instead of stored: splitmix64 of a counter that starts at a hash of its name.

    Returns float32 of `shape`, uniform in `offset +- scale`.
    """
    with np.errstate(over="ignore"):  # 64-bit arithmetic that wraps around is the rule
        base = (np.uint64(zlib.crc32(name.encode())) << np.uint64(32)) ^ (
            np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15)
        )
        x = base + np.arange(int(np.prod(shape)), dtype=np.uint64)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    unit = (x >> np.uint64(40)).astype(np.float64) / 2**24
    return torch.from_numpy(((2 * unit - 1) * scale + offset).astype(np.float32).reshape(shape))


@cache
def _found(module: str, table: str) -> dict[str, Callable[..., Any]]:
    """RUNNERS or RECORDS of the files for a module."""
    found: dict[str, Callable[..., Any]] = {}
    for file in sorted(RUNNERS.glob(f"{module}*.py")):
        found |= getattr(importlib.import_module(f"{PACKAGE}.{file.stem}"), table, {})
    return found
