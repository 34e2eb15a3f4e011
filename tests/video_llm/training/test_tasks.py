from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tvu.temporal.spans import iou
from tvu.temporal.time_tokens.lita import LitaTimeTokens
from tvu.temporal.time_tokens.text_times import TextTimes
from tvu.temporal.time_tokens.vtg_llm import VtgLlmTimeTokens
from tvu.temporal.types import Span
from tvu.video_llm import questions
from tvu.video_llm.benchmarks.matching import option_told
from tvu.video_llm.benchmarks.put_in_words import multiple_choice_in
from tvu.video_llm.training import quiz
from tvu.video_llm.training.paraphrase import EVENTS, as_pattern, vocabulary
from tvu.video_llm.training.phrasings import as_typed, expanded, filled, noun_of, patterns, phrasings
from tvu.video_llm.training.scenes import Event, Scene, Wording
from tvu.video_llm.training.story import Story
from tvu.video_llm.training.tasks import KINDS, NOT_THERE, Kind, Sample, draw_sample

LITA = LitaTimeTokens()


def shown(thing: str) -> Wording:
    return Wording(thing, "be", "is", "being", "shown")


def does(thing: str, verb: str, rest: str = "") -> Wording:
    return Wording(thing, verb, f"{verb}s", f"{verb}ing", rest)


CAT = Event(Span(0.0, 2.2), (shown("a cat"), shown("a kitten")), "cat", "shown")
DOG = Event(Span(3.0, 4.5), (does("a dog", "turn", "to the left"),), "dog", "moves", {"direction": "to the left"})
JUMP = Event(Span(5.0, 5.6), (does("a frog", "jump"),), "jump", "jumps")
HOP = Event(Span(6.0, 6.6), (does("the frog", "hop"),), "jump", "jumps")  # the same key: the same words are true of it
BALL = Event(Span(8.0, 13.0), (does("a red ball", "roll"),), "ball", "moves", {"color": "red"})
ABSENT = (does("a dog", "turn", "to the right"), does("a blue ball", "roll"), shown("a castle"))
SCENE = Scene(16.0, (CAT, DOG, JUMP, HOP, BALL), ABSENT)


def drawn(kind: Kind, count: int, scene: Scene = SCENE, codec=LITA, split="train") -> list[Sample]:
    rng = np.random.default_rng(0)
    return [draw_sample(rng, scene, codec, split, {kind: 1.0}) for _ in range(count)]


def truths(sample: Sample) -> list[Span]:
    """The spans of whichever events the question names."""
    told = sample.question.lower()
    named = [event for event in SCENE.events for w in event.wordings if w.statement in told or noun_of(w) in told]
    return [event.span for event in SCENE.events if event.key in {each.key for each in named}]


def test_every_kind_of_task_can_be_asked_of_a_scene_that_has_it_all():
    for kind in KINDS:
        assert {sample.kind for sample in drawn(kind, 30)} == {kind}


def test_all_kinds_are_drawn_as_often_as_their_weights_say():
    rng = np.random.default_rng(1)
    kinds = Counter(draw_sample(rng, SCENE, LITA, "train", {"moment": 3, "order": 1}).kind for _ in range(400))
    assert 250 < kinds["moment"] < 350 and kinds["moment"] + kinds["order"] == 400


def test_the_same_seed_asks_the_same():
    first, second = ([draw_sample(np.random.default_rng(s), SCENE, LITA, "train") for s in range(40)] for _ in "ab")
    assert first == second


@pytest.mark.parametrize("codec", [LITA, TextTimes(), VtgLlmTimeTokens()])
def test_a_moment_is_answered_with_its_span_as_the_codec_writes_it(codec):
    for sample in drawn("moment", 60, codec=codec):
        (span,) = sample.spans
        assert sample.is_present
        assert sample.answer == codec.encode_spans([span], SCENE.seconds)
        (read,) = codec.decode_spans(sample.answer, SCENE.seconds)
        assert iou(read, span) > 0.7


def test_what_happens_again_under_other_words_of_the_same_key_is_told_every_time():
    scene = replace(SCENE, events=(JUMP, HOP))
    for sample in drawn("moments", 60, scene):
        assert sample.spans == (JUMP.span, HOP.span)
        assert len(LITA.decode_spans(sample.answer, 16.0)) in (1, 2)  # 1 where one was asked for: any of them
    assert not any(sample.kind == "moment" and len(sample.spans) > 1 for sample in drawn("moment", 60))


def test_things_that_share_some_words_share_the_answers_to_these():
    animal = shown("an animal")
    cat, dog = (Event(span, (animal,), key, "shown") for span, key in ((Span(0, 2), "cat"), (Span(4, 6), "dog")))
    assert {sample.spans for sample in drawn("moments", 20, Scene(8.0, (cat, dog)))} == {(cat.span, dog.span)}


