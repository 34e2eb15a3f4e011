"""From the name after `-m` to a model."""

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.video_llm.tiny_video_llm import tiny_parts
from tvu.cli.exit_codes import ExitCode, exit_code_of
from tvu.cli.options import model_or_best
from tvu.temporal.errors import TvuError
from tvu.video_llm.errors import UnknownModel
from tvu.video_llm.load import best_model, load_model, weights_needed, weights_of
from tvu.video_llm.video_llm import VideoLLM
from tvu.weights.errors import WeightsError
from tvu.weights.manifest import names_of


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    for part in tiny_parts():
        part.save_pretrained(folder)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "model"))


def test_a_saved_folder_is_a_model(saved: Path) -> None:
    for name in (str(saved), f"tvu:{saved}"):
        model = load_model(name, use_cache=False, min_score=0.25)
        assert isinstance(model, VideoLLM) and model.name == name and model.config.least_score == 0.25
        assert model.sampling.fps == 2.0 and weights_needed(name) == ()


@pytest.mark.parametrize(
    ("name", "says"),
    [("nonsense", "no model is called"), ("tvu:nonsense", "not a folder"), ("models/nonsense", "not a folder")],
)
def test_a_name_that_is_no_model_is_wrong_usage(name: str, says: str) -> None:
    with pytest.raises(UnknownModel, match=says) as raised:
        load_model(name)
    assert exit_code_of(raised.value) == ExitCode.WRONG_USAGE and raised.value.hint


def test_a_folder_without_a_model_and_one_with_another_model_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match="holds no model"):
        load_model(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(UnknownModel, match="of type 'llama'"):
        load_model(str(tmp_path))


def refused(folder: Path) -> TvuError:
    with pytest.raises(WeightsError) as raised:
        load_model(str(folder), use_cache=False)
    assert exit_code_of(raised.value) == ExitCode.WEIGHTS_MISSING
    assert "\n" not in raised.value.message and len(raised.value.message) < 400
    return raised.value


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "processor_config.json"])
def test_a_file_that_is_missing_is_told(folder: Path, file: str) -> None:
    (folder / file).unlink()
    assert str(folder) in refused(folder).message


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_file_that_is_damaged_is_told(folder: Path, file: str) -> None:
    path = folder / file
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(folder)


@pytest.mark.parametrize(
    ("file", "says", "told"),
    [
        ("processor_config.json", "its layout is", {"layout": {"grid": [2, 2]}}),
        ("processor_config.json", "its codec is", {"codec": {"name": "vtg-llm"}}),
        ("config.json", "its tells_times is list", {"tells_times": None}),
        ("config.json", "the tokenizer is of another model", {"video_token_id": 3}),
        ("config.json", "names of parts", {"untrained": [1]}),
    ],
)
def test_files_of_two_models_are_no_model(folder: Path, file: str, says: str, told: dict[str, Any]) -> None:
    (folder / file).write_text(json.dumps(json.loads((folder / file).read_text()) | told))
    assert says in refused(folder).message


def test_a_rate_that_is_none_and_a_template_without_a_place_for_a_video_are_told(folder: Path) -> None:
    template = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").write_text("{{ messages[0]['role'] }}")
    assert "does not write <|video|>" in refused(folder).message
    (folder / "chat_template.jinja").write_text(template)
    told = json.loads((folder / "processor_config.json").read_text())
    told["video_processor"]["fps"] = -1.0
    (folder / "processor_config.json").write_text(json.dumps(told))
    assert "fps must be positive" in refused(folder).message


