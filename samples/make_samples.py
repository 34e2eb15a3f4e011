#!/usr/bin/env python3
"""Draw the sample videos: pictures that come and go at known times, titles, a narrator and a little music.

usage: python samples/make_samples.py [OUT_DIR]        needs espeak-ng for the narrator

The events below are the truth that `samples/expected/*.json` and the tests hold the answers to.
"""

import math
import shutil
import subprocess
import sys
import tempfile
import wave
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

HERE = Path(__file__).parent
WIDTH, HEIGHT, FPS, RATE = 640, 360, 15, 22_050


@dataclass(frozen=True)
class Scene:
    """One shot: what is drawn and for how long, over which colour, under which title, and what is said."""

    seconds: float
    art: str = ""
    colour: str = "#96b4c8"
    title: str = ""
    said: str = ""


SAMPLES: dict[str, tuple[Scene, ...]] = {
    # pictures only, one of them twice; music, no words
    "parade": (
        Scene(3, "balloon", "#a9c7a2"),
        Scene(4, "tiger", "#d8c79a"),
        Scene(3, "teacup", "#c9b6c9"),
        Scene(3, "ladybug", "#b9d3a0"),
        Scene(4, "pumpkin", "#9fc3dd"),
        Scene(3, "tiger", "#b8c4a0"),
    ),
    # slides with titles, and a narrator
    "talk": (
        Scene(
            5, "", "#f4f1e8", "How bees find their way", "Their little dance tells the others where the flowers are."
        ),
        Scene(6, "", "#e8eef4", "Cost of the project", "In total we spent four thousand dollars on the new hive."),
        Scene(5, "", "#eaf4e8", "Thank you!", "Thank you all for listening, and good night."),
    ),
    # all three channels
    "postcard": (
        Scene(5, "penguin", "#9fc3dd", said="We spent our holiday on the coast."),
        Scene(4, "strawberry", "#dfe8d0", title="Fresh today: 3 euros"),
        Scene(5, "guitar", "#c8a98a", said="In the evening my brother played a song for us."),
        Scene(4, "football", "#9cc59a", title="FINAL SCORE 2 : 1"),
    ),
}


def draw(scene: Scene, seconds: float) -> Image.Image:
    """The scene, `seconds` after its start: its picture drifts and sways, its title stands still."""
    frame = Image.new("RGB", (WIDTH, HEIGHT), scene.colour)
    if scene.art:
        with Image.open(HERE / "art" / f"{scene.art}.png") as art:
            size = 1 + 0.04 * math.sin(2 * seconds)
            sprite = art.convert("RGBA").rotate(3 * math.sin(3 * seconds), Image.Resampling.BICUBIC, expand=True)
        sprite = sprite.resize((round(sprite.width * size), round(sprite.height * size)), Image.Resampling.BICUBIC)
        left = (WIDTH - sprite.width) // 2 + round(12 * (seconds - scene.seconds / 2))
        frame.paste(sprite, (left, (HEIGHT - sprite.height) // 2), sprite)
    if scene.title:
        pen, font = ImageDraw.Draw(frame), ImageFont.load_default(40)
        y = HEIGHT // 2 if not scene.art else HEIGHT - 40
        pen.text((WIDTH // 2, y), scene.title, "#202020", font=font, anchor="mm", stroke_width=2, stroke_fill="#ffffff")
    return frame


def speak(text: str) -> np.ndarray:
    """float32 `[S]` at RATE, by espeak-ng."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        subprocess.run(["espeak-ng", "-v", "en-gb", "-s", "140", "-w", path, "--", text], check=True)
        with wave.open(str(path)) as sound:
            if sound.getframerate() != RATE or sound.getnchannels() != 1:
                raise ValueError(f"espeak-ng spoke at {sound.getframerate()} Hz")
            samples = np.frombuffer(sound.readframes(sound.getnframes()), np.int16)
    return samples.astype(np.float32) / 32768


def compose(scenes: tuple[Scene, ...]) -> np.ndarray:
    """float32 `[S]`: a soft arpeggio where nobody speaks, the narrator from 0.3 s after the start of a scene."""
    total = sum(scene.seconds for scene in scenes)
    time = np.arange(round(total * RATE)) / RATE
    sound = np.zeros(len(time), np.float32)
    if not any(scene.said for scene in scenes):
        for i, note in enumerate((262, 330, 392, 523, 392, 330)):
            since = (time - 0.25 * i) % 1.5
            sound += 0.12 * np.sin(2 * np.pi * note * since) * np.exp(-5 * since)
    start = 0.0
    for scene in scenes:
        if scene.said:
            words = speak(scene.said)
            first = round((start + 0.3) * RATE)
            if len(words) > (scene.seconds - 0.3) * RATE:
                raise ValueError(f"{scene.said!r} does not fit into {scene.seconds} s")
            sound[first : first + len(words)] += words
        start += scene.seconds
    return sound


def write(scenes: tuple[Scene, ...], out: Path) -> None:
    """The sample as h264 and aac."""
    with av.open(str(out), "w") as container:
        picture = container.add_stream("libx264", rate=FPS, options={"crf": "27", "preset": "slow", "threads": "1"})
        picture.width, picture.height, picture.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = container.add_stream("aac", rate=RATE, layout="mono")
        sound.bit_rate = 48_000
        for scene in scenes:
            for i in range(round(scene.seconds * FPS)):
                container.mux(picture.encode(av.VideoFrame.from_image(draw(scene, i / FPS))))
        container.mux(picture.encode(None))
        samples = compose(scenes)
        for first in range(0, len(samples), 1024):
            chunk = av.AudioFrame.from_ndarray(samples[None, first : first + 1024], format="fltp", layout="mono")
            chunk.sample_rate, chunk.pts, chunk.time_base = RATE, first, Fraction(1, RATE)
            container.mux(sound.encode(chunk))
        container.mux(sound.encode(None))


def main() -> None:
    """Draw all samples into the folder that is named, or into this one."""
    if shutil.which("espeak-ng") is None:
        sys.exit("espeak-ng is needed for the narrator")
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    for name, scenes in SAMPLES.items():
        write(scenes, out / f"{name}.mp4")
        print(out / f"{name}.mp4", f"{(out / f'{name}.mp4').stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
