"""Published checkpoint files: every container and nesting, and what is refused."""

import argparse
import os
import sys
import types
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tvu.weights.checkpoints import read_checkpoint
from tvu.weights.errors import WeightsError

STATE = {"conv.weight": torch.arange(6.0).reshape(2, 3), "bn.num_batches_tracked": torch.tensor(7)}


class RunsCode:
    def __reduce__(self):
        return os.mkdir, ("a checkpoint ran this",)


class Unknown:
    pass


def assert_is_state(tensors):
    assert tensors.keys() == STATE.keys()
    assert all(torch.equal(tensors[name], STATE[name]) for name in STATE)


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        OrderedDict(STATE),
        {"state_dict": STATE, "epoch": 3},
        {"epoch": 3, "model_state_dict": STATE, "optimizer": {"state": {}, "param_groups": []}},
        {"model": {"state_dict": STATE}},
        {"net": STATE, "model": "SqueezeTime"},
    ],
    ids=["bare", "ordered", "state_dict", "model_state_dict", "nested", "a name that only looks like a nesting"],
)
@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
def test_a_file_of_torch_save_gives_its_tensors_whatever_they_lie_in(tmp_path, content, is_zip):
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=is_zip)
    assert_is_state(read_checkpoint(tmp_path / "a.pth"))


def test_safetensors_are_told_by_their_content_and_not_by_their_name(tmp_path):
    save_file(STATE, tmp_path / "a.pth")
    assert_is_state(read_checkpoint(str(tmp_path / "a.pth")))


def test_parameters_and_half_precision_come_as_plain_tensors_in_their_dtype(tmp_path):
    torch.save({"w": torch.nn.Parameter(torch.ones(3, dtype=torch.bfloat16))}, tmp_path / "a.pth")
    (tensor,) = read_checkpoint(tmp_path / "a.pth").values()
    assert tensor.dtype == torch.bfloat16 and not tensor.requires_grad


def test_what_a_trainer_left_beside_the_weights_is_not_looked_at(tmp_path):
    beside = {"args": argparse.Namespace(lr=0.1), "best": np.float64(71.6), "log": np.arange(3), "out": Path("runs")}
    torch.save({"state_dict": STATE, **beside}, tmp_path / "a.pth")
    assert_is_state(read_checkpoint(tmp_path / "a.pth"))


def test_the_log_that_mmengine_writes_into_its_checkpoints_is_not_looked_at(tmp_path, monkeypatch):
    """Its buffers hold arrays and, by `getattr`, methods of their own class."""
    package = types.ModuleType("mmengine")

    class HistoryBuffer:
        def __init__(self):
            self.history, self.methods = np.arange(3.0), {"mean": HistoryBuffer.mean}

        def mean(self):
            raise AssertionError

    HistoryBuffer.mean.__qualname__, HistoryBuffer.mean.__module__ = "HistoryBuffer.mean", "mmengine"
    HistoryBuffer.__module__, HistoryBuffer.__qualname__ = "mmengine", "HistoryBuffer"
    package.HistoryBuffer = HistoryBuffer
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "mmengine", package)
        torch.save({"state_dict": STATE, "message_hub": {"loss": HistoryBuffer()}}, tmp_path / "a.pth")
    assert_is_state(read_checkpoint(tmp_path / "a.pth"))


@pytest.mark.parametrize("evil", [RunsCode(), Unknown(), torch.nn.Linear(2, 2)], ids=["call", "class", "module"])
@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
def test_a_file_that_would_run_code_is_refused_and_runs_none(tmp_path, monkeypatch, evil, is_zip):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": STATE, "hook": evil}, "a.pth", _use_new_zipfile_serialization=is_zip)
    with pytest.raises(WeightsError, match="more than tensors") as error:
        read_checkpoint("a.pth")
    assert "never run" in error.value.hint
    assert [file.name for file in tmp_path.iterdir()] == ["a.pth"]


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_a_file_cut_anywhere_is_refused(tmp_path, kind):
    whole = tmp_path / "whole"
    if kind == "safetensors":
        save_file(STATE, whole)
    else:
        torch.save(STATE, whole, _use_new_zipfile_serialization=kind == "zip")
    content = whole.read_bytes()
    for length in [1, 8, 9, 16, 70, len(content) // 2, len(content) - 1]:
        (tmp_path / "cut").write_bytes(content[:length])
        with pytest.raises(WeightsError, match=r"damaged|no checkpoint"):
            read_checkpoint(tmp_path / "cut")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"<html><body>404 not found</body></html>", "is no checkpoint"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "is no checkpoint"),
        (b"hello", "is no checkpoint"),
        (b"PK\x03\x04 not really", "is damaged"),
        (b"\x80\x02 not really", "is damaged"),
    ],
)
def test_what_is_no_checkpoint_is_told_with_a_hint(tmp_path, content, message):
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=message) as error:
        read_checkpoint(tmp_path / "a.pth")
    assert error.value.hint


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {}, {"state_dict": {}}, {3: torch.ones(1)}, torch.ones(2)])
def test_a_file_without_named_tensors_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="no named tensors"):
        read_checkpoint(tmp_path / "a.pth")


def test_a_missing_file_and_a_folder_are_told(tmp_path):
    with pytest.raises(WeightsError, match="No such file"):
        read_checkpoint(tmp_path / "nowhere.pth")
    with pytest.raises(WeightsError, match="Is a directory"):
        read_checkpoint(tmp_path)
