"""Guesses of what a model will write next, for it to check many at once: lossless, and without a second model.

Reading one token costs a language model what reading its weights costs, and reading five costs hardly more; so a few
guesses ride along with every step, and those that the model would have written anyway are kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass
class DraftStatistics:
    """How far guessing went. steps: forward passes; tokens: written; drafted, accepted: of the guesses."""

    steps: int = 0
    tokens: int = 0
    drafted: int = 0
    accepted: int = 0


class Drafter:
    """Guesses for one row: by looking up the last tokens in the prompt and the answer, else by token recycling.

    Prompt look-up (Saxena 2023): the longest of the last `longest` .. `shortest` tokens that was seen before says what
    followed it then. Token recycling (Luo et al. 2024, arXiv 2408.08696): what the model once expected after a token
    is expected again; here its first choice alone, as a chain and not as the paper's tree, which needs a mask of its
    own in every attention.
    """

    def __init__(self, prompt: Sequence[int], longest: int = 4, shortest: int = 2) -> None:
        self._ids = list(prompt)
        self._orders = range(longest, shortest - 1, -1)
        self._next: dict[int, int] = {}
        self._seen: dict[tuple[int, ...], int] = {}  # the place after the latest occurrence of a run of tokens
        for end in range(1, len(self._ids)):
            self._note(end)

    def write(self, token: int) -> None:
        """`token` belongs to the row from now on."""
        self._note(len(self._ids))
        self._ids.append(token)

    def learn(self, token: int, expected: int) -> None:
        """After `token`, written or only guessed, the model expected `expected` most."""
        self._next[token] = expected

    def guess(self, count: int) -> list[int]:
        """At most `count` tokens that may follow."""
        for order in self._orders:
            place = self._seen.get(tuple(self._ids[-order:]))
            if place is not None:
                return self._ids[place : place + count]
        guesses: list[int] = []
        token = self._ids[-1]
        while len(guesses) < count and (following := self._next.get(token)) is not None:
            guesses.append(following)
            token = following
        return guesses

    def _note(self, end: int) -> None:
        """The runs that end just before `end` are followed by what stands there."""
        for order in self._orders:
            if order <= end:
                self._seen[tuple(self._ids[end - order : end])] = end
