"""The drawn sets: what is in them, that they are fair, and that they appear whole or not at all."""

import json
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest

from tvu.video_llm.benchmarks import mini
from tvu.video_llm.benchmarks.mini import make_mini
from tvu.video_llm.benchmarks.mini_drawing import COLOURS
from tvu.video_llm.benchmarks.mini_moments import write_chronology, write_moments
from tvu.video_llm.benchmarks.mini_mvbench import RIDDLES, write_mvbench
from tvu.video_llm.benchmarks.mvbench_layout import TASKS
from tvu.video_llm.decode import clock_of, open_video
from tvu.video_llm.errors import OutputExists


def riddles():
    return [(key, riddle) for key, draw in RIDDLES.items() for riddle in draw()]


def films(folder: Path, key: str):
    """Each item of a task with its pictures, float `[T, H, W, 3]`."""
    task = next(task for task in TASKS if task.key == key)
    for item in json.loads((folder / "json" / f"{key}.json").read_text("utf-8")):
        with av.open(str(folder / "video" / task.folder / item["video"])) as container:
            yield (
                item,
                np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]).astype(float),
            )


def test_all_twenty_tasks_are_drawn():
    assert set(RIDDLES) == {task.key for task in TASKS}


@pytest.mark.parametrize("key", ["moving_direction", "object_existence", "action_antonym"])
def test_every_question_has_each_of_its_options_right_once_in_the_same_order(tmp_path, key):
    write_mvbench(tmp_path / "set", tasks=[key])
    items = json.loads((tmp_path / "set" / "json" / f"{key}.json").read_text("utf-8"))
    right = {}
    for item in items:
        right.setdefault((item["question"], tuple(item["candidates"])), []).append(item["answer"])
    assert len(right) == 2  # questions
    assert all(sorted(answers) == sorted(options) for (_, options), answers in right.items())


@pytest.mark.parametrize(
    "rule",
    [
        lambda question, options: 0,
        lambda question, options: len(options) - 1,
        lambda question, options: int(np.argmax([len(option) for option in options])),
        lambda question, options: int(np.argmin([len(option) for option in options])),
        lambda question, options: int(
            np.argmax([len(set(o.lower().split()) & set(question.split())) for o in options])
        ),
        lambda question, options: sum(map(ord, question + "".join(options))) % len(options),
    ],
    ids=["first", "last", "longest", "shortest", "most words of the question", "hash"],
)
def test_a_rule_that_reads_only_the_text_is_at_chance(tmp_path, monkeypatch, rule):
    monkeypatch.setattr("tvu.video_llm.benchmarks.mini_mvbench.write_film", lambda film, out: None)
    monkeypatch.setattr("tvu.video_llm.benchmarks.mini_mvbench.write_pictures", lambda film, out, fps: None)
    write_mvbench(tmp_path / "set")
    for path in (tmp_path / "set" / "json").glob("*.json"):
        items = json.loads(path.read_text("utf-8"))
        right = sum(item["candidates"][rule(item["question"], item["candidates"])] == item["answer"] for item in items)
        assert right == pytest.approx(sum(1 / len(item["candidates"]) for item in items)), path.name


def test_the_options_of_a_question_differ():
    assert all(len(set(riddle.options)) == len(riddle.options) for _, riddle in riddles())


def test_what_goes_up_goes_up(tmp_path):
    write_mvbench(tmp_path / "set", tasks=["moving_direction"])
    sign = {"Up": -1, "Down": 1}
    for item, pixels in films(tmp_path / "set", "moving_direction"):
        colour = "red" if "red" in item["question"] else "blue"
        tint = np.array([int(COLOURS[colour][i : i + 2], 16) for i in (1, 3, 5)])
        rows = [np.argwhere(abs(frame - tint).sum(-1) < 60)[:, 0].mean() for frame in (pixels[0], pixels[-1])]
        word = item["answer"].split()[0].rstrip(".")
        assert np.sign(round((rows[1] - rows[0]) / 20)) == sign.get(word, 0), item["answer"]


def test_a_light_comes_on_as_often_as_the_answer_says(tmp_path):
    write_mvbench(tmp_path / "set", tasks=["action_count"])
    for item, pixels in films(tmp_path / "set", "action_count"):
        if "light" not in item["question"]:
            continue
        is_lit = pixels[:, 52, 80, 0] > 160
        assert (np.diff(is_lit.astype(int)) == 1).sum() == int(item["answer"])


def test_the_ball_is_under_the_cup_that_the_answer_names():
    """A film's cups are followed by their places alone: the raised cup at the start, and every swap after it."""
    riddle = next(riddle for key, riddle in riddles() if key == "object_shuffle")
    for answer in range(3):
        film = riddle.film(answer, np.random.default_rng(answer))
        at = _raised_cup(film)
        for second in (1.8, 2.8, 3.8):
            at = _after_swap(film, second, at)
        assert at == answer


def _cup_places(film, seconds):
    """Which of the three places, seen at rest height, have a cup standing there."""
    row = np.asarray(film.at(seconds))[90].astype(int)
    return [abs(row[x] - (75, 127, 168)).sum() < 60 for x in (32, 80, 128)]


def _raised_cup(film):
    return _cup_places(film, 0.3).index(False)


def _after_swap(film, start, at):
    moved = [place for place, stands in enumerate(_cup_places(film, start + 0.4)) if not stands]
    assert len(moved) == 2
    return moved[1 - moved.index(at)] if at in moved else at


