"""The torture set, each file drawn when a test first asks for it and kept for the session."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.video_llm.media import torture as drawn
from tests.video_llm.media.torture import Numbered


@pytest.fixture(scope="session")
def torture(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Numbered]:
    """A readable file by its name in `READABLE`."""
    files: dict[str, Numbered] = {}

    def draw(name: str) -> Numbered:
        if name not in files:
            files[name] = drawn.READABLE[name](tmp_path_factory.mktemp("torture"))
        return files[name]

    return draw


@pytest.fixture(scope="session")
def cut_short(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Numbered]:
    return drawn.cut_short(tmp_path_factory.mktemp("cut-short"))


@pytest.fixture(scope="session")
def unreadable(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return drawn.unreadable(tmp_path_factory.mktemp("unreadable"))


@pytest.fixture(scope="session")
def huge_claims(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return drawn.huge_claims(tmp_path_factory.mktemp("huge"))
