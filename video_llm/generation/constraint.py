"""What an answer may be, token by token."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from tvu.temporal.time_tokens.allowed import AllowedPieces, PieceTree
from tvu.temporal.time_tokens.codec import TimeCodec
from tvu.temporal.time_tokens.grammar import Part, SpanGrammar, State
from tvu.temporal.types import Span
from tvu.video_llm.generation.vocabulary import end_ids, pieces_of, spelled_bytes


class Constraint(Protocol):
    """An automaton over token ids; values, not objects that change, so that drafts and beams can branch."""

    def allowed(self) -> Sequence[int] | Tensor | None:
        """Every id that may come next; None where any may. Ids that end an answer are among them where it may end."""
        ...

    def after(self, token_id: int) -> "Constraint":
        """What holds once an allowed id, other than one that ends, was written."""
        ...


@dataclass(frozen=True)
class GrammarConstraint:
    """Answers of spans and nothing else, as a codec writes them, about a video of `duration` seconds.

    One blank may come first: after a prompt that ends without one, sentencepiece models expect it, and no codec minds.

    state: how far the answer has come; ticks: (start, end) of every span in it that is complete.
    tells_times: whether the last token holds a symbol of a time, or of what joins a span to the one before.
    """

    codec: TimeCodec
    duration: float
    pieces: AllowedPieces
    state: State = SpanGrammar.start
    ticks: tuple[tuple[int, int], ...] = ()
    tells_times: bool = False
    has_blank: bool = False

    @classmethod
    def of(
        cls,
        codec: TimeCodec,
        duration: float,
        tokenizer: Any,
        *,
        max_spans: int | None = 1,
        stop_ids: Iterable[int] = (),
    ) -> "GrammarConstraint":
        """For a tokenizer of transformers; `stop_ids` end an answer beside the tokenizer's own.

        The vocabulary is read once for a tokenizer and a codec. Raises ValueError if it cannot write them, or has
        nothing that ends an answer.
        """
        grammar = codec.grammar(duration, max_spans)
        ends = end_ids(tokenizer, stop_ids)
        tree = _remembered(
            tokenizer, codec, lambda: PieceTree(pieces_of(tokenizer, codec.added_tokens), codec.grammar(duration))
        )
        if not ends or not grammar.field.symbols <= tree.root.children.keys():
            raise ValueError(f"the vocabulary cannot write a time as {type(codec).__name__} does, or not end an answer")
        return cls(codec, duration, AllowedPieces(grammar, tree, ends))

    def allowed(self) -> Sequence[int]:
        ids = self.pieces.allowed(self.state)
        if self._takes_blank:
            led = (i for i, symbols in self.pieces.tree.symbols.items() if symbols[0] == " " and self._walk(i))
            ids = tuple(sorted({*ids, *led}))
        if not ids:
            raise ValueError(f"the vocabulary cannot write what must follow in {self.state.part.value}")
        return ids

    def after(self, token_id: int) -> "GrammarConstraint":
        following = self._walk(token_id)
        if following is None:
            raise ValueError(f"token {token_id} may not follow here")
        return following

    @property
    def is_final(self) -> bool:
        """Whether the answer may end here."""
        return self.pieces.grammar.is_final(self.state)

    @property
    def spans(self) -> list[Span]:
        """The complete spans, in the order in which they were written."""
        return [
            Span(self.codec.seconds(start, self.duration), self.codec.seconds(end, self.duration))
            for start, end in self.ticks
        ]

    @property
    def _takes_blank(self) -> bool:
        return self.state == SpanGrammar.start and not self.has_blank

    def _walk(self, token_id: int) -> "GrammarConstraint | None":
        symbols = () if token_id in self.pieces.end_ids else self.pieces.tree.symbols.get(token_id, ())
        state, ticks, tells = self.state, self.ticks, False
        has_blank = self._takes_blank and symbols[:1] == (" ",)
        for symbol in symbols[has_blank:]:
            advanced = self.pieces.grammar.advance(state, symbol)
            if advanced is None:
                return None
            state, span = advanced
            ticks += () if span is None else (span,)
            is_start = state.part is Part.BETWEEN and not state.written  # its last symbol opens what comes after it
            tells |= is_start or span is not None or state.part in (Part.START, Part.END, Part.JOIN)
        return replace(self, state=state, ticks=ticks, tells_times=tells, has_blank=has_blank) if symbols else None


@dataclass(frozen=True)
class TimedCaptions:
    """Dense captions: lines of one span and free text, until the model ends its answer.

    A text has at least one token, no time token, and ends with its line. The answer may end after any text or line.

    line:      the span of the line that is being written.
    texts:     what free text may hold.
    is_text:   whether the span is complete and its text has begun.
    remaining: how many lines may still follow; None for any number.
    spans:     of the lines that have come to their text.
    """

    line: GrammarConstraint
    texts: "_Texts"
    is_text: bool = False
    remaining: int | None = None
    spans: tuple[Span, ...] = ()

    @property
    def tells_times(self) -> bool:
        """Whether the last token holds a symbol of a time."""
        return self.line.tells_times and not self.is_text

    @classmethod
    def of(
        cls,
        codec: TimeCodec,
        duration: float,
        tokenizer: Any,
        *,
        max_captions: int | None = None,
        stop_ids: Iterable[int] = (),
    ) -> "TimedCaptions":
        """As `GrammarConstraint.of`; at most `max_captions` lines."""
        if max_captions is not None and max_captions < 1:
            raise ValueError(f"max_captions must be at least 1, not {max_captions}")
        line = GrammarConstraint.of(codec, duration, tokenizer, stop_ids=stop_ids)
        ends = line.pieces.end_ids
        texts = _remembered(tokenizer, (codec, ends), lambda: _Texts.of(tokenizer, codec, ends))
        return cls(line, texts, remaining=None if max_captions is None else max_captions - 1)

    def allowed(self) -> Sequence[int] | Tensor:
        if self.is_text:
            return self.texts.last if self.remaining == 0 else self.texts.within
        if self.line.is_final:
            return self.texts.first
        is_new = self.spans and self.line.state == SpanGrammar.start and not self.line.has_blank
        return (*self.line.allowed(), *(self.line.pieces.end_ids if is_new else ()))

    def after(self, token_id: int) -> "TimedCaptions":
        if token_id in self.texts.newlines and self.is_text:
            line = replace(self.line, state=SpanGrammar.start, ticks=(), has_blank=False, tells_times=False)
            remaining = None if self.remaining is None else self.remaining - 1
            return replace(self, line=line, is_text=False, remaining=remaining)
        if self.is_text:
            return self
        if self.line.is_final:
            return replace(self, is_text=True, spans=(*self.spans, *self.line.spans))
        return replace(self, line=self.line.after(token_id))


@dataclass(frozen=True, eq=False)
class _Texts:
    """Ids int64 for free text of one line: at its beginning, within it, and where no line may follow."""

    first: Tensor
    within: Tensor
    last: Tensor
    newlines: frozenset[int]

    @classmethod
    def of(cls, tokenizer: Any, codec: TimeCodec, ends: Sequence[int]) -> "_Texts":
        times = set(tokenizer.convert_tokens_to_ids(list(codec.added_tokens)))
        barred = times.union(ends)
        spelled = {i: text for i, text in enumerate(spelled_bytes(tokenizer)) if text and i not in barred}
        first = [i for i, text in spelled.items() if b"\n" not in text]
        newlines = [i for i, text in spelled.items() if b"\n" in text and b"\n" not in text.rstrip(b"\n")]
        within = torch.tensor([*first, *newlines, *ends])
        return cls(torch.tensor(first), within, torch.tensor([*first, *ends]), frozenset(newlines))


class OneOf:
    """One of several given answers, exactly.

    answers: token ids of each. The sum of the `log_probs` of what was generated is the logarithm of its probability
             among them, up to the decision to end where one answer begins another.
    """

    def __init__(self, answers: Iterable[Sequence[int]], ends: Sequence[int], written: int = 0) -> None:
        self._answers, self._ends, self._written = [tuple(answer) for answer in answers], tuple(ends), written
        if not self._answers or not all(self._answers):
            raise ValueError("there must be answers, and none of them empty")

    @classmethod
    def of(cls, texts: Sequence[str], tokenizer: Any, *, stop_ids: Iterable[int] = ()) -> "OneOf":
        """The texts as the tokenizer writes them. Raises ValueError if there are none, or an empty one."""
        ids = [tokenizer(text, add_special_tokens=False).input_ids for text in texts]
        return cls(ids, end_ids(tokenizer, stop_ids))

    def allowed(self) -> Sequence[int]:
        ended = any(len(answer) == self._written for answer in self._answers)
        following = {answer[self._written] for answer in self._answers if len(answer) > self._written}
        return tuple(sorted(following.union(self._ends if ended else ())))

    def after(self, token_id: int) -> "OneOf":
        n = self._written
        return OneOf([a for a in self._answers if len(a) > n and a[n] == token_id], self._ends, n + 1)


_T = TypeVar("_T")
_memory: WeakKeyDictionary[Any, dict[Any, Any]] = WeakKeyDictionary()


def _remembered(tokenizer: Any, key: Any, make: Callable[[], _T]) -> _T:
    """What was read from a vocabulary, as long as its tokenizer lives; one that has grown is read again."""
    known = _memory.setdefault(tokenizer, {})
    found: _T | None = known.get((len(tokenizer), key))
    if found is None:
        found = known[len(tokenizer), key] = make()
    return found
