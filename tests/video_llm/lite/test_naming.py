"""What is told of a video by name: hedged names of shots, and what bodies do."""

import numpy as np
import pytest

from tvu.temporal.types import Span
from tvu.video_llm.captions import Captioned
from tvu.video_llm.lite import naming
from tvu.video_llm.lite.naming import Looks, deeds_in, joined, name_of, statements, things_in
from tvu.video_llm.training.motion_list import BY_NAME
from tvu.video_llm.training.words import class_words, members_of_kinds


def chances(**named: float) -> np.ndarray:
    """Of the 1000 classes, those named by their first names; `_` is a blank."""
    found = np.zeros(1000, np.float32)
    index = {words.names[0]: i for i, words in enumerate(class_words())}
    for name, chance in named.items():
        found[index[name.replace("_", " ")]] = chance
    return found


def looks(*shots: tuple[float, np.ndarray], body: tuple[float, float] = (0.0, 10.0)) -> Looks:
    """Shots by their ends, from 0 s on; a body is seen from `body[0]` to `body[1]`."""
    starts = np.arange(0, shots[-1][0], 0.25)
    return Looks(
        np.array([0.0, *(end for end, _ in shots)]),
        np.stack([chance for _, chance in shots]),
        (starts >= body[0]) & (starts < body[1]),
        starts,
    )


NOTHING = chances()


# --- names ---


def test_the_name_is_the_one_that_says_most_among_those_that_are_likelier_than_not():
    assert name_of(chances(tiger=0.6, lion=0.3)) == ("a tiger", pytest.approx(0.6))
    assert name_of(chances(tiger=0.4, lion=0.4)) == ("a big cat", pytest.approx(0.8))
    assert name_of(chances(Labrador_retriever=0.3, beagle=0.3, tabby=0.3)) == ("a hunting dog", pytest.approx(0.6))
    assert name_of(chances(tiger=0.3, acoustic_guitar=0.3, strawberry=0.3)) is None
    assert name_of(NOTHING) is None


def test_of_names_that_say_as_much_a_class_comes_before_a_kind_and_none_is_surer_than_sure():
    assert name_of(chances(king_penguin=0.9)) == ("a king penguin", pytest.approx(0.9))
    assert name_of(chances(tiger=1.5)) == ("a tiger", 1.0)


def test_two_classes_of_one_name_have_it_together():
    cranes = [i for i, words in enumerate(class_words()) if words.names[0] == "crane"]
    both = np.zeros(1000, np.float32)
    both[cranes] = 0.3
    assert len(cranes) == 2 and name_of(both) == ("a crane", pytest.approx(0.6))


def test_every_class_has_a_name_by_itself():
    for index in range(0, 1000, 37):
        one = np.zeros(1000, np.float32)
        one[index] = 1.0
        named = name_of(one)
        assert named is not None and named[1] == 1.0


def test_neighbouring_shots_that_show_the_same_are_one_as_likely_as_their_mean():
    tiger, sure = chances(tiger=0.6), chances(tiger=0.9)
    told = things_in(looks((2.0, tiger), (4.0, sure), (5.0, NOTHING), (10.0, tiger)))
    assert [(each.span, each.text) for each in told] == [(Span(0, 4), "a tiger"), (Span(5, 10), "a tiger")]
    assert told[0].score == pytest.approx(0.75)


def test_parts_of_windows_are_put_together_to_the_whole():
    whole = looks((3.0, chances(tiger=0.6)), (7.0, NOTHING), (10.0, chances(lion=0.7)), body=(2, 8))
    parts = [whole.part(Span(start, end)) for start, end in ((0, 1), (1, 4), (4, 10))]
    assert [part.edges.tolist() for part in parts] == [[0, 1], [1, 3, 4], [4, 7, 10]]
    again = Looks.joined(parts)
    assert again.has_body.tolist() == whole.has_body.tolist() and again.starts.tolist() == whole.starts.tolist()
    assert things_in(again) == things_in(whole)


def test_a_body_has_to_be_seen_for_a_second_or_so():
    for body, may in (((2, 4), True), ((2, 2.75), True), ((2, 2.5), False), ((20, 30), False)):
        assert looks((10.0, NOTHING), body=body).may_show_deeds == may
    assert looks((0.5, NOTHING)).may_show_deeds and not looks((0.5, NOTHING), body=(2, 3)).may_show_deeds


