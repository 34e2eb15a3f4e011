"""How long hours of sound take and how much memory: `python -P -m tvu.video_llm.narration.hearing_speed [--hours 3]
[--spoken 0.5]`.

A film is made whose sound is a narration by espeak-ng for some of each stretch of five minutes, and silence with noise
for the rest; it is transcribed as in use. Told are the words, the time and the memory that was needed at most, of this
process and of those it started. Needs espeak-ng and the pulled weights.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

STRETCH_SECONDS = 300.0
TALK_SECONDS = 60.0


def write_film(path: Path, seconds: float, spoken: float, *, seed: int = 0) -> None:
    """A film of one grey picture a second, with speech for the share `spoken` of every five minutes."""
    import av

    from tvu.video_llm.scout.narrated import RATE, narrate, read_script

    rng = np.random.default_rng(seed)
    script = read_script().spoken
    talks = []
    for _ in range(3):
        lines = [script[i] for i in rng.permutation(len(script))[:20]]
        talks.append(narrate(lines, TALK_SECONDS, rng)[0])
    stretch = round(STRETCH_SECONDS * RATE)
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=1)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        sound = container.add_stream("aac", rate=RATE, layout="mono")
        for second in range(round(seconds)):
            grey = np.full((64, 64, 3), 40 + second % 100, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(video.encode())
        written = 0
        for number in range(int(np.ceil(seconds / STRETCH_SECONDS))):
            samples = rng.normal(0, 0.003, stretch).astype(np.float32)
            talk = np.concatenate(
                [talks[(number + k) % 3] for k in range(int(np.ceil(STRETCH_SECONDS / TALK_SECONDS)))]
            )
            samples[: round(spoken * stretch)] += talk[: round(spoken * stretch)]
            samples = samples[: round(seconds * RATE) - written]
            for first in range(0, len(samples) // 1024 * 1024, 1024):
                frame = av.AudioFrame.from_ndarray(samples[None, first : first + 1024], format="fltp", layout="mono")
                frame.rate, frame.pts = RATE, written
                written += 1024
                container.mux(sound.encode(frame))
        container.mux(sound.encode())


def peak_megabytes(who: int) -> float:
    """Memory that was needed at most so far, of `resource.RUSAGE_SELF` or of the largest of `RUSAGE_CHILDREN`."""
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(who).ru_maxrss / unit


def main(arguments: Sequence[str] | None = None) -> int:
    from tvu.video_llm.decode import open_video
    from tvu.video_llm.narration.speech import script_of, transcribe_clip

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=3.0)
    parser.add_argument("--spoken", type=float, default=0.5, help="share of the time")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.mp4"
        write_film(film, options.hours * 3600, options.spoken)
        clip = open_video(str(film))
        print(f"film made; so far {peak_megabytes(resource.RUSAGE_SELF):.0f} MB", file=sys.stderr)
        peaks: list[tuple[float, float]] = []

        def report(stage: str, done: float) -> None:
            peaks.append((done * clip.span.seconds / 3600, peak_megabytes(resource.RUSAGE_SELF)))
            print(f"{stage} {done:.3f} {peaks[-1][1]:.0f} MB", file=sys.stderr)

        started = time.perf_counter()
        transcript = transcribe_clip(clip, report=report)
        took = time.perf_counter() - started
        child = peak_megabytes(resource.RUSAGE_CHILDREN)
        cues = len(script_of(transcript).lines)
    step = max(1, len(peaks) // 6)
    marks = [mark for k, mark in enumerate(peaks) if k % step == 0 or k + 1 == len(peaks)]
    print(
        f"{options.hours} h, {100 * options.spoken:.0f} % of it speech: {len(transcript.words)} words, {cues} cues "
        f"in {took:.0f} s ({options.hours * 3600 / took:.1f} times as fast as it is spoken); "
        f"largest process started {child:.0f} MB; this one at most "
        + ", ".join(f"{peak:.0f} MB after {hours:.2f} h" for hours, peak in marks)
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
