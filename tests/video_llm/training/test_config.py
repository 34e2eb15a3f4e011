"""What `tvu train` is told, and what it says of settings that make no sense."""

import json
from pathlib import Path

import pytest

from tvu.cli.exit_codes import ExitCode, exit_code_of
from tvu.video_llm.errors import TrainingError
from tvu.video_llm.lite.checkpoint import read_lite
from tvu.video_llm.training.config import TrainConfig
from tvu.video_llm.training.run import changes_of

SAMPLE = Path(__file__).parents[3] / "samples" / "train.toml"


def refused(path: Path, content: str, changes: dict | None = None) -> str:
    path.write_text(content)
    with pytest.raises(TrainingError) as raised:
        TrainConfig.read(path, changes)
    assert exit_code_of(raised.value) == ExitCode.WRONG_USAGE
    return f"{raised.value.message} {raised.value.hint}"


def test_the_sample_is_a_config():
    told = TrainConfig.read(SAMPLE)
    assert told.out == "runs/lite" and told.data.weights == {
        "features": 5,
        "composed": 3,
        "skeletons": 2.5,
        "hands": 1.5,
    }


def test_what_the_checkpoint_that_ships_was_trained_by_is_a_config():
    shipped = read_lite()
    names = ("", "-hands", "-all", "-again", "-mean", "-many", "-early", "-more", "-start", "-words")
    told, hands, all_, again, mean, many, early, more, start, words = (
        TrainConfig.read(SAMPLE.with_name(f"lite{of}.toml")) for of in names
    )
    assert told.model.to_json() == {**shipped.config.to_json(), "reads": True}  # its words do not ship
    others = (hands, all_, again, mean, many, early, more, start, words)
    assert all(each.model == told.model for each in others)
    assert (told.stage, shipped.card["steps"], told.seed) == ("mean", 0, shipped.card["seed"])
    assert told.mean_of == (*3 * [f"{hands.out}/model.safetensors"], f"{mean.out}/model.safetensors")
    assert f"{many.out}/model.safetensors" == mean.mean_of[0] and len(set(mean.mean_of)) == 4
    assert [f"{each.out}/model.safetensors" for each in (mean, again)] == list(all_.mean_of[:2])
    for later, earlier in ((hands, all_), (again, mean), (many, early), (early, more), (more, start)):
        assert later.start == f"{earlier.out}/model.safetensors"


def test_settings_may_be_changed_by_dotted_names():
    changes = changes_of(["steps=7", "data.bank=50", "model.rank=4", "out=elsewhere", 'data.weights={"skeletons": 1}'])
    told = TrainConfig.read(SAMPLE, changes)
    assert (told.steps, told.data.bank, told.model.rank, told.out) == (7, 50, 4, "elsewhere")
    assert told.data.weights == {"skeletons": 1}


def test_a_config_is_the_same_after_it_was_written(tmp_path):
    told = TrainConfig.read(SAMPLE)
    path = tmp_path / "again.json"
    path.write_text(json.dumps(told.to_json()))
    assert json.dumps(TrainConfig.read(path).to_json()) == json.dumps(told.to_json())


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('out = "a"\nstep = 3', "no setting is called step"),
        ('out = "a"\n[model]\nwidht = 3', "no setting is called model.widht"),
        ('out = "a"\n[data]\nbanks = 3', "no setting is called data.banks"),
        ('out = "a"\nstage = "hands"', "start names its weights"),
        ('out = "a"\n[data.weights]\nvideos = 3', "data.weights are of"),
        ('out = "a"\n[data.kinds]\npoem = 3', "no kind of task is called poem"),
        ('out = "a"\n[data.weights]\nreal = 3', "both or neither"),
        ('out = "a"\n[data.weights]\nreal = 3\n[[data.real]]\npath = "x"', "a path and videos"),
        ('out = "a"\n[data]\nbank = 0', "data.bank is at least 1"),
        ('out = "a"\n[model]\nhead_width = 100', "eight parts of its width"),
        ('out = "a"\n[model]\nhead_layers = 0', "at least one layer"),
        ('out = "a"\n[data]\ndrawn = 1.5', "data.drawn is a share, not 1.5"),
        ('out = "a"\n[data]\ndrawn = -0.5', "data.drawn is a share, not -0.5"),
        ('out = "a"\n[data]\nrough = 2', "data.rough is between 0 and 1, not 2"),
        ('out = "a"\nstage = "bronze"', "stage is lite, motion, head, judge, hands, words or mean"),
        ('out = "a"\nstage = "mean"', "mean_of lists"),
        ('out = "a"\nmean_of = ["b"]', "mean_of lists"),
        ('out = "a"\nstage = "judge"', "start names its weights"),
        (
            'out = "a"\nstage = "judge"\nstart = "b"\n[model]\nlistens = true\nhas_prior = false',
            "what a trained head tells",
        ),
        ('out = "a"\nstage = "judge"\nstart = "b"\n[model]\njudges = false', "what a trained head tells"),
        ('out = "a"\n[model]\nhas_prior = false', "does not hear what was read"),
        ('out = "a"\nstage = "words"', "start names its weights, listens = false"),
        ('out = "a"\nstage = "words"\nstart = "b"\n[model]\nlistens = true', "what a trained head tells by itself"),
        ('out = "a"\nstage = "words"\nstart = "b"\n[model]\nreads = false', "trained by its head alone"),
        ('out = "a"\n[model]\nreads = false', "trained by its head alone"),
        ('out = "a"\nsteps = 0', "at least 1"),
        ('out = "a"\nsteps = "many"', "wrong"),
        ('out = "a"\nmodel = 3', "model is a table"),
        ('out = "a"\n[model.codec]\nname = "sundial"', "model cannot be made"),
        ('out = "a"\n[model.temporal]\nname = "storm"\ncolour = 3', "model cannot be made"),
        ("steps = 3", "missing"),
        ("steps : 3", "is no config"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, content, says):
    assert says in refused(tmp_path / "c.toml", content)


def test_a_file_that_is_not_there_or_no_table_is_told(tmp_path):
    with pytest.raises(TrainingError, match="does not exist"):
        TrainConfig.read(tmp_path / "c.toml")
    assert "holds no table" in refused(tmp_path / "c.json", "[]")


def test_a_change_that_is_none_is_told(tmp_path):
    with pytest.raises(TrainingError, match="'steps' is no setting"):
        changes_of(["steps"])
    assert "steps is no table" in refused(tmp_path / "c.toml", 'out = "a"\nsteps = 3', {"steps.more": 1})
