"""What a batch costs beside its work, how it grows, and whether it gives the same whatever happens to it."""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from tvu.video_llm.batch.engine import Engine
from tvu.video_llm.batch.ledger import Ledger, opened
from tvu.video_llm.batch.local import LocalEngine
from tvu.video_llm.batch.run import run_batch, serially
from tvu.video_llm.batch.work import BatchConfig, Item
from tvu.video_llm.errors import BackendError
from tvu.video_llm.results.rows import Row
from tvu.video_llm.runtime import usable_cores

QUERIES = tuple(f"query {number}" for number in range(5))
BLIND = BatchConfig("baseline:whole", use_cache=False)
DECODING = BatchConfig("baseline:decode", use_cache=False)
STEPS = 10  # of the curve


@dataclass(frozen=True)
class Cost:
    """A measurement: a number in `unit`, and the bar it is held against, at most or at least; None: there is none."""

    what: str
    value: float
    unit: str
    bar: float | None = None
    at_most: bool = True

    @property
    def is_met(self) -> bool | None:
        """Whether the bar is met."""
        if self.bar is None:
            return None
        return self.value <= self.bar if self.at_most else self.value >= self.bar


def measure(videos: int = 200, kills: int = 20, tiny: int = 10_000, ray: bool = False) -> Iterator[Cost]:
    """Draw videos into a temporary folder, and yield each measurement as soon as it is made.

    Raises BackendError, before anything is timed, where engines or a run that was killed give other rows.
    """
    with tempfile.TemporaryDirectory(prefix="tvu-") as name:
        folder = Path(name)
        items = [Item(str(path), QUERIES) for path in draw_videos(folder / "videos", videos)]
        yield from _same_rows(items, folder, kills, ray)
        yield from _decoding(folder)
        yield from _growth(items[0], folder, tiny)


def _same_rows(items: Sequence[Item], folder: Path, kills: int, ray: bool) -> Iterator[Cost]:
    expected = _rows(items, serially(), BLIND, folder / "serial.jsonl")
    engines: dict[str, Engine] = {"processes": LocalEngine(2)}
    if ray:
        from tvu.video_llm.batch.cluster import RayEngine

        engines["Ray actors"] = RayEngine(workers=2)
    for name, engine in engines.items():
        if _rows(items, engine, BLIND, folder / f"{name}.jsonl") != expected:
            raise BackendError(f"{name} give other rows than one process")
        yield Cost(f"{len(items)} videos, {len(QUERIES)} queries each: rows of two {name} that differ", 0, "rows", 0)
    rows, begun = _killed(folder / "videos", folder / "killed.jsonl", kills)
    if rows != expected:
        raise BackendError("a run that was killed gives other rows than one that was not")
    yield Cost(f"the same after {begun} kills at random moments: rows lost, doubled or other", 0, "rows", 0)


def _rows(items: Sequence[Item], engine: Engine, config: BatchConfig, path: Path) -> list[dict[str, Any]]:
    with opened(path, config.settings) as ledger:
        return _without_time(run_batch(items, config, engine, ledger))


def _without_time(rows: Sequence[Row]) -> list[dict[str, Any]]:
    told = [row.as_json() for row in rows]
    return [{name: value for name, value in row.items() if name not in ("timing", "settings", "key")} for row in told]


def _killed(videos: Path, out: Path, kills: int) -> tuple[list[dict[str, Any]], int]:
    """What the command keeps that is killed so often, at moments that are spread over its work, and then left alone."""
    tvu = str(Path(sys.executable).with_name("tvu"))
    command = [tvu, "ground", str(videos), "-o", str(out), "-m", BLIND.model, "--no-cache"]
    for query in QUERIES:
        command += ["-q", query]
    draw = random.Random(0)
    done = 0
    for _ in range(kills):
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(draw.uniform(0.2, 2.0))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            done += 1
        process.wait()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    rows = [Row.from_json(json.loads(line)) for line in out.read_text("utf-8").splitlines()]
    return _without_time(rows), done


