"""How many threads there really are, and ONNX Runtime told to use them and no more.

Threads that spin while they wait took one model from 16 to 1437 ms a frame on two busy cores, so nothing here spins
for long.
"""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvu.video_llm.errors import BackendError
from tvu.weights.errors import WeightsError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


CORES = "TVU_CORES"  # in the environment of a process that shares the machine with others like it


def usable_cores(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Cores that this process may keep busy: its affinity, cut by the quota of its control group (version 2 or 1).

    Where `TVU_CORES` says how many, it is so many.
    """
    if (told := os.environ.get(CORES, "")).isdecimal():
        return max(1, int(told))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _quota_cores(cgroup) or cores)


def _quota_cores(cgroup: Path) -> int | None:
    """Whole cores of the quota at the root of the control groups that a container sees; None where there is none."""
    for files in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            quota, period = " ".join((cgroup / file).read_text() for file in files).split()
            return max(1, round(int(quota) / int(period))) if int(quota) > 0 else None
        except (OSError, ValueError):  # no such file, or the word "max"
            continue
    return None


MAX_VRAM = "TVU_MAX_VRAM"  # how much memory the weights of a model may take, as `--max-vram` has it


def memory_limit() -> int | None:
    """Bytes that `TVU_MAX_VRAM` allows a model, of a CPU too; None where it says nothing. Raises WeightsError."""
    told = os.environ.get(MAX_VRAM)
    return bytes_in(told) if told else None


def bytes_in(text: str) -> int:
    """`24GB`, `24 GiB`, `800M` or a plain number of bytes. Raises WeightsError for anything else."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*", text.lower())
    if not match:
        raise WeightsError(f"{text!r} is no amount of memory", hint=f"{MAX_VRAM}=24GB, for example")
    number, unit, binary = match.groups()
    return int(float(number) * (1024 if binary else 1000) ** " kmgt".index(unit or " "))


def quiet_threads() -> None:
    """Make OpenMP threads sleep while they wait; call before a library that brings OpenMP is loaded."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")


def brisk_threads() -> None:
    """Let OpenMP threads spin for a blink before they sleep: for a language model, whose steps are hundreds of short
    products in a row. SmolLM2 took 30 ms a token so, 44 with threads that sleep at once and 43 with ones that spin on,
    which on busy cores became 400. Call before a library that brings OpenMP is loaded.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def cuda_devices() -> int:
    """CUDA devices that this process may use, asked of the driver: importing torch to learn of none would be dear."""
    import ctypes

    count = ctypes.c_int(0)
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def onnx_session(path: Path) -> "InferenceSession":
    """The model file `path` on the CPU, on every usable core."""
    quiet_threads()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cores()
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # its warnings about the graph are for whoever exported it
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def opencv() -> Any:
    """The module cv2. Raises BackendError where it does not load.

    Two of our dependencies bring it, one of them built for a desktop: on a server without libGL that build does not
    load, and which of the two pip wrote last is chance.
    """
    try:
        import cv2
    except ImportError as error:
        hint = "pip install --force-reinstall --no-deps opencv-python-headless"
        raise BackendError(f"OpenCV does not load: {error}", hint=hint) from error
    return cv2
