"""Guesses of what a model will write next, for it to check many at once: lossless, and without a second model.

Reading one token costs a language model what reading its weights costs, and reading five costs hardly more; so a few
guesses ride along with every step, and those that the model would have written anyway are kept.
"""

from collections.abc import Sequence

MOST = 15  # guesses a step


class Drafter:
    """Guesses for one row: what followed the last tokens when they were seen before.

    A guess is what came after the longest known run of at most `longest` last tokens (prompt look-up, Saxena 2023), and
    the next guess what came after that. Runs of one token also know what the model expected after it but did not write
    (token recycling, Luo et al. 2024, arXiv 2408.08696: its first choice alone, as a chain and not as the paper's tree,
    which needs a mask of its own in every attention).

    prompt: ids that were read; below 0 where there is no token, which is never guessed.
    """

    def __init__(self, prompt: Sequence[int], longest: int = 4) -> None:
        self._longest = longest
        self._tail: tuple[int, ...] = ()
        self._next: dict[tuple[int, ...], int] = {}
        self._limit = MOST
        for token in prompt:
            self.write(token)

    def write(self, token: int) -> None:
        """`token` belongs to the row from now on."""
        if token >= 0:
            self.learn(self._tail, token)
        self._tail = (*self._tail, token)[-self._longest :]

    def learn(self, run: Sequence[int], following: int) -> None:
        """After the tokens of `run`, written or only guessed, comes `following`."""
        for start in range(max(0, len(run) - self._longest), len(run)):
            self._next[tuple(run[start:])] = following

    def judge(self, drafted: int, accepted: int) -> None:
        """So many of the last guesses were right; after wrong ones fewer are made. For machines where guesses cost."""
        if drafted:
            self._limit = accepted + 1 if accepted < drafted else min(self._limit + 2, MOST)

    def guess(self, count: int) -> list[int]:
        """At most `count` tokens that may follow."""
        guesses: list[int] = []
        run = self._tail
        while len(guesses) < min(count, self._limit) and (following := self._following(run)) is not None:
            guesses.append(following)
            run = (*run, following)[-self._longest :]
        return guesses

    def _following(self, run: tuple[int, ...]) -> int | None:
        found = (self._next.get(run[start:]) for start in range(len(run)))
        return next((following for following in found if following is not None), None)
