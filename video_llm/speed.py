"""How long a question takes on this machine, measured through the installed command as a user would meet it."""

import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import ffmpeg

from tvu.video_llm.decode import open_video
from tvu.video_llm.errors import BackendError
from tvu.video_llm.media.ffmpeg import run_ffmpeg

SECONDS, WIDTH, HEIGHT, FPS = 60, 1280, 720, 30


@dataclass(frozen=True)
class Measurement:
    """One line of the table. bar_seconds: what it must not pass; None where there is no bar."""

    what: str
    seconds: float
    bar_seconds: float | None = None


FIRST_BARS = {"scout": 15.0, "lite": 10.0}


def measure_questions(video: Path, model: str = "scout") -> list[Measurement]:
    """Times of the command line; `video`, which should have sound, is looped and scaled to 60 s of 720p at 30 frames/s.

    model: as `-m` takes it. Raises VideoError if `video` cannot be read and BackendError if a command fails.
    """
    tvu = [str(Path(sysconfig.get_path("scripts")) / "tvu")]
    python = min(_timed([sys.executable, "-P", "-c", "pass"]) for _ in range(5))
    help_page = min(_timed([*tvu, "--help"]) for _ in range(5))
    with tempfile.TemporaryDirectory() as folder:
        long = Path(folder) / "long.mp4"
        _loop(video, long)
        ask = [*tvu, "ask", str(long), "-m", model]
        first = _timed([*ask, "when is there a penguin?"], may_find_nothing=True)
        second = min(_timed([*ask, q], may_find_nothing=True) for q in ("a tiger", "a red ball"))
    return [
        Measurement("python starts", python),
        Measurement("tvu --help", help_page, 0.3),
        Measurement(f"first question to {model}, {SECONDS} s of {HEIGHT}p", first, FIRST_BARS.get(model)),
        Measurement("second question, same video", second, python + 2.0 if model == "scout" else None),
    ]


def _timed(command: Sequence[str], may_find_nothing: bool = False) -> float:
    started = time.perf_counter()
    run = subprocess.run(command, capture_output=True, text=True, timeout=600)
    seconds = time.perf_counter() - started
    if run.returncode not in ((0, 1) if may_find_nothing else (0,)):
        raise BackendError(f"{' '.join(command[:2])} failed while it was timed", hint=run.stderr.strip()[-300:])
    return seconds


def _loop(video: Path, out: Path) -> None:
    has_audio = open_video(video).has_audio
    source = ffmpeg.input(f"file:{video}", stream_loop=-1, t=SECONDS)
    picture = source.video.filter("scale", WIDTH, HEIGHT).filter("fps", FPS)
    streams = [picture, source.audio] if has_audio else [picture]
    # The comment makes the file's content new, so that the first question meets no features of an earlier run.
    comment = f"comment={time.time_ns()}"
    run_ffmpeg(ffmpeg.output(*streams, str(out), vcodec="libx264", preset="veryfast", acodec="aac", metadata=comment))
