"""Which pieces of a vocabulary may come next, so that an answer stays within its grammar."""

from collections.abc import Iterable, Sequence

from tvu.temporal.time_tokens.grammar import SpanGrammar, State


class PieceTree:
    """The pieces of a vocabulary that an answer could hold, by their symbols: built once for a tokenizer and a codec.

    pieces: the text of every id, time tokens as whole pieces, a blank as a blank (not as `▁`). None for what is never
            text: special tokens, bytes.
    grammar: any grammar of the codec; only what it can write is kept, for every duration alike.

    Building reads every piece once: about a tenth of a second for 152 thousand.
    """

    def __init__(self, pieces: Sequence[str | None], grammar: SpanGrammar) -> None:
        self.symbols: dict[int, tuple[str, ...]] = {}
        self.root = _Node()
        alphabet, tokens = grammar.alphabet, grammar.field.symbols
        for piece_id, piece in enumerate(pieces):
            symbols = () if not piece else (piece,) if piece in tokens else tuple(piece)
            if symbols and alphabet.issuperset(symbols):
                self.symbols[piece_id] = symbols
                self.root.add(symbols, piece_id)


class AllowedPieces:
    """The ids that may follow in an answer under `grammar`, remembered for every state that was asked for.

    end_ids: ids that end an answer; allowed wherever the grammar lets it end, and nowhere else.
    """

    def __init__(self, grammar: SpanGrammar, tree: PieceTree, end_ids: Iterable[int] = ()) -> None:
        self.grammar, self.tree, self.end_ids = grammar, tree, tuple(end_ids)
        self._allowed: dict[State, tuple[int, ...]] = {}

    def allowed(self, state: State) -> tuple[int, ...]:
        """Every id that may come next, in ascending order; empty only if no piece can write what must come."""
        if state not in self._allowed:
            ends = self.end_ids if self.grammar.is_final(state) else ()
            pieces = set(self._below(self.tree.root, state)).difference(self.end_ids)
            self._allowed[state] = tuple(sorted(pieces.union(ends)))
        return self._allowed[state]

    def advance(self, state: State, piece_id: int) -> State | None:
        """The state after a piece; None if it may not come, or ends the answer."""
        if piece_id in self.end_ids or piece_id not in self.tree.symbols:
            return None
        following: State | None = state
        for symbol in self.tree.symbols[piece_id]:
            following = self.grammar.step(following, symbol) if following is not None else None
        return following

    def _below(self, node: "_Node", state: State) -> Iterable[int]:
        for symbol, child in node.children.items():
            following = self.grammar.step(state, symbol)
            if following is not None:
                yield from child.ids
                yield from self._below(child, following)


class _Node:
    __slots__ = ("children", "ids")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.ids: list[int] = []

    def add(self, symbols: Sequence[str], piece_id: int) -> None:
        node = self
        for symbol in symbols:
            node = node.children.setdefault(symbol, _Node())
        node.ids.append(piece_id)
