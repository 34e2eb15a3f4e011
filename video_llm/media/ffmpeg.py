"""The ffmpeg program: which one runs, and how a graph built with ffmpeg-python is run by it."""

import errno
import functools
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tvu.video_llm.errors import BackendError, OutputError


def find_ffmpeg() -> str:
    """The program that `$FFMPEG` names, else the system's where it is recent enough, else imageio-ffmpeg's.

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
    installed = shutil.which("ffmpeg")
    return installed if installed is not None and _is_recent(installed) else _bundled()


@functools.cache
def _is_recent(program: str) -> bool:
    """Whether it knows the options that we use: 5.1 of 2022 brought `-fps_mode`, which newer ones insist on."""
    try:
        told = subprocess.run(
            [program, "-version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return False
    version = re.match(rb"ffmpeg version n?(\d+)\.(\d+)", told.stdout)
    return version is None or (int(version[1]), int(version[2])) >= (5, 1)  # None: built from a commit


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
