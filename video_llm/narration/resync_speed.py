"""How well and how fast subtitles are put back in step: tvu beside ffsubsync and alass on one drawn set.

Every tool gets the same files of subtitles and the same sound. What it makes of a line is right within so many
milliseconds of when the line should come up; a line that it drops is right within none. Lines of scenes that were cut
from the video are no part of that: peers cannot say that a line is not shown.
"""

import os
import shutil
import subprocess
import tempfile
import time
import wave
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np

from tvu.video_llm.media.ffmpeg import find_ffmpeg
from tvu.video_llm.media.sound import Sound
from tvu.video_llm.narration.activity import Activity, windows_activity
from tvu.video_llm.narration.resync import resynchronise, retime
from tvu.video_llm.narration.resync_set import KINDS, WRONG_FILM, Case, Half, Recording, draw_cases
from tvu.video_llm.narration.types import Script
from tvu.video_llm.pipeline import Report, be_silent
from tvu.video_llm.scout.speech import Transcript, transcribe

WITHIN = (0.05, 0.1, 0.4, 0.8)  # seconds
PATIENCE_SECONDS = 300.0  # for one file
BY_SPEECH, BY_WORDS = "tvu", "tvu with words"
PEERS = {
    "ffsubsync": ("ffsubsync", "{sound}", "-i", "{subtitles}", "-o", "{out}"),
    "ffsubsync --split-penalty": ("ffsubsync", "{sound}", "-i", "{subtitles}", "-o", "{out}", "--split-penalty"),
    "alass": ("alass", "{sound}", "{subtitles}", "{out}"),
}


@dataclass(frozen=True)
class Attempt:
    """What one tool made of one case.

    errors: of each line that is shown in the video, seconds, inf where it was dropped or left out. seconds: from the
    sound file to the times; of tvu with words, without the recogniser. moved: whether anything was moved.
    cut, cut_found, cut_wrongly: lines of cut scenes, those of them that the tool says are not shown, and other lines
    that it says so of.
    """

    tool: str
    kind: str
    recording: str
    errors: tuple[float, ...]
    seconds: float
    moved: bool
    cut: int = 0
    cut_found: int = 0
    cut_wrongly: int = 0

    def share_within(self, seconds: float) -> float:
        """Of the lines, how many are right within that."""
        return float(np.mean([e <= seconds for e in self.errors])) if self.errors else 0.0


@dataclass(frozen=True)
class Row:
    """One tool on one kind of case: means over files. within: shares of lines, as `WITHIN`; moved: share of files."""

    kind: str
    tool: str
    files: int
    within: tuple[float, ...]
    seconds: float
    moved: float
    cut: int
    cut_found: int
    cut_wrongly: int


def missing_peers() -> dict[str, str]:
    """Why a peer is not run, by its name."""
    return {
        name: f"there is no `{command[0]}` on PATH" for name, command in PEERS.items() if not shutil.which(command[0])
    }


def measure(
    half: Half, folder: Path, whisper: Path | None, num_recordings: int = 8, report: Report = be_silent
) -> Iterator[Attempt]:
    """Every tool on every case of one half, drawn into `folder`.

    whisper: the model for words, None to leave that out. Raises BackendError without espeak-ng.
    """
    cases = draw_cases(half, folder, num_recordings)
    peers = [name for name in PEERS if name not in missing_peers()]
    heard: dict[str, tuple[Activity, float, Transcript | None]] = {}
    for done, case in enumerate(cases):
        report("putting subtitles in step", done / len(cases))
        name = case.recording.name
        if name not in heard:
            heard = {name: _heard(case.recording, whisper)}  # cases of a recording follow each other
        activity, listening, words = heard[name]
        yield _own(BY_SPEECH, case, activity, None, listening)
        if words is not None:
            yield _own(BY_WORDS, case, activity, words, listening)
        for peer in peers:
            yield _peer(peer, case)


def rows(attempts: Iterable[Attempt]) -> list[Row]:
    """Means by kind and tool, kinds in the order of the set, and `all` of them at the end (but for wrong films)."""
    attempts = list(attempts)
    tools = list(dict.fromkeys(a.tool for a in attempts))
    table = []
    for kind in (*KINDS, "all", WRONG_FILM):
        for tool in tools:
            some = [
                a for a in attempts if a.tool == tool and (a.kind == kind or (kind == "all" and a.kind != WRONG_FILM))
            ]
            if some:
                table.append(_row(kind, tool, some))
    return table


def _row(kind: str, tool: str, some: Sequence[Attempt]) -> Row:
    return Row(
        kind,
        tool,
        len(some),
        tuple(float(np.mean([a.share_within(seconds) for a in some])) for seconds in WITHIN),
        float(np.mean([a.seconds for a in some])),
        float(np.mean([a.moved for a in some])),
        sum(a.cut for a in some),
        sum(a.cut_found for a in some),
        sum(a.cut_wrongly for a in some),
    )


# --- tvu ---


