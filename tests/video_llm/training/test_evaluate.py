import pytest

from tvu.temporal.time_tokens.lita import LitaTimeTokens
from tvu.temporal.time_tokens.text_times import TextTimes
from tvu.temporal.time_tokens.vtg_llm import VtgLlmTimeTokens
from tvu.temporal.types import Span
from tvu.video_llm.training.evaluate import read, score, spans_told, table
from tvu.video_llm.training.predict import Predicted, keep
from tvu.video_llm.training.tasks import NOT_THERE, Sample


def moment(span, told, present=0.9, text="", true=True) -> Predicted:
    spans = (Span(*span),) if true else ()
    sample = Sample("moment" if true else "absent", "When?", "" if true else NOT_THERE, spans, true)
    return Predicted("skeletons", 99.0, sample, ((*told, 0.8),), present, text)


def answered(kind, answer, text, chosen="", **more) -> Predicted:
    present = more.pop("is_present", None)
    return Predicted("composed", 99.0, Sample(kind, "Q", answer, (), present, **more), (), 0.1, text, chosen)


def test_moments_are_scored_by_the_first_span_of_the_head_and_of_the_text():
    told = [
        moment((0, 10), (0, 10), text="<t0> <t10>"),
        moment((0, 10), (0, 6), text="<t0> <t9> a dog"),
        moment((0, 10), (50, 60), text="Yes"),
    ]
    scores = score(told)["all"]
    assert scores["n_moments"] == 3
    assert scores["r1@0.5"] == pytest.approx(2 / 3) and scores["r1@0.7"] == pytest.approx(1 / 3)
    assert scores["miou"] == pytest.approx(1.6 / 3) and scores["text_r1@0.5"] == pytest.approx(2 / 3)


def test_of_what_happens_several_times_the_share_found_is_told():
    sample = Sample("moments", "When?", "", (Span(0, 10), Span(20, 30)), True)
    told = Predicted("skeletons", 99.0, sample, ((0, 10, 0.9), (50, 60, 0.5), (20, 30, 0.1)), 0.9, "")
    assert score([told])["all"]["found"] == 0.5  # the third span is one too many


def test_absence_is_a_ranking_of_what_happens_before_what_does_not():
    told = [moment((0, 10), (0, 10), 0.9), moment((0, 9), (0, 9), 0.3), moment(None, (0, 9), 0.5, true=False)]
    assert score(told)["skeletons"]["absence_auroc"] == 0.5
    assert "absence_auroc" not in score(told[:2])["all"]


def test_answers_in_words_are_right_whatever_their_case_and_full_stop():
    told = [
        answered("counting", "3", "3"),
        answered("counting", "3", "2"),
        answered("order", "A dog barks.", "a dog barks"),
        answered("presence", "No", "No.", is_present=False),
        answered("choice", "Best option:(B) b", "Best option:(B) b", choices=("a", "b"), correct=1),
        answered("choice", "(A) a", "b", choices=("a", "b", "c", "d"), correct=0),
    ]
    scores = score(told)["composed"]
    assert (scores["counting"], scores["order"], scores["presence"], scores["choice"]) == (0.5, 1, 1, 0.5)
    assert scores["choice_chance"] == pytest.approx(0.375)


def test_an_answer_that_was_judged_counts_whatever_was_written():
    told = [
        answered("counting", "3", "4", "3"),
        answered("order", "A dog barks.", "a cat sleeps", "a dog barks"),
        answered("presence", "No", "Yes", "No", is_present=False),
        answered("choice", "(B) b", "(A) a", "(B) b", choices=("a", "b"), correct=1),
    ]
    scores = score(told)["composed"]
    assert (scores["counting"], scores["order"], scores["presence"], scores["choice"]) == (1, 1, 1, 1)


def test_what_comes_next_is_guessed_by_chance_as_often_as_there_are_few_wrong_answers():
    told = [
        answered("what_next", "A dog barks.", "a dog barks", wrong=("A cat sleeps.",)),
        answered("what_next", "A dog barks.", "a car stops", wrong=("A cat sleeps.", "A car stops.", "A cup falls.")),
    ]
    scores = score(told)["all"]
    assert scores["what_next"] == 0.5 and scores["what_next_chance"] == pytest.approx((1 / 2 + 1 / 4) / 2)
    assert "what_next_chance" not in score([answered("counting", "3", "3")])["all"]


@pytest.mark.parametrize(
    ("text", "is_right"),
    [
        ("A dog barks", True),
        ("a poodle is barking", True),  # another way to say it
        ("A dog", True),  # cut off, and still nearer to what is true
        ("A cat sleeps.", False),
        ("<t0> <t99>", False),
    ],
)
def test_what_happens_may_be_said_in_any_way_that_is_nearer_to_the_truth_than_to_what_is_wrong(text, is_right):
    told = answered("order", "A dog barks.", text, right=("A poodle barks.",), wrong=("A cat sleeps.", "A car stops."))
    assert score([told])["all"]["order"] == is_right


def test_the_order_of_what_is_told_counts():
    right, wrong = "A dog barks, then a cat sleeps.", "A cat sleeps, then a dog barks."
    for text in (right, wrong):
        told = answered("order", right, text, wrong=(wrong,))
        assert score([told])["all"]["order"] == (text == right)


@pytest.mark.parametrize("codec", [LitaTimeTokens(), TextTimes(), VtgLlmTimeTokens()])
def test_spans_are_read_as_the_codec_writes_them_among_other_words(codec):
    text = f"{codec.encode_spans([Span(11.0, 22.0)], 99.0)} A dog barks. {codec.encode_spans([Span(30.0, 33.0)], 99.0)}"
    first, second = spans_told(text, 99.0, codec)
    assert (first, second) == (pytest.approx((11, 22)), pytest.approx((30, 33)))
    assert spans_told("no times", 99.0, codec) == []


def test_predictions_are_read_as_they_were_kept(tmp_path):
    choice = answered("choice", "(A) a", "(A)", "(B) b", choices=("a", "b"), correct=0, wrong=("b",))
    told = [moment((0, 10), (0, 10)), choice]
    keep(iter(told), tmp_path / "held_out.jsonl")
    assert read(tmp_path / "held_out.jsonl") == told


def test_the_table_has_a_column_for_each_source():
    header, *lines = table(score([moment((0, 10), (0, 10)), answered("counting", "3", "2")])).splitlines()
    assert header.split() == ["composed", "skeletons", "all"]
    assert next(line for line in lines if line.startswith("R@1 .5")).split()[-3:] == ["-", "100.0", "100.0"]
    assert next(line for line in lines if line.startswith("counting")).split() == ["counting", "0.0", "-", "0.0"]
