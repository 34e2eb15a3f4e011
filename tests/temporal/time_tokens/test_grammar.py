"""Whatever is generated under a grammar can be read, and whatever can be written may be generated."""

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvu.temporal.time_tokens.allowed import AllowedPieces, PieceTree
from tvu.temporal.time_tokens.grammar import SpanGrammar, State, TokenField, cut
from tvu.temporal.time_tokens.lita import LitaTimeTokens, official_span
from tvu.temporal.time_tokens.official_answers import retrieval_span
from tvu.temporal.time_tokens.text_times import TextTimes
from tvu.temporal.time_tokens.vtg_llm import VtgLlmTimeTokens, time_tokens_to_digits
from tvu.temporal.types import Span

CODECS = [LitaTimeTokens(), LitaTimeTokens(3), VtgLlmTimeTokens(), TextTimes(), TextTimes(decimals=2)]
codecs = st.sampled_from(CODECS)
durations = st.one_of(st.floats(0.2, 20_000), st.sampled_from([0.2, 9.9, 10.0, 59.99, 100, 1000.1]))


def random_answer(grammar, chance):
    state, written = grammar.start, ""
    while True:
        choices = sorted(symbol for symbol in grammar.alphabet if grammar.step(state, symbol) is not None)
        if grammar.is_final(state) and (not choices or chance.random() < 0.3):
            return written
        assert choices, f"stuck after {written!r}"
        symbol = chance.choice(choices)
        written, state = written + symbol, grammar.step(state, symbol)


@settings(max_examples=300)
@given(codecs, durations, st.integers(1, 4), st.integers(0))
def test_every_walk_ends_in_ordered_spans_inside_the_video(codec, duration, max_spans, seed):
    answer = random_answer(codec.grammar(duration, max_spans), random.Random(seed))
    spans = codec.decode_spans(answer, duration)
    assert 1 <= len(spans) <= max_spans
    assert all(0 <= span.start_seconds < span.end_seconds <= duration for span in spans)


@given(durations, st.integers(0))
def test_the_official_parsers_read_what_was_generated(duration, seed):
    for codec in (VtgLlmTimeTokens(), TextTimes()):
        answer = random_answer(codec.grammar(duration), random.Random(seed))
        (span,) = codec.decode_spans(answer, duration)
        assert retrieval_span(time_tokens_to_digits(answer)) == (span.start_seconds, span.end_seconds)
    lita = LitaTimeTokens()
    answer = random_answer(lita.grammar(duration), random.Random(seed))
    (span,) = lita.decode_spans(answer, duration)
    start, end = official_span(lita.official_answer([*cut(answer, lita.field), "</s>"], duration), duration)[1]
    assert (start, end) == tuple(min(round(s, 2), duration) for s in (span.start_seconds, span.end_seconds))


@given(codecs, durations, st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=4))
def test_every_answer_that_the_codec_writes_may_be_generated(codec, duration, ends):
    pairs = [sorted(end * duration for end in pair) for pair in ends]
    spans = [Span(*pair) for pair in pairs if pair[0] < pair[1]] or [Span(0, duration)]
    grammar, state = codec.grammar(duration, max_spans=len(spans)), State()
    for symbol in cut(codec.encode_spans(spans, duration), codec.field):
        state = grammar.step(state, symbol)
        assert state is not None
    assert grammar.is_final(state)


def test_a_span_can_start_anywhere_but_at_the_end_and_must_end_after_it():
    grammar = TextTimes().grammar(12.34)
    assert grammar.ticks("0.0 - 12.3 seconds") == [(0, 123)]
    for wrong in (
        "12.3 - 12.4 seconds",
        "5.0 - 5.0 seconds",
        "5.0 - 4.9 seconds",
        "05.0 - 6.0 seconds",
        "5 - 6 seconds",
    ):
        with pytest.raises(ValueError):
            grammar.ticks(wrong)
    assert {s for s in grammar.alphabet if grammar.step(State(), s)} == set("0123456789")
    one = grammar.step(State(), "1")
    assert {s for s in grammar.alphabet if grammar.step(one, s)} == set("012.")  # 12.3 is the end, 13 beyond it


