"""Captions to words, for metrics that compare words."""

import re

_PUNCTUATION = frozenset(["''", "'", "``", "`", "--", "...", *".?!,:;-"])  # of the published list also -LRB- and its
# like, in capitals, which a tokeniser that lowers its output never writes: brackets count as words there, and here

_WORD = re.compile(
    r"\d+(?:[.,/:]\d+)*"  # 3.5, 1/2, 1,000
    r"|[^\W\d_]+?(?=n't\b)|n't\b"  # do n't
    r"|'(?:s|re|ve|ll|d|m)\b"  # it 's
    r"|[^\W_]+(?:-[^\W_]+)*"  # stir-fry
)


def plain_words(caption: str) -> str:
    """The words of a caption in lower case, separated by single blanks, without punctuation.

    Close to the Penn Treebank rules and without their long list of exceptions, so scores that are made with it are not
    to be mixed with published ones.
    """
    return " ".join(_WORD.findall(caption.replace("’", "'").lower()))


def penn_words(line: str) -> str:
    """One line of the Stanford tokeniser's lower-case output without its punctuation."""
    return " ".join(token for token in line.split(" ") if token and token not in _PUNCTUATION)


def letters_only(text: str) -> str:
    """Words of the letters a to z, all else being blank: what paragraphs are compared by."""
    return " ".join(re.sub("[^a-z]", " ", text.lower()).split())
