"""The door for code that needs weights: a folder of verified files, or an error that says how to get them."""

from collections.abc import Iterable
from pathlib import Path

from tvu.weights.errors import WeightsError
from tvu.weights.manifest import entry
from tvu.weights.store import folder_of, require_whole, state_of


def located(name: str) -> Path:
    """The folder in the cache that holds the converted files of `name`; sizes and times are checked, which is cheap.

    Raises WeightsError if they are not there, or if a file is not what was pulled.
    """
    weights = entry(name)
    state, wrong = state_of(weights)
    if state == "missing":
        raise WeightsError(f"weights of {name} are not in the cache", hint=f"run: tvu models pull {name}")
    require_whole(weights, wrong)
    return folder_of(weights)


def require(names: Iterable[str]) -> None:
    """Raises one WeightsError that names all of `names` that are missing, with the command that gets them."""
    missing = [name for name in dict.fromkeys(names) if state_of(entry(name))[0] == "missing"]
    if missing:
        listed = " ".join(missing)
        raise WeightsError(f"weights are missing: {listed}", hint=f"run: tvu models pull {listed}, or add --pull")
