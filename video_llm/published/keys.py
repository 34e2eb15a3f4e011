"""Tensors of published files into modules that were built without any, and what became of every name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from tvu.temporal.checkpoint_keys import KeyReport
from tvu.weights.errors import WeightsError


@dataclass(frozen=True)
class LoadReport:
    """What became of the names in all files of a model.

    parts:      of each part of the model; `unexpected` is empty in them, since a file holds several parts.
    unexpected: names in the files that no part has.
    unused:     names that are known and not needed: a frozen tower that comes from its own file, an adapter that a
                later file replaces, a head for training.
    """

    parts: Mapping[str, KeyReport]
    unexpected: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every parameter of the model came from a file."""
        return all(report.complete for report in self.parts.values())

    def __str__(self) -> str:
        parts = "; ".join(
            f"{name}: {len(report.matched)} matched, {len(report.missing)} missing, "
            f"{len(report.misshapen)} of another shape"
            for name, report in self.parts.items()
        )
        return f"{parts}; {len(self.unexpected)} unexpected, {len(self.unused)} not needed"


@dataclass
class Loading:
    """A state dict that is being given out to the parts of a model."""

    state: Mapping[str, Tensor]
    parts: dict[str, KeyReport] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)

    def names(self, prefix: str) -> dict[str, Tensor]:
        """What lies under `prefix`, under its names after it."""
        return {name.removeprefix(prefix): value for name, value in self.state.items() if name.startswith(prefix)}

    def load(self, part: str, module: nn.Module, prefix: str, dtype: torch.dtype) -> KeyReport:
        """Fill `module` with what lies under `prefix`, in `dtype`."""
        found = self.names(prefix)
        report = fill(module, found, prefix, dtype)
        self._taken |= {prefix + name for name in found if name in module.state_dict()}
        self.parts[part] = report
        return report

    def take(self, *names: str) -> None:
        """These names were used in another way than by `load`."""
        self._taken |= set(names)

    def report(self, unused: Sequence[str] = ()) -> LoadReport:
        """`unused`: beginnings of names that are known and not needed."""
        rest = [name for name in self.state if name not in self._taken]
        known = tuple(name for name in rest if name.startswith(tuple(unused)))
        return LoadReport(dict(self.parts), tuple(name for name in rest if name not in known), known)


def fill(module: nn.Module, state: Mapping[str, Tensor], prefix: str, dtype: torch.dtype) -> KeyReport:
    """Put the tensors of `state` in place of those of `module` that have their name and shape.

    They are cast and put in place rather than copied, so a module that was built on the meta device needs no memory of
    its own. What the file lacks stays as it was. Names that `module` does not have are not told here.
    """
    ours = module.state_dict()
    found, misshapen = {}, []
    for name, like in ours.items():
        given = state.get(name)
        if given is None:
            continue
        if given.shape != like.shape:
            misshapen.append(name)
        else:
            found[name] = given.to(dtype) if given.is_floating_point() else given
    module.load_state_dict(found, strict=False, assign=True)
    missing = tuple(name for name in ours if name not in found and name not in misshapen)
    return KeyReport(prefix, tuple(found), missing, tuple(misshapen), ())


def require_complete(report: LoadReport, folder: Path, model: str) -> None:
    """Raises WeightsError, which names what is lacking, unless everything of the model came from its files."""
    for part, keys in report.parts.items():
        for names, says in ((keys.misshapen, "have another shape"), (keys.missing, "are missing")):
            if names:
                told = f"{len(names)} tensors of its {part} {says}, for example {keys.prefix}{names[0]}"
                hint = f"are these the files of another model, or of a part of it? {report}"
                raise WeightsError(f"{folder} does not hold {model}: {told}", hint=hint)
