from dataclasses import replace

import pytest

from tvu.temporal.time_tokens.lita import LitaTimeTokens
from tvu.temporal.time_tokens.text_times import TextTimes
from tvu.temporal.time_tokens.vtg_llm import VtgLlmTimeTokens
from tvu.temporal.types import Span
from tvu.video_llm.training.evaluate import captions_f1, captions_told, read, score, spans_told, table
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


# --- captions ---


@pytest.mark.parametrize("codec", [LitaTimeTokens(), TextTimes(), VtgLlmTimeTokens()])
@pytest.mark.parametrize("between", ["\n", " "])
def test_a_caption_is_two_times_and_the_words_up_to_the_next_two(codec, between):
    first, second = (codec.encode_spans([Span(*span)], 99.0) for span in ((11.0, 22.0), (33.0, 66.0)))
    told = captions_told(f"Well. {first} A dog barks.{between}{second} It's a cat!", 99.0, codec)
    assert [words[-3:] for _, words in told] == [["a", "dog", "barks"], ["it's", "a", "cat"]]
    assert [span for span, _ in told] == [pytest.approx((1 / 9, 2 / 9)), pytest.approx((1 / 3, 2 / 3))]


def test_of_a_caption_the_words_are_told_and_no_times():
    told = captions_told("<t0> <t40> A dog. <t50> <t90>\nA cat sleeps.", 99.0, LitaTimeTokens())
    assert [words for _, words in told] == [["a", "dog"], ["a", "cat", "sleeps"]]
    told = captions_told("<t0> <t40> A dog barks. <t9> <t3> A cat sleeps. <t5>", 99.0, LitaTimeTokens())
    assert [words for _, words in told] == [["a", "dog", "barks"]]  # times that are no span end it too


def test_a_text_without_times_tells_no_captions():
    for text in ("", "A dog barks.", "<t3> A dog barks.", "<t9> <t3> A dog barks backwards."):
        assert captions_told(text, 99.0, LitaTimeTokens()) == []
    assert captions_told("<t0> <t99>", 99.0, LitaTimeTokens()) == [((0.0, 1.0), [])]


DOG, CAT = ((0.0, 0.4), ["a", "dog", "barks"]), ((0.5, 0.9), ["a", "cat", "sleeps"])


@pytest.mark.parametrize(
    ("told", "f1"),
    [
        ([DOG, CAT], 1.0),
        ([CAT, DOG], 1.0),
        ([DOG], 2 / 3),
        ([((0.1, 0.4), ["the", "dog", "barks"])], 2 / 3),  # half of both, and more, is right
        ([((0.0, 0.4), ["a", "fox", "jumps"])], 0.0),  # when it happens, in other words
        ([((0.0, 0.4), ["barks", "dog", "a"])], 0.0),  # and in another order
        ([((0.0, 0.4), [])], 0.0),
        ([(CAT[0], DOG[1])], 0.0),  # what happens, at another time
        ([((0.0, 0.9), DOG[1])], 0.0),
        ([DOG, DOG], 2 / 4),  # each true one once
        ([DOG, DOG, CAT, CAT], 4 / 6),
        ([], 0.0),
    ],
)
def test_a_caption_is_right_that_says_what_happens_when_it_does(told, f1):
    assert captions_f1(told, [DOG, CAT]) == pytest.approx(f1)


def test_two_captions_of_the_same_are_each_right_once():
    twice = [DOG, DOG]
    assert captions_f1([DOG], twice) == pytest.approx(2 / 3) and captions_f1(twice, twice) == 1
    assert captions_f1([], []) == 0


def test_captions_are_scored_beside_those_of_another_video():
    dog, cat = "<t0> <t40> A dog barks.", "<t50> <t90> A cat sleeps.\n<t0> <t10> A car stops."
    right = [answered("caption", text, text) for text in (dog, cat)]
    scores = score(right)["composed"]
    assert scores["captions"] == 1 and scores["captions_chance"] == 0
    same = score([answered("caption", dog, dog), answered("caption", dog, "It barks.")])["all"]  # of no time
    assert same["captions"] == 0.5 == same["captions_chance"]
    assert not {"captions", "captions_chance"} & score([answered("counting", "3", "3")])["all"].keys()


def of_source(source: str, caption: str, text: str) -> Predicted:
    return replace(answered("caption", caption, text), source=source)


def test_captions_by_chance_are_those_of_another_video_of_the_same_source():
    dog, cat = "<t0> <t40> A dog barks.", "<t50> <t90> A cat sleeps."
    # Of `composed` nothing is told of the right video, and of `skeletons` as much of the other as of this one.
    told = [
        of_source("composed", dog, cat),
        of_source("skeletons", dog, f"{dog}\n{cat}"),
        of_source("composed", cat, dog),
        of_source("skeletons", cat, f"{dog}\n{cat}"),
    ]
    scores = score(told)
    assert [scores["composed"][name] for name in ("captions", "captions_chance")] == [0, 1]
    assert scores["skeletons"]["captions"] == scores["skeletons"]["captions_chance"] == pytest.approx(2 / 3)
    assert scores["all"]["captions_chance"] == pytest.approx((1 + 2 / 3) / 2)
    assert score([told[0], told[2]])["all"] == score(told)["composed"]


def test_another_question_about_the_same_video_is_no_other_video():
    dog, cat = "<t0> <t40> A dog barks.", "<t50> <t90> A cat sleeps."
    told = [of_source("composed", each, each) for each in (dog, dog, cat)]
    assert score(told)["all"]["captions_chance"] == 0
    alone = [of_source("composed", dog, dog), of_source("skeletons", cat, cat)]  # each the only one of its source
    assert score(alone)["all"]["captions_chance"] == 1


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
