from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.video_llm.media.torture import (
    SHORT_GOP,
    Numbered,
    encode,
    ffmpeg,
    folder_of_pictures,
    frames_of,
    nasty_names,
)
from tvu.temporal.types import Span
from tvu.video_llm.decode import clock_of, open_video
from tvu.video_llm.errors import BackendError, OutputError, OutputExists, VideoError
from tvu.video_llm.media.cut import cut
from tvu.video_llm.media.ffmpeg import find_ffmpeg

Torture = Callable[[str], Numbered]
KINDS = [
    "h264 long GOP with B-frames",
    "variable rate mp4",
    "variable rate mkv",
    "cut with an edit list",
    "cut with an edit list and sound",
    "MPEG-TS starting late",
    "MPEG-TS with short GOPs",
    "rotated by 90",
    "odd size",
    "gif",
    "mkv without an index",
    "mp4 with the picture 2 s after the sound",
]


@pytest.mark.parametrize("name", KINDS)
def test_a_cut_holds_exactly_the_frames_that_appear_within_the_span(
    torture: Torture, name: str, tmp_path: Path
) -> None:
    file = torture(name)
    span = Span(0.55 * file.end_seconds + 0.013, 0.8 * file.end_seconds)
    report = cut(open_video(file.path), span, tmp_path / "cut.mp4")
    wanted = file.shown_within(span.start_seconds, span.end_seconds)
    assert frames_of(report.path) == wanted
    assert report.num_frames == len(wanted)
    assert report.start_seconds == pytest.approx(file.times[file.numbers == wanted[0]].item(), abs=1e-3)
    written = clock_of(open_video(report.path)).pts_seconds
    np.testing.assert_allclose(written, file.times[np.isin(file.numbers, wanted)] - report.start_seconds, atol=1e-3)


@pytest.mark.parametrize("name", ["h264 long GOP with B-frames", "MPEG-TS starting late", "variable rate mp4"])
def test_a_cut_of_the_whole_is_the_whole(torture: Torture, name: str, tmp_path: Path) -> None:
    file = torture(name)
    clip = open_video(file.path)
    report = cut(clip, clip.span, tmp_path / "cut.mp4")
    assert frames_of(report.path) == file.numbers.tolist()
    assert report.start_seconds == 0
    assert report.end_seconds == pytest.approx(clip.duration_seconds, abs=0.045)


def test_the_end_that_is_told_is_when_the_last_frame_ends(torture: Torture, tmp_path: Path) -> None:
    clip = open_video(torture("cut with an edit list").path)
    report = cut(clip, Span(1.0, 2.0), tmp_path / "cut.mp4")
    assert (report.start_seconds, report.end_seconds, report.num_frames) == (pytest.approx(1.0), pytest.approx(2.0), 25)


def test_within_a_picture_that_is_held_the_cut_is_that_picture(torture: Torture, tmp_path: Path) -> None:
    file = torture("variable rate mp4")
    held = float(file.times[60])  # for two seconds
    report = cut(open_video(file.path), Span(held + 0.5, held + 1.5), tmp_path / "cut.mp4")
    assert frames_of(report.path) == [60]
    assert (report.start_seconds, report.end_seconds) == (pytest.approx(held), pytest.approx(held + 1.5, abs=1e-3))


def test_a_picture_that_is_held_at_the_end_is_held_until_the_span_ends(torture: Torture, tmp_path: Path) -> None:
    file = torture("variable rate mp4")
    held = float(file.times[60])  # for two seconds
    report = cut(open_video(file.path), Span(held - 1, held + 1.2), tmp_path / "cut.mp4")
    assert frames_of(report.path) == file.shown_within(held - 1, held + 1.2)
    assert report.end_seconds == pytest.approx(held + 1.2, abs=1e-3)


def test_the_sound_is_cut_with_the_picture(tmp_path: Path) -> None:
    """A tone from 4 s on; cut from 3 s, it starts 1 s into the cut."""
    tone = ("-af", "volume=0:enable='lt(t,4)'", "-c:a", "aac")
    file = encode(tmp_path / "late tone.mp4", *SHORT_GOP, sound=tone)
    report = cut(open_video(file.path), Span(3.0, 6.0), tmp_path / "cut.mp4")
    samples = np.frombuffer(ffmpeg("-i", report.path, "-ac", "1", "-ar", "8000", "-f", "s16le", "-"), np.int16)
    assert np.flatnonzero(abs(samples) > 600)[0] / 8000 == pytest.approx(1.0, abs=0.03)
    assert len(samples) / 8000 == pytest.approx(3.0, abs=0.05)


