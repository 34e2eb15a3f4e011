"""Training: to the end, in pieces, and not from what is no checkpoint of it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.video_llm.lite.tiny_lite import tiny_config, tiny_inputs
from tests.video_llm.training.pictures import few_pictures
from tvu.video_llm.errors import TrainingError
from tvu.video_llm.lite.model import Reading
from tvu.video_llm.lite.options import options_of
from tvu.video_llm.training import loop
from tvu.video_llm.training.assets import Assets
from tvu.video_llm.training.bank import Bank
from tvu.video_llm.training.config import TrainConfig
from tvu.video_llm.training.data import ASKS_FOR_MOMENTS, JUDGED
from tvu.video_llm.training.loop import (
    Group,
    Trainer,
    for_head,
    learned,
    learning_rate,
    motion_network,
    optimizer_of,
    trainable,
)
from tvu.video_llm.training.run import predictions, run

ALONE = Group(0, 1, torch.device("cpu"))


def trained(config: TrainConfig) -> tuple[Trainer, list[dict[str, Any]]]:
    log: list[dict[str, Any]] = []
    trainer = Trainer(config, ALONE, log.append)
    trainer.run()
    return trainer, log


def test_a_run_leaves_weights_optimiser_and_place(config, tiny_weights):
    trainer, log = trained(config)
    out = Path(config.out)
    assert {file.name for file in out.iterdir()} == {"model.safetensors", "optimizer.pt", "progress.json"}
    assert json.loads((out / "progress.json").read_text())["step"] == trainer.step == 2
    state = load_file(out / "model.safetensors")
    assert set(state) == set(trainable(trainer.model)) and all(each.isfinite().all() for each in state.values())
    steps = [entry for entry in log if "inside" in entry]
    assert [entry["step"] for entry in steps] == [1, 2]
    assert set(steps[0]) >= {"inside", "span", "quality", "present", "text", "grad"}


def test_training_changes_everything_that_it_is_to_change(config, tiny_weights):
    before = {name: each.detach().clone() for name, each in trainable(Trainer(config, ALONE, print).model).items()}
    trainer, _ = trained(config)
    kinds = {
        name.split(".")[0] for name, each in trainable(trainer.model).items() if not torch.equal(each, before[name])
    }
    assert kinds == {"eyes", "head", "language", "new_rows", "told", "grades"}
    frozen = [name for name, each in trainer.model.named_parameters() if not each.requires_grad]
    assert frozen and all(name.startswith("language.") for name in frozen)


def test_the_head_can_be_trained_without_the_language_model(config, tiny_weights):
    config = replace(config, stage="head", evaluate=2)
    before = {name: each.detach().clone() for name, each in trainable(Trainer(config, ALONE, print).model).items()}
    trainer, log = trained(config)
    after = trainable(trainer.model)
    changed = {name for name, each in after.items() if not torch.equal(each, before[name])}
    assert {name.split(".")[0] for name in changed} == {"eyes", "head"}
    assert not any(name.startswith(("head.hidden", "head.asked", "eyes.out")) for name in changed)
    assert not any("text" in entry for entry in log)
    told = list(predictions(trainer))
    kinds = {*ASKS_FOR_MOMENTS, *JUDGED}
    assert told and all(each.sample.kind in kinds and each.text == each.chosen == "" for each in told)


def test_a_head_needs_questions_for_moments(config):
    with pytest.raises(TrainingError, match="no questions for the head") as raised:
        for_head(replace(config.data, kinds={"caption": 1.0}))
    assert "moment" in raised.value.hint and "choice" in raised.value.hint


def test_a_head_is_asked_for_moments_and_for_what_it_judges(config):
    kinds = {"caption": 1.0, "moment": 2.0, "counting": 3.0, "choice": 4.0, "order": 5.0, "what_next": 6.0}
    assert for_head(replace(config.data, kinds=kinds)).kinds == {
        "moment": 2.0, "counting": 3.0, "choice": 4.0, "order": 5.0,
    }  # fmt: skip
    assert set(for_head(replace(config.data, kinds=None)).kinds) == {*ASKS_FOR_MOMENTS, *JUDGED}


@pytest.mark.parametrize("stage", ["head", "lite"])
def test_a_model_that_knows_what_questions_mean_learns_to_judge_answers(config, tiny_weights, tiny_minilm, stage):
    data = replace(config.data, kinds={"presence": 1.0, "counting": 1.0})
    config = replace(config, stage=stage, data=data, model=tiny_config(has_prior=True), evaluate=2)
    before = {name: each.detach().clone() for name, each in trainable(Trainer(config, ALONE, print).model).items()}
    trainer, log = trained(config)
    steps = [entry for entry in log if "inside" in entry]
    assert len(steps) == 2 and all(entry["answer"] > 0 for entry in steps)
    changed = {name for name, each in trainable(trainer.model).items() if not torch.equal(each, before[name])}
    assert {"eyes", "head", "judge"} <= {name.split(".")[0] for name in changed}
    told = list(predictions(trainer))
    assert len(told) == 4
    for each in told:
        assert each.chosen in options_of(each.sample.question).options and each.answer == each.chosen


def test_a_head_can_be_trained_where_there_is_no_language_model(config, tiny_weights, tiny_minilm):
    model = tiny_config(has_prior=True, reads=False)
    trainer, _ = trained(replace(config, stage="head", model=model, evaluate=2))
    assert trainer.step == 2 and trainer.model.language is None
    assert {name.split(".")[0] for name in trainable(trainer.model)} == {"eyes", "head", "judge"}
    assert len(list(predictions(trainer))) == 4


def test_a_run_can_be_the_mean_of_others(config, tiny_weights, tiny_minilm, tmp_path):
    config = replace(config, stage="head", model=tiny_config(has_prior=True, reads=False), evaluate=2)
    runs = [replace(config, seed=seed, out=str(tmp_path / str(seed))) for seed in (0, 1, 2)]
    states = [{name: each.clone() for name, each in trainable(trained(run)[0].model).items()} for run in runs]
    files = tuple(f"{run.out}/model.safetensors" for run in runs)
    mean, log = trained(replace(config, stage="mean", mean_of=files, out=str(tmp_path / "mean")))
    assert mean.is_done and mean.step == 0 and log == []
    for name, each in load_file(tmp_path / "mean" / "model.safetensors").items():
        torch.testing.assert_close(each, sum(state[name] for state in states) / 3)
    assert len(list(predictions(mean))) == 4


def test_weights_from_before_hands_were_seen_are_gone_on_with(config, tiny_weights, tiny_minilm, tmp_path):
    """Hands that nothing is known of add nothing; of a mean they are those of the files that have them."""
    config = replace(config, stage="head", model=tiny_config(has_prior=True, reads=False), evaluate=0)
    state = trainable(trained(replace(config, out=str(tmp_path / "now")))[0].model)
    old = {name: each.detach().clone() for name, each in state.items() if not name.startswith("eyes.hands.")}
    save_file(old, tmp_path / "old")
    trainer = Trainer(replace(config, start=str(tmp_path / "old"), out=str(tmp_path / "on")), ALONE, print)
    trainer.restore()
    on = trainable(trainer.model)
    assert all(torch.equal(on[name], each) for name, each in old.items()) and not on["eyes.hands.2.weight"].any()
    files = (str(tmp_path / "old"), str(tmp_path / "now" / "model.safetensors"))
    mean = trainable(trained(replace(config, stage="mean", mean_of=files, out=str(tmp_path / "mean")))[0].model)
    assert all(torch.equal(mean[name], each) for name, each in state.items())
    save_file({name: each for name, each in old.items() if name != "head.inside.bias"}, tmp_path / "less")
    with pytest.raises(TrainingError, match="another model"):
        trained(replace(config, start=str(tmp_path / "less"), out=str(tmp_path / "none")))


def test_what_hands_add_can_be_trained_alone(config, tiny_weights, tiny_minilm, tmp_path):
    data = replace(config.data, weights={"hands": 1}, kinds=None)
    config = replace(config, data=data, model=tiny_config(has_prior=True), stage="head", out=str(tmp_path / "head"))
    before = {name: each.detach().clone() for name, each in trainable(trained(config)[0].model).items()}
    start = str(tmp_path / "head" / "model.safetensors")
    trainer, log = trained(replace(config, stage="hands", start=start, out=str(tmp_path / "hands"), evaluate=2))
    changed = {name for name, each in trainable(trainer.model).items() if not torch.equal(each, before[name])}
    assert changed and all(name.startswith("eyes.hands.") for name in changed)
    assert sum("span" in entry for entry in log) == 2
    assert {each.source for each in predictions(trainer)} == {"hands"}


def test_a_mean_is_of_files_that_are_there_and_of_one_model(config, tiny_weights, tmp_path):
    save_file({"other": torch.zeros(1)}, tmp_path / "other")
    for file, wrong in (("none", "cannot be read"), ("other", "another model")):
        with pytest.raises(TrainingError, match=wrong):
            trained(replace(config, stage="mean", mean_of=(str(tmp_path / file),), out=str(tmp_path / "mean")))


def test_a_judge_can_be_trained_alone_on_what_a_trained_head_tells(config, tiny_weights, tiny_minilm, tmp_path):
    data = replace(config.data, kinds={"presence": 1.0, "counting": 1.0})
    config = replace(config, data=data, model=tiny_config(has_prior=True), stage="head", out=str(tmp_path / "head"))
    before = {name: each.detach().clone() for name, each in trainable(trained(config)[0].model).items()}
    start = str(tmp_path / "head" / "model.safetensors")
    trainer, log = trained(replace(config, stage="judge", start=start, out=str(tmp_path / "judge")))
    changed = {name for name, each in trainable(trainer.model).items() if not torch.equal(each, before[name])}
    assert {name.split(".")[0] for name in changed} == {"judge"}
    steps = [entry for entry in log if "answer" in entry]
    assert len(steps) == 2 and not any("inside" in entry for entry in steps)


def test_words_can_be_trained_alone_on_what_a_trained_head_tells(
    config, tiny_weights, tiny_minilm, tmp_path, monkeypatch
):
    data, model = (
        replace(config.data, kinds={"caption": 1.0, "moment": 1.0}),
        tiny_config(has_prior=True, listens=False),
    )
    config = replace(config, data=data, model=model, stage="head", out=str(tmp_path / "head"))
    head, _ = trained(config)
    before = {name: each.detach().clone() for name, each in trainable(head.model).items()}
    start = str(tmp_path / "head" / "model.safetensors")
    words = replace(config, stage="words", start=start, out=str(tmp_path / "words"), evaluate=4)
    trainer, log = trained(words)
    assert not trainer.model.training  # nothing is dropped out of what is told
    changed = {name for name, each in trainable(trainer.model).items() if not torch.equal(each, before[name])}
    of_eyes = {name for name in before if name.startswith(("eyes.clock.", "eyes.out.", "eyes.as_words."))}
    of_found = {name for name in before if name.startswith(("eyes.", "head.", "judge."))}
    assert changed & of_found == set(learned(trainer.model, "words")) & of_found == of_eyes
    assert {name.split(".")[0] for name in changed} == {"eyes", "told", "grades", "new_rows", "language"}
    steps = [entry for entry in log if "grad" in entry]
    assert len(steps) == 2 and all(entry["text"] > 0 and entry["grad"] > 0 for entry in steps)
    assert not any({"inside", "answer"} & entry.keys() for entry in steps)
    monkeypatch.setattr("tvu.video_llm.training.predict.written", lambda model, *told: ["a cat"] * len(told[2].ids))
    told = list(predictions(trainer))
    assert {each.sample.kind for each in told} == {"caption", "moment"} and {each.text for each in told} == {"a cat"}

    inputs = tiny_inputs([12, 8])
    reading = unread_of([0, 1, 1])
    ours, theirs = (each.model.eval().look(each.model.eyes.tokens(inputs), reading) for each in (trainer, head))
    for name, each in vars(ours.moments).items():
        if isinstance(each, torch.Tensor):
            assert torch.equal(each, getattr(theirs.moments, name))  # to the bit


def unread_of(videos: list[int]) -> Reading:
    """Questions about some videos, of which nothing is known."""
    nothing, zeros = torch.zeros(len(videos), 0), torch.zeros(len(videos), dtype=torch.long)
    return Reading(nothing.long(), nothing.bool(), torch.tensor(videos), nothing.bool(), zeros, zeros[:0])


def test_a_head_that_does_not_hear_is_trained_beside_words(config, tiny_weights, tiny_minilm):
    config = replace(config, model=tiny_config(has_prior=True, listens=False))
    before = {name: each.detach().clone() for name, each in trainable(Trainer(config, ALONE, print).model).items()}
    trainer, log = trained(config)
    changed = {name for name, each in trainable(trainer.model).items() if not torch.equal(each, before[name])}
    assert {"eyes", "head", "language", "new_rows", "told", "grades"} <= {name.split(".")[0] for name in changed}
    steps = [entry for entry in log if "inside" in entry]
    assert len(steps) == 2 and set(steps[0]) >= {"inside", "span", "quality", "present", "text", "grad"}


def test_without_what_questions_mean_no_answer_is_judged(config, tiny_weights):
    _, log = trained(replace(config, data=replace(config.data, kinds={"presence": 1.0})))
    assert not any("answer" in entry for entry in log)


def test_a_run_may_start_with_the_weights_of_another(config, tiny_weights, tmp_path):
    head, _ = trained(replace(config, stage="head", out=str(tmp_path / "head")))
    config = replace(config, start=str(tmp_path / "head" / "model.safetensors"))
    trainer = Trainer(config, ALONE, print)
    trainer.restore()
    ours, theirs = trainable(trainer.model), trainable(head.model)
    assert trainer.step == 0 and all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_the_same_seed_trains_the_same_model(config, tiny_weights, tmp_path):
    one, two = (
        load_file(Path(trained(replace(config, out=str(tmp_path / n)))[0].out) / "model.safetensors") for n in "ab"
    )
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_run_that_was_interrupted_goes_on_with_new_scenes(config, tiny_weights):
    first, _ = trained(replace(config, max_seconds=1e-6))
    assert first.step == 1
    second, log = trained(config)
    assert log[0] == {"resumed": 1} and second.step == 2 and second.resumed == 1
    assert second.seconds > 0 and second.optimizer.state_dict()["state"][0]["step"] == 2
    assert {n: e.shape for n, e in trainable(first.model).items()} == {
        n: e.shape for n, e in trainable(second.model).items()
    }


def test_a_run_that_is_done_does_nothing_more(config, tiny_weights):
    trained(config)
    before = (Path(config.out) / "model.safetensors").read_bytes()
    _, log = trained(config)
    assert log == [{"resumed": 2}] and (Path(config.out) / "model.safetensors").read_bytes() == before


def test_a_run_of_another_model_is_not_gone_on_with(config, tiny_weights):
    trained(config)
    with pytest.raises(TrainingError, match="another model"):
        trained(replace(config, model=tiny_config(rank=3)))


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.pt", "progress.json"])
def test_a_broken_checkpoint_is_refused(config, tiny_weights, name):
    trained(replace(config, steps=1))
    file = Path(config.out) / name
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(TrainingError) as raised:
        trained(config)
    assert raised.value.hint


def test_an_optimiser_that_was_removed_is_begun_anew(config, tiny_weights):
    trained(replace(config, steps=1))
    (Path(config.out) / "optimizer.pt").unlink()
    assert trained(config)[0].step == 2


def test_adapters_learn_at_a_rate_of_their_own(config, tiny_weights):
    model = Trainer(config, ALONE, print).model
    groups = optimizer_of(model, replace(config, lr=1e-3, adapter_lr=5e-4)).param_groups
    adapted = {id(each) for name, each in trainable(model).items() if name.startswith(("language.", "new_rows"))}
    for group in groups:
        assert {id(each) in adapted for each in group["params"]} == {group["peak"] == 5e-4}
        assert all(each.ndim > 1 for each in group["params"]) or group["weight_decay"] == 0


def test_the_rate_rises_and_falls(config):
    config = replace(config, steps=100, warmup=10)
    rates = [learning_rate(step, config) for step in range(101)]
    assert rates[0] == pytest.approx(0.1) and rates[10] == pytest.approx(1.0) and rates[100] == pytest.approx(0.01)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_a_gradient_that_one_process_lacks_counts_as_zero(monkeypatch):
    sent = []
    monkeypatch.setattr(torch.distributed, "all_reduce", sent.append)
    parameters = [torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(2))]
    parameters[0].grad = torch.full((3,), 4.0)
    Group(0, 2, torch.device("cpu")).average_gradients(parameters)
    assert len(sent[0]) == 5  # as many numbers as of a process that has both
    assert [each.grad.tolist() for each in parameters] == [[2.0] * 3, [0.0] * 2]


def test_all_processes_stop_by_the_clock_of_the_first(config, tiny_weights, monkeypatch):
    monkeypatch.setattr(Group, "of_first", lambda self, value: 100.0)
    trainer, _ = trained(replace(config, steps=5, max_seconds=50.0))
    assert trainer.step == 1 and trainer.seconds == 100.0
    trainer, _ = trained(replace(config, steps=5, budget_seconds=150.0))
    assert trainer.step == 2 and trainer.is_done


def test_a_run_may_end_while_its_rates_are_high(config, tiny_weights):
    early = replace(config, steps=5, until=2, save_every=100)
    trainer, _ = trained(early)
    assert trainer.step == 2 and trainer.is_done
    assert json.loads((Path(config.out) / "progress.json").read_text())["step"] == 2
    for step in range(2):
        assert learning_rate(step, early) == learning_rate(step, replace(early, until=0))
    with pytest.raises(TrainingError, match="until"):
        replace(config, steps=5, until=6)


def test_what_ended_by_its_budget_of_time_is_saved(config, tiny_weights):
    trainer, _ = trained(replace(config, steps=5, save_every=100, budget_seconds=1e-6))
    assert trainer.step == 1 and json.loads((Path(config.out) / "progress.json").read_text())["step"] == 1


def test_only_the_first_process_writes_what_comes_of_it(config, tiny_weights, monkeypatch):
    assert run(replace(config, steps=1), print)
    monkeypatch.setattr(Group, "join", lambda: Group(1, 1, torch.device("cpu")))
    assert not run(replace(config, out=config.out + "-second", steps=1), print)
    assert not list(Path(config.out + "-second").iterdir())


@pytest.fixture
def made(monkeypatch) -> list[tuple[Any, int, tuple[int, ...]]]:
    """Worlds that banks are made of, with how many entries and by which seeds; their features are empty."""
    found: list[tuple[Any, int, tuple[int, ...]]] = []

    def build_bank(world: Any, entries: int, *rest: Any, seed: tuple[int, ...], **more: Any) -> Bank:
        found.append((world, entries, seed))
        names = tuple(f"{len(found)}/{number}" for number in range(entries))
        return Bank(names, names, torch.zeros(entries, 0), torch.zeros(entries, 0), tuple(range(entries + 1)))  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "SlowTower", lambda *told: None)
    monkeypatch.setattr(loop, "build_bank", build_bank)
    return found


def test_no_more_held_out_videos_are_made_than_are_looked_at(config, tiny_weights, made):
    trainer = Trainer(replace(config, evaluate=3), ALONE, lambda entry: None)
    banks = trainer.bank("train"), trainer.bank("held-out")
    assert [(world.split, entries) for world, entries, _ in made] == [("train", config.data.bank), ("held-out", 6)]
    assert [len(bank.scenes) for bank in banks] == [config.data.bank, 6]


@pytest.mark.parametrize(("drawn", "of_each"), [(0.0, (8, 0)), (0.25, (6, 2)), (1.0, (0, 8))])
def test_a_share_of_composed_videos_may_be_of_drawn_shapes_alone(
    config, tiny_weights, monkeypatch, made, drawn, of_each
):
    monkeypatch.setattr(Assets, "load", {Path("pictures"): few_pictures()}.__getitem__)
    data = replace(config.data, assets="pictures", bank=8, drawn=drawn)
    bank = Trainer(replace(config, data=data), ALONE, lambda entry: None).bank("train")
    shapes = len(Assets.drawn().sprites)
    expected = [entries for entries in of_each if entries]
    assert [entries for _, entries, _ in made] == expected
    assert [len(world.assets.sprites) > shapes for world, *_ in made] == [
        is_picture for is_picture, entries in zip((True, False), of_each, strict=True) if entries
    ]
    assert len({seed for *_, seed in made}) == len(expected) and bank.starts == tuple(range(9))
    assert bank.scenes == tuple(f"{part}/{number}" for part, n in enumerate(expected, 1) for number in range(n))


def test_a_motion_network_of_another_config_is_refused(config, tmp_path):
    path = tmp_path / "motion.safetensors"
    path.write_bytes(b"nothing")
    with pytest.raises(TrainingError, match="no motion network"):
        motion_network(replace(config, motion=str(path)), torch.device("cpu"))


def test_an_untrained_motion_network_is_the_same_each_time(config):
    one, two = (motion_network(config, torch.device("cpu")).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_what_came_out_is_measured_on_held_out_scenes(config, tiny_weights):
    lines: list[str] = []
    run(replace(config, steps=1, evaluate=2), lines.append)
    out = Path(config.out)
    asked = [json.loads(line) for line in (out / "held_out.jsonl").read_text().splitlines()]
    assert len(asked) == 2 * 2 and {each["source"] for each in asked} == {"skeletons"}
    assert json.loads((out / "held_out.json").read_text())["all"]["n"] == 4
    assert json.loads((out / "log.jsonl").read_text().splitlines()[0])["step"] == 1
    assert "skeletons" in lines[-1]
