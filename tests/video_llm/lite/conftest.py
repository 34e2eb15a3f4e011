from pathlib import Path

import pytest

from tests.video_llm.lite.tiny_lite import save_language, save_tiny


@pytest.fixture(scope="session")
def language(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_language(tmp_path_factory.mktemp("language"))


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("tiny") / "lite")


@pytest.fixture
def tiny_weights(language: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every place that looks for weights finds the tiny language model."""
    for module in ("tvu.weights.load", "tvu.video_llm.lite.checkpoint"):
        monkeypatch.setattr(f"{module}.located", lambda name: language)
    monkeypatch.setattr("tvu.weights.store.state_of", lambda weights: ("ready", {}))
    return language
