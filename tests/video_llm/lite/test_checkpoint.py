"""`lite` as files."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tests.video_llm.lite.tiny_lite import save_tiny, tiny_causal, tiny_config, tiny_inputs
from tvu.temporal.squeezetime.network import SqueezeTime
from tvu.video_llm.lite import checkpoint as checkpoints
from tvu.video_llm.lite.adapters import adapters
from tvu.video_llm.lite.checkpoint import load_lite, read_lite, without_words
from tvu.video_llm.lite.files import folder_digest, shipped_folder
from tvu.video_llm.lite.model import LiteModel
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
    tokens = loaded.model.eyes.tokens(tiny_inputs([8]))
    assert tokens.features.isfinite().all()
    assert not {"clock", "out", "as_words"} & dict(loaded.model.eyes.named_children()).keys()


def test_what_finds_is_loaded_without_words_where_it_does_not_hear(tmp_path, tiny_weights, monkeypatch):
    files = read_lite(save_tiny(tmp_path / "lite", has_prior=True, listens=False))
    whole = load_lite(files)
    monkeypatch.setattr(checkpoints, "located", None)  # nothing is looked for
    found = load_lite(files, with_words=False)
    assert whole.causal is not None and found.causal is None and found.model.language is None
    alone, beside = found.model.state_dict(), whole.model.state_dict()
    assert {name.split(".")[0] for name in alone} == {"eyes", "head", "judge"}
    assert all(torch.equal(each, beside[name]) for name, each in alone.items())


def test_what_hears_is_loaded_with_words_in_any_case(checkpoint, tiny_weights):
    loaded = load_lite(read_lite(checkpoint), with_words=False)
    assert loaded.causal is not None and loaded.model.head.hidden is not None


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
    message = refused(folder)
    assert "another model" in message and str(folder) in message


def test_other_weights_have_another_digest(checkpoint, tmp_path):
    assert len(folder_digest(checkpoint)) == 12
    assert folder_digest(checkpoint) != folder_digest(save_tiny(tmp_path / "lite", seed=1))
    assert folder_digest(tmp_path) == ""


@pytest.mark.parametrize("listens", [True, False])
@pytest.mark.parametrize("more", [{}, {"judges": False}, {"temporal": None}])
def test_without_words_are_left_the_weights_that_a_model_has_that_does_not_read(listens, more):
    config = tiny_config(has_prior=True, listens=listens, **more)
    whole = dict(LiteModel(config, tiny_causal().model).named_parameters())
    alone = {name: each.shape for name, each in LiteModel(replace(config, reads=False), None).named_parameters()}
    left = without_words(whole)
    assert {name: each.shape for name, each in left.items()} == alone
    assert all(each is whole[name] for name, each in left.items()) and len(left) < len(whole)
    assert without_words(left) == left


def test_a_checkpoint_that_judges_nothing_is_loaded_without_a_judge(tmp_path):
    folder = save_tiny(tmp_path / "lite", reads=False, has_prior=True, judges=False)
    assert load_lite(read_lite(folder)).model.judge is None
    assert load_lite(read_lite(save_tiny(tmp_path / "judges", reads=False, has_prior=True))).model.judge is not None


def test_a_motion_network_that_was_made_before_is_taken_as_it_is(tmp_path):
    files = read_lite(save_tiny(tmp_path / "lite", reads=False, has_prior=True))
    motion = files.motion()
    without = {name: each for name, each in files.state.items() if not name.startswith("motion.")}
    assert load_lite(replace(files, state=without), motion=motion).motion is motion


def cut(folder: Path) -> None:
    file = next(folder.glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (cut, "cannot be loaded"),
        (lambda folder: sorted(folder.glob("*.safetensors"))[1].unlink(), "of its shards are there"),
        (lambda folder: [file.unlink() for file in folder.glob("*.safetensors")], "0 of its shards are there"),
        (lambda folder: (folder / "config.json").write_text("{}"), "cannot be loaded"),
        (lambda folder: (folder / "config.json").unlink(), "holds no checkpoint"),
    ],
    ids=["cut", "a shard missing", "no shards", "another config", "no config"],
)
def test_what_is_wrong_with_a_checkpoint_is_told_by_its_folder(monkeypatch, tmp_path, damage, says):
    monkeypatch.setattr(checkpoints, "SHARD_BYTES", 100_000)
    folder = save_tiny(tmp_path / "lite", reads=False, has_prior=True)
    damage(folder)
    message = refused(folder)
    assert says in message and str(folder) in message


# --- the checkpoint that ships ---


def test_the_checkpoint_that_ships_finds_and_judges_and_does_not_read(monkeypatch):
    files = read_lite()
    assert (files.config.reads, files.config.listens, files.config.judges) == (False, False, True)
    assert files.card["judges"]
    monkeypatch.setattr(checkpoints, "located", None)  # nothing is looked for
    loaded = load_lite(files)
    assert loaded.causal is None and loaded.model.language is None and loaded.model.judge is not None


def test_the_checkpoint_that_ships_is_small():
    files = [file for file in shipped_folder().rglob("*") if file.is_file()]
    shards = [file for file in files if file.suffix == ".safetensors"]
    assert {file.parent for file in shards} == {shipped_folder()}
    assert sum(file.stat().st_size for file in files) <= 40e6
    assert max(file.stat().st_size for file in shards) <= 15e6
