import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.video_llm.lite.tiny_lite import save_language, tiny_config
from tvu.video_llm.minilm import Sentences
from tvu.video_llm.training.config import TrainConfig
from tvu.video_llm.training.feature_statistics import CHANNELS


@pytest.fixture(scope="session")
def tiny_lite0(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last layers of a Lite0 of random weights, all that feature videos are made with."""
    folder = tmp_path_factory.mktemp("lite0")
    generator = torch.Generator().manual_seed(0)
    tensors = {
        "conv_head.weight": torch.randn(1280, CHANNELS, 1, 1, generator=generator) / CHANNELS**0.5,
        "bn2.weight": torch.full((1280,), 3.5),
        "bn2.bias": torch.full((1280,), -3.0),
        "bn2.running_mean": torch.zeros(1280),
        "bn2.running_var": torch.full((1280,), 5.0),
        "classifier.weight": torch.randn(1000, 1280, generator=generator) / 16,
        "classifier.bias": torch.zeros(1000),
    }
    save_file(tensors, folder / "model.safetensors")
    (folder / "classes.json").write_text(json.dumps([f"thing {number}" for number in range(1000)]), "utf-8")
    return folder


@pytest.fixture(scope="session")
def tiny_language(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_language(tmp_path_factory.mktemp("language"))


@pytest.fixture
def tiny_weights(tiny_lite0: Path, tiny_language: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Every place that looks for weights finds tiny ones."""
    folders = {"efficientnet-lite0": tiny_lite0, "smollm2-135m": tiny_language, "mediapipe-bodies": tiny_lite0}
    for module in ("tvu.weights.load", "tvu.video_llm.training.loop", "tvu.video_llm.lite.checkpoint"):
        monkeypatch.setattr(f"{module}.located", folders.__getitem__)
    return folders


class LetterReader:
    """In the place of MiniLM: a word is a letter, and means noise of its own."""

    def __init__(self, device: torch.device | str | None = "cpu") -> None:
        self._has_network = device is not None

    def ids(self, texts: Sequence[str]) -> Sentences:
        told = [list(text.encode()[:48]) or [0] for text in texts]
        ids = np.zeros((len(told), max(map(len, told))), np.int64)
        for row, some in enumerate(told):
            ids[row, : len(some)] = some
        return Sentences(ids, np.arange(ids.shape[1]) < np.array([[len(some)] for some in told]))

    def read(self, ids: torch.Tensor, is_word: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        assert self._has_network
        words = torch.randn(256, 384, generator=torch.Generator().manual_seed(0))[ids]
        return torch.nn.functional.normalize((words * is_word[..., None]).sum(1), dim=-1), words


@pytest.fixture
def tiny_minilm(monkeypatch: pytest.MonkeyPatch) -> None:
    """What questions mean is known without the weights of MiniLM, to a model that has a prior."""
    noise = np.random.default_rng(0).standard_normal((2, 1000, 384)).astype(np.float32)
    classes = noise / np.linalg.norm(noise, axis=-1, keepdims=True)
    monkeypatch.setattr("tvu.video_llm.training.data.SentenceReader", LetterReader)
    monkeypatch.setattr("tvu.video_llm.training.data.texts_of_classes", lambda lite0: list(classes))


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    """Two steps on skeletons."""
    told = {
        "out": str(tmp_path / "run"),
        "model": tiny_config().to_json(),
        "data": {"weights": {"skeletons": 1}, "questions": 2, "longest": 12.0},
        "steps": 2,
        "videos": 2,
        "workers": 0,
        "log_every": 1,
        "save_every": 1,
        "evaluate": 0,
    }
    return TrainConfig.from_told(told)