def test_what_overlaps_is_one_moment_and_what_touches_is_two():
    animal = (shown("an animal"),)
    spans = [Span(0, 2), Span(1, 3), Span(3, 4)]
    story = Story(Scene(8.0, tuple(Event(span, animal, "a", "shown") for span in spans)), np.random.default_rng(0))
    assert story.spans(animal[0]) == (Span(0, 3), Span(3, 4))


def test_what_is_absent_is_asked_for_in_the_same_words_and_said_to_be_absent():
    samples = drawn("absent", 300)
    assert {(sample.answer, sample.spans, sample.is_present) for sample in samples} == {(NOT_THERE, (), False)}
    openings = Counter(" ".join(sample.question.split()[:2]).lower() for sample in samples)
    present = Counter(" ".join(sample.question.split()[:2]).lower() for sample in drawn("moment", 300))
    assert set(openings.most_common(1)[0]) & set(present.most_common(1)[0])  # `when does` both times


def test_near_misses_are_asked_for_more_often_than_far_ones():
    told = [sample.question.lower() for sample in drawn("absent", 300)]
    asked = {w.subject: sum(noun_of(w) in each or w.statement in each for each in told) for w in ABSENT}
    assert asked["a dog"] > 1.4 * asked["a castle"]


def test_presence_is_yes_as_often_as_no():
    samples = drawn("presence", 400)
    yes = sum(sample.answer == questions.YES for sample in samples)
    assert 160 < yes < 240
    assert all((sample.answer == questions.YES) == bool(sample.spans) == sample.is_present for sample in samples)


def test_questions_of_tvu_itself_are_among_the_questions():
    asked = {
        "moment": questions.moment_question,
        "moments": questions.moments_question,
        "presence": questions.presence_question,
        "highlights": questions.highlights_request,
    }
    for kind, put in asked.items():
        before, after = put("X").split("X")
        assert any(sample.question.startswith(before) and sample.question.endswith(after) for sample in drawn(kind, 80))
    assert any(sample.question == questions.captions_request() for sample in drawn("caption", 30))
    evidence, answerable = (
        put("X").split("X")[0] for put in (questions.evidence_question, questions.answerable_question)
    )
    assert any(sample.question.startswith(evidence) for sample in drawn("moment", 200))
    assert any(sample.question.startswith(answerable) for sample in drawn("presence", 200))


def test_captions_tell_every_event_in_order_with_its_times():
    for sample in drawn("caption", 30):
        told = sample.answer.replace("\n", " ").split("<t")[1:]
        assert len(told) == 2 * len(SCENE.events)
        assert sample.spans == tuple(event.span for event in SCENE.events)


def test_order_is_answered_by_what_comes_first_and_what_comes_last():
    for sample in drawn("order", 200):
        if sample.answer in (questions.YES, questions.NO):
            first, second = sorted(sample.spans)
            assert first.end_seconds <= second.start_seconds
        elif len(sample.spans) == 3:
            assert sample.answer.lower().count(", then ") == 2 and list(sample.spans) == sorted(sample.spans)


def test_counts_count_every_time_and_nothing_as_zero():
    counts = Counter(int(sample.answer) for sample in drawn("counting", 200))
    assert all(int(sample.answer) == len(sample.spans) for sample in drawn("counting", 200))
    assert set(counts) == {0, 1, 2}


def test_two_things_at_the_same_time_have_no_order_and_no_number():
    words = (does("a dog", "bark"),)
    pair = (Event(Span(1, 4), words, "bark", "barks"), Event(Span(2, 5), words, "bark", "barks"))
    for kind in ("order", "counting", "what_next"):
        with pytest.raises(ValueError, match="nothing of what is wanted"):
            drawn(kind, 1, Scene(8.0, pair))


def test_a_multiple_choice_has_one_right_option_and_is_understood_by_our_own_reader():
    for sample in drawn("choice", 300):
        assert 2 <= len(sample.choices) == len(set(sample.choices)) <= 5
        found = multiple_choice_in(sample.question)
        assert found is not None and found.options == sample.choices
        assert option_told(sample.answer, sample.choices) == sample.correct


def test_the_right_option_stands_anywhere():
    places = Counter(sample.correct for sample in drawn("choice", 600) if len(sample.choices) == 4)
    assert len(places) == 4 and max(places.values()) < 2 * min(places.values())


def test_every_sort_of_quiz_has_a_true_answer_that_is_none_of_its_wrong_ones():
    rng, words = np.random.default_rng(0), phrasings("train")
    facts = {
        quiz.fact: {"To the left.", "Red."},
        quiz.localisation: {"at the beginning", "in the middle", "at the end"},
    }
    for make, _ in quiz.MAKERS:
        found = [each for _ in range(60) if (each := make(Story(SCENE, rng), words))]
        assert all(each.answer not in each.wrong and each.wrong for each in found)
        assert make in (quiz.scene_change, quiz.how_many) or found
        if make in facts:
            assert {each.answer for each in found} <= facts[make]


