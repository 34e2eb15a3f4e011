import gzip

import pytest

from tvu.video_llm.benchmarks.json_files import read_json_lines
from tvu.video_llm.benchmarks.video_files import find_file, find_video
from tvu.video_llm.errors import BenchmarkError


def put(path, content=b""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_the_truth_may_lie_two_folders_below_and_be_gzipped(tmp_path):
    path = put(tmp_path / "a" / "b" / "truth.json.gz")
    assert find_file(tmp_path, ["other.json", "truth.json"]) == path


def test_a_missing_truth_is_named(tmp_path):
    with pytest.raises(BenchmarkError, match=r"has no a\.json or b\.json"):
        find_file(tmp_path, ["a.json", "b.json"])


@pytest.mark.parametrize("name", ["abc", "abc.mp4", "abc.webm"])
def test_a_video_is_found_whatever_its_ending(tmp_path, name):
    path = put(tmp_path / "videos" / "abc.webm")
    assert find_video(tmp_path, name) == path


def test_dots_in_the_name_of_a_clip_are_no_ending(tmp_path):
    put(tmp_path / "videos" / "x_660.0_800.0.mp4")
    path = put(tmp_path / "videos" / "x_660.0_810.0.mkv")
    assert find_video(tmp_path, "x_660.0_810.0") == path


def test_names_of_videos_are_matched_to_the_letter(tmp_path):
    put(tmp_path / "videos" / "ABC.mp4")
    assert not find_video(tmp_path, "abc").exists()


def test_videos_may_lie_beside_the_truth_or_in_folders_of_pictures(tmp_path):
    assert find_video(tmp_path, "late") == tmp_path / "videos" / "late.mp4"
    truth = put(tmp_path / "truth.json")
    path = put(tmp_path / "late.avi")
    (tmp_path / "videos" / "frames").mkdir(parents=True)
    assert find_video(truth, "late") == path
    assert find_video(truth, "frames") == tmp_path / "videos" / "frames"


def test_lines_are_told_by_number_and_a_bad_one_is_named(tmp_path):
    path = put(tmp_path / "x.jsonl", gzip.compress(b'{"a": 1}\r\n\n[2]\n'))
    assert read_json_lines(path) == [(1, {"a": 1}), (3, [2])]
    path.write_bytes(b'{"a": 1}\n{"a"')
    with pytest.raises(BenchmarkError, match="line 2 is no JSON"):
        read_json_lines(path)


def test_a_name_that_no_file_can_have_is_missing(tmp_path):
    for name in ("\ud800/a", "a\ud800"):
        assert find_video(tmp_path, name).name.startswith("a")
