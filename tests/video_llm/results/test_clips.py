from pathlib import Path

import pytest

from tests.video_llm.results.some_rows import row
from tvu.temporal.types import Span
from tvu.video_llm.decode import open_video
from tvu.video_llm.results.clips import cut_moments

SAMPLE = Path(__file__).parents[3] / "samples" / "postcard.mp4"  # 18 s, 15 frames a second


def test_moments_are_cut_with_their_handles_and_told_as_they_were_written(tmp_path):
    heard = []
    rows = [row(f"{SAMPLE}#t=0,10", "a?", (4, 5)), row(str(SAMPLE), "b?", (4, 5))]
    (done,) = cut_moments(rows, tmp_path / "cuts", 1.0, report=heard.append)
    assert heard == [done]
    assert (done.span, done.questions, done.error) == (Span(4, 5), ("a?", "b?"), "")
    assert done.report.path == tmp_path / "cuts" / "postcard_00004.000-00005.000.mp4"
    assert (done.report.start_seconds, done.report.end_seconds, done.report.num_frames) == (3, 6, 45)
    assert open_video(done.report.path).num_frames == 45


def test_handles_end_where_the_file_does(tmp_path):
    done = cut_moments([row(str(SAMPLE), "a?", (0.5, 1), (17.2, 18))], tmp_path, 2.0)
    assert [(each.report.start_seconds, each.report.num_frames) for each in done] == [
        (0, 45),
        (pytest.approx(15.2), 42),
    ]


def test_what_cannot_be_cut_is_told_and_does_not_stop_the_rest(tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    (tmp_path / "postcard_00002.000-00003.000.mp4").write_bytes(b"mine")
    rows = [
        row(str(tmp_path / "missing.mp4"), "a?", (1, 2)),
        row(str(tmp_path / "bad.mp4"), "a?", (1, 2)),
        row(str(SAMPLE), "a?", (1, 1.5), (2, 3), (400, 401)),
    ]
    done = cut_moments(rows, tmp_path)
    assert [bool(each.error) for each in done] == [True, True, False, True, True]
    assert "missing.mp4" in done[0].error and "exists already" in done[3].error and "ends before" in done[4].error
    assert (tmp_path / "postcard_00002.000-00003.000.mp4").read_bytes() == b"mine"
    (again,) = cut_moments([row(str(SAMPLE), "a?", (2, 3))], tmp_path, force=True)
    assert again.report.num_frames == 15


def test_files_of_one_name_have_clips_of_their_own(tmp_path):
    copy = tmp_path / "postcard.mp4"
    copy.symlink_to(SAMPLE)
    done = cut_moments([row(str(SAMPLE), "a?", (1, 1.5)), row(str(copy), "a?", (1, 1.5))], tmp_path / "cuts")
    assert [each.report.path.name.split("_")[0] for each in done] == ["postcard", "postcard-2"]


def test_negative_handles_are_refused(tmp_path):
    with pytest.raises(ValueError):
        cut_moments([], tmp_path, -1.0)
