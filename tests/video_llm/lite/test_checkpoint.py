"""`lite` as files."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tests.video_llm.lite.tiny_lite import save_tiny, tiny_inputs
from tvu.temporal.squeezetime.network import SqueezeTime
from tvu.video_llm.lite import checkpoint as checkpoints
from tvu.video_llm.lite.adapters import adapters
from tvu.video_llm.lite.checkpoint import load_lite, read_lite
from tvu.video_llm.lite.files import folder_digest
from tvu.weights.errors import WeightsError


@pytest.fixture
def folder(checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoint, tmp_path / "lite"))


def refused(folder: Path) -> str:
    with pytest.raises(WeightsError) as raised:
        load_lite(read_lite(folder))
    assert raised.value.hint
    return raised.value.message


def test_what_was_saved_is_loaded_merged_and_ready_to_answer(checkpoint, tiny_weights):
    loaded = load_lite(read_lite(checkpoint))
    assert not list(adapters(loaded.model)) and loaded.card == {"steps": 0}
    assert not any(each.requires_grad or each.dtype != torch.float32 for each in loaded.model.parameters())
    tokens, rows = loaded.model.eyes(tiny_inputs([8]))
    assert rows.shape == (1, 4, 32) and tokens.features.isfinite().all()


def test_the_language_model_writes_with_the_table_that_it_reads_with(checkpoint, tiny_weights):
    loaded = load_lite(read_lite(checkpoint))
    assert loaded.causal.get_input_embeddings().weight.shape == (280, 32)
    assert loaded.causal.lm_head.weight.data_ptr() == loaded.causal.get_input_embeddings().weight.data_ptr()
    assert torch.equal(loaded.causal.get_input_embeddings().weight, loaded.model.table)
    assert loaded.model.language is loaded.causal.model


def test_a_model_that_does_not_read_is_loaded_without_any_language_model(tmp_path, monkeypatch):
    def located(name):
        raise AssertionError(f"nobody needs {name}")

    monkeypatch.setattr(checkpoints, "located", located)
    folder = save_tiny(tmp_path / "lite", reads=False, has_prior=True)
    loaded = load_lite(read_lite(folder))
    assert loaded.causal is None and loaded.model.language is None and not loaded.model.training
    assert not any(name.startswith(("language", "told", "new_rows", "grades")) for name in loaded.model.state_dict())
    tokens, _ = loaded.model.eyes(tiny_inputs([8]))
    assert tokens.features.isfinite().all()


def test_weights_of_a_model_that_reads_are_those_of_another_where_it_does_not(folder):
    told = json.loads((folder / "config.json").read_text())
    told["model"] |= {"reads": False, "has_prior": True}
    (folder / "config.json").write_text(json.dumps(told))
    assert "another model" in refused(folder)


def test_the_motion_network_is_one_for_answering(checkpoint):
    files = read_lite(checkpoint)
    trained = SqueezeTime(files.config.motion_config).eval()
    trained.load_state_dict({n.removeprefix("motion."): t for n, t in files.state.items()}, strict=False)
    quick = files.motion()
    assert not quick.training and not any(isinstance(each, nn.BatchNorm2d) for each in quick.modules())
    video = torch.randn(2, 3, 16, 112, 112)
    expected = trained.pooled(video)
    assert (quick.pooled(video) - expected).abs().max() < 1e-5 * expected.abs().max()  # as `fused` says


def test_files_are_half_precision_safetensors_that_anybody_may_read(checkpoint):
    (file,) = checkpoint.glob("*.safetensors")
    assert {each.dtype for each in load_file(file).values()} == {torch.float16}
    assert file.stat().st_mode & 0o044 == 0o044


def test_large_checkpoints_come_in_shards(monkeypatch, tmp_path, tiny_weights):
    monkeypatch.setattr(checkpoints, "SHARD_BYTES", 100_000)
    folder = save_tiny(tmp_path / "lite")
    names = sorted(file.name for file in folder.glob("*.safetensors"))
    assert len(names) > 3 and names[0] == f"lite-00001-of-{len(names):05d}.safetensors"
    load_lite(read_lite(folder))
    (folder / names[1]).unlink()
    assert "of its shards are there" in refused(folder)


def test_a_folder_without_a_checkpoint_says_how_to_get_one(tmp_path):
    assert "holds no checkpoint" in refused(tmp_path)


def test_a_tvu_without_a_checkpoint_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(checkpoints, "shipped_folder", lambda: tmp_path)
    with pytest.raises(WeightsError, match="no trained lite ships") as raised:
        read_lite()
    assert "tvu train" in raised.value.hint


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"model": {"width": "wide"}}', '{"model": {"colour": 1}}'])
def test_a_broken_config_is_refused(folder, content):
    (folder / "config.json").write_text(content)
    assert "cannot be loaded" in refused(folder)


def test_half_a_file_is_refused(folder):
    (file,) = folder.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert "cannot be loaded" in refused(folder)


@pytest.mark.parametrize("lacks", ["motion.", "eyes.", "new_rows", "language."])
def test_weights_that_are_missing_are_named(folder, tiny_weights, lacks):
    (file,) = folder.glob("*.safetensors")
    save_file({name: each for name, each in load_file(file).items() if not name.startswith(lacks)}, file)
    message = refused(folder)
    assert "lacks the motion network" in message if lacks == "motion." else lacks in message


def test_weights_of_another_shape_are_refused(folder, tiny_weights):
    told = json.loads((folder / "config.json").read_text())
    told["model"]["merged"] = 48
    (folder / "config.json").write_text(json.dumps(told))
    assert "another model" in refused(folder)


def test_other_weights_have_another_digest(checkpoint, tmp_path):
    assert len(folder_digest(checkpoint)) == 12
    assert folder_digest(checkpoint) != folder_digest(save_tiny(tmp_path / "lite", seed=1))
    assert folder_digest(tmp_path) == ""
