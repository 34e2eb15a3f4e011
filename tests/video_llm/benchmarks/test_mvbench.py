"""MVBench from its folders to its numbers, on drawn videos and with models that look at none."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.video_llm.media.drawing import draw_video
from tests.video_llm.tiny_video_llm import tiny_video_llm
from tvu.video_llm.benchmarks.baselines import baseline_named
from tvu.video_llm.benchmarks.mvbench import MVBench
from tvu.video_llm.benchmarks.types import AskConfig, Item, Record, Response
from tvu.video_llm.errors import BenchmarkError, VideoError

OPTIONS = ["Ate it.", "Took it.", "Left it."]
NAMES = ("ZS9XR.mp4", "b.mp4")


def question(video: str, answer: str = "Took it.", **others: Any) -> dict[str, Any]:
    return {"video": video, "question": "What happened?", "candidates": OPTIONS, "answer": answer, **others}


def written(data: Path, task: str, *questions: Any) -> Path:
    (data / "json").mkdir(parents=True, exist_ok=True)
    (data / "json" / f"{task}.json").write_text(json.dumps(questions), "utf-8")
    return data


def placed(data: Path, *files: str) -> Path:
    for name in files:
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).touch()
    return data


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_video(tmp_path_factory.mktemp("mvbench") / "a.mp4", num_frames=100, size=(64, 36))


# --- the two releases ---


def test_raw_videos_keep_their_bounds(tmp_path: Path) -> None:
    data = written(tmp_path, "action_sequence", question("ZS9XR.mp4", start=1.5, end=17.1))
    placed(data, "video/star/Charades_v1_480/ZS9XR.mp4")
    (item,) = MVBench().read(data)
    assert (item.id, item.group, item.truth, item.bounds) == ("action_sequence/0", "AS", 1, (1.5, 17.1))
    assert MVBench().video_of(item, data) == data / "video/star/Charades_v1_480/ZS9XR.mp4"


@pytest.mark.parametrize("name", ["NBMH9_21.4_37.6.mp4", "of another name.mp4"])
def test_clips_that_are_cut_already_are_not_cut_again(tmp_path: Path, name: str) -> None:
    meta = {"root": {"action_sequence": "star/Charades_segment/"}, "meta": {}}
    meta["meta"] = {"Action Sequence": [question(name, start=21.4, end=37.6)]}
    (tmp_path / "test.json").write_text(json.dumps(meta), "utf-8")
    placed(tmp_path, f"star/Charades_segment/{name}")
    (item,) = MVBench().read(tmp_path)
    assert item.bounds is None and MVBench().video_of(item, tmp_path).is_file()


def test_both_releases_may_lie_in_one_folder(tmp_path: Path) -> None:
    data = written(
        tmp_path, "action_localization", question("a.mp4", start=0, end=2), question("b.mp4", start=1, end=2)
    )
    placed(data, "video/sta/sta_video/a.mp4", "video/sta/sta_video_segment/b.mp4")
    raw, cut = MVBench().read(data)
    assert raw.bounds == (0.0, 2.0) and cut.bounds is None and MVBench().video_of(cut, data).is_file()


def test_what_was_added_later_may_stay_where_it_was_unpacked(tmp_path: Path) -> None:
    data = written(tmp_path, "moving_count", question("video_1.mp4"))
    placed(data, "video/data0613/clevrer/video_validation/video_1.mp4")
    (item,) = MVBench().read(data)
    assert MVBench().video_of(item, data).is_file() and item.video == "clevrer/video_validation/video_1.mp4"


def test_items_come_in_the_order_of_the_tables_whether_their_videos_are_there_or_not(tmp_path: Path) -> None:
    for task in ("counterfactual_inference", "fine_grained_pose", "action_antonym"):
        written(tmp_path, task, question("a.avi"))
    assert [item.group for item in MVBench().read(tmp_path)] == ["AA", "FP", "CI"]


@pytest.mark.parametrize(
    ("told", "complaint"),
    [
        ([question("a.mp4", answer="Sang.")], "object_shuffle/0 has an answer that is not one candidate"),
        ([question("a.mp4"), {"video": "b.mp4"}], "object_shuffle/1 has no text 'question'"),
        ([question("../../a.mp4")], "outside its folder"),
        (["what?"], "is not an object"),
        ({"a": 1}, "has no array of questions"),
    ],
)
def test_a_malformed_file_is_named_with_its_question(tmp_path: Path, told: Any, complaint: str) -> None:
    (written(tmp_path, "object_shuffle") / "json/object_shuffle.json").write_text(json.dumps(told), "utf-8")
    with pytest.raises(BenchmarkError, match=complaint) as error:
        MVBench().read(tmp_path)
    assert "object_shuffle.json" in error.value.message


def test_bounds_that_are_no_seconds_are_refused(tmp_path: Path) -> None:
    data = written(tmp_path, "action_sequence", question("a.mp4", start="early", end=2.0))
    with pytest.raises(BenchmarkError, match="not seconds"):
        MVBench().read(data)


def test_a_folder_without_questions_is_no_mvbench(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="holds no MVBench"):
        MVBench().read(tmp_path)


# --- asking ---


def item_of(**fields: Any) -> Item:
    told = {"id": "object_shuffle/0", "video": "a.mp4", "question": "Which?", "truth": 1, "group": "OS"}
    return Item(**{**told, "options": tuple(OPTIONS), "facts": {"type": "video"}, **fields})


def baseline(name: str) -> Any:
    return baseline_named(f"baseline:{name}")


def test_a_video_llm_sees_the_frames_and_words_of_the_official_protocol(video: Path) -> None:
    item = item_of(bounds=(1.0, 3.0))
    response = MVBench().ask(item, video, tiny_video_llm(), AskConfig("official", frames=4))
    assert response.frame_seconds == pytest.approx((1.24, 1.72, 2.24, 2.76), abs=0.02)
    assert response.prompt.count("select the best option") == 2 and response.prompt.endswith("assistant\nBest option:(")
    assert "(B) Took it.\n(C) Left it.\nOnly give the best option.<|im_end|>" in response.prompt
    assert response.status in ("parsed", "unparsed") and response.text


def test_a_video_llm_looks_as_it_does_on_its_own_inside_the_bounds(video: Path) -> None:
    response = MVBench().ask(item_of(bounds=(1.0, 3.0)), video, tiny_video_llm(), AskConfig())
    assert response.frame_seconds == pytest.approx((1.24, 1.72, 2.24, 2.72), abs=0.04)


def test_pictures_have_three_seconds_a_second(tmp_path: Path) -> None:
    for number in range(1, 13):
        Image.new("RGB", (48, 32), (number * 20, 0, 0)).save(tmp_path / f"{number:05d}.jpg")
    item = item_of(bounds=(1.0, 3.0), facts={"type": "frames", "fps": 3.0})
    response = MVBench().ask(item, tmp_path, tiny_video_llm(), AskConfig("official", frames=2))
    assert response.frame_seconds == pytest.approx((3 / 3, 6 / 3))  # files 4 and 7
    response = MVBench().ask(item, tmp_path, tiny_video_llm(fps=1.0), AskConfig())
    assert response.frame_seconds == pytest.approx([number / 3 for number in range(3, 9)])


def test_bounds_outside_the_video_cannot_be_asked_about(video: Path) -> None:
    with pytest.raises(VideoError):
        MVBench().ask(item_of(bounds=(9.0, 12.0)), video, baseline("oracle"), AskConfig())


def test_a_rule_with_a_hole_counts_as_right_what_it_does_not_understand(video: Path) -> None:
    class Silent:
        name = "silent"

        def write(self, clip: Any, request: Any, *, sampling: Any = None, max_new_tokens: int) -> Any:
            return replace(baseline("constant").choose(clip, item_of()), text="")

    silent: Any = Silent()
    asked = [MVBench().ask(item_of(), video, silent, AskConfig("official", matching=rule)) for rule in (None, "strict")]
    assert [(response.status, response.prediction) for response in asked] == [("unparsed", 1), ("unparsed", None)]
    assert [MVBench().judge(item_of(), response) for response in asked] == [1.0, 0.0]


# --- the numbers ---


def records_of(items: list[Item], texts: list[str]) -> list[Record]:
    bench, records = MVBench(), []
    for item, text in zip(items, texts, strict=True):
        choice = {"(A)": 0, "(B)": 1}.get(text)
        response = Response("unparsed" if choice is None else "parsed", choice, text)
        records.append(Record.of(item, response, bench.judge(item, response), 0.1))
    return records


def test_the_headline_counts_items_and_the_mean_counts_tasks() -> None:
    items = [item_of(id=f"object_shuffle/{n}") for n in range(3)] + [item_of(id="action_count/0", group="AC")]
    numbers = MVBench().sum_up(items, records_of(items, ["(B)", "(A)", "(A)", "(B)"])).numbers
    assert (numbers["accuracy"], numbers["OS"], numbers["AC"]) == (50.0, 33.33, 100.0)
    assert numbers["mean_of_tasks"] == 66.67 and numbers["guess"] == numbers["random"] == 33.33
    low, high = numbers["accuracy_run_low"], numbers["accuracy_run_high"]
    assert (low, high) == (pytest.approx(15.0, abs=0.01), pytest.approx(85.0, abs=0.01))  # Wilson's, 2 of 4


def test_what_was_not_run_is_wrong_in_the_headline_and_told() -> None:
    items = [item_of(id=f"fine_grained_pose/{n}", group="FP", video=f"nturgbd/{n}.avi") for n in range(4)]
    records = records_of(items[:1], ["(B)"])
    records += [Record.of(items[1], Response("missing", error="no file"), None, 0.0)]
    records += [Record.of(items[2], Response("failed", error="out of memory"), None, 0.0)]
    summary = MVBench().sum_up(items, records)
    assert (summary.numbers["accuracy"], summary.numbers["accuracy_run"]) == (25.0, 100.0)
    counts = ("n_expected", "n_run", "n_missing", "n_failed", "n_not_asked")
    assert [summary.numbers[name] for name in counts] == [4, 1, 1, 1, 1]
    assert any("nturgbd/1.avi" in note for note in summary.notes) and any("ROSE Lab" in note for note in summary.notes)


def test_every_harness_counts_the_same_texts_in_its_own_way() -> None:
    items = [item_of(id=f"object_shuffle/{n}") for n in range(4)]
    records = records_of(items[:3], ["(B)", "", "A man, so (B)"])
    records += [Record.of(items[3], Response("failed"), None, 0.0)]
    numbers = MVBench().sum_up(items, records).numbers
    told = {name: numbers[f"accuracy_{name}"] for name in ("strict", "official", "lmms_eval", "vlmevalkit")}
    assert told == {"strict": 66.67, "official": 66.67, "lmms_eval": 50.0, "vlmevalkit": 75.0}


def test_nothing_run_is_no_number_and_no_error() -> None:
    numbers = MVBench().sum_up([item_of()], []).numbers
    assert numbers["accuracy"] == 0.0 and numbers["accuracy_run"] is None and numbers["n_not_asked"] == 1