def test_no_more_spans_than_asked_for():
    assert len(TextTimes().grammar(60, 2).ticks("1.0 - 2.0 seconds, 3.0 - 4.0 seconds.")) == 2
    with pytest.raises(ValueError):
        TextTimes().grammar(60, 1).ticks("1.0 - 2.0 seconds, 3.0 - 4.0 seconds.")
    with pytest.raises(ValueError):
        TextTimes().grammar(60, 0)
    many = ", ".join(["1.0 - 2.0 seconds"] * 50)
    assert len(TextTimes().grammar(60, None).ticks(many)) == 50


def test_a_video_without_room_for_a_span_has_no_grammar():
    with pytest.raises(ValueError):
        TextTimes().grammar(0.09)
    with pytest.raises(ValueError):
        SpanGrammar(TokenField(("<t0>",)), 0, (" ",), ("",), (" ",))


def test_states_can_be_kept_in_a_dictionary():
    grammar = LitaTimeTokens().grammar(10)
    assert grammar.step(State(), "<t3>") == grammar.step(State(), "<t3>")
    assert len({State(), grammar.step(State(), "<t3>"), grammar.step(State(), "<t3>")}) == 2


PIECES = ["</s>", None, "", "1", "12", "1.", ".5", " - ", " ", "-", "3", " seconds", " sec", ".", "cat", "<t5>"]


def test_a_piece_is_allowed_when_all_its_symbols_are():
    grammar = TextTimes().grammar(15)
    pieces = AllowedPieces(grammar, PieceTree(PIECES, grammar), end_ids=[0])
    expected = [
        ("12", {"1", "12", "1.", "3"}),
        (".5", {".", ".5"}),
        (" - ", {" - ", " ", "-"}),
        ("1", {"1", "12"}),  # 12.5 is the start: 1. and 3 cannot become a later time inside 15 s
        ("3", {"3"}),
        (".5", {".", ".5"}),
        (" seconds", {" seconds", " sec", " "}),
        ("</s>", {"</s>", "."}),
    ]
    state = State()
    for piece, allowed in expected:
        assert {PIECES[i] for i in pieces.allowed(state)} == allowed, piece
        following = pieces.advance(state, PIECES.index(piece))
        assert (following is None) == (piece == "</s>")
        state = following or state
    assert pieces.advance(state, PIECES.index("cat")) is None


@given(durations, st.integers(0))
def test_generating_piece_by_piece_ends_in_spans(duration, seed):
    chance = random.Random(seed)
    for codec in (LitaTimeTokens(), VtgLlmTimeTokens(), TextTimes()):
        vocabulary = [
            "</s>",
            *codec.added_tokens,
            *"0123456789. -,second",
            " - ",
            " sec",
            "12",
            "5.",
            ".7",
            "0 ",
            "cat",
        ]
        grammar = codec.grammar(duration, 2)
        pieces = AllowedPieces(grammar, PieceTree(vocabulary, grammar), [0])
        state, written = State(), ""
        while (piece := chance.choice(pieces.allowed(state))) != 0:
            written, state = written + vocabulary[piece], pieces.advance(state, piece)
            assert state is not None
        assert codec.decode_spans(written, duration)


@pytest.mark.alone
def test_a_large_vocabulary_is_read_once_and_asked_quickly():
    letters = "abcdefghijklmnopqrstuvwxyz0123456789 .,-"
    chance = random.Random(0)
    vocabulary = ["".join(chance.choices(letters, k=chance.randint(1, 8))) for _ in range(150_000)]
    vocabulary += list(letters)
    started = time.perf_counter()
    tree = PieceTree(vocabulary, TextTimes().grammar(100))
    built = time.perf_counter()
    pieces = AllowedPieces(TextTimes().grammar(3600.5, 3), tree)
    for text in ("", "1", "12", "12.5", "12.5 - ", "12.5 - 99", "12.5 - 99.1", "12.5 - 99.1 seconds"):
        state = State()
        for symbol in text:
            state = pieces.grammar.step(state, symbol)
        assert pieces.allowed(state)
    asked = time.perf_counter()
    for _ in range(1000):
        pieces.allowed(State())
    again = time.perf_counter()
    assert built - started < 3 and asked - built < 1 and again - asked < 0.1
