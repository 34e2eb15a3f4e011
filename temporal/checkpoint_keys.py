"""A published state dict into one of our modules: which prefix it was saved under, and what did not fit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class KeyReport:
    """What became of the keys of a checkpoint.

    prefix:     what stood before our names in the file ("" if nothing).
    matched:    our names that were loaded.
    missing:    our names that the file lacks; they keep what they had.
    misshapen:  our names whose tensor in the file has another shape; they keep what they had.
    unexpected: names in the file, with their prefix, that nothing of ours has.
    """

    prefix: str
    matched: tuple[str, ...]
    missing: tuple[str, ...]
    misshapen: tuple[str, ...]
    unexpected: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether everything of ours was loaded."""
        return not self.missing and not self.misshapen

    def __str__(self) -> str:
        told = f"{len(self.matched)} matched under {self.prefix!r}, {len(self.missing)} missing"
        return f"{told}, {len(self.misshapen)} of another shape, {len(self.unexpected)} unexpected"


def load_matching(
    module: nn.Module,
    state: Mapping[str, Tensor],
    prefixes: Sequence[str] = ("",),
    rename: Callable[[str], str | None] = lambda name: name,
) -> KeyReport:
    """Load what fits of `state`, buffers (running statistics) too, and say what did not.

    prefixes: tried in turn; the one under which most of our names are found wins, the first on a tie.
    rename:   a name in the file, without its prefix, to our name; None drops it from the report.

    Unlike `Module.load_state_dict(strict=False)` a tensor of another shape is reported, not raised.
    `num_batches_tracked` is counted as matched where the file lacks it: no answer depends on it.
    """
    ours = module.state_dict()
    reports = [_matching(ours, state, prefix, rename) for prefix in prefixes]
    report, found = max(reports, key=lambda pair: len(pair[0].matched))
    module.load_state_dict(found, strict=False)
    return report


def _matching(
    ours: Mapping[str, Tensor], state: Mapping[str, Tensor], prefix: str, rename: Callable[[str], str | None]
) -> tuple[KeyReport, dict[str, Tensor]]:
    found, misshapen, unexpected = {}, [], []
    for key, tensor in state.items():
        name = rename(key.removeprefix(prefix)) if key.startswith(prefix) else key
        if name is None:
            continue
        if not key.startswith(prefix) or name not in ours:
            unexpected.append(key)
        elif tensor.shape != ours[name].shape:
            misshapen.append(name)
        else:
            found[name] = tensor
    counters = [name for name in ours if name.endswith("num_batches_tracked") and name not in found]
    matched = [*found, *counters] if found else []
    missing = [name for name in ours if name not in matched and name not in misshapen]
    return KeyReport(prefix, tuple(matched), tuple(missing), tuple(misshapen), tuple(unexpected)), found
