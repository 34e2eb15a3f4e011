import math
import stat
import time
from pathlib import Path

import numpy as np
import pytest

from tvu.video_llm.benchmarks import meteor
from tvu.video_llm.benchmarks.cider import cider, corpus_cider
from tvu.video_llm.benchmarks.meteor import JavaTools, Meteor, find_java_tools
from tvu.video_llm.benchmarks.soda import ordered_match, soda_c
from tvu.video_llm.benchmarks.tokens import letters_only, penn_words, plain_words
from tvu.video_llm.errors import BackendError


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("Chop the onions.", "chop the onions"),
        ("Don't stir, it's hot!", "do n't stir it 's hot"),
        ("Add 1/2 cup (3.5 oz) of stir-fry sauce -- then wait...", "add 1/2 cup 3.5 oz of stir-fry sauce then wait"),
        ("Crème brûlée, they’re “done”", "crème brûlée they 're done"),
        ("...", ""),
    ],
)
def test_plain_words_are_lower_case_without_punctuation(caption, words):
    assert plain_words(caption) == words


def test_punctuation_leaves_the_lines_of_the_stanford_tokeniser_and_brackets_stay():
    assert penn_words("add `` oil '' , -lrb- hot -rrb- .") == "add oil -lrb- hot -rrb-"


def test_paragraphs_are_compared_by_letters_alone():
    assert letters_only("Add 2 eggs. It's done!") == "add eggs it s done"


def test_cider_of_a_perfect_pair_counts_the_lengths_of_ngrams_that_it_has():
    assert cider(["a b", "c d"], [["a b"], ["c d"]]) == pytest.approx([5, 5])  # 1- and 2-grams of 1 to 4


def test_cider_of_half_the_words_is_the_cosine_over_four():
    assert cider(["a x", "c d"], [["a b"], ["c d"]])[0] == pytest.approx(10 * 0.5 / 4)


def test_cider_pays_for_a_difference_in_length():
    assert cider(["a", "c d"], [["a b"], ["c d"]])[0] == pytest.approx(10 / math.sqrt(2) / 4 * math.exp(-1 / 72))


def test_words_that_every_reference_has_weigh_nothing_so_one_caption_alone_scores_0():
    assert cider(["a b"], [["a b"]]) == [0]
    assert corpus_cider([], []) == 0


def test_cider_is_the_mean_over_references():
    both = cider(["a b", "c d"], [["a b", "x y"], ["c d"]])[0]
    assert both == pytest.approx(2.5)


def test_captions_match_in_order_only():
    assert ordered_match(np.array([[0.0, 0.7], [0.5, 0.0]])) == 0.7
    assert ordered_match(np.array([[0.7, 0.0], [0.0, 0.5]])) == pytest.approx(1.2)
    assert ordered_match(np.array([[0.2, 0.3, 0.0], [0.0, 0.9, 0.4]])) == pytest.approx(1.1)


def test_soda_is_the_f_of_what_matched():
    iou, similarity = np.array([[1.0, 0.5, 0.0]]), np.array([[0.4, 1.0, 1.0]])
    assert soda_c(iou, similarity) == pytest.approx(2 * 0.5 / (1 + 3))
    assert soda_c(np.zeros((2, 0)), np.zeros((2, 0))) == 0


def java(folder: Path, script: str) -> JavaTools:
    program = folder / "java"
    program.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return JavaTools(str(program), folder / "tokeniser.jar", folder / "meteor.jar")


def test_a_java_that_only_says_where_to_get_one_is_none(tmp_path, monkeypatch):
    java(tmp_path, "exit 1")
    monkeypatch.setenv("JAVA_HOME", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_java_tools() is None


@pytest.mark.parametrize("script", ["echo no memory >&2; exit 1", "cat > /dev/null; echo one line", "exit 0"])
def test_a_tokeniser_that_fails_is_an_error_that_a_user_can_read(tmp_path, script):
    with pytest.raises(BackendError, match="Stanford"):
        java(tmp_path, script).penn_words(["a caption", "another"] * 2)


def test_meteor_that_stops_tells_why(tmp_path):
    with pytest.raises(BackendError, match="no memory"), Meteor(java(tmp_path, "echo no memory >&2; read a")) as scorer:
        scorer.score_all(["a"], ["b"])


def test_meteor_that_writes_something_else_is_an_error(tmp_path):
    script = "while read -r line; do echo nonsense; echo nonsense; done"
    with pytest.raises(BackendError, match="METEOR failed"), Meteor(java(tmp_path, script)) as scorer:
        scorer.score_each(["a"], ["b"])


def test_meteor_that_hangs_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(meteor, "TIME_LIMIT", 0.2)
    started = time.monotonic()
    with pytest.raises(BackendError), Meteor(java(tmp_path, "exec sleep 60")) as scorer:
        scorer.score_all(["a"], ["b"])
    assert time.monotonic() - started < 10


def test_meteor_is_asked_for_each_pair_once(tmp_path):
    script = f'while read -r line; do echo "$line" >> {tmp_path}/asked; echo 0.5; done'
    with Meteor(java(tmp_path, script)) as scorer:
        scorer._known(["add oil", "add oil", "stir"], ["pour oil", "pour oil", "a ||| b"])
    assert (tmp_path / "asked").read_text("utf-8").splitlines() == [
        "SCORE ||| add oil ||| pour oil",
        "SCORE ||| stir ||| a b",
    ]
