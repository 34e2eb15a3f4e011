"""Text as it is written: in pieces that nothing takes back."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.video_llm.generation.speakers import TableModel, letters, sentencepiece, smollm2, text_prompt
from tvu.video_llm.generate import GenerateConfig, generate
from tvu.video_llm.generation.text_stream import TextStream

SENTENCES = (
    "Hello, world! It's 12.5 s.",
    "  two blanks first, one last ",
    "naïve 🙂🙂 数を数えて — done\n\n\tfin",
    "a",
)


@pytest.fixture(scope="module")
def byte_level():
    return smollm2()[1]


def streamed(tokenizer, ids, stops=()) -> tuple[list[str], TextStream]:
    stream = TextStream(tokenizer, stops)
    pieces = []
    for token in ids:
        pieces.append(stream.add(token))
        if stream.is_stopped:
            break
    return [*pieces, stream.finish()], stream


@pytest.mark.weights
@pytest.mark.parametrize("text", SENTENCES)
def test_pieces_of_byte_level_text_join_to_the_text(byte_level, text):
    ids = byte_level(text).input_ids
    pieces, stream = streamed(byte_level, ids)
    assert "".join(pieces) == stream.text == text
    assert not any("\ufffd" in piece for piece in pieces)  # no half of a character is ever told
    if len(ids) > 3:
        assert sum(map(bool, pieces)) > 1


@pytest.mark.weights
def test_special_tokens_are_not_told_and_hide_no_blank(byte_level):
    ids = [*byte_level("Yes").input_ids, byte_level.eos_token_id, *byte_level(" and no").input_ids]
    assert streamed(byte_level, ids)[1].text == "Yes and no"


SPM = sentencepiece(["▁", "▁Hello", "▁world", "ly", "▁▁", "!", "a", "▁a"])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([*range(259, 267), 1, 2, "ä"]), max_size=12))
def test_pieces_of_sentencepiece_text_join_to_the_text(written):
    ids = [i for token in written for i in ([3 + byte for byte in token.encode()] if token == "ä" else [token])]
    pieces, stream = streamed(SPM, ids)
    whole = SPM.decode(ids, skip_special_tokens=True)
    assert "".join(pieces) == stream.text == whole


def test_the_first_blank_of_sentencepiece_is_dropped_and_the_others_are_kept():
    names = ["▁Hello", "▁world", "ly", "!", "▁", "▁a"]
    pieces, _ = streamed(SPM, SPM.convert_tokens_to_ids(names))
    assert pieces == ["Hello", " world", "ly", "!", " ", " a", ""]


@pytest.mark.parametrize(
    ("stops", "text", "told"),
    [
        (("stop",), "do not stop here", "do not "),
        (("END", "not"), "do not END", "do "),
        (("xyz",), "ends with xy", "ends with xy"),
        (("aab",), "aaab", "a"),
        (("a",), "a", ""),
    ],
)
def test_an_answer_ends_before_a_text_that_ends_it_and_nothing_of_that_is_told(stops, text, told):
    tokenizer = letters()
    ids = tokenizer.convert_tokens_to_ids(list(text))
    pieces, stream = streamed(tokenizer, ids, stops)
    assert "".join(pieces) == stream.text == told
    assert stream.is_stopped == (told != text)


def test_the_first_of_two_texts_that_end_an_answer_ends_it():
    stream = TextStream(sentencepiece(["a▁b▁c"]), ("c", "b c"))
    assert stream.add(259) == ""
    assert stream.text == "a "


def test_what_may_begin_a_stop_text_is_held_back():
    tokenizer = letters()
    pieces, _ = streamed(tokenizer, tokenizer.convert_tokens_to_ids(list("ab stay")), ("stop",))
    assert pieces == ["a", "b", " ", "", "", "sta", "y", ""]


def test_every_row_streams_what_it_says():
    tokenizer = letters()
    rows = ["hello there.", "bye.", "one two"]
    ids = [tokenizer.convert_tokens_to_ids(list(row)) for row in rows]

    def logits(known):
        row = ids[known[0] - 30]
        place = len(known) - 1
        return torch.nn.functional.one_hot(torch.tensor(row[place] if place < len(row) else 0), 64).float()

    told = ["", "", ""]

    def on_text(row: int, text: str) -> None:
        told[row] += text

    said = generate(
        text_prompt([[30], [31], [32]]),
        TableModel(64, logits),
        tokenizer,
        GenerateConfig(8, stop_texts=("e.",)),
        on_text=on_text,
    )
    assert told == [g.text for g in said] == ["hello th", "by", "one two"]
    assert [g.stop for g in said] == ["length", "stop-text", "end"]
