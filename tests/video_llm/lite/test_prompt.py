"""What the language model reads, token by token."""

from pathlib import Path

import numpy as np
import pytest

from tests.video_llm.lite.tiny_lite import KNOWN, byte_tokenizer, tiny_config
from tvu.video_llm.lite.found import CLAUSE_PLACES
from tvu.video_llm.lite.prompt import LiteTokenizer, sequences
from tvu.video_llm.models.parts import build_codec

CODEC = build_codec(tiny_config().codec)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokens") / "tokenizer.json"
    byte_tokenizer().save(str(path))
    return path


@pytest.fixture(scope="module")
def tokenizer(path: Path) -> LiteTokenizer:
    return LiteTokenizer(path, CODEC, KNOWN)


def test_a_time_is_one_token_and_reads_back(tokenizer):
    ids = tokenizer.encode("<t3> <t19> a dog")
    assert ids[0] == KNOWN + 3 and KNOWN + 19 in ids
    assert tokenizer.decode(ids) == "<t3> <t19> a dog"


def test_the_question_comes_before_the_video(tokenizer):
    ids, is_place = tokenizer.prompt(tokenizer.encode("When?"), 3)
    first, count = is_place.index(True), 3 + tokenizer.found
    assert tokenizer.decode(ids[:first]).rstrip("\n").endswith("When?")
    assert is_place == [False] * first + [True] * count + [False] * (len(ids) - first - count)
    assert ids[first - 1] == tokenizer.video_start and ids[first + count] == tokenizer.video_end
    assert tokenizer.decode(ids[first + count + 1 :]) == "\n<|im_start|>assistant\n"


def test_what_is_found_of_each_thing_that_a_question_names_stands_behind_its_words(tokenizer):
    question = "Which is first: a dog jumps or a car stops?"
    told = sequences(tokenizer, [(0, "When?", ""), (1, question, "a dog jumps")], [2, 2])
    assert told.clauses == ("a dog jumps", "a car stops") and told.clause_of.tolist() == [1, 1]
    places, plain = told.is_visual[1], told.is_visual[0]
    assert places.sum() == plain.sum() + 2 * CLAUSE_PLACES
    words = [tokenizer.decode(told.ids[1, :n].tolist()) for n in np.flatnonzero(places & ~np.roll(places, 1))]
    assert [text.rpartition("\n")[2] for text in words[:2]] == [question[:27], question[:42]]


def test_nothing_stands_behind_the_words_of_a_query_where_it_is_not_wanted(tokenizer):
    question = "Which is first: a dog jumps or a car stops?"
    told = sequences(tokenizer, [(0, question, "")], [2], tells_clauses=False)
    assert told.clauses == () and told.is_visual.sum() == 2 + tokenizer.found


def test_rows_are_padded_on_the_right_and_only_answers_are_targets(tokenizer):
    told = sequences(tokenizer, [(0, "When?", "<t1> <t2>"), (1, "Is a long question asked?", "No")], [2, 5])
    assert told.ids.shape == told.is_visual.shape == told.answers.shape
    assert told.is_visual.sum(1).tolist() == [2 + tokenizer.found, 5 + tokenizer.found]
    for row, answer in enumerate(("<t1> <t2>", "No")):
        written = told.ids[row][told.answers[row]].tolist()
        assert written == [*tokenizer.encode(answer), tokenizer.end]
        assert told.answers[row].argmax() == told.last_asked[row] + 1


def test_an_answer_that_is_yet_to_be_written_ends_with_the_prompt(tokenizer):
    told = sequences(tokenizer, [(0, "When?", "")], [2])
    assert not told.answers.any() and told.last_asked[0] == told.ids.shape[1] - 1


def test_another_tokenizer_is_refused(path):
    with pytest.raises(ValueError, match="258 words"):
        LiteTokenizer(path, CODEC, KNOWN + 1)