def test_pickled_weights_are_not_opened(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    refused(folder)


def test_code_beside_the_weights_is_never_run(folder: Path) -> None:
    (folder / "evil.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\nclass Evil: pass\n")
    for name in ("config.json", "processor_config.json", "tokenizer_config.json"):
        told = json.loads((folder / name).read_text())
        told["auto_map"] = {
            "AutoConfig": "evil.Evil",
            "AutoProcessor": "evil.Evil",
            "AutoTokenizer": ["evil.Evil", None],
        }
        (folder / name).write_text(json.dumps(told))
    with contextlib.suppress(TvuError):  # refusing the folder is as good
        load_model(str(folder), use_cache=False)
    assert not (folder / "ran").exists()


def test_weights_are_named_by_what_is_in_them(tmp_path, monkeypatch):
    monkeypatch.setenv("TVU_CACHE", str(tmp_path))
    assert weights_of("baseline:random") == {}
    assert set(weights_of("scout").values()) == {"not here"}


def test_an_ensemble_of_clip_models_needs_the_weights_of_each() -> None:
    names = ("clip:ViT-B-32/a", "clip:ViT-L-14/b", "minilm-l6")
    assert weights_needed("clip:ViT-B-32/a+ViT-L-14/b", ("visual",)) == names
    with pytest.raises(UnknownModel):
        weights_needed("clip:ViT-B-32/a+", ("visual",))


def test_lite_names_its_weights_and_says_where_its_checkpoint_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert weights_needed("lite") == ("efficientnet-lite0", "mediapipe-bodies", "minilm-l6")
    assert weights_needed(f"lite:{tmp_path}") == weights_needed("lite", ("speech",))
    monkeypatch.setattr("tvu.video_llm.lite.checkpoint.shipped_folder", lambda: tmp_path)
    with pytest.raises(WeightsError, match="no trained lite ships") as raised:
        load_model("lite")
    assert "tvu train" in raised.value.hint


def test_a_lite_that_reads_needs_a_language_model(tmp_path: Path) -> None:
    lite = ("efficientnet-lite0", "mediapipe-bodies", "minilm-l6")
    words, scout = ("smollm2-135m",), weights_needed("scout")
    for told, to_find, to_write in [
        ({"reads": True, "listens": True}, words, words),
        ({"listens": True}, words, words),
        ({"reads": True}, (), words),
        ({}, (), words),
        ({"reads": False}, (), ()),
        ({"reads": False, "listens": True}, (), ()),
    ]:
        (tmp_path / "config.json").write_text(json.dumps({"model": told}))
        for for_words, more in ((False, to_find), (True, to_write)):
            assert weights_needed(f"lite:{tmp_path}", for_words=for_words) == (*lite, *more)
            both = weights_needed(f"scout+lite:{tmp_path}", for_words=for_words)
            assert both == (*scout, "mediapipe-bodies", *more)


@pytest.mark.parametrize("config", ["", "[]", "{}", '{"model": 3}'])
def test_of_a_lite_whose_config_cannot_be_read_no_language_model_is_pulled(tmp_path: Path, config: str) -> None:
    (tmp_path / "config.json").write_text(config)
    assert weights_needed(f"lite:{tmp_path}") == names_of("lite")


@pytest.mark.parametrize("state", ["missing", "damaged"])
@pytest.mark.parametrize("lacking", ["efficientnet-lite0", "mediapipe-bodies", "minilm-l6", "whisper-tiny.en"])
def test_the_best_model_is_scout_and_lite_where_all_their_weights_are(
    monkeypatch: pytest.MonkeyPatch, lacking: str, state: str
) -> None:
    states = dict.fromkeys((*names_of("scout"), *names_of("lite")), "ready")
    monkeypatch.setattr("tvu.weights.store.state_of", lambda weights: (states[weights.name], {}))
    assert best_model() == "scout+lite"
    states[lacking] = state
    assert best_model() == "scout"


def test_of_an_empty_cache_the_best_model_is_scout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TVU_CACHE", str(tmp_path))
    assert best_model() == "scout"


def test_a_model_that_is_asked_for_is_taken_and_another_may_be_pulled(monkeypatch: pytest.MonkeyPatch) -> None:
    for best in ("scout", "scout+lite"):
        monkeypatch.setattr("tvu.video_llm.load.best_model", lambda best=best: best)
        assert model_or_best("lite", pull=False) == model_or_best("lite", pull=True) == "lite"
        assert model_or_best(None, pull=False) == best
        assert model_or_best(None, pull=True) == "scout+lite"


def test_lite_of_a_folder_is_that_folder_or_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match="not a folder"):
        load_model("lite:nowhere")
    with pytest.raises(WeightsError, match="holds no checkpoint"):
        load_model(f"lite:{tmp_path}")


def test_a_checkpoint_of_lite_is_known_by_its_weights(tmp_path: Path) -> None:
    (tmp_path / "lite-00001-of-00001.safetensors").write_bytes(b"one")
    one = weights_of(f"lite:{tmp_path}")["lite"]
    (tmp_path / "lite-00001-of-00001.safetensors").write_bytes(b"two")
    assert len(one) == 12 and weights_of(f"lite:{tmp_path}")["lite"] != one


def test_lite_is_known_by_the_same_weights_alone_and_beside_scout(tmp_path: Path) -> None:
    (tmp_path / "lite-00001-of-00001.safetensors").write_bytes(b"one")
    alone, beside = (weights_of(f"{model}:{tmp_path}")["lite"] for model in ("lite", "scout+lite"))
    assert len(alone) == 12 and alone == beside


def test_a_lite_that_writes_is_known_by_the_language_model_that_it_writes_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TVU_CACHE", str(tmp_path / "cache"))
    for told, is_known in (({"reads": True}, True), ({"reads": False}, False)):
        (tmp_path / "config.json").write_text(json.dumps({"model": told}))
        assert ("smollm2-135m" in weights_of(f"lite:{tmp_path}")) == is_known
