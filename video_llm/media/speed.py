"""What sampling costs beside ffmpeg decoding the same file to nothing: `python -m tvu.video_llm.media.speed`.

Both run with as many threads as there are cores, one after the other, and no time is taken before the sampled frames
have been found equal, bit for bit, to those of a plain decoder that skips nothing.
"""

import resource
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tvu.video_llm.decode import facts_of, open_video
from tvu.video_llm.errors import BackendError
from tvu.video_llm.media.child import NURSERY
from tvu.video_llm.media.ffmpeg import find_ffmpeg
from tvu.video_llm.sample import SamplingConfig, sample_frames, watch
from tvu.video_llm.types import VideoClip

SECONDS = 600
SOURCE_SECONDS = 20
SAMPLING = SamplingConfig(fps=4.0, max_side=224)
KEYFRAMES = SamplingConfig(keyframes_only=True, max_side=224)
SAMPLING_BAR = 1.3  # times the cost of ffmpeg
KEYFRAMES_BAR = 0.1  # times the cost of sampling


@dataclass(frozen=True)
class DecodingCost:
    """One line of the table.

    ratio: seconds over those of ffmpeg decoding the file to nothing, the first line of the table; cpu_ratio the same of
    processor time. bar_ratio: what `ratio` must not pass; None where there is no bar.
    """

    what: str
    ratio: float
    cpu_ratio: float
    bar_ratio: float | None
    seconds: float
    cpu_seconds: float
    num_frames: int | None


def measure_decoding(seconds: int = SECONDS) -> list[DecodingCost]:
    """Draws `seconds` of 720p H.264 at 30 frames a second and measures each way to read it, ffmpeg's first.

    Raises BackendError where ffmpeg fails, and ValueError where a sampled frame is wrong.
    """
    from tvu.video_llm.media.reader_pyav import decoder_threads

    with tempfile.TemporaryDirectory() as folder:
        source, long = Path(folder) / "source.mp4", Path(folder) / "long.mp4"
        moving = f"testsrc2=size=1280x720:rate=30:duration={SOURCE_SECONDS}"
        _ffmpeg("-f", "lavfi", "-i", moving, "-c:v", "libx264", "-pix_fmt", "yuv420p", str(source))
        check_frames(open_video(source))
        loops = str(max(0, seconds // SOURCE_SECONDS - 1))
        _ffmpeg("-stream_loop", loops, "-i", str(source), "-c", "copy", str(long))
        threads = str(decoder_threads())
        clip = open_video(long)
        plain = _cost(lambda: _ffmpeg("-threads", threads, "-i", str(long), "-f", "null", "-"))
        sampled = _cost(lambda: _count(clip, SAMPLING))
        watched = _cost(lambda: sum(step.frames.pixels.shape[1] for step in watch(clip, SAMPLING)))
        keys = _cost(lambda: _count(clip, KEYFRAMES))

        def line(what: str, cost: tuple[float, float, int | None], bar: float | None) -> DecodingCost:
            return DecodingCost(what, cost[0] / plain[0], cost[1] / plain[1], bar, *cost)

        return [
            line(f"ffmpeg -threads {threads} -i VIDEO -f null -", plain, None),
            line("4 frames a second, 224 px", sampled, SAMPLING_BAR),
            line("the same, with thumbnails of the frames between", watched, None),
            line("key frames only, 224 px", keys, KEYFRAMES_BAR * sampled[0] / plain[0]),
        ]


def check_frames(clip: VideoClip) -> None:
    """Raises ValueError unless every sampled frame is the one that a plain decoder shows at that time."""
    import av

    from tvu.video_llm.media.pixels import Converter

    shown = {}
    converter = Converter(facts_of(clip).geometry.fitted(SAMPLING.max_side))
    sampled = {
        pts: pixels
        for batch in sample_frames(clip, SAMPLING)
        for pts, pixels in zip(batch.pts_seconds[0].tolist(), batch.pixels[0], strict=True)
    }
    with av.open(str(clip.path)) as container:
        for frame in container.decode(video=0):
            nearest = min(sampled, key=lambda pts: abs(pts - frame.time))
            if abs(nearest - frame.time) < 1e-6:
                shown[nearest] = converter.rgb(frame).transpose(2, 0, 1).copy()
    wrong = [pts for pts in sampled if pts not in shown or not np.array_equal(shown[pts], sampled[pts])]
    if wrong:
        raise ValueError(f"{len(wrong)} of {len(sampled)} sampled frames are wrong, the first at {wrong[0]} s")


def table(costs: list[DecodingCost]) -> str:
    """The measurements as text, ratios first."""
    lines = [f"{'wall':>6} {'cpu':>6} {'bar':>6} {'wall s':>8} {'cpu s':>8}"]
    for cost in costs:
        bar = "" if cost.bar_ratio is None else f"{cost.bar_ratio:.3f}"
        numbers = f"{cost.ratio:6.3f} {cost.cpu_ratio:6.3f} {bar:>6} {cost.seconds:8.2f} {cost.cpu_seconds:8.2f}"
        lines.append(f"{numbers}  {cost.what}" + (f" ({cost.num_frames} frames)" if cost.num_frames else ""))
    return "\n".join(lines)


def _count(clip: VideoClip, config: SamplingConfig) -> int:
    return sum(batch.pixels.shape[1] for batch in sample_frames(clip, config))


def _cost(work: Callable[[], int | None]) -> tuple[float, float, int | None]:
    """Wall and processor seconds of `work` and the processes that it waits for, and what it returned."""
    wall, cpu = time.perf_counter(), _cpu_seconds()
    result = work()
    return time.perf_counter() - wall, _cpu_seconds() - cpu, result


def _cpu_seconds() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages) + NURSERY.usage().cpu_seconds


def _ffmpeg(*arguments: str) -> None:
    command = [find_ffmpeg(), "-nostdin", "-loglevel", "error", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BackendError("ffmpeg failed while decoding was timed", hint=done.stderr.strip()[-300:])
