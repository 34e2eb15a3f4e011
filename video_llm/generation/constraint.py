"""What an answer may be, token by token."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from tvu.temporal.time_tokens.allowed import AllowedPieces, PieceTree
from tvu.temporal.time_tokens.codec import TimeCodec
from tvu.temporal.time_tokens.grammar import SpanGrammar, State


class Constraint(Protocol):
    """An automaton over token ids; values, not objects that change, so that drafts and beams can branch."""

    def allowed(self) -> Sequence[int] | None:
        """Every id that may come next; None where any may. Ids that end an answer are among them where it may end."""
        ...

    def after(self, token_id: int) -> "Constraint":
        """What holds once an allowed id, other than one that ends, was written."""
        ...


class GrammarConstraint:
    """Answers under a grammar of spans."""

    def __init__(self, pieces: AllowedPieces, state: State | None = None) -> None:
        self._pieces = pieces
        self.state = SpanGrammar.start if state is None else state

    @classmethod
    def of(cls, codec: TimeCodec, duration: float, tokenizer: Any, *, max_spans: int | None = 1) -> "GrammarConstraint":
        """The answers of `codec` about a video of `duration` seconds, for a tokenizer of transformers.

        Reads the vocabulary once for a tokenizer and a codec. Raises ValueError if the vocabulary cannot write them.
        """
        grammar = codec.grammar(duration, max_spans)
        tree = _tree_of(tokenizer, codec, grammar)
        constraint = cls(AllowedPieces(grammar, tree, end_ids(tokenizer)))
        if not constraint.allowed():
            raise ValueError(f"the vocabulary cannot write a time as {type(codec).__name__} does")
        return constraint

    def allowed(self) -> Sequence[int]:
        return self._pieces.allowed(self.state)

    def after(self, token_id: int) -> "GrammarConstraint":
        state = self._pieces.advance(self.state, token_id)
        if state is None:
            raise ValueError(f"token {token_id} may not follow here")
        return GrammarConstraint(self._pieces, state)

    @property
    def is_final(self) -> bool:
        """Whether the answer may end here."""
        return self._pieces.grammar.is_final(self.state)


def end_ids(tokenizer: Any, more: Iterable[int] = ()) -> tuple[int, ...]:
    """The ids that end an answer: the tokenizer's own, and those of a generation config."""
    return tuple(dict.fromkeys([*([] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]), *more]))


def pieces_of(tokenizer: Any, time_tokens: Iterable[str] = ()) -> list[str | None]:
    """The text of every id of a fast tokenizer, None for what is never text: special tokens and single bytes.

    Time tokens stay whole. Pieces are told as they continue a text: `▁a` of sentencepiece and `Ġa` of byte-level BPE
    are both " a".
    """
    size = len(tokenizer)
    whole, special = set(time_tokens), set(tokenizer.all_special_ids)
    names = tokenizer.convert_ids_to_tokens(list(range(size)))
    return [None if i in special and name not in whole else _text(name, whole) for i, name in enumerate(names)]


def _text(name: str | None, whole: set[str]) -> str | None:
    if name is None or name in whole:
        return name
    if name.startswith("<0x"):
        return None
    for mark in ("▁", "Ġ"):
        name = name.replace(mark, " ")
    return name


_trees: dict[tuple[int, Any], tuple[Any, PieceTree]] = {}


def _tree_of(tokenizer: Any, codec: TimeCodec, grammar: SpanGrammar) -> PieceTree:
    key = (id(tokenizer), codec)
    if key not in _trees:
        _trees[key] = (tokenizer, PieceTree(pieces_of(tokenizer, codec.added_tokens), grammar))  # keeps the id taken
    return _trees[key][1]
