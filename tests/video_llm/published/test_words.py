"""Tokenizers from `tokenizer.model`, without the library that wrote it."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken

from tests.video_llm.published.checkpoints import LETTERS, pieces, write_vocabulary
from tvu.video_llm.published.words import ids_of, llama_tokenizer, read_pieces
from tvu.video_llm.runtime import bytes_in
from tvu.weights.errors import WeightsError

MARK = AddedToken("<x>", normalized=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("words")
    write_vocabulary(folder / "tokenizer.model")
    return folder


def test_the_vocabulary_is_read_as_it_was_written(folder: Path) -> None:
    read = [(piece.text, piece.score, piece.kind) for piece in read_pieces(folder / "tokenizer.model")]
    assert read == pieces()


def by_sentencepiece(text: str) -> list[str]:
    """What sentencepiece does: the neighbours whose joint has the best score become one, leftmost first."""
    scores = {text: score for text, score, kind in pieces() if kind == 1}
    symbols = list("▁" + text.replace(" ", "▁")) if text else []
    while True:
        joints = [(scores[a + b], -at) for at, (a, b) in enumerate(pairwise(symbols)) if a + b in scores]
        if not joints:
            break
        at = -max(joints)[1]
        symbols[at : at + 2] = [symbols[at] + symbols[at + 1]]
    out: list[str] = []
    for symbol in symbols:
        out += [symbol] if symbol in scores else [f"<0x{byte:02X}>" for byte in symbol.encode()]
    return out


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=LETTERS.replace("▁", " ") + "é漢\n", max_size=30))
def test_text_is_cut_as_sentencepiece_cuts_it(folder: Path, text: str) -> None:
    if any(mark in text for mark in ("<s>", "</s>", "<unk>")):
        return
    tokenizer = llama_tokenizer(folder)
    assert tokenizer.convert_ids_to_tokens(ids_of(tokenizer, text)) == by_sentencepiece(text)
    assert tokenizer.decode(ids_of(tokenizer, text), clean_up_tokenization_spaces=False) == text


def test_text_after_an_added_token_begins_anew_or_goes_on(folder: Path) -> None:
    told = {}
    for legacy in (True, False):
        tokenizer = llama_tokenizer(folder, [MARK], legacy=legacy)
        told[legacy] = tokenizer.convert_ids_to_tokens(ids_of(tokenizer, "at<x>man"))
    assert told == {True: ["▁at", "<x>", "▁man"], False: ["▁at", "<x>", "man"]}


def test_the_folder_says_which(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes((folder / "tokenizer.model").read_bytes())
    (tmp_path / "tokenizer_config.json").write_text('{"legacy": false}')
    tokenizer = llama_tokenizer(tmp_path, [MARK])
    assert tokenizer.convert_ids_to_tokens(ids_of(tokenizer, "at<x>man"))[-1] == "man"


def test_a_tokenizer_json_does_as_well(folder: Path, tmp_path: Path) -> None:
    before = llama_tokenizer(folder)
    before.backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert ids_of(llama_tokenizer(tmp_path), "A man at 3.") == ids_of(before, "A man at 3.")


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x0a\xff\xff", b"\x0a\x05\x0a\x03abc"])
def test_what_is_no_vocabulary_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tokenizer.model").write_bytes(content)
    with pytest.raises(WeightsError, match=r"tokenizer\.model"):
        llama_tokenizer(tmp_path)


def test_a_vocabulary_of_another_kind_is_told(tmp_path: Path) -> None:
    write_vocabulary(tmp_path / "tokenizer.model", kind=1)
    with pytest.raises(WeightsError, match="another kind of vocabulary than BPE"):
        llama_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("text", "size"), [("24GB", 24 * 10**9), ("1.5 GiB", 3 * 2**29), ("800m", 8 * 10**8), (" 12 ", 12), ("3kb", 3000)]
)
def test_amounts_of_memory_are_read(text: str, size: int) -> None:
    assert bytes_in(text) == size
