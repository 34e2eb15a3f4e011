"""`tvu train`: what it says of configs that make no sense, before anything is trained."""

import pytest


@pytest.mark.parametrize(
    ("content", "says"),
    [('out = "a"\nstep = 3', "no setting is called step"), ("out", "is no config"), ("steps = 3", "missing")],
)
def test_a_wrong_config_is_wrong_usage(tvu, tmp_path, content, says):
    path = tmp_path / "train.toml"
    path.write_text(content)
    run = tvu("train", path)
    assert run.returncode == 2 and says in run.stderr and "Traceback" not in run.stderr


def test_a_config_that_is_not_there_is_wrong_usage(tvu, tmp_path):
    run = tvu("train", tmp_path / "train.toml")
    assert run.returncode == 2 and "does not exist" in run.stderr


def test_a_folder_that_holds_something_is_not_exported_to(tvu, tmp_path):
    path = tmp_path / "train.toml"
    path.write_text('out = "run"')
    run = tvu("train", path, "--export", tmp_path, cwd=tmp_path)
    assert run.returncode == 2 and "not an empty folder" in run.stderr and not (tmp_path / "run").exists()
