"""The shuffle test: frames in another order, and what an order-blind and an order-reading model make of them."""

import numpy as np
import pytest

from tvu.temporal.types import Span
from tvu.video_llm.benchmarks.baselines import baseline_named
from tvu.video_llm.benchmarks.mini_mvbench import write_mvbench
from tvu.video_llm.benchmarks.order import paired_bootstrap, shuffle
from tvu.video_llm.benchmarks.shuffled import CONDITIONS, PERMUTED, order_under, reordered, write_lossless
from tvu.video_llm.benchmarks.types import AskConfig, Record, Response
from tvu.video_llm.decode import clock_of, open_video, read_frames
from tvu.video_llm.errors import OutputError
from tvu.video_llm.types import Answer


class Looking:
    """Keeps the frames that it is shown, and says `(A)`."""

    name = "looking"

    def __init__(self):
        self.frames, self.durations = [], []

    def choose(self, clip, question):
        times = clock_of(clip).pts_seconds
        self.frames.append(np.concatenate([b.pixels[0] for b in read_frames(clip, times, max_side=None)]).astype(float))
        self.durations.append(clip.duration_seconds)
        return Answer(question.question, "(A)", (), self.name, frame_seconds=tuple(times.tolist()))


def asked(data, model, items):
    test = shuffle()
    responses = [test.ask(item, test.video_of(item, data), model, AskConfig()) for item in items]
    return [Record.of(item, r, test.judge(item, r), 0.0) for item, r in zip(items, responses, strict=True)]


@pytest.fixture(scope="module")
def rising(tmp_path_factory):
    """A question under all conditions: its items, their frames, and the records of who always says `(A)`."""
    data = tmp_path_factory.mktemp("mini") / "mvbench"
    write_mvbench(data, tasks=["action_antonym"])
    items = [item for item in shuffle().read(data) if item.facts["answer"] == "Rising."]
    model = Looking()
    return data, items, model, asked(data, model, items)


def summed_up(items, frames, choose):
    """What the test makes of a model that chooses by the frames it was shown."""
    records = []
    for item, pixels in zip(items, frames, strict=True):
        is_object = abs(pixels - pixels[:, :, :1, :1]).sum(1) > 120
        choice = item.options.index(choose([np.argwhere(picture)[:, 0].mean() for picture in is_object]))
        response = Response("parsed", choice)
        records.append(Record.of(item, response, shuffle().judge(item, response), 0.0))
    return shuffle().sum_up(items, records)


def in_order(rows):
    steps = np.diff(rows)
    return "Rising." if (steps < 0.5).all() else "Falling." if (steps > -0.5).all() else "Staying where it is."


def whatever_order(rows):
    return "Staying where it is." if np.ptp(rows) < 1 else "Rising."


def test_every_condition_is_an_order_of_the_same_frames_but_the_still():
    for condition in CONDITIONS:
        order = order_under(condition, 16, "a/1")
        assert len(set(order.tolist())) == (1 if condition == "still" else 16)
        assert (order == order_under(condition, 16, "a/1")).all()
    assert order_under("identity", 5, "a").tolist() == [0, 1, 2, 3, 4]
    assert order_under("reversed", 5, "a").tolist() == [4, 3, 2, 1, 0]
    assert len({tuple(order_under(condition, 16, "a/1")) for condition in PERMUTED}) == len(PERMUTED)
    assert (order_under("permuted-0", 16, "a/1") != order_under("permuted-0", 16, "a/2")).any()


def test_blocks_keep_their_frames_together():
    order = order_under("blocks-4", 16, "a/3").reshape(4, 4)
    assert (np.diff(order, axis=1) == 1).all() and sorted(order[:, 0]) == [0, 4, 8, 12]


def test_the_frames_of_a_clip_survive_to_the_pixel_and_keep_its_pace(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 3, 31, 47), np.uint8)
    write_lossless(pixels, 3.7, tmp_path / "a.mkv")
    clip = open_video(tmp_path / "a.mkv")
    assert clip.duration_seconds == pytest.approx(3.7, abs=2e-3) and clip.num_frames == 5
    assert clock_of(clip).pts_seconds == pytest.approx(np.arange(5) * 3.7 / 5, abs=1e-3)
    with reordered(clip, np.array([4, 4, 0, 2, 1]), 2.0) as seen:
        (batch,) = read_frames(seen, clock_of(seen).pts_seconds, max_side=None)
        assert (batch.pixels[0] == pixels[[4, 4, 0, 2, 1]]).all()
        assert seen.span == Span(0.0, seen.duration_seconds) and seen.duration_seconds == pytest.approx(2.0, abs=2e-3)
    assert not seen.path.exists()


