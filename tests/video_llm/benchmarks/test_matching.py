"""What each rule makes of an answer; the right option is `(A) Ate the medicine.`"""

import pytest

from tvu.video_llm.benchmarks.matching import (
    RULES,
    lmms_eval,
    official,
    official_hd,
    option_told,
    rule_of,
    strict,
    vlmevalkit,
)
from tvu.video_llm.benchmarks.types import AskConfig

OPTIONS = ("Ate the medicine.", "Tidied up the blanket.", "Put down the cup/glass/bottle.", "Took the box.")
TABLE = [  # strict, official, official-hd, lmms-eval (None: left out), vlmevalkit
    ("A", 1, 1, 1, 1, 1),
    ("(A)", 1, 1, 1, 1, 1),
    ("A)", 1, 1, 1, 1, 1),
    ("A.", 1, 1, 1, 1, 1),
    ("(A) Ate the medicine.", 1, 1, 1, 1, 1),
    ("(A", 1, 0, 1, 1, 1),
    ("The answer is (A)", 1, 0, 0, 1, 1),
    ("Option A", 1, 0, 0, 1, 1),
    ("**A**", 1, 0, 1, 1, 1),
    ("Answer: A", 1, 0, 1, 1, 1),
    ("Ate the medicine.", 1, 0, 1, 0, 1),
    ("I think the person ate a sandwich, so (B)", 0, 0, 0, 1, 0),
    ("", 0, 1, 0, None, 1),
    (".", 0, 1, 0, 0, 1),
    (")", 0, 0, 0, 0, 1),
    ("(", 0, 0, 0, 0, 1),
    ("AB", 0, 0, 1, 0, 0),
    ("A,B", 0, 0, 1, 1, 0),
    ("A man took the box", 0, 1, 1, 1, 1),
    ("a.)x", 0, 0, 1, 1, 0),
    ("A.x\nB", 0, 0, 1, 0, 0),  # lmms-eval reads letters with a dot in texts of one line only
    ("." * 33 + " A.B", 0, 1, 0, 1, 1),  # and drops 32 dots
    ("The answer is A, for B and C are wrong", 1, 0, 0, 1, 1),
    ("Cannot determine the answer: (A)", 1, 0, 1, 1, 0),
    ("Z, ate the medicine.", 0, 0, 0, 0, 0),
]


@pytest.mark.parametrize(("text", "ours", "notebook", "hd", "lmms", "vlm"), TABLE)
def test_every_rule_counts_as_its_script_does(text, ours, notebook, hd, lmms, vlm) -> None:
    rules = (strict, official, official_hd, lmms_eval, vlmevalkit)
    assert [rule(text, OPTIONS, 0).right for rule in rules] == [
        None if right is None else bool(right) for right in (ours, notebook, hd, lmms, vlm)
    ]


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("B) Tidied up the blanket.\n(A) is wrong since", 1),
        ("The best option is\n(C)", 2),
        ("tidied up the blanket", 1),
        ("(A) or (B)", None),
        ("(E)", None),
        ("The answer is a man", None),
        ("A person", None),
        ("Best option:(D) Took the box.", 3),
        ("d", 3),
    ],
)
def test_the_strict_rule_takes_what_is_told_beyond_doubt(text, choice) -> None:
    assert option_told(text, OPTIONS) == choice
    assert strict(text, OPTIONS, 0).is_parsed == (choice is not None)


def test_an_answer_that_fits_every_option_is_no_choice_even_where_it_counts_as_right() -> None:
    match = official("", OPTIONS, 2)
    assert (match.right, match.choice, match.is_parsed) == (True, None, False)


def test_a_letter_beyond_the_options_is_not_understood() -> None:
    assert not any(rule("(E)", OPTIONS, 0).is_parsed for rule in RULES.values())


def test_the_rule_is_that_of_the_protocol_unless_another_is_named() -> None:
    assert rule_of(AskConfig()) is strict and rule_of(AskConfig(protocol="lmms-eval")) is lmms_eval
    assert rule_of(AskConfig(protocol="official", matching="official-hd")) is official_hd
    with pytest.raises(ValueError, match="no rule"):
        rule_of(AskConfig(matching="judge"))