def test_what_goes_on_over_a_border_is_joined_and_what_is_apart_is_not():
    first, next_, apart = (Captioned(Span(a, b), "a tiger", 0.6) for a, b in ((0, 2), (2, 3), (4, 5)))
    assert [each.span for each in joined([first, next_, apart])] == [Span(0, 3), Span(4, 5)]
    other = Captioned(Span(2, 3), "a lion", 0.6)
    assert joined([first, other]) == [first, other] and joined([]) == []


# --- deeds ---


def found(**spans: tuple[float, float, float]) -> list[list[tuple[float, float, float]]]:
    """What a head tells: of movements by name one span each, of all others none."""
    names = [name for names in naming.DEEDS.values() for name in names]
    told = {name.replace("_", " "): span for name, span in spans.items()}
    assert set(told) <= set(names)
    return [[told[name]] if name in told else [] for name in names]


def test_every_deed_is_a_movement_that_was_taught_and_stands_in_one_line():
    names = [name for names in naming.DEEDS.values() for name in names]
    assert set(names) <= set(BY_NAME) and len(set(names)) == len(names) == len(statements())
    asked = dict(zip(names, statements(), strict=True))
    assert asked["drink"] == ("somebody drinks", "somebody holds a hand to their face")
    assert asked["plank"] == ("somebody does a plank", "somebody is on hands and feet")


def test_what_looks_alike_is_told_as_what_it_has_in_common():
    told = deeds_in(looks((10.0, NOTHING)), found(drink=(1, 3, 0.9), phone=(1, 3.2, 0.95), wave=(5, 7, 0.9)))
    assert [(each.span, each.text) for each in told] == [
        (Span(1, 3.2), "somebody holds a hand to their face"),
        (Span(5, 7), "somebody raises a hand"),
    ]
    assert told[0].score == pytest.approx(naming.TRUST * 0.95)


def test_a_deed_that_goes_on_soon_is_one():
    told = deeds_in(looks((10.0, NOTHING)), found(bow=(0, 2, 0.9), squat=(2.3, 4, 0.95), dig=(6, 8, 0.9)))
    assert [each.span for each in told] == [Span(0, 4), Span(6, 8)]
    assert told[0].score == pytest.approx(naming.TRUST * 0.95)


def test_what_no_body_does_is_not_told():
    told = found(wave=(1, 3, 0.9))
    assert deeds_in(looks((10.0, NOTHING), body=(0, 2.6)), told)
    assert not deeds_in(looks((10.0, NOTHING), body=(0, 2)), told)
    assert not deeds_in(looks((10.0, NOTHING), body=(5, 9)), told)


def test_what_an_animal_does_is_not_told_of_somebody():
    told = found(wave=(1, 4, 0.9))
    bird, dog = chances(king_penguin=0.95), chances(beagle=0.7)
    assert not deeds_in(looks((10.0, bird)), told)
    assert deeds_in(looks((10.0, dog)), told)  # somebody may be with it
    longer = found(wave=(0, 3.5, 0.9))
    assert not deeds_in(looks((3.0, bird), (10.0, NOTHING), body=(0, 3)), longer)  # the body is in its shot


def test_unlikely_deeds_are_not_told_and_none_goes_on_after_the_end():
    told = found(wave=(1, 3, naming.SURE - 0.01), bow=(7, 10.2, 0.9))
    assert [each.span for each in deeds_in(looks((10.0, NOTHING)), told)] == [Span(7, 10)]


# --- what is looked at ---


def test_a_shot_lies_between_two_edges():
    with pytest.raises(ValueError, match="two edges"):
        Looks(np.array([0.0, 1.0]), np.zeros((2, 1000), np.float32), np.zeros(4, np.bool_), np.arange(4) / 4)


def test_how_much_of_a_span_shows_a_body_and_an_animal():
    seen = looks((4.0, chances(tiger=0.8)), (10.0, NOTHING), body=(2, 6))
    assert seen.body_share(Span(2, 6)) == 1.0 and seen.body_share(Span(0, 4)) == pytest.approx(0.5)
    assert seen.animal_chance(Span(2, 6)) == pytest.approx(0.4) and seen.animal_chance(Span(7, 9)) == 0.0
    assert 1 < len(members_of_kinds()["animal"]) < 1000
