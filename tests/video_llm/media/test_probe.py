import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from tests.video_llm.media.torture import (
    LONG_GOP,
    READABLE,
    SHORT_GOP,
    X264,
    Numbered,
    encode,
    ffmpeg,
    folder_of_pictures,
)
from tvu.video_llm.errors import VideoError
from tvu.video_llm.media.probe import ProbeReport, probe

ODD = {
    "hevc 10-bit": {"10-bit"},
    "variable rate mp4": {"variable-rate"},
    "variable rate mkv": {"variable-rate"},
    "cut with an edit list": {"edit-list"},
    "cut with an edit list and sound": {"edit-list"},
    "MPEG-TS starting late": {"late-start"},
    "MPEG-TS with short GOPs": {"late-start"},
    "rotated by 90": {"rotation"},
    "rotated by 180": {"rotation"},
    "rotated by 270": {"rotation"},
    "gif": {"variable-rate"},
    "mkv without an index": {"no-index"},
    "mp4 with the picture 2 s after the sound": {"late-picture"},
    "mkv with the picture 2 s after the sound": {"late-picture"},
    "interlaced mpeg2 program stream": {"late-start", "interlaced"},
}


def odd(report: ProbeReport) -> dict[str, str]:
    return {oddity.name: oddity.detail for oddity in report.oddities}


@pytest.mark.parametrize("name", READABLE)
def test_what_is_odd_is_named_and_nothing_else(torture: Callable[[str], Numbered], name: str) -> None:
    file = torture(name)
    report = probe(file.path)
    assert set(odd(report)) == ODD.get(name, set())
    assert report.num_frames == len(file.numbers)


def test_the_report_says_what_the_file_is(torture: Callable[[str], Numbered]) -> None:
    file = torture("h264 long GOP with B-frames")
    report = probe(file.path)
    assert (report.codec, report.pixel_format, report.width, report.height) == ("h264", "yuv420p", 128, 96)
    assert report.size_bytes == file.path.stat().st_size
    assert report.fps == pytest.approx(30000 / 1001)
    assert report.duration_seconds == pytest.approx(8.008)
    assert report.num_key_frames == 1
    assert report.audio is not None
    assert (report.audio.codec, report.audio.rate, report.audio.channels) == ("aac", 48000, 1)
    assert report.audio.end_seconds == pytest.approx(8.008, abs=0.05)


def test_details_name_the_consequence_in_numbers(torture: Callable[[str], Numbered]) -> None:
    assert "17 to 2000 ms" in odd(probe(torture("variable rate mp4").path))["variable-rate"]
    assert "32 stored frames" in odd(probe(torture("cut with an edit list").path))["edit-list"]
    assert "8.700 s" in odd(probe(torture("MPEG-TS starting late").path))["late-start"]
    assert "00:02.000" in odd(probe(torture("mp4 with the picture 2 s after the sound").path))["late-picture"]


def test_hdr_is_named(tmp_path: Path) -> None:
    colours = ("-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc")
    hevc = ("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", *colours)
    tuned = "log-level=error:pools=1:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"
    file = encode(tmp_path / "hdr.mp4", *hevc, "-x265-params", tuned, num_frames=10)
    assert set(odd(probe(file.path))) == {"hdr", "10-bit"}


def test_a_gap_in_the_sound_is_named_with_its_bounds(tmp_path: Path) -> None:
    source = encode(tmp_path / "source.mp4", *SHORT_GOP, sound=("-c:a", "aac"))
    silence = "aselect='not(between(t,3,5))'"
    ffmpeg("-i", source.path, "-c:v", "copy", "-af", silence, "-c:a", "pcm_s16le", tmp_path / "gap.mkv")
    detail = odd(probe(tmp_path / "gap.mkv"))["audio-gap"]
    assert "00:02.9" in detail or "00:03.0" in detail


def test_wrong_header_counts_are_named(tmp_path: Path) -> None:
    avi = encode(tmp_path / "count.avi", "-c:v", "mpeg4", "-threads", "1", num_frames=50).path
    content = bytearray(avi.read_bytes())
    at = content.index(b"strh") + 8 + 32  # dwLength of the stream header
    content[at : at + 4] = (999).to_bytes(4, "little")
    avi.write_bytes(content)
    assert "999 frames, the file holds 50" in odd(probe(avi))["wrong-header-count"]


def test_a_wrong_duration_in_the_header_is_named(tmp_path: Path) -> None:
    mp4 = encode(tmp_path / "long.mp4", *SHORT_GOP, num_frames=50).path
    content = bytearray(mp4.read_bytes())
    for box in (b"mvhd", b"tkhd", b"mdhd"):
        at = content.index(box) + (24 if box == b"tkhd" else 20)
        content[at : at + 4] = (10 * int.from_bytes(content[at : at + 4], "big")).to_bytes(4, "big")
    mp4.write_bytes(content)
    assert "20.000 s" in odd(probe(mp4))["wrong-header-duration"]


def test_a_file_cut_short_is_named(cut_short: dict[str, Numbered]) -> None:
    for name, file in cut_short.items():
        try:
            report = probe(file.path)
        except VideoError:
            continue
        if file.path.suffix != ".ts":  # a stream of packets promises nothing about its end
            assert "truncated" in odd(report), name


def test_pixels_that_are_not_square_are_named(tmp_path: Path) -> None:
    file = encode(tmp_path / "wide.mp4", *X264, "-vf", "setsar=4/3", num_frames=10, size=(96, 96))
    report = probe(file.path)
    assert (report.width, report.height) == (128, 96)
    assert set(odd(report)) == {"sample-aspect-ratio"}


def test_a_stream_that_starts_between_key_frames_is_named(tmp_path: Path) -> None:
    whole = encode(tmp_path / "whole.mkv", *SHORT_GOP)
    ffmpeg("-i", whole.path, "-c", "copy", "-bsf:v", r"noise=drop=lt(n\,10)", tmp_path / "tail.mkv")
    assert "starts-without-keyframe" in odd(probe(tmp_path / "tail.mkv"))


def test_a_stream_without_time_stamps_is_named(tmp_path: Path) -> None:
    file = encode(tmp_path / "raw.h264", *X264, num_frames=50)
    assert "missing-timestamps" in odd(probe(file.path))


def test_cover_art_and_further_video_tracks_are_named(tmp_path: Path) -> None:
    source = encode(tmp_path / "source.mp4", *SHORT_GOP, num_frames=50)
    cover = encode(tmp_path / "cover.png", num_frames=1)
    both = ("-map", "0", "-map", "0", "-map", "1", "-c", "copy", "-disposition:v:2", "attached_pic")
    ffmpeg("-i", source.path, "-i", cover.path, *both, tmp_path / "both.mp4")
    report = probe(tmp_path / "both.mp4")
    assert report.codec == "h264"
    assert set(odd(report)) == {"several-video-tracks", "attached-picture"}


def test_a_folder_of_pictures_is_nothing_odd(tmp_path: Path) -> None:
    folder_of_pictures(tmp_path, num_pictures=5)
    report = probe(tmp_path)
    assert report.num_frames == 5 and report.size_bytes is None and not report.oddities


def test_ntsc_rates_kept_in_milliseconds_are_no_variable_rate(tmp_path: Path) -> None:
    file = encode(tmp_path / "ntsc.mkv", *LONG_GOP, fps=Fraction(30000, 1001), num_frames=90)
    assert not probe(file.path).oddities


def test_a_report_is_plain_data(torture: Callable[[str], Numbered]) -> None:
    from dataclasses import asdict

    json.dumps(asdict(probe(torture("rotated by 90").path)), default=str)
