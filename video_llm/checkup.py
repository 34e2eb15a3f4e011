"""What of tvu works on this machine."""

import importlib.metadata
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import Literal

from tvu.temporal.errors import TvuError

State = Literal["works", "missing", "not here"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. state: `works`; `missing` is needed and can be mended; `not here` is optional."""

    what: str
    state: State
    detail: str
    mend: str = ""


def examine() -> list[Finding]:
    """Everything, in the order in which a question would meet it."""
    return [_python(), *_readers(), _ffmpeg(), _opencv(), *_weights(), *_torch(), *_extras(), _cache()]


def _python() -> Finding:
    return Finding("python", "works", ".".join(map(str, sys.version_info[:3])))


def _readers() -> list[Finding]:
    found = []
    try:
        import av

        libraries = ".".join(map(str, av.library_versions["libavcodec"]))
        found.append(Finding("reader pyav", "works", f"PyAV {av.__version__}, libavcodec {libraries}"))
    except ImportError as error:
        found.append(Finding("reader pyav", "missing", str(error), "pip install av"))
    try:
        # asked in a child: an old wheel on a new system has been seen to take the process down
        script = "import decord; print(decord.__version__)"
        run = subprocess.run(
            [sys.executable, "-P", "-c", script], capture_output=True, text=True, timeout=20, check=True
        )
        found.append(Finding("reader decord", "works", f"decord {run.stdout.strip()}, the second choice"))
    except (subprocess.SubprocessError, OSError):
        found.append(Finding("reader decord", "not here", "only needed for --decoder decord", "pip install decord"))
    return found


def _ffmpeg() -> Finding:
    from tvu.video_llm.media.ffmpeg import find_ffmpeg

    try:
        path = find_ffmpeg()
        run = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=20, check=True)
    except TvuError as error:
        return Finding("ffmpeg", "missing", error.message, error.hint)
    except (subprocess.SubprocessError, OSError) as error:
        return Finding("ffmpeg", "missing", f"does not run: {error}", "pip install --force-reinstall imageio-ffmpeg")
    return Finding("ffmpeg", "works", " ".join(run.stdout.split()[:3]) + f" ({path})")


def _opencv() -> Finding:
    from tvu.video_llm.runtime import opencv

    try:
        return Finding("opencv", "works", opencv().__version__)
    except TvuError as error:
        return Finding("opencv", "missing", error.message, error.hint)


def _weights() -> list[Finding]:
    from tvu.weights.manifest import GROUPS, MANIFEST
    from tvu.weights.store import state_of

    found = []
    for weights in MANIFEST:
        state, wrong = state_of(weights)
        mend = {
            "ready": "",
            "missing": f"tvu models pull {weights.name}",
            "damaged": f"tvu models pull {weights.name} --force",
        }[state]
        needed = weights.name in GROUPS["scout"]
        verdict: State = "works" if state == "ready" else "missing" if needed or state == "damaged" else "not here"
        found.append(Finding(f"weights {weights.name}", verdict, ", ".join([weights.purpose, *wrong]), mend))
    return found


def _torch() -> list[Finding]:
    try:
        import torch
    except ImportError as error:
        return [Finding("torch", "missing", str(error), "pip install torch")]
    found = [Finding("torch", "works", torch.__version__)]
    if torch.cuda.is_available():
        found.append(Finding("gpu", "works", torch.cuda.get_device_name(0)))
    else:
        found.append(Finding("gpu", "not here", "scout runs on the CPU; a CUDA device makes it faster"))
    try:
        found.append(Finding("triton", "works", importlib.metadata.version("triton")))
    except importlib.metadata.PackageNotFoundError:
        found.append(Finding("triton", "not here", "kernels fall back to their plain twins", "pip install triton"))
    return found


def _extras() -> list[Finding]:
    """Every optional extra that this installation declares, and whether all of its packages are here."""
    about = importlib.metadata.metadata("tvu")
    found = []
    for extra in about.get_all("Provides-Extra") or []:
        lines = [
            r for r in about.get_all("Requires-Dist") or [] if re.search(rf"extra == ['\"]{re.escape(extra)}['\"]", r)
        ]
        names = [re.split(r"[\s<>=!~;\[(]", line, maxsplit=1)[0] for line in lines]
        missing = [name for name in names if not _is_installed(name)]
        detail = f"without {', '.join(missing)}" if missing else ", ".join(names)
        found.append(
            Finding(
                f"extra {extra}",
                "not here" if missing else "works",
                detail,
                f"pip install 'tvu[{extra}]'" if missing else "",
            )
        )
    return found


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _cache() -> Finding:
    import tempfile

    from tvu.weights.store import cache_root

    root = cache_root()
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            pass
    except OSError as error:
        return Finding("cache", "missing", f"{root}: {error.strerror}", "set TVU_CACHE to a folder that can be written")
    return Finding("cache", "works", str(root))
