"""The chronology test: the true order of events against wrong ones."""

import itertools
import json

import numpy as np
import pytest

from tvu.temporal.types import Span
from tvu.video_llm.benchmarks.baselines import baseline_named
from tvu.video_llm.benchmarks.chronology import chronology, event_scores, kendall_tau, monotone_fit, wrong_orders
from tvu.video_llm.benchmarks.chronology_data import read_chronology
from tvu.video_llm.benchmarks.mini_moments import write_chronology
from tvu.video_llm.benchmarks.types import AskConfig, Record
from tvu.video_llm.errors import BenchmarkError
from tvu.video_llm.types import Answer, Grounding, ScoreCurve


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mini") / "chronology"
    write_chronology(folder)
    return folder


class Knowing:
    """Finds the k-th event of the drawn films in the two seconds where `place` puts it, in spans or in curves."""

    name = "knowing"

    def __init__(self, place, curves=False):
        self._place, self._curves = place, curves

    def find(self, clip, queries):
        return [self._answer(clip, query, self._place(k, len(queries))) for k, query in enumerate(queries)]

    def _answer(self, clip, query, slot):
        if slot is None:
            return Answer(query, "", (), self.name)
        if self._curves:
            times = np.arange(0, clip.duration_seconds, 0.25)
            scores = np.where((times >= 2 * slot) & (times < 2 * slot + 2), 0.8, 0.1).astype(np.float32)
            return Answer(query, "", (), self.name, curves=(ScoreCurve("visual", times, scores),))
        return Answer(query, "", (Grounding(Span(2 * slot, 2 * slot + 2), 0.8, "visual"),), self.name)


def run(data, model):
    test = chronology()
    items = test.read(data)
    records = []
    for item in items:
        response = test.ask(item, test.video_of(item, data), model, AskConfig())
        records.append(Record.of(item, response, test.judge(item, response), 0.0))
    return test.sum_up(items, [Record.from_json(json.loads(json.dumps(record.as_json()))) for record in records])


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (2, 6), (3, 7), (4, 6)])
def test_the_best_placement_is_that_of_trying_all(shape):
    scores = np.random.default_rng(shape).uniform(-1, 1, shape)
    rows = range(shape[0])
    placed = itertools.combinations(range(shape[1]), shape[0])
    assert monotone_fit(scores) == pytest.approx(max(sum(scores[k, t[k]] for k in rows) for t in placed))


def test_events_that_outnumber_the_moments_fit_nowhere():
    with pytest.raises(ValueError, match="3 events"):
        monotone_fit(np.zeros((3, 2)))


def test_few_events_are_compared_in_all_orders_and_many_in_twenty():
    assert sorted(wrong_orders(3, "a")) == sorted(itertools.permutations(range(3)))[1:]
    many = wrong_orders(6, "a")
    assert len(set(many)) == 20 and tuple(range(6)) not in many and many == wrong_orders(6, "a")


def test_tau_is_one_for_the_order_and_minus_one_for_its_reverse():
    assert kendall_tau([0, 1, 2, 3]) == 1 and kendall_tau([3, 2, 1, 0]) == -1
    assert kendall_tau([1, 0, 2]) == pytest.approx(1 / 3)


@pytest.mark.parametrize("curves", [False, True], ids=["spans", "curves"])
def test_a_model_that_finds_events_where_they_are_is_always_right(drawn, curves):
    numbers = run(drawn, Knowing(lambda k, n: k, curves)).numbers
    assert numbers["CAR"] == numbers["CAR_all_orders"] == numbers["R1_all_orders"] == 100
    assert numbers["kendall_tau"] == 1 and numbers["n_run"] == 8
    assert numbers["R1_chance"] == pytest.approx(100 * (2 / 2 + 2 / 6 + 2 / 24) / 6)


def test_a_model_that_finds_them_in_reverse_is_never_right(drawn):
    numbers = run(drawn, Knowing(lambda k, n: n - 1 - k)).numbers
    assert numbers["R1_all_orders"] == 0 and numbers["kendall_tau"] < -0.5 and numbers["CAR_all_orders"] < 10


def test_a_model_that_finds_everything_at_once_ties_and_a_tie_is_a_failure(drawn):
    numbers = run(drawn, Knowing(lambda k, n: 0, curves=True)).numbers
    assert numbers["CAR"] == numbers["CAR_all_orders"] == numbers["R1_all_orders"] == 0
    assert numbers["kendall_tau"] == 0


def test_a_model_that_finds_nothing_is_unparsed_and_counts_as_wrong(drawn):
    numbers = run(drawn, Knowing(lambda k, n: None)).numbers
    assert (numbers["n_run"], numbers["n_unparsed"], numbers["CAR"]) == (8, 8, 0)


def test_the_oracle_knows_the_order_and_the_random_one_draws_it(drawn):
    oracle = run(drawn, baseline_named("baseline:oracle")).numbers
    assert oracle["CAR"] == oracle["R1_all_orders"] == 100 and oracle["n_run"] == 8
    assert run(drawn, baseline_named("baseline:random")).numbers["R1_all_orders"] < 100


def test_a_channel_is_as_good_as_its_best_at_each_moment():
    curve = [ScoreCurve("visual", np.array([0.0, 1.0]), np.array(s, np.float32)) for s in ([0.2, 0.4], [0.3, 0.1])]
    scores = event_scores([Answer("a", "", (), "m", curves=tuple(curve))], 0.0, 2.0)
    assert scores == pytest.approx(np.array([[0.3, 0.4]]))


def test_captions_that_overlap_or_tell_their_place_are_left_out_and_counted(tmp_path):
    captions = {
        "v_a": {
            "duration": 9,
            "timestamps": [[5, 8], [0, 2], [1, 6], [8, 9]],
            "sentences": ["She sits.", "She runs.", "A dog barks.", "Finally she sleeps."],
        },
        "v_b": {"duration": 9, "timestamps": [[0, 9]], "sentences": ["He swims."]},
    }
    (tmp_path / "val_1.json").write_text(json.dumps(captions))
    (item,) = read_chronology(tmp_path)
    assert item.truth == ["She runs.", "She sits."]
    assert set(item.facts["left_out"].values()) == {1}
    assert len(chronology().sum_up([item], []).notes) == 6


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("[]", "line 2 has no video"),
        ('{"video": "a"}', "line 2 has no video"),
        ('{"video": "a", "events": ["x", 3]}', "no text"),
        ('{"video": "a", "events": ["x", "x"]}', "twice"),
        ("{", "line 2"),
    ],
)
def test_a_line_that_is_no_list_of_events_is_told_by_its_number(tmp_path, line, words):
    (tmp_path / "chronology.jsonl").write_text('{"video": "a", "events": ["x", "y"]}\n' + line)
    with pytest.raises(BenchmarkError, match=words):
        read_chronology(tmp_path)


@pytest.mark.parametrize("content", ["[]", '{"a": 3}', '{"a": {"timestamps": [[0]], "sentences": ["x"]}}', "{}", ""])
def test_captions_in_no_such_format_are_told(tmp_path, content):
    (tmp_path / "val_1.json").write_text(content)
    with pytest.raises(BenchmarkError):
        read_chronology(tmp_path)
