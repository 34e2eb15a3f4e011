"""What the language model reads, token by token."""

from pathlib import Path

import pytest

from tests.video_llm.lite.tiny_lite import KNOWN, byte_tokenizer, tiny_config
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
    ids, first = tokenizer.prompt(tokenizer.encode("When?"), 3)
    assert tokenizer.decode(ids[:first]).rstrip("\n").endswith("When?")
    assert ids[first - 1] == tokenizer.video_start and ids[first + 3 + tokenizer.found] == tokenizer.video_end
    assert tokenizer.found == 10
    assert ids[first : first + 13] == [tokenizer.place] * 13
    assert tokenizer.decode(ids[first + 14 :]) == "\n<|im_start|>assistant\n"


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
