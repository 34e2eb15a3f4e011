"""Outputs appear whole or not at all."""

import pytest

from tvu.video_llm.errors import OutputError
from tvu.video_llm.export import write_text, written_beside


def test_a_file_appears_when_it_is_whole(tmp_path):
    with written_beside(tmp_path / "out.txt") as beside:
        beside.write_text("whole")
        assert not (tmp_path / "out.txt").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["out.txt"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    write_text(tmp_path / "out.txt", "old")
    with pytest.raises(OutputError, match="cannot be written"), written_beside(tmp_path / "out.txt") as beside:
        beside.write_text("half")
        raise OSError(28, "No space left on device")
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]


def test_a_folder_in_the_way_is_an_error(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputError, match="not a regular file"):
        write_text(tmp_path / "out", "text")


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(OutputError):
        write_text(tmp_path / "none" / "out.txt", "text")
