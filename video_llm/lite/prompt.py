"""What SmolLM2 reads: the question, the video, and the answer, in the form of its chats."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.time_tokens.codec import TimeCodec
from tvu.video_llm.lite.content import clauses_of
from tvu.video_llm.lite.found import CLAUSE_PLACES, are_told, found_places

Ids = NDArray[np.int64]

TURN, END = "<|im_start|>", "<|im_end|>"


class LiteTokenizer:
    """SmolLM2's tokenizer, with the time tokens of a codec and two marks around a video after its own words.

    Raises ValueError if the file holds another number of words than `known_tokens`.
    """

    def __init__(self, tokenizer_json: Path, codec: TimeCodec, known_tokens: int) -> None:
        from tokenizers import AddedToken, Tokenizer

        self._tokenizer: Any = Tokenizer.from_file(str(tokenizer_json))
        known = self._tokenizer.get_vocab_size(with_added_tokens=True)
        if known != known_tokens:
            raise ValueError(f"the tokenizer knows {known} words, not {known_tokens}")
        self._tokenizer.add_tokens([AddedToken(token, normalized=False) for token in codec.added_tokens])
        self.video_start = known + len(codec.added_tokens)
        self.video_end = self.video_start + 1
        self.found = found_places(codec)
        self.tells_clauses = are_told(codec)
        self.place = known - 1  # stands at visual places, where ids mean nothing
        end = self._tokenizer.token_to_id(END)
        if end is None:
            raise ValueError(f"the tokenizer knows no {END}")
        self.end: int = end
        self._before = self.encode(f"{TURN}user\n")
        self._after = self.encode(f"{END}\n{TURN}assistant\n")

    def encode(self, text: str) -> list[int]:
        """Ids of a text, marks of turns and times among it."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """The same of many."""
        return [each.ids for each in self._tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, times among it, marks of turns left out."""
        plain = [i for i in ids if i < self.video_start and i != self.end]
        return self._tokenizer.decode(plain, skip_special_tokens=False)

    def prompt(self, question: Sequence[int | None], num_visual: int) -> tuple[list[int], list[bool]]:
        """Ids of a whole prompt about a video of `num_visual` tokens, which `found` places follow for what is found in
        it, and whether each place is filled with what is no word; `None` in a question is such a place too."""
        ids: list[int | None] = [*self._before, *question, self._newline, self.video_start]
        ids += [None] * (num_visual + self.found)
        ids += [self.video_end, *self._after]
        return [self.place if i is None else i for i in ids], [i is None for i in ids]

    @property
    def _newline(self) -> int:
        return self._before[-1]


def class_name_ids(classes_json: Path, tokenizer_json: Path) -> list[list[int]]:
    """Ids of the name of each class, as it stands inside a sentence."""
    from tokenizers import Tokenizer

    names = json.loads(classes_json.read_text("utf-8"))
    tokenizer: Any = Tokenizer.from_file(str(tokenizer_json))
    told = [f" {name.split(',')[0].strip()}" for name in names]
    return [each.ids for each in tokenizer.encode_batch(told, add_special_tokens=False)]


@dataclass(frozen=True)
class Sequences:
    """What `reading` needs, on the CPU: see `lite.model.Reading` for the fields, all of them numpy here.

    clauses: the words of what the questions name, one question after the other.
    """

    ids: Ids
    is_visual: NDArray[np.bool_]
    video: Ids
    answers: NDArray[np.bool_]
    last_asked: Ids
    clause_of: Ids
    clauses: tuple[str, ...]


def sequences(
    tokenizer: LiteTokenizer,
    asked: Sequence[tuple[int, str, str]],
    num_visual: Sequence[int],
    *,
    tells_clauses: bool = True,
) -> Sequences:
    """Sequences of (video, question, answer) about videos of `num_visual` tokens each, padded on the right.

    An empty answer is one that is yet to be written: the sequence ends with the prompt.
    tells_clauses: whether places are kept for what is found of each thing that a question names.
    """
    told = [question.strip() for _, question, _ in asked]
    tells_clauses = tells_clauses and tokenizer.tells_clauses
    clauses = [clauses_of(question) if tells_clauses else () for question in told]
    ends = [[0, *(clause.end for clause in some), len(text)] for text, some in zip(told, clauses, strict=True)]
    pieces = [text[a:b] for text, places in zip(told, ends, strict=True) for a, b in pairwise(places)]
    encoded = iter(tokenizer.encode_all([*pieces, *(answer for _, _, answer in asked)]))
    questions = [_filled([next(encoded) for _ in pairwise(places)]) for places in ends]
    rows, visual, written, last = [], [], [], []
    for (video, _, answer), question in zip(asked, questions, strict=True):
        prompt, is_place = tokenizer.prompt(question, num_visual[video])
        written_ids = next(encoded)
        whole = [*prompt, *written_ids, tokenizer.end] if answer else prompt
        rows.append(whole)
        visual.append(is_place)
        written.append((len(prompt), len(whole)))
        last.append(len(prompt) - 1)
    longest = max(map(len, rows))
    ids = np.full((len(rows), longest), tokenizer.end, np.int64)
    is_visual, is_answer = np.zeros((2, len(rows), longest), np.bool_)
    for row, whole in enumerate(rows):
        ids[row, : len(whole)] = whole
        is_visual[row, : len(visual[row])] = visual[row]
        is_answer[row, slice(*written[row])] = True
    return Sequences(
        ids,
        is_visual,
        np.array([video for video, _, _ in asked], np.int64),
        is_answer,
        np.array(last, np.int64),
        np.repeat(np.arange(len(clauses)), [len(some) for some in clauses]),
        tuple(clause.text for some in clauses for clause in some),
    )


def _filled(pieces: Sequence[list[int]]) -> list[int | None]:
    """The pieces of a question, and between them the places for what is found of each clause."""
    ids: list[int | None] = list(pieces[0])
    for piece in pieces[1:]:
        ids += [None] * CLAUSE_PLACES
        ids += piece
    return ids