def test_a_part_without_sound_of_a_file_with_sound_can_be_cut(tmp_path: Path) -> None:
    file = encode(tmp_path / "short sound.mp4", *SHORT_GOP, sound=("-c:a", "aac", "-af", "atrim=end=1"))
    report = cut(open_video(file.path), Span(4.0, 5.0), tmp_path / "cut.mp4")
    assert frames_of(report.path) == list(range(100, 125))


def test_a_stream_that_stores_no_times_is_cut_by_counting(tmp_path: Path) -> None:
    file = encode(tmp_path / "raw.h264", *SHORT_GOP)
    report = cut(open_video(file.path), Span(2.0, 3.0), tmp_path / "cut.mp4")
    assert frames_of(report.path) == list(range(50, 75))


def test_names_of_input_and_output_may_be_anything(tmp_path: Path) -> None:
    for file in nasty_names(tmp_path)[1:7]:
        report = cut(open_video(file.path), Span(0.5, 0.7), file.path.with_name(f"{file.path.name} out"))
        assert report.num_frames == 5


def test_nothing_is_overwritten_without_force(torture: Torture, tmp_path: Path) -> None:
    clip = open_video(torture("tiny size").path)
    out = tmp_path / "cut.mp4"
    out.write_text("precious")
    with pytest.raises(OutputExists, match="exists already"):
        cut(clip, Span(0, 1), out)
    assert out.read_text() == "precious"
    assert cut(clip, Span(0, 1), out, force=True).num_frames == 25
    assert list(tmp_path.iterdir()) == [out]


def test_a_missing_folder_is_an_error_for_people(torture: Torture, tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        cut(open_video(torture("tiny size").path), Span(0, 1), tmp_path / "nowhere" / "cut.mp4")


def test_a_full_disk_is_an_error_for_people_and_leaves_nothing(
    torture: Torture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FFMPEG", str(failing_ffmpeg(tmp_path, "av_interleaved_write_frame(): No space left on device")))
    with pytest.raises(OutputError, match="disk is full"):
        cut(open_video(torture("tiny size").path), Span(0, 1), tmp_path / "cut.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["ffmpeg"]


def test_a_device_is_no_place_for_a_cut(torture: Torture) -> None:
    with pytest.raises(OutputError, match="not a regular file"):
        cut(open_video(torture("tiny size").path), Span(0, 1), Path("/dev/null"), force=True)


def test_no_system_ffmpeg_is_needed(torture: Torture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("FFMPEG", raising=False)
    assert (
        cut(open_video(torture("h264 long GOP with B-frames").path), Span(1, 2), tmp_path / "cut.mp4").num_frames == 30
    )


def test_a_system_ffmpeg_that_is_too_old_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, version, is_taken in (("old", "4.4.2-0ubuntu", False), ("new", "n9.0.2-17-g2a57", True)):
        program = tmp_path / name / "ffmpeg"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\necho 'ffmpeg version {version} Copyright'\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(program.parent))
        monkeypatch.delenv("FFMPEG", raising=False)
        assert (find_ffmpeg() == str(program)) == is_taken


def test_an_ffmpeg_that_is_not_there_is_named(
    torture: Torture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FFMPEG", "/nowhere/ffmpeg")
    with pytest.raises(BackendError, match="is not a program"):
        cut(open_video(torture("tiny size").path), Span(0, 1), tmp_path / "cut.mp4")


def failing_ffmpeg(folder: Path, last_words: str) -> Path:
    program = folder / "ffmpeg"
    program.write_text(f"#!/bin/sh\necho chatter >&2; echo '{last_words}' >&2; exit 1\n")
    program.chmod(0o755)
    return program


def test_an_ffmpeg_that_fails_is_quoted(torture: Torture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFMPEG", str(failing_ffmpeg(tmp_path, "the last word")))
    with pytest.raises(BackendError, match="the last word"):
        cut(open_video(torture("tiny size").path), Span(0, 1), tmp_path / "cut.mp4")


def test_a_folder_of_pictures_cannot_be_cut(tmp_path: Path) -> None:
    folder_of_pictures(tmp_path, num_pictures=3)
    with pytest.raises(VideoError, match="folder of pictures"):
        cut(open_video(tmp_path), Span(0, 1), tmp_path / "cut.mp4")