def test_bounds_lie_within_their_films():
    for key, riddle in riddles():
        film = riddle.film(0, np.random.default_rng(0))
        if film.bounds is not None:
            assert 0 <= film.bounds[0] < film.bounds[1] <= film.seconds, key


def test_frame_folders_are_numbered_from_one_at_three_a_second(tmp_path):
    write_mvbench(tmp_path / "set", tasks=["episodic_reasoning"])
    item = json.loads((tmp_path / "set" / "json" / "episodic_reasoning.json").read_text("utf-8"))[0]
    names = sorted(p.name for p in (tmp_path / "set" / "video" / "tvqa/frames_fps3_hq" / item["video"]).iterdir())
    assert names[0] == "00001.jpg" and item["end"] * 3 <= len(names) <= item["end"] * 3 + 2


def test_the_same_seed_draws_the_same_set_and_another_seed_another(tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        write_mvbench(tmp_path / name, seed, ["fine_grained_pose"])
    read = {name: (tmp_path / name / "json" / "fine_grained_pose.json").read_bytes() for name in "abc"}
    assert read["a"] == read["b"] != read["c"]
    pairs = zip(films(tmp_path / "a", "fine_grained_pose"), films(tmp_path / "b", "fine_grained_pose"), strict=True)
    assert all((a[1] == b[1]).all() for a, b in pairs)


def test_moments_are_on_the_screen_when_their_windows_say(tmp_path):
    write_moments(tmp_path / "set")
    lines = [json.loads(line) for line in (tmp_path / "set" / "moments_val_release.jsonl").read_text().splitlines()]
    assert Counter(len(line["relevant_windows"]) for line in lines) == {0: 6, 1: 12, 2: 6}
    late = open_video(tmp_path / "set" / "videos" / "drawn_2.mp4")
    assert clock_of(late).start_seconds == 2.5 and late.duration_seconds == pytest.approx(lines[8]["duration"])
    gaps = np.diff(clock_of(open_video(tmp_path / "set" / "videos" / "drawn_1.mkv")).pts_seconds)
    assert gaps.max() > 2 * gaps.min()
    for line in lines:
        if line["query"].split()[1] not in COLOURS:  # a landscape
            continue
        path = next((tmp_path / "set" / "videos").glob(f"{line['vid']}.*"))
        tint = np.array([int(COLOURS[line["query"].split()[1]][i : i + 2], 16) for i in (1, 3, 5)])
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            zero = float((stream.start_time or 0) * stream.time_base)
            for frame in container.decode(stream):
                middle = frame.to_ndarray(format="rgb24")[50:70, 60:100].astype(int)
                is_there = (abs(middle - tint).sum(-1) < 70).mean() > 0.2
                time = frame.time - zero
                assert is_there == any(a - 0.01 <= time < b - 0.01 for a, b in line["relevant_windows"]), (line, time)


def test_events_come_in_the_order_that_they_are_told(tmp_path):
    write_chronology(tmp_path / "set")
    lines = [json.loads(line) for line in (tmp_path / "set" / "chronology.jsonl").read_text().splitlines()]
    assert Counter(len(line["events"]) for line in lines) == {2: 2, 3: 2, 4: 2, 5: 2}
    line = lines[4]
    with av.open(str(tmp_path / "set" / line["video"])) as container:
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]
    for i, event in enumerate(line["events"]):
        tint = np.array([int(COLOURS[event.split()[1]][k : k + 2], 16) for k in (1, 3, 5)])
        assert (abs(frames[20 * i + 10] - tint).sum(-1) < 70).sum() > 60, event


def test_a_set_that_was_not_drawn_by_us_is_never_replaced(tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(OutputExists):
        make_mini(tmp_path / "mine", force=True)


def test_a_set_is_replaced_only_when_asked_and_nothing_is_left_beside_it(tmp_path):
    out = tmp_path / "mini"
    make_mini(out, tasks=["state_change"])
    with pytest.raises(OutputExists, match="exists already"):
        make_mini(out)
    make_mini(out, seed=1, force=True, tasks=["state_change"])
    assert "seed 1" in (out / "README.md").read_text("utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["mini"]


def test_a_set_that_cannot_be_finished_leaves_nothing(tmp_path, monkeypatch):
    def fail(folder, seed):
        raise KeyboardInterrupt

    monkeypatch.setattr(mini, "write_chronology", fail)
    with pytest.raises(KeyboardInterrupt):
        make_mini(tmp_path / "mini", tasks=["state_change"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.weights
def test_a_sentence_encoder_that_never_sees_the_video_is_at_chance(tmp_path, monkeypatch, weights_cache):
    from tvu.video_llm.sentence import SentenceEncoder

    monkeypatch.setattr("tvu.video_llm.benchmarks.mini_mvbench.write_film", lambda film, out: None)
    monkeypatch.setattr("tvu.video_llm.benchmarks.mini_mvbench.write_pictures", lambda film, out, fps: None)
    write_mvbench(tmp_path / "set")
    encoder, right, chance = SentenceEncoder(), 0, 0.0
    for path in (tmp_path / "set" / "json").glob("*.json"):
        for item in json.loads(path.read_text("utf-8")):
            question, *options = np.asarray(encoder.embed([item["question"], *item["candidates"]]))
            right += item["candidates"][int(np.argmax(np.stack(options) @ question))] == item["answer"]
            chance += 1 / len(options)
    assert right == pytest.approx(chance)