def _decoding(folder: Path) -> Iterator[Cost]:
    """The same videos of 720p decoded by one process and by one for each core."""
    cores = usable_cores()
    drawn = draw_videos(folder / "large", 4, size=(1280, 720), seconds=20.0, noise=True)
    paths = [path.with_name(f"{path.stem}-{turn}.mp4") for turn in range(6 * cores) for path in drawn]
    for path in paths:
        path.symlink_to(drawn[int(path.stem.partition("-")[0])])
    items = [Item(str(path), ("q",)) for path in paths]
    took = {}
    for count, threads in ((1, 1), (cores, 1), (1, cores)):
        began = time.perf_counter()
        _rows(items, LocalEngine(count, cores_each=threads), DECODING, folder / f"decode-{count}-{threads}.jsonl")
        took[count, threads] = time.perf_counter() - began
    what = f"decoding 4 frames a second of 720p: {cores} processes"
    yield Cost(f"{what} beside one, a thread each", took[1, 1] / took[cores, 1], "times", 1.8, False)
    yield Cost(f"{what} of one thread beside one of {cores}", took[1, cores] / took[cores, 1], "times")
    alone = _processes_of_ffmpeg(paths, cores)
    yield Cost(f"what {cores} ffmpeg processes gain beside one on these cores, decoding to nothing", alone, "times")


def _processes_of_ffmpeg(paths: Sequence[Path], count: int) -> float:
    from tvu.video_llm.media.ffmpeg import find_ffmpeg

    def run(at_once: int) -> float:
        began = time.perf_counter()
        for first in range(0, len(paths), at_once):
            commands = [
                [find_ffmpeg(), "-nostdin", "-loglevel", "error", "-threads", "1", "-i", str(path), "-f", "null", "-"]
                for path in paths[first : first + at_once]
            ]
            for process in [subprocess.Popen(command) for command in commands]:
                process.wait()
        return time.perf_counter() - began

    return run(1) / run(count)


def _growth(item: Item, folder: Path, count: int) -> Iterator[Cost]:
    """Very many tiny files: what the ledger takes of the time, and how the last ones go beside the first."""
    tiny = folder / "tiny"
    tiny.mkdir()
    content = Path(item.address).read_bytes()
    items = []
    for number in range(count):
        place = tiny / f"{number:06d}.mp4"
        place.write_bytes(content)
        items.append(Item(str(place), QUERIES[:1]))
    written = 0.0
    moments = [time.perf_counter()]

    class Timed(Ledger):
        def append(self, rows: Sequence[Row]) -> None:
            nonlocal written
            began = time.perf_counter()
            super().append(rows)
            written += time.perf_counter() - began
            moments.append(time.perf_counter())

    with opened(folder / "tiny.jsonl", BLIND.settings) as ledger:
        ledger.__class__ = Timed
        run_batch(items, BLIND, LocalEngine(), ledger)
    whole = moments[-1] - moments[0]
    yield Cost(f"{count} tiny files: share of the time that goes to the ledger", 100 * written / whole, "%", 2.0)
    part = max(1, count // STEPS)
    paces = [part / (moments[i + part] - moments[i]) for i in range(part, count - part + 1, part)]  # but for the start
    for step, pace in enumerate(paces, start=1):
        yield Cost(f"files {step * part} to {(step + 1) * part}", pace, "files/s")
    half = len(paces) // 2 or 1
    pace = max(paces[half:]) / max(paces[:half])  # the best of each, as others may use the machine for a while
    yield Cost("the best pace of the second half beside that of the first", pace, "times", 0.8, False)


def draw_videos(
    folder: Path, count: int, *, size: tuple[int, int] = (64, 48), seconds: float = 1.2, noise: bool = False
) -> list[Path]:
    """Videos of H.264, 25 frames a second, no two alike: plain colours, or moving noise, which takes time to decode."""
    import av

    folder.mkdir(parents=True)
    paths = []
    for number in range(count):
        draw = np.random.default_rng(number)
        width, height = size
        still = draw.integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
        path = folder / f"{number:04d}.mp4"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "crf": "23"})
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.time_base = Fraction(1, 25)
            for index in range(round(25 * seconds)):
                picture = np.roll(still, 3 * index, axis=1) if noise else np.full_like(still, still[0, index % width])
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                frame.pts = index
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        paths.append(path)
    return paths
