"""CIDEr (Vedantam et al. 2015, arXiv 1411.5726): how much captions share the telling n-grams of their references."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

LENGTHS = (1, 2, 3, 4)
SIGMA = 6.0  # of the penalty on a difference in length
SCALE = 10.0

Ngram = tuple[str, ...]


def cider(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """CIDEr-D of every candidate against its own references, from 0 to 10.

    candidates: captions whose words are separated by blanks. references: at least one for each of them.

    As in pycocoevalcap: an n-gram weighs its count times log(candidates / candidates with a reference that has it), so
    the documents are those given here and a single one scores 0; counts are clipped to those of the reference; the
    length that is compared is the number of bigrams.
    Raises ValueError if there are not as many references as candidates.
    """
    if len(candidates) != len(references) or not all(references):
        raise ValueError(f"{len(candidates)} captions with {len(references)} lists of references")
    counted = [[_ngrams(reference) for reference in of_one] for of_one in references]
    found_in = Counter(ngram for of_one in counted for ngram in set().union(*of_one))
    idf = _InverseFrequency(found_in, len(candidates))
    scores = []
    for candidate, of_one in zip(candidates, counted, strict=True):
        ngrams = _ngrams(candidate)
        scores.append(SCALE * sum(_similarity(ngrams, reference, idf) for reference in of_one) / len(of_one))
    return scores


def corpus_cider(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """The mean of `cider`; 0 for no captions."""
    scores = cider(candidates, references)
    return sum(scores) / len(scores) if scores else 0.0


class _InverseFrequency:
    def __init__(self, found_in: Mapping[Ngram, int], documents: int) -> None:
        self._found_in, self._log_documents = found_in, math.log(max(1, documents))

    def __call__(self, ngram: Ngram) -> float:
        return self._log_documents - math.log(max(1, self._found_in.get(ngram, 0)))


def _ngrams(caption: str) -> Counter[Ngram]:
    words = caption.split()
    return Counter(tuple(words[i : i + n]) for n in LENGTHS for i in range(len(words) - n + 1))


def _similarity(candidate: Counter[Ngram], reference: Counter[Ngram], idf: _InverseFrequency) -> float:
    """Cosine of the weighted counts, averaged over the lengths of n-grams, times the penalty on length."""
    difference = _bigrams(candidate) - _bigrams(reference)
    penalty = math.exp(-(difference**2) / (2 * SIGMA**2))
    shared = dict.fromkeys(LENGTHS, 0.0)
    for ngram in candidate.keys() & reference.keys():
        clipped = min(candidate[ngram], reference[ngram])
        shared[len(ngram)] += clipped * reference[ngram] * idf(ngram) ** 2
    norms = _norms(candidate, idf), _norms(reference, idf)
    cosines = [shared[n] / (norms[0][n] * norms[1][n]) for n in LENGTHS if norms[0][n] and norms[1][n]]
    return penalty * sum(cosines) / len(LENGTHS)


def _bigrams(ngrams: Counter[Ngram]) -> int:
    return sum(count for ngram, count in ngrams.items() if len(ngram) == 2)


def _norms(ngrams: Counter[Ngram], idf: _InverseFrequency) -> dict[int, float]:
    squares = dict.fromkeys(LENGTHS, 0.0)
    for ngram, count in ngrams.items():
        squares[len(ngram)] += (count * idf(ngram)) ** 2
    return {n: math.sqrt(square) for n, square in squares.items()}