def _heard(recording: Recording, whisper: Path | None) -> tuple[Activity, float, Transcript | None]:
    began = time.perf_counter()
    with wave.open(str(recording.path), "rb") as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        sound = Sound((pcm / np.float32(32768)).astype(np.float32), file.getframerate(), 0.0)
    activity = windows_activity([sound])
    assert activity is not None
    took = time.perf_counter() - began
    if whisper is None:
        return activity, took, None
    kept = recording.path.with_suffix(".words.npz")
    if kept.exists():
        with np.load(kept, allow_pickle=False) as arrays:
            return activity, took, Transcript.from_arrays(dict(arrays))
    words = transcribe(sound, whisper)
    np.savez(kept, **words.to_arrays())  # type: ignore[arg-type]
    return activity, took, words


def _own(tool: str, case: Case, activity: Activity, words: Transcript | None, listening: float) -> Attempt:
    began = time.perf_counter()
    resync = resynchronise(case.script, activity, words)
    lines = retime(case.script, resync)
    took = time.perf_counter() - began + listening
    if resync.is_reliable:
        starts = [None if line.span is None else line.span.start_seconds for line in lines]
    else:
        starts = [line.start_seconds for line in case.script.lines]
    return _attempt(tool, case, starts, took, resync.is_reliable)


def _attempt(tool: str, case: Case, starts: Sequence[float | None], took: float, moved: bool) -> Attempt:
    pairs = list(zip(starts, case.truth, strict=True))
    return Attempt(
        tool,
        case.kind,
        case.recording.name,
        tuple(float("inf") if at is None else abs(at - due) for at, due in pairs if due is not None),
        took,
        moved,
        sum(due is None for _, due in pairs),
        sum(due is None and at is None for at, due in pairs),
        sum(due is not None and at is None for at, due in pairs),
    )


# --- peers ---


def _peer(tool: str, case: Case) -> Attempt:
    """One run of a peer, with its own defaults, as its own process: its start and its decoding are in its time."""
    with tempfile.TemporaryDirectory() as folder:
        subtitles, out = Path(folder) / "in.srt", Path(folder) / "out.srt"
        subtitles.write_text(to_srt(case.script), encoding="utf-8")
        places = {"sound": str(case.recording.path), "subtitles": str(subtitles), "out": str(out)}
        command = [part.format(**places) for part in PEERS[tool]]
        began = time.perf_counter()
        with suppress(OSError, subprocess.TimeoutExpired):  # what it has not written it has not placed
            subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PATIENCE_SECONDS,
                env=_environment(Path(folder)),
                check=False,
            )
        took = time.perf_counter() - began
        written = out.read_text(encoding="utf-8", errors="replace") if out.exists() else ""
    starts = _matched(case.script, from_srt(written))
    return _attempt(tool, case, starts, took, moved=bool(written))


def _environment(folder: Path) -> dict[str, str]:
    """Ours, with an `ffmpeg` on PATH where there is none: both peers run one."""
    environment = dict(os.environ)
    if shutil.which("ffmpeg") is None:
        (folder / "ffmpeg").symlink_to(find_ffmpeg())
        environment["PATH"] = f"{folder}{os.pathsep}{environment.get('PATH', '')}"
    return environment


def _matched(script: Script, out: Sequence[tuple[float, str]]) -> list[float | None]:
    """When each line starts in what a peer wrote, known by its text and order; None where it was dropped."""
    starts: list[float | None] = [None] * len(script.lines)
    ours, theirs = [_flat(line.text) for line in script.lines], [_flat(text) for _, text in out]
    for block in SequenceMatcher(None, ours, theirs, autojunk=False).get_matching_blocks():
        for n in range(block.size):
            starts[block.a + n] = out[block.b + n][0]
    return starts


def _flat(text: str) -> str:
    return " ".join(text.split())


def to_srt(script: Script) -> str:
    """Timed lines as SubRip."""
    blocks = []
    for n, line in enumerate(script.lines):
        assert line.start_seconds is not None and line.end_seconds is not None
        blocks.append(f"{n + 1}\n{_stamp(line.start_seconds)} --> {_stamp(line.end_seconds)}\n{line.text}\n")
    return "\n".join(blocks)


def from_srt(text: str) -> list[tuple[float, str]]:
    """Start and text of each block of plain SubRip; blocks that are none are passed over."""
    out = []
    for block in text.replace("\r\n", "\n").strip().split("\n\n"):
        lines = block.strip().split("\n")
        stamps = next((n for n, line in enumerate(lines) if "-->" in line), None)
        if stamps is not None:
            hours, minutes, seconds = lines[stamps].split("-->")[0].strip().replace(",", ".").split(":")
            out.append((int(hours) * 3600 + int(minutes) * 60 + float(seconds), " ".join(lines[stamps + 1 :])))
    return out


def _stamp(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    rest = milliseconds // 1000
    return f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d},{milliseconds % 1000:03d}"
