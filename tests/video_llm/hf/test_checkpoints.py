"""Folders that hold no model, half a model, somebody else's, or code: one sentence and a hint, and nothing is run."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tvu.cli.exit_codes import ExitCode, exit_code_of
from tvu.temporal.errors import TvuError
from tvu.video_llm.errors import UnknownModel
from tvu.video_llm.hf.checkpoint import check_memory, find_folder, read_folder
from tvu.video_llm.load import load_model, weights_needed, weights_of
from tvu.weights.errors import WeightsError


@pytest.fixture
def folder(written: Callable[[str], Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(written("llava_onevision"), tmp_path / "model"))


def refused(name: object, kind: type[TvuError] = WeightsError) -> str:
    with pytest.raises(kind) as raised:
        load_model(f"hf:{name}")
    expected = ExitCode.WRONG_USAGE if kind is UnknownModel else ExitCode.WEIGHTS_MISSING
    assert exit_code_of(raised.value) == expected and raised.value.hint and "\n" not in raised.value.message
    return raised.value.message


def edited(folder: Path, name: str = "config.json", **fields: Any) -> Path:
    told = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({**told, **fields}))
    return folder


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_a_name_needs_no_weights_of_ours_and_is_hashed_by_its_files(folder: Path) -> None:
    assert weights_needed(f"hf:{folder}") == () and len(weights_of(f"hf:{folder}?fps=1")["folder"]) > 20


def test_a_repository_that_is_not_here_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert "not in the cache of the hub" in refused("nobody/nothing-of-the-kind")


def test_a_repository_is_fetched_only_where_that_is_allowed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def snapshot(repo: str, **told: Any) -> str:
        asked.append({"repo": repo, **told})
        if repo == "gone/away":
            raise OSError("the connection was refused\nand more of it")
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    assert find_folder("org/model@main") == folder and asked[-1]["local_files_only"] and asked[-1]["revision"] == "main"
    assert find_folder("org/model", may_fetch=True) == folder and not asked[-1]["local_files_only"]
    assert not [
        pattern for pattern in asked[-1]["allow_patterns"] if "bin" in pattern or "pt" in pattern or pattern == "*"
    ]
    assert "the connection was refused" in refused("gone/away")


@pytest.mark.parametrize("name", ["/no/such/folder", "./nothing", "a/b/c", "word"])
def test_what_is_no_folder_and_no_repository_is_wrong_usage(name: str) -> None:
    assert "is not a folder" in refused(name, UnknownModel)


def test_a_folder_without_a_model_and_one_that_sees_no_videos(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "holds no model" in refused(tmp_path / "empty", UnknownModel)
    assert "of type 'llama'" in refused(edited(folder, model_type="llama"), UnknownModel)
    (folder / "config.json").write_text("[" * 100_000)
    assert "cannot be read" in refused(folder)


def test_a_model_of_pictures_takes_no_videos(tmp_path: Path) -> None:
    import transformers as hf

    from tests.video_llm.hf.tiny_families import CLIP, SIDE, SIZES, tokenizer_of

    tokenizer = tokenizer_of({"<image>": "image_token"}, "{{ 'no' }}")
    text = {"model_type": "llama", "vocab_size": len(tokenizer), **SIZES}
    vision = {"model_type": "clip_vision_model", **CLIP}
    config = hf.LlavaConfig(vision_config=vision, text_config=text, image_token_id=260)
    hf.LlavaForConditionalGeneration(config).save_pretrained(tmp_path)
    image = hf.CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    hf.LlavaProcessor(image, tokenizer, patch_size=4).save_pretrained(tmp_path)
    assert "takes no videos" in refused(tmp_path, UnknownModel)


class Harm:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("harm-was-done"),))


def test_pickles_are_not_read_and_code_is_not_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Harm()))
    (folder / "model.safetensors").unlink()
    assert "only as pytorch_model.bin" in refused(folder)
    (folder / "modeling_x.py").write_text("from pathlib import Path; Path('harm-was-done').touch()")
    edited(folder, model_type="x", auto_map={"AutoConfig": "modeling_x.X", "AutoModel": "modeling_x.X"})
    refused(folder)
    (folder / "pytorch_model.bin").unlink()
    assert "has no model.safetensors" in refused(folder)
    assert not (folder / "harm-was-done").exists()


def test_code_beside_a_known_model_is_left_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / "code_x.py").write_text("from pathlib import Path; Path('harm-was-done').touch()")
    edited(folder, auto_map={"AutoConfig": "code_x.X", "AutoModelForImageTextToText": "code_x.X"})
    edited(folder, "processor_config.json", auto_map={"AutoProcessor": "code_x.X"})
    assert load_model(f"hf:{folder}").name == f"hf:{folder}"
    assert not (folder / "harm-was-done").exists()


@pytest.mark.parametrize("keep", [0, 7, 1000, -1])
def test_weights_that_are_cut_short_are_damaged(folder: Path, keep: int) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    assert "damaged or cut short" in refused(folder)


@pytest.mark.parametrize(
    "header", [b"[]", b"{}", b'{"a": 1}', b'{"a": {"dtype": "F32", "shape": [9], "data_offsets": 3}}']
)
def test_a_header_that_is_none_is_damage(folder: Path, header: bytes) -> None:
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    assert "damaged or cut short" in refused(folder)


def test_weights_of_another_model_are_told_by_their_first_name(folder: Path) -> None:
    tensors, file = tensors_of(folder), folder / "model.safetensors"
    first = min(name for name in tensors if "embed_tokens" in name)
    meta = {"format": "pt"}
    save_file({name: value for name, value in tensors.items() if name != first}, file, meta)
    assert "lacks" in refused(folder)
    save_file({**tensors, "adapter.weight": torch.zeros(2)}, file, meta)
    assert "does not know" in refused(folder) and "adapter.weight" in refused(folder)
    save_file({**tensors, first: torch.zeros(3, 4)}, file, meta)
    refused(folder)


def test_a_config_that_claims_another_size_is_told(folder: Path) -> None:
    text = json.loads((folder / "config.json").read_text())["text_config"]
    assert "\n" not in refused(edited(folder, text_config={**text, "hidden_size": 2**20}))


def test_shards_are_all_there_and_inside_the_folder(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    index = folder / "model.safetensors.index.json"
    for name, says in (("model-00002-of-00002.safetensors", "lacks model-00002"), ("../x.safetensors", "outside")):
        index.write_text(json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors", "b": name}}))
        assert says in refused(folder)
    index.write_text(json.dumps({"weight_map": {"a": 3}}))
    assert "names no files" in refused(folder)


def test_a_tokenizer_of_another_model_is_told(written: Callable[[str], Path], folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    known = len(tokenizer["model"]["vocab"]) + len(tokenizer["added_tokens"])
    tokenizer["model"]["vocab"] |= {f"word{n}": known + n for n in range(50)}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert "the model knows" in refused(folder)
    (folder / "tokenizer.json").write_text("{}")
    assert "cannot be loaded" in refused(folder)


def test_weights_that_do_not_fit_are_told_before_they_are_loaded(folder: Path) -> None:
    checkpoint = read_folder(folder)
    assert checkpoint.weight_bytes(2) * 2 == checkpoint.weight_bytes(4)
    assert "of which 0.0 may take" in refused(f"{folder}?max_memory_gib=0.00001")
    check_memory(10, None, "CPU", None)
    with pytest.raises(WeightsError, match=r"14\.0 GiB on the GPU, of which 8\.0 are free"):
        check_memory(14 * 2**30, 8 * 2**30, "GPU", None)


def test_a_dtype_that_there_is_not_is_wrong_usage(folder: Path) -> None:
    assert "no floating dtype" in refused(f"{folder}?dtype=int8", UnknownModel)
    assert load_model(f"hf:{folder}?dtype=bfloat16").name.endswith("bfloat16")
