from pathlib import Path

import pytest

from tvu.video_llm.batch.sources import videos_in
from tvu.video_llm.errors import VideoError


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in (
        "b.mp4",
        "a.MKV",
        "notes.md",
        "sub/c d.webm",
        "sub/.hidden.mp4",
        ".git/x.mp4",
        "frames/1.jpg",
        "frames/2.jpg",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def names(folder: Path, *paths: object) -> list[str]:
    return [address.removeprefix(f"{folder}/") for address in videos_in(map(str, paths)).addresses]


def test_a_folder_is_all_videos_below_it_in_the_order_of_their_names(folder):
    assert names(folder, folder) == ["a.MKV", "b.mp4", "frames", "sub/c d.webm"]
    assert videos_in([str(folder)]).ignored == 1


def test_a_file_is_itself_also_a_part_of_it_and_one_that_is_not_there(folder):
    paths = [folder / "b.mp4", f"{folder}/b.mp4#t=1,2", folder / "gone.mp4", folder / "notes.md"]
    assert names(folder, *paths) == ["b.mp4", "b.mp4#t=1,2", "gone.mp4", "notes.md"]


def test_a_pattern_is_what_it_matches(folder):
    assert names(folder, folder / "*.mp4") == ["b.mp4"]
    assert names(folder, folder / "**" / "*.webm") == ["sub/c d.webm"]
    assert names(folder, folder / "s*") == ["sub/c d.webm"]
    assert names(folder, folder / "*") == ["a.MKV", "b.mp4", "frames", "sub/c d.webm"]
    with pytest.raises(VideoError, match="nothing matches"):
        names(folder, folder / "*.xyz")


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(folder):
    (folder / "a[1].mp4").touch()
    assert names(folder, folder / "a[1].mp4") == ["a[1].mp4"]


def test_a_list_names_what_lies_beside_it(folder):
    (folder / "list.txt").write_text("# mine\n\nb.mp4#t=0,1\nsub\n", "utf-8")
    assert names(folder, folder / "list.txt") == ["b.mp4#t=0,1", "sub/c d.webm"]
    (folder / "odd.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(VideoError, match="as a list of videos"):
        names(folder, folder / "odd.txt")


def test_what_is_named_twice_is_there_once(folder):
    assert names(folder, folder / "b.mp4", folder, folder / "b.mp4") == ["b.mp4", "a.MKV", "frames", "sub/c d.webm"]


def test_links_make_no_circle(folder):
    (folder / "sub" / "up").symlink_to(folder)
    assert len(names(folder, folder)) == 4


def test_nothing_at_all_is_told(tmp_path):
    (tmp_path / "notes.md").touch()
    with pytest.raises(VideoError, match="there is no video in") as error:
        videos_in([str(tmp_path)])
    assert "1 files in it" in error.value.hint


def test_a_folder_that_may_not_be_read_is_told(folder, monkeypatch):
    def scandir(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("os.scandir", scandir)
    with pytest.raises(VideoError, match="Permission denied"):
        videos_in([str(folder)])
