"""Tokens to text as they come: nothing is told that a later token could still change."""

from collections.abc import Sequence
from typing import Any

UNFINISHED = "\ufffd"  # what half a character detokenizes to


class TextStream:
    """The text of one answer, told in pieces.

    stop_texts: the answer ends before the first of these; a piece that may be the beginning of one is held back.
    """

    def __init__(self, tokenizer: Any, stop_texts: Sequence[str] = ()) -> None:
        self._tokenizer = tokenizer
        self._stop_texts = tuple(stop_texts)
        self._ids: list[int] = []
        self._settled = 0  # tokens whose text is final
        self._base = 0  # the token from which on the unsettled ones are detokenized: the first of a word says its blank
        self._final = ""
        self._told = 0
        self.text = ""
        self.is_stopped = False

    def add(self, token_id: int) -> str:
        """The text that can be told now; empty while a character, or a stop text, may be under way."""
        self._ids.append(token_id)
        known = self._detokenized(self._ids[self._base : self._settled])
        whole = self._detokenized(self._ids[self._base :])
        if not whole.endswith(UNFINISHED) and whole.startswith(known):
            self._final += whole[len(known) :]
            if len(whole) > len(known):  # a base without text, as a special token is, would be first of a word itself
                self._base = self._settled
            self._settled = len(self._ids)
            self.text = self._final
        else:
            self.text = self._final + whole[len(known) :]
        return self._tell()

    def finish(self) -> str:
        """What was held back."""
        piece, self._told = self.text[self._told :], len(self.text)
        return piece

    def _tell(self) -> str:
        places = [place for stop in self._stop_texts if (place := self.text.find(stop)) >= 0]
        if places:
            self.text, self.is_stopped = self.text[: min(places)], True
            return ""
        safe = len(self._final)
        for stop in self._stop_texts:
            held = next((n for n in range(min(len(stop) - 1, safe), 0, -1) if self._final.endswith(stop[:n])), 0)
            safe = min(safe, len(self._final) - held)
        piece = self._final[self._told : safe]
        self._told = max(self._told, safe)
        return piece

    def _detokenized(self, ids: Sequence[int]) -> str:
        return self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
