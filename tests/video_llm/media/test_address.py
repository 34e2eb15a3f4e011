from pathlib import Path

import pytest

from tvu.video_llm.errors import VideoError
from tvu.video_llm.media.address import Address, parse_address


@pytest.mark.parametrize(
    "text, start, end",
    [
        ("a.mp4", None, None),
        ("a.mp4#t=12.5,40", 12.5, 40.0),
        ("a.mp4#t=1:02", 62.0, None),
        ("a.mp4#t=,40", None, 40.0),
    ],
)
def test_the_part_after_the_mark_is_optional_at_both_ends(text: str, start: float | None, end: float | None) -> None:
    assert parse_address(text) == Address(Path("a.mp4"), start, end)


def test_a_file_that_is_really_called_so_wins(tmp_path: Path) -> None:
    path = tmp_path / "a#t=1,2.mp4"
    path.touch()
    assert parse_address(path) == Address(path)
    assert parse_address(f"{path}#t=3") == Address(path, 3.0)


@pytest.mark.parametrize("fragment", ["", ",", "soon", "5,3", "5,5", "0:01,5,0:02,5"])
def test_times_that_make_no_part_are_refused_with_a_hint(fragment: str) -> None:
    with pytest.raises(VideoError) as refusal:
        parse_address(f"a.mp4#t={fragment}")
    assert fragment in refusal.value.message and "#t=" in refusal.value.hint