def test_a_model_that_is_blind_to_order_loses_nothing_under_any_permutation(rising):
    _, items, model, _ = rising
    numbers = summed_up(items, model.frames, whatever_order).numbers
    assert numbers["accuracy_original"] == 100 and numbers["accuracy_still"] == 0
    for name in ("delta_abs", "delta_abs_low", "delta_abs_high", "delta_rel", "delta_identity", "delta_reversed"):
        assert numbers[name] == 0, name


def test_a_model_that_reads_order_is_right_and_loses_it_with_the_order(rising):
    _, items, model, _ = rising
    summary = summed_up(items, model.frames, in_order)
    numbers = summary.numbers
    assert numbers["accuracy_original"] == 100 and numbers["delta_identity"] == 0
    assert numbers["delta_abs"] == 100 and numbers["delta_rel"] == 1
    assert numbers["accuracy_reversed"] == 0 and numbers["delta_blocks-4"] > 0
    assert [row[0] for row in summary.tables[0].rows] == list(CONDITIONS)


def test_the_frames_that_a_model_looked_at_are_told_by_their_true_times(rising):
    *_, records = rising
    seconds = {record.group: record.frame_seconds for record in records}
    assert list(seconds["original"]) == sorted(seconds["original"]) and len(seconds["original"]) == 16
    assert list(seconds["reversed"]) == list(seconds["original"])[::-1]
    assert sorted(seconds["permuted-0"]) == list(seconds["original"]) != list(seconds["permuted-0"])


def test_the_oracle_is_right_under_any_order_and_chance_is_the_same_under_all(rising):
    data, items, _, _ = rising
    some = [item for item in items if item.group in ("original", "permuted-3")]
    assert [record.score for record in asked(data, baseline_named("baseline:oracle"), some)] == [1, 1]
    assert len({record.prediction for record in asked(data, baseline_named("baseline:random"), some)}) == 1


def test_bounded_folders_of_pictures_take_the_time_that_their_pictures_stand_for(tmp_path):
    write_mvbench(tmp_path / "set", tasks=["episodic_reasoning"])
    model = Looking()
    (record,) = asked(tmp_path / "set", model, shuffle().read(tmp_path / "set")[:1])
    assert model.durations == [pytest.approx(9.7 - 2.9, abs=0.01)]
    assert record.frame_seconds[0] == pytest.approx(2.9 + 6.8 / 32, abs=1e-6)


def test_a_question_that_did_not_run_under_all_conditions_is_left_out_of_the_comparison(rising):
    _, items, _, records = rising
    numbers = shuffle().sum_up(items, records[:-1]).numbers
    assert (numbers["n_expected"], numbers["n_run"]) == (1, 0)
    assert shuffle().sum_up(items, records).numbers["n_run"] == 1


def test_questions_that_are_lost_are_counted_once(rising):
    _, items, _, _ = rising
    lost = [Record.of(item, Response("missing"), None, 0.0) for item in items[:1]]
    lost += [Record.of(item, Response("undecodable"), None, 0.0) for item in items[len(CONDITIONS) :]]
    numbers = shuffle().sum_up(items, lost).numbers
    assert (numbers["n_missing"], numbers["n_failed"]) == (1, len(items) // len(CONDITIONS) - 1)


def test_the_bootstrap_of_equal_scores_is_zero_wide():
    assert paired_bootstrap(np.full(9, 2.5)) == (2.5, 2.5)
    low, high = paired_bootstrap(np.repeat([0.0, 1.0], 50))
    assert 0.35 < low < 0.5 < high < 0.65


def test_a_disk_without_room_for_the_frames_is_told(tmp_path, monkeypatch):
    def full(pixels, seconds, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tvu.video_llm.benchmarks.shuffled.write_lossless", full)
    write_lossless(np.zeros((2, 3, 16, 16), np.uint8), 1.0, tmp_path / "a.mkv")
    with (
        pytest.raises(OutputError, match="No space left"),
        reordered(open_video(tmp_path / "a.mkv"), np.array([0, 1]), 1.0),
    ):
        pass
