"""Videos with known words: sentences spoken by espeak-ng and titles drawn over real footage, with the times of both.

They measure and calibrate the speech and screen-text channels. The same seed gives the same sentences, titles, places
and times;
the sound depends on the espeak-ng that is installed and the letters on the fonts that Pillow finds.
"""

import shutil
import subprocess
import tempfile
import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.types import Span
from tvu.video_llm.errors import BackendError

RATE = 16000
FPS = 15
VOICES = (
    "en-us",
    "en-gb",
    "en-us+f3",
    "en-gb+f2",
    "en-gb-scotland",
    "en-us+m3",
    "en-gb-x-rp+f4",
    "en-us+f5",
    "en-us+m7",
)
FONTS = ("", "DejaVuSans-Bold.ttf", "DejaVuSerif.ttf", "LiberationSans-Regular.ttf", "DejaVuSansMono.ttf")


@dataclass(frozen=True)
class Line:
    """Something said or shown, and questions that it answers."""

    text: str
    questions: tuple[str, ...]


@dataclass(frozen=True)
class Script:
    """All material: what to say and show, questions about neither, and questions about pictures only."""

    spoken: tuple[Line, ...]
    titles: tuple[Line, ...]
    absent_speech: tuple[str, ...]
    absent_titles: tuple[str, ...]
    visual: tuple[str, ...]

    def half(self, which: int) -> "Script":
        """Every second item of each list, starting with number `which`: the two halves share no item."""
        return Script(
            self.spoken[which::2],
            self.titles[which::2],
            self.absent_speech[which::2],
            self.absent_titles[which::2],
            self.visual[which::2],
        )


@cache
def read_script() -> Script:
    """The script that comes with the package."""
    sections: dict[str, list[str]] = {}
    for row in resources.files(__package__).joinpath("narrated.txt").read_text("utf-8").splitlines():
        if row.startswith("["):
            current = sections.setdefault(row.strip("[]"), [])
        elif row and not row.startswith("#"):
            current.append(row)
    lines = {
        name: tuple(Line(said, tuple(asked)) for said, *asked in (row.split(" | ") for row in sections[name]))
        for name in ("speech", "titles")
    }
    absent = [tuple(sections[name]) for name in ("absent speech", "absent titles", "visual")]
    return Script(lines["speech"], lines["titles"], absent[0], absent[1], absent[2])


@dataclass(frozen=True)
class Placed:
    """A line and when it is heard or seen."""

    line: Line
    span: Span


def has_espeak() -> bool:
    """Whether sentences can be spoken here."""
    return shutil.which("espeak-ng") is not None