def test_a_fact_that_two_things_of_the_same_words_have_differently_is_not_asked_for():
    right = replace(DOG, span=Span(5.0, 6.0), facts={"direction": "to the right"}, key="other",
                    wordings=(does("a dog", "turn", "to the right"),))  # fmt: skip
    story = Story(Scene(8.0, (DOG, right)), np.random.default_rng(0))
    assert quiz.fact(story, phrasings("train")) is None


def test_how_many_is_read_off_the_subject():
    balls = Event(
        Span(0, 4), (Wording("three red balls", "be", "are", "being", "shown"),), "b", "shown", {"count": "three"}
    )
    found = quiz.how_many(Story(Scene(8.0, (balls,)), np.random.default_rng(0)), phrasings("train"))
    assert found is not None and found.answer == "3" and "three" not in found.question.lower()


def test_a_scene_change_is_told_from_and_to():
    scene = Scene(9.0, (CAT, Event(Span(2.2, 9.0), (shown("a house"),), "house", "shown")))
    found = quiz.scene_change(Story(scene, np.random.default_rng(0)), phrasings("train"))
    assert found is not None and found.answer == "From a cat to a house." and found.wrong == ("From a house to a cat.",)


def test_held_out_phrasings_are_never_trained_on():
    for section, lines in patterns_of_file().items():
        held_out = {each for mark, line in lines if mark == "~" for each in expanded(line)}
        trained = phrasings("train")[section]
        assert held_out and held_out.isdisjoint({*trained.common, *trained.others, *trained.paraphrased})
        assert set(phrasings("held-out")[section].others) == held_out


def patterns_of_file():
    from importlib.resources import files

    return patterns((files("tvu.video_llm.training") / "phrasings.txt").read_text("utf-8"))


def test_there_are_many_ways_to_ask_and_all_of_them_can_be_filled():
    for split, least in (("train", 60), ("held-out", 3)):
        for section in ("moment", "moments", "presence", "highlights", "counting", "captions"):
            told = phrasings(split)[section]
            assert len({*told.common, *told.others}) >= least
            for form in {*told.common, *told.others, *told.paraphrased}:
                asked = filled(form, ABSENT[0])
                assert "{" not in asked and ("a dog" in asked or section == "captions")


def test_what_people_type_keeps_its_words_but_for_a_slip():
    rng = np.random.default_rng(0)
    typed = {as_typed(rng, "when does the puppy bark at <t12> in {start}?") for _ in range(300)}
    assert {"When does the puppy bark at <t12> in {start}?", "when does the puppy bark at <t12> in {start}"} <= typed
    assert len(typed) > 4 and all("<t12>" in each and "{start}" in each for each in typed)


def test_nobody_is_not_looked_for_as_a_thing():
    assert noun_of(Wording("nobody", "be", "is", "being", "in sight")) == "nobody being in sight"
    assert noun_of(Wording("a dog", "be", "is", "being", "in sight")) == "a dog"
    assert noun_of(Wording("a dog", "be", "is", "being", "in the kitchen")) == "a dog in the kitchen"


@pytest.mark.parametrize(
    ("line", "pattern"),
    [
        ("When can we see a woman opening the wooden box?", "When can we see {noun}?"),
        ("Show when a woman opens the wooden box.", "Show when {statement}."),
        ("When does a man open the wooden box?", None),  # another event
        ("When does a woman open the wooden box in the park?", None),  # more than was said
        ("a woman opening the wooden box, a woman opening the wooden box", None),
        ("When is a woman opening the wooden box not seen?", None),
        ("When is a woman opening the wooden box after 3 seconds?", None),
        ("Find a woman opening the wooden box.", None),  # one of those shown
        ("Show me me a woman opening the wooden box.", None),
        ("How a woman opens the wooden box?", None),
    ],
)
def test_a_paraphrase_is_kept_only_if_it_asks_the_same_of_the_same_event(line, pattern):
    shown_to_the_model = ["Find {noun}.", "the moment when {statement}"]
    assert as_pattern(line, EVENTS[0], shown_to_the_model, vocabulary([("", "Find {noun}.")])) == pattern


def test_a_scene_without_anything_allows_no_moment():
    with pytest.raises(ValueError, match="nothing of what is wanted"):
        drawn("moment", 1, Scene(4.0, ()))
    with pytest.raises(ValueError, match="no tasks but"):
        draw_sample(np.random.default_rng(0), SCENE, LITA, "train", {"riddle": 1.0})
