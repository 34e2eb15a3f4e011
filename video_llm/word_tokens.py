"""Words to the numbers of the word2vec text tower."""

import re
from collections.abc import Sequence


class WordTokenizer:
    """Sentences to rows of a word table, as TAN and MIL-NCE count them: 1-based places in the vocabulary.

    A word is a run of letters, digits, underscores and apostrophes, in lower case. Padding and unknown words are 0.
    """

    def __init__(self, vocabulary: Sequence[str], max_words: int = 32) -> None:
        """max_words: W, how many words of a sentence count."""
        self.max_words = max_words
        self._ids = {word: i for i, word in enumerate(vocabulary, start=1)}

    def words(self, text: str) -> list[str]:
        """All words of `text`, known or not."""
        return re.findall(r"[\w']+", text.lower())

    def ids(self, text: str) -> list[int]:
        """`[W]`: ids of the first words, then zeros."""
        known = [self._ids.get(word, 0) for word in self.words(text)[: self.max_words]]
        return known + [0] * (self.max_words - len(known))
