"""The ffmpeg program: which one runs, and how a graph built with ffmpeg-python is run by it."""

import errno
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tvu.video_llm.errors import BackendError, OutputError


def find_ffmpeg() -> str:
    """The program that `$FFMPEG` names, else the system's, else the one that comes with imageio-ffmpeg.

    Raises BackendError if there is none.
    """
    wanted = os.environ.get("FFMPEG")
    if wanted:
        found = shutil.which(wanted)
        if found is None:
            raise BackendError(
                f"FFMPEG={wanted} is not a program", hint="unset FFMPEG, or set it to ffmpeg's full path"
            )
        return found
    return shutil.which("ffmpeg") or _bundled()


def _bundled() -> str:
    try:
        import imageio_ffmpeg

        return imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        raise BackendError("there is no ffmpeg", hint="install ffmpeg, or set FFMPEG to its path") from error


def file_url(path: Path) -> str:
    """`path` as ffmpeg must be given it: with a bare name, a leading dash is an option and `a:b` a protocol."""
    return f"file:{path.absolute()}"


def run_ffmpeg(graph: Any) -> None:
    """Run a graph that ffmpeg-python's `output(...)` gave, overwriting its output.

    Raises OutputError if the disk is full and BackendError with ffmpeg's last words if it fails otherwise.
    """
    quiet = ["-hide_banner", "-nostdin", "-loglevel", "error"]
    command = graph.compile(cmd=[find_ffmpeg(), *quiet], overwrite_output=True)
    environment = os.environ | {"LC_ALL": "C"}  # its messages are read below
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            check=False,
        )
    except OSError as error:
        raise BackendError(f"ffmpeg does not start: {error.strerror}", hint=f"is {command[0]} a program?") from error
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip()
        if any(os.strerror(code) in words for code in (errno.ENOSPC, errno.EDQUOT)):
            raise OutputError("the disk is full", hint="free some space and run it again")
        raise BackendError(f"ffmpeg failed: {(words.splitlines() or ['no reason given'])[-1]}")
