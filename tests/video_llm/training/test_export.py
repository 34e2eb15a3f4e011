"""From a run to a checkpoint that answers with calibrated scores."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.video_llm.lite.tiny_lite import tiny_config
from tvu.video_llm.errors import TrainingError
from tvu.video_llm.lite.checkpoint import Calibration, load_lite, read_lite
from tvu.video_llm.training.export import calibrated, check_export, export_lite, is_better_than_chance
from tvu.video_llm.training.run import run


def predicted(
    present: float, is_present: bool, score: float = 0.5, span: tuple[float, float] = (0, 1)
) -> dict[str, Any]:
    truth = [{"start_seconds": 0.0, "end_seconds": 1.0}] if is_present else []
    return {
        "present": present,
        "spans": [[*span, score]],
        "sample": {"is_present": is_present, "spans": truth},
    }


def test_a_run_becomes_a_checkpoint(config, tiny_weights, tmp_path):
    run(replace(config, evaluate=2), lambda line: None)
    told = export_lite(config, tmp_path / "out")
    assert "2 files" in told
    files = read_lite(tmp_path / "out")
    assert files.config.width == 16 and files.card["steps"] == 2 and files.card["held_out"]["all"]["n"] == 4
    load_lite(files)


@pytest.mark.parametrize("kind", ["choice", "what_next", "captions"])
@pytest.mark.parametrize(("right", "is_better"), [(0.5, True), (0.4, False), (None, True)])
def test_answers_are_worth_reading_that_were_better_than_chance(right, is_better, kind):
    of_all = {"n": 4} if right is None else {kind: right, f"{kind}_chance": 0.33}
    assert is_better_than_chance({"all": of_all}, kind) is is_better and is_better_than_chance({}, kind)


def test_a_model_judges_whose_choices_and_writes_whose_words_were_better_than_chance(config, tiny_weights, tmp_path):
    run(replace(config, steps=1), lambda line: None)
    (Path(config.out) / "held_out.jsonl").write_text("")
    chance = {"choice_chance": 0.25, "what_next_chance": 0.25, "captions_chance": 0.25}
    for number, better in enumerate([(0.9, 0.1, 0.1), (0.1, 0.9, 0.1), (0.1, 0.1, 0.9), (0.9, 0.1, 0.9)]):
        scores = {"all": {**dict(zip(("choice", "what_next", "captions"), better, strict=True)), **chance}}
        (Path(config.out) / "held_out.json").write_text(json.dumps(scores))
        export_lite(config, tmp_path / str(number))
        card = read_lite(tmp_path / str(number)).card
        assert (card["judges"], card["explains"], card["writes"]) == tuple(share > 0.5 for share in better)
        assert card["right_about_next"] == better[1]


@pytest.mark.parametrize("listens", [True, False])
def test_a_head_becomes_a_checkpoint_that_does_not_read(config, tiny_weights, tiny_minilm, tmp_path, listens):
    config = replace(config, stage="head", model=tiny_config(has_prior=True, listens=listens), steps=1)
    run(config, lambda line: None)
    export_lite(config, tmp_path / "out")
    files = read_lite(tmp_path / "out")
    assert not files.config.reads and files.card["writes"] is False and files.card["judges"] is True
    assert files.card["explains"] is False and files.card["right_about_next"] is None
    assert {name.split(".")[0] for name in files.state} == {"eyes", "head", "judge", "motion"}
    trained = load_file(Path(config.out) / "model.safetensors")
    assert {name for name in trained if name.startswith(("language.", "new_rows"))}  # left in the run
    loaded = load_lite(files)
    assert loaded.causal is None and loaded.model.language is None
    bias = trained["judge.logit.3.bias"]
    torch.testing.assert_close(loaded.model.state_dict()["judge.logit.3.bias"], bias, atol=1e-3, rtol=1e-3)


def test_a_head_that_judges_nothing_becomes_a_checkpoint_without_a_judge(config, tiny_weights, tiny_minilm, tmp_path):
    run(replace(config, stage="head", model=tiny_config(has_prior=True, judges=False), steps=1), lambda line: None)
    export_lite(replace(config, stage="head", model=tiny_config(has_prior=True, judges=False)), tmp_path / "out")
    files = read_lite(tmp_path / "out")
    assert not files.config.judges and files.card["judges"] is False
    assert {name.split(".")[0] for name in files.state} == {"eyes", "head", "motion"}
    assert load_lite(files).model.judge is None


def test_words_of_a_head_become_a_checkpoint_that_finds_without_them(config, tiny_weights, tiny_minilm, tmp_path):
    config = replace(config, model=tiny_config(has_prior=True, listens=False), steps=1)
    run(replace(config, stage="head", out=str(tmp_path / "head")), lambda line: None)
    words = replace(config, stage="words", start=str(tmp_path / "head" / "model.safetensors"))
    run(words, lambda line: None)
    export_lite(words, tmp_path / "out")
    files = read_lite(tmp_path / "out")
    assert files.config.reads and not files.config.listens
    assert {files.card[name] for name in ("writes", "explains", "judges")} == {True}  # nothing else is known
    whole, found = load_lite(files), load_lite(files, with_words=False)
    assert whole.causal is not None and found.causal is None
    head = load_file(tmp_path / "head" / "model.safetensors")["head.seen.weight"]
    assert torch.equal(found.model.head.seen.weight, head.half().float())
    assert torch.equal(whole.model.head.seen.weight, found.model.head.seen.weight)


def test_a_head_that_is_not_told_what_questions_mean_is_no_model_to_export(config, tmp_path):
    with pytest.raises(TrainingError, match="not told what questions mean") as raised:
        check_export(replace(config, stage="head"), tmp_path / "new")
    assert raised.value.hint == "has_prior = true"
    check_export(replace(config, stage="head", model=tiny_config(has_prior=True)), tmp_path / "new")


def test_a_run_that_never_was_cannot_be_exported(config, tmp_path):
    with pytest.raises(TrainingError, match="no trained model"):
        export_lite(config, tmp_path / "out")


def test_nothing_is_written_over(config, tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path, tmp_path / "file"):
        with pytest.raises(TrainingError, match="not an empty folder"):
            check_export(config, folder)
    check_export(config, tmp_path / "new")


def test_the_motion_network_alone_is_no_model_to_export(config, tmp_path):
    with pytest.raises(TrainingError, match="motion network alone"):
        check_export(replace(config, stage="motion"), tmp_path / "new")


def test_likelier_spans_and_presences_stay_likelier():
    rng = np.random.default_rng(0)
    told = []
    for _ in range(400):
        is_there, confidence = bool(rng.random() < 0.5), float(rng.random())
        is_right = is_there and rng.random() < confidence
        told.append(predicted(0.9 if is_there else 0.2, is_there, confidence, (0, 1) if is_right else (5, 6)))
    fitted = calibrated(told)
    assert fitted.span[1] > 0.3 and fitted.present[1] > 0.3


def test_spans_are_calibrated_on_what_is_there():
    told = [predicted(0.8, True, score, (0, 1) if score > 0.5 else (5, 6)) for score in (0.2, 0.4, 0.6, 0.8)]
    absent = [predicted(0.3, False, 0.9), predicted(0.7, False, 0.9)]  # high scores of what is not there say nothing
    assert calibrated([*told, *absent]).span == calibrated([*told, absent[0]]).span


def test_with_nothing_to_fit_scores_stay_as_they_are(tmp_path):
    assert calibrated([]) == Calibration()
    assert calibrated([predicted(0.9, True)] * 3) == Calibration()
    assert json.loads(json.dumps(vars(Calibration())))  # plain values, as the files hold them
