"""Checkpoints and files that the tests of `hf:` share."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.video_llm.hf.tiny_families import write
from tests.video_llm.media.drawing import draw_video
from tests.video_llm.media.torture import Numbered, encode_variable, uneven_milliseconds

Written = Callable[[str], Path]


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """The folder of a family, written once."""
    root, known = tmp_path_factory.mktemp("families"), dict[str, Path]()

    def folder(family: str) -> Path:
        if family not in known:
            known[family] = write(family, root / family)
        return known[family]

    return folder


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds at 25 frames a second."""
    return draw_video(tmp_path_factory.mktemp("plain") / "v.mp4", num_frames=100, size=(64, 36))


@pytest.fixture(scope="session")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Numbered:
    """A variable frame rate, and a picture that is held for two seconds; every frame shows its number."""
    path = tmp_path_factory.mktemp("uneven") / "u.mp4"
    return encode_variable(path, uneven_milliseconds(), "libx264", preset="veryfast", bf="3", g="250")