def speak(text: str, *, voice: str = "en-us", words_per_minute: int = 165, pitch: int = 50) -> NDArray[np.float32]:
    """`[S]` float32 mono samples at 16 kHz, silence at both ends trimmed. Raises BackendError without espeak-ng."""
    if not has_espeak():
        raise BackendError("espeak-ng is not installed", hint="apt-get install espeak-ng")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        command = ["espeak-ng", "-v", voice, "-s", str(words_per_minute), "-p", str(pitch), "-w", str(path), "--stdin"]
        subprocess.run(command, input=text.encode(), check=True, capture_output=True)
        with wave.open(str(path)) as reader:
            rate = reader.getframerate()
            pcm = np.frombuffer(reader.readframes(reader.getnframes()), np.int16).astype(np.float32) / 32768
    count = round(len(pcm) * RATE / rate)
    spectrum = np.fft.rfft(pcm)[: count // 2 + 1]  # cut off above the new Nyquist frequency, so that nothing folds back
    samples = (np.fft.irfft(spectrum, count) * count / len(pcm)).astype(np.float32)
    loud = np.flatnonzero(np.abs(samples) > 0.01)
    return samples[loud[0] : loud[-1] + 1]


def narrate(
    lines: Sequence[Line], seconds: float, rng: np.random.Generator, *, run_on: bool = False
) -> tuple[NDArray[np.float32], tuple[Placed, ...]]:
    """Sound of `seconds` with as many of `lines` as fit, one voice, and where each is.

    run_on: sentences follow each other within 0.15 s, as in hurried speech; otherwise pauses of 0.3 to 3 s.
    Noise or a chord lies under some of it.
    """
    voice, speed, pitch = rng.choice(VOICES), int(rng.integers(135, 190)), int(rng.integers(35, 65))
    sound = np.zeros(round(seconds * RATE), np.float32)
    placed = []
    now = float(rng.uniform(0.3, 2.0))
    for line in lines:
        said = speak(line.text, voice=str(voice), words_per_minute=speed, pitch=pitch)
        end = now + len(said) / RATE
        if end > seconds - 0.3:
            break
        first = round(now * RATE)
        sound[first : first + len(said)] += said * 0.7
        placed.append(Placed(line, Span(now, end)))
        now = end + float(rng.uniform(0.05, 0.15) if run_on else rng.uniform(0.3, 3.0))
    times = np.arange(len(sound)) / RATE
    under = rng.integers(3)
    if under == 1:
        sound += rng.normal(0, rng.uniform(0.002, 0.015), len(sound)).astype(np.float32)
    elif under == 2:
        root = rng.uniform(110, 220)
        for ratio in (1, 1.25, 1.5, 2):
            swell = 1 + np.sin(2 * np.pi * times * rng.uniform(0.1, 0.5))
            sound += (0.008 * swell * np.sin(2 * np.pi * root * ratio * times)).astype(np.float32)
    return np.clip(sound, -1, 1), tuple(placed)


@dataclass(frozen=True)
class Title:
    """Letters on the picture: `letters` uint8 `[h, w, 4]` RGBA, its top left corner at (x, y), sliding left at
    `pixels_per_second`."""

    letters: NDArray[np.uint8]
    x: float
    y: float
    span: Span
    fade_seconds: float = 0.0
    pixels_per_second: float = 0.0

    def draw(self, pixels: NDArray[np.uint8], seconds: float) -> None:
        """Blend the letters into `pixels` uint8 `[H, W, 3]` as they look at `seconds`."""
        if seconds not in self.span:
            return
        since, left = seconds - self.span.start_seconds, self.span.end_seconds - seconds
        opacity = 1.0 if self.fade_seconds == 0 else min(1.0, since / self.fade_seconds, left / self.fade_seconds)
        x = round(self.x - since * self.pixels_per_second)
        height, width = pixels.shape[:2]
        x0, x1 = max(0, x), min(width, x + self.letters.shape[1])
        y0, y1 = max(0, round(self.y)), min(height, round(self.y) + self.letters.shape[0])
        if x0 >= x1 or y0 >= y1:
            return
        part = self.letters[y0 - round(self.y) : y1 - round(self.y), x0 - x : x1 - x].astype(np.float32)
        alpha = part[..., 3:] / 255 * opacity
        under = pixels[y0:y1, x0:x1]
        under[:] = (under * (1 - alpha) + part[..., :3] * alpha).round().astype(np.uint8)


def _letters(text: str, size: int, rng: np.random.Generator, max_width: float) -> NDArray[np.uint8]:
    from PIL import Image, ImageDraw, ImageFont

    name = str(rng.choice(FONTS))
    style = int(rng.integers(4))
    ink = [(255, 255, 255), (255, 230, 60), (20, 20, 20), (255, 255, 255)][style]
    ground = [(0, 0, 0, 0), (0, 0, 0, 150), (240, 240, 240, 255), (160, 20, 30, 230)][style]
    while True:
        try:
            font: Any = ImageFont.truetype(name, size) if name else ImageFont.load_default(size)
        except OSError:
            font = ImageFont.load_default(size)
        left, top, right, bottom = font.getbbox(text, stroke_width=1)
        if right - left <= max_width or size <= 12:
            break
        size -= 1
    pad = 4
    image = Image.new("RGBA", (int(right - left) + 2 * pad, int(bottom - top) + 2 * pad), ground)
    outline: dict[str, Any] = {"stroke_width": 1, "stroke_fill": (0, 0, 0)} if style == 0 else {}
    ImageDraw.Draw(image).text((pad - left, pad - top), text, font=font, fill=ink, **outline)
    return np.asarray(image)


def place_titles(
    lines: Sequence[Line], seconds: float, size: tuple[int, int], rng: np.random.Generator
) -> tuple[tuple[Title, ...], tuple[Placed, ...]]:
    """Titles of 1 to 5 s, one after the other or a little overlapping, at any height of a `(height, width)` picture;
    some fade, some scroll."""
    height, width = size
    titles, placed = [], []
    now = float(rng.uniform(0.2, 2.0))
    row = 0
    for line in lines:
        shown = float(rng.uniform(1.0, 5.0))
        ticker = len(line.text) > 20 and rng.random() < 0.3
        letters = _letters(line.text, int(rng.integers(15, 44)), rng, 10_000 if ticker else width * 0.92)
        row = (row + int(rng.integers(1, 3))) % 4  # neighbours in time never share a row
        y = min(height * (0.04 + 0.24 * row), height - letters.shape[0] - 4)
        if ticker:
            pixels_per_second = float(rng.uniform(60, 120))
            span = Span(now, now + (width + letters.shape[1]) / pixels_per_second)
            title = Title(letters, width, y, span, pixels_per_second=pixels_per_second)
        else:
            x = float(rng.uniform(4, max(5, width - letters.shape[1] - 4)))
            fade = float(rng.choice([0.0, 0.0, 0.3])) if shown > 1.5 else 0.0
            title = Title(letters, x, y, Span(now, now + shown), fade)
        if title.span.end_seconds > seconds - 0.2:
            break
        titles.append(title)
        placed.append(Placed(line, title.span))
        now = title.span.end_seconds + float(rng.uniform(-0.5, 3.0))
    return tuple(titles), tuple(placed)


def footage(path: Path) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Seconds and uint8 `[H, W, 3]` RGB of every frame."""
    import av

    with av.open(str(path)) as container:
        for i, frame in enumerate(container.decode(video=0)):
            yield (
                (frame.time if frame.time is not None else i / FPS),
                np.asarray(frame.to_ndarray(format="rgb24"), np.uint8),
            )


def write_video(out: Path, source: Path, titles: Sequence[Title], sound: NDArray[np.float32] | None) -> None:
    """`source` with `titles` drawn over it and `sound` (16 kHz) under it, as h264 and AAC in `out`."""
    import av

    with av.open(str(out), "w") as container:
        video: Any = None
        audio: Any = container.add_stream("aac", rate=RATE) if sound is not None else None
        for seconds, pixels in footage(source):
            if video is None:
                video = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "crf": "26"})
                video.height, video.width, video.pix_fmt = *pixels.shape[:2], "yuv420p"
                video.codec_context.thread_count = 1
            for title in titles:
                title.draw(pixels, seconds)
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(video.encode())
        if sound is None:
            return
        for first in range(0, len(sound), 1024):
            frame = av.AudioFrame.from_ndarray(sound[None, first : first + 1024], format="fltp", layout="mono")
            frame.rate, frame.pts = RATE, first
            container.mux(audio.encode(frame))
        container.mux(audio.encode())


@dataclass(frozen=True)
class Narrated:
    """A video that was made, with what is said and shown in it."""

    path: Path
    spoken: tuple[Placed, ...]
    titles: tuple[Placed, ...]


def build_narrated(sources: Sequence[Path], script: Script, out: Path, *, seed: int) -> list[Narrated]:
    """One narrated and titled copy of each source in the folder `out`; lines are dealt out before any is used again."""
    made = []
    rng = np.random.default_rng(seed)
    spoken = _deal(script.spoken, rng)
    titles = _deal(script.titles, rng)
    for i, source in enumerate(sources):
        times, size = [], (0, 0)
        for seconds, pixels in footage(source):
            times.append(seconds)
            size = pixels.shape[0], pixels.shape[1]
        length = times[-1] + 1 / FPS
        sound, said = narrate([next(spoken) for _ in range(12)], length, rng, run_on=i % 4 == 3)
        drawn, shown = place_titles([next(titles) for _ in range(10)], length, size, rng)
        path = out / f"narrated_{seed}_{i:02d}.mp4"
        write_video(path, source, drawn, sound)
        made.append(Narrated(path, said, shown))
    return made


def _deal(lines: Sequence[Line], rng: np.random.Generator) -> Iterator[Line]:
    while True:
        for i in rng.permutation(len(lines)):
            yield lines[i]
