"""Clicks at known times, in files that make sound drift, start late, stop or break."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.video_llm.media.drawing import draw_video, picture
from tvu.temporal.types import Span
from tvu.video_llm.decode import facts_of, open_video
from tvu.video_llm.media.sound import Sound, read_sound, sound_windows

CLICKS = np.arange(10) + 0.4  # seconds
RATE = 44_100


def draw_clicks(path: Path, codec: str, late: float = 0.0, gap: Span | None = None, channels: str = "mono") -> Path:
    """Ten seconds of picture, and ten of sound that starts `late` seconds after it, without the packets in `gap`."""
    heard = np.zeros(RATE * 10, np.int16)
    for seconds in CLICKS:
        heard[round(seconds * RATE) : round(seconds * RATE) + 40] = 30_000
    count = {"mono": 1, "stereo": 2}[channels]
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        audio = container.add_stream(codec, rate=RATE, layout=channels)
        for number in range(100):
            frame = av.VideoFrame.from_ndarray(picture(number, 32, 32), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(video.encode(frame))
        for first in range(0, len(heard), 1024):
            if gap is not None and first / RATE in gap:
                continue
            samples = np.repeat(heard[first : first + 1024], count)[None]
            sound = av.AudioFrame.from_ndarray(samples, format="s16", layout=channels)
            sound.sample_rate, sound.time_base = RATE, Fraction(1, RATE)
            sound.pts = first + round(late * RATE)
            container.mux(audio.encode(sound))
        container.mux(audio.encode(None))
        container.mux(video.encode(None))
    return path


def clicks_in(sound: Sound | None) -> list[float]:
    """File seconds at which clicks start."""
    assert sound is not None
    loud = np.flatnonzero(np.abs(sound.samples) > 0.2)
    return [sound.start_seconds + i / sound.rate for i in loud[np.diff(loud, prepend=-9999) > 1000]]


@pytest.mark.parametrize(
    "name, codec",
    [("a.mp4", "aac"), ("a.mkv", "flac"), ("a.mov", "pcm_s16le"), ("mp3.mkv", "libmp3lame"), ("a.avi", "pcm_s16le")],
)
def test_a_click_is_heard_when_it_sounds(tmp_path: Path, name: str, codec: str) -> None:
    clip = open_video(draw_clicks(tmp_path / name, codec))
    sound = read_sound(clip)
    assert sound is not None and (sound.rate, len(sound.samples)) == (16_000, round(clip.span.seconds * 16_000))
    assert sound.samples.dtype == np.float32 and np.abs(sound.samples).max() <= 1
    assert clicks_in(sound) == pytest.approx(CLICKS, abs=2e-3)


@pytest.mark.parametrize("name, codec", [("late.mp4", "aac"), ("late.mkv", "flac"), ("late.ts", "mp2")])
def test_sound_that_starts_late_is_heard_late(tmp_path: Path, name: str, codec: str) -> None:
    clip = open_video(draw_clicks(tmp_path / name, codec, late=1.3))
    assert clicks_in(read_sound(clip)) == pytest.approx(CLICKS[:-1] + 1.3, abs=5e-3)


def test_a_part_of_a_file_holds_its_own_sound_only(tmp_path: Path) -> None:
    path = draw_clicks(tmp_path / "a.mp4", "aac")
    sound = read_sound(open_video(f"{path}#t=3.2,6"))
    assert sound is not None and sound.start_seconds == 3.2 and len(sound.samples) == round(2.8 * 16_000)
    assert clicks_in(sound) == pytest.approx([3.4, 4.4, 5.4], abs=2e-3)


def test_missing_packets_are_silence_and_move_nothing(tmp_path: Path) -> None:
    clip = open_video(draw_clicks(tmp_path / "gap.mkv", "pcm_s16le", gap=Span(3.0, 5.0)))
    assert clicks_in(read_sound(clip)) == pytest.approx([0.4, 1.4, 2.4, 5.4, 6.4, 7.4, 8.4, 9.4], abs=2e-3)
    audio = facts_of(clip).audio
    assert audio is not None
    (gap,) = audio.gaps
    assert (gap.start_seconds, gap.end_seconds) == pytest.approx((3.0, 5.0), abs=0.05)


def test_both_channels_are_heard(tmp_path: Path) -> None:
    clip = open_video(draw_clicks(tmp_path / "stereo.mov", "pcm_s16le", channels="stereo"))
    assert clicks_in(read_sound(clip)) == pytest.approx(CLICKS, abs=2e-3)


def test_damaged_packets_cost_only_themselves(tmp_path: Path) -> None:
    path = draw_clicks(tmp_path / "damaged.mkv", "flac")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 40] = bytes(b ^ 0x5A for b in content[middle : middle + 40])
    path.write_bytes(content)
    heard = np.array(clicks_in(read_sound(open_video(path))))
    offsets = np.abs(heard[:, None] - CLICKS).min(axis=1)
    assert len(heard) >= 9 and (offsets < 3e-3).all()


def test_windows_follow_each_other(tmp_path: Path) -> None:
    clip = open_video(draw_clicks(tmp_path / "a.mkv", "flac"))
    whole, windows = read_sound(clip), list(sound_windows(clip, window_seconds=3.0))
    assert whole is not None and [w.start_seconds for w in windows] == [0, 3, 6, 9]
    assert sum(len(w.samples) for w in windows) == len(whole.samples)
    assert [click for w in windows for click in clicks_in(w)] == pytest.approx(clicks_in(whole), abs=1e-3)


def test_a_silent_film_has_no_sound(tmp_path: Path) -> None:
    clip = open_video(draw_video(tmp_path / "silent.mp4", num_frames=10))
    assert not clip.has_audio and read_sound(clip) is None and list(sound_windows(clip)) == []


def test_sound_ends_with_the_span(tmp_path: Path) -> None:
    clip = open_video(draw_clicks(tmp_path / "a.mkv", "flac"))
    last = read_sound(replace(clip, span=Span(9.99, 10.0)), rate=8000)
    assert last is not None and len(last.samples) == 80
