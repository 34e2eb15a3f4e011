"""What every test may use: the installed command, and the pulled weights."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tvu.video_llm.runtime import quiet_threads, usable_cores

quiet_threads()  # before anything loads torch: small tensors on busy cores are slow when threads spin

import torch  # noqa: E402

if not torch.cuda.is_available():
    # Triton reads this while it is imported, and any library may import it: without a GPU kernels are interpreted.
    os.environ["TRITON_INTERPRET"] = "1"

Tvu = Callable[..., subprocess.CompletedProcess[str]]


@pytest.hookimpl(optionalhook=True)  # pytest-xdist may not be installed
def pytest_xdist_auto_num_workers() -> int:
    """What `-n auto` is: a process for each core, and no more than four, since one may come to hold 3 GB."""
    return min(4, usable_cores())


@pytest.fixture
def tvu() -> Tvu:
    """Runs the installed `tvu` as a user would; returns its exit code, stdout and stderr."""
    command = Path(sys.executable).with_name("tvu")

    def run(
        *args: object, cwd: Path | None = None, timeout: float = 60, **env: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [command, *map(str, args)],
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=cwd,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
        )

    return run


@pytest.fixture(scope="session")
def weights_cache() -> Path:
    """The cache folder, once the weights of `scout` are in it."""
    from tvu.weights.errors import WeightsError
    from tvu.weights.load import located
    from tvu.weights.manifest import GROUPS
    from tvu.weights.store import cache_root

    try:
        for name in GROUPS["scout"]:
            located(name)
    except WeightsError as error:
        pytest.skip(f"{error.message}; {error.hint}")
    return cache_root()
