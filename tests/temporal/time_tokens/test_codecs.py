"""Seconds to text and back: what every codec promises, and where each differs."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvu.temporal.time_tokens.codec import TimeCodec
from tvu.temporal.time_tokens.lita import LitaTimeTokens, official_span
from tvu.temporal.time_tokens.text_times import TextTimes
from tvu.temporal.time_tokens.vtg_llm import (
    TIME_TOKENS,
    VtgLlmTimeTokens,
    numbers_to_time_tokens,
    official_time_tokens,
    official_training_time_tokens,
    time_tokens_to_digits,
    whole_second,
)
from tvu.temporal.types import Span

CODECS = [LitaTimeTokens(), LitaTimeTokens(2), VtgLlmTimeTokens(), TextTimes(), TextTimes(decimals=3)]
codecs = st.sampled_from(CODECS)
durations = st.floats(0.2, 9_000)
fractions = st.floats(0, 1)


@pytest.mark.parametrize("codec", CODECS)
def test_all_have_one_interface(codec):
    assert isinstance(codec, TimeCodec)


@given(codecs, durations, fractions)
def test_a_time_comes_back_within_the_resolution(codec, duration, fraction):
    seconds = fraction * duration
    back = codec.decode(codec.encode(seconds, duration), duration)
    assert 0 <= back <= duration
    assert abs(back - seconds) <= codec.resolution(duration) * (1 + 1e-6)


@given(codecs, durations, fractions)
def test_a_time_that_was_read_is_written_as_it_was(codec, duration, fraction):
    text = codec.encode(fraction * duration, duration)
    assert codec.encode(codec.decode(text, duration), duration) == text


@given(codecs, durations, st.lists(st.tuples(fractions, fractions).filter(lambda f: f[0] != f[1]), min_size=1))
def test_spans_come_back_in_order_and_within_the_resolution(codec, duration, ends):
    pairs = [sorted(end * duration for end in pair) for pair in ends]
    spans = [Span(*pair) for pair in pairs if pair[0] < pair[1]] or [Span(0, duration)]
    back = codec.decode_spans(codec.encode_spans(spans, duration), duration)
    assert len(back) == len(spans)
    last = codec.decode(codec.encode(duration, duration), duration)  # of the times that can be written
    for span, told in zip(spans, back, strict=True):
        assert 0 <= told.start_seconds < told.end_seconds <= duration
        step = 1.5 * codec.resolution(duration) * (1 + 1e-6)  # half a step more where a narrow span was widened
        assert abs(told.end_seconds - span.end_seconds) <= step
        if span.start_seconds > last:  # all of it lies behind: it becomes the last span that can be written
            assert told.end_seconds == last
            assert last - told.start_seconds <= codec.resolution(duration) * (1 + 1e-6)
        else:
            assert abs(told.start_seconds - span.start_seconds) <= step


def test_a_span_behind_the_last_time_that_can_be_written_becomes_the_last_that_can():
    codec, duration = VtgLlmTimeTokens(), 1.875
    (told,) = codec.decode_spans(codec.encode_spans([Span(1.86, 1.875)], duration), duration)
    assert (told.start_seconds, told.end_seconds) == (pytest.approx(1.7), pytest.approx(1.8))


@given(codecs, durations, st.floats(allow_nan=False, allow_infinity=False))
def test_times_outside_the_video_are_written_as_its_ends(codec, duration, seconds):
    back = codec.decode(codec.encode(seconds, duration), duration)
    if seconds <= 0:
        assert back == 0
    if seconds >= duration:
        assert duration - back < codec.resolution(duration)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("duration", [0, -1, math.nan, math.inf])
def test_a_video_lasts_a_finite_time_above_zero(codec, duration):
    for ask in (codec.resolution, lambda d: codec.encode(1, d), lambda d: codec.decode("1.0", d), codec.grammar):
        with pytest.raises(ValueError):
            ask(duration)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("text", ["", " ", "five", "<t1000>", "-1.0", "1e1", "1.0 ", "٣.٠", "3.0 - 4.0", "<TIME_ONE>"])
def test_what_the_codec_does_not_write_is_refused(codec, text):
    with pytest.raises(ValueError):
        codec.decode(text, 60)
    with pytest.raises(ValueError):
        codec.decode_spans(text if text != "3.0 - 4.0" else "3.0 - ", 60)


@pytest.mark.parametrize("codec", CODECS)
def test_an_answer_has_spans_and_seconds_are_finite(codec):
    with pytest.raises(ValueError):
        codec.encode_spans([], 60)
    with pytest.raises(ValueError):
        codec.encode(math.nan, 60)


def test_how_spans_are_written():
    spans = [Span(24.3, 30.4), Span(40, 45.25)]
    assert LitaTimeTokens().encode_spans(spans, 206.86) == "<t12> <t15> <t19> <t22>"
    assert TextTimes().encode_spans(spans, 206.86) == "24.3 - 30.4 seconds, 40.0 - 45.2 seconds"
    written = VtgLlmTimeTokens().encode_spans(spans, 206.86)
    assert time_tokens_to_digits(written) == "0024.3 - 0030.4 seconds, 0040.0 - 0045.2 seconds"
    assert LitaTimeTokens().decode_spans("<t12><t15>", 99) == [Span(12, 15)]  # the tokenizer drops the blank
    assert VtgLlmTimeTokens().decode_spans(written.replace("><", "> <"), 99) == [Span(24.3, 30.4), Span(40, 45.2)]


def test_a_span_narrower_than_a_step_is_widened_within_the_video():
    assert LitaTimeTokens().encode_spans([Span(0, 0.1)], 99) == "<t0> <t1>"
    assert LitaTimeTokens().encode_spans([Span(98.9, 99)], 99) == "<t98> <t99>"
    assert TextTimes().encode_spans([Span(5.02, 5.04)], 10) == "5.0 - 5.1 seconds"
    assert TextTimes().encode_spans([Span(4.96, 4.98)], 10) == "4.9 - 5.0 seconds"
    with pytest.raises(ValueError):
        TextTimes().encode_spans([Span(0, 0.05)], 0.05)


def test_lita_tokens_at_their_published_values():
    lita, duration = LitaTimeTokens(), 206.86
    tokens = [lita.official_token(s, duration) for s in (0, 47, 60, 185, 206.86)]
    assert tokens == ["<t0>", "<t22>", "<t29>", "<t89>", "<t99>"]
    assert [lita.official_seconds(t, duration) for t in tokens] == [0.0, 45.97, 60.6, 185.97, 206.86]
    assert [lita.official_token(s, 99) for s in (0.5, 1.5, 2.5, 3.5)] == ["<t0>", "<t2>", "<t2>", "<t4>"]
    assert lita.official_token(100, 50) == "<t198>"
    assert lita.encode(100, 50) == "<t99>"
    assert len(lita.added_tokens) == 100


def test_lita_never_converts_the_last_piece():
    lita = LitaTimeTokens()
    assert lita.official_answer(["It is ", "<t50>", " to ", "<t99>", "</s>"], 99) == "It is <50.0> to <99.0>"
    assert lita.official_answer(["It is ", "<t50>", " to ", "<t99>"], 99) == "It is <50.0> to <t99>"
    assert lita.official_demo_answer([" at ", "<t50>", " ", "</s>"], 99) == " at 50.0s "


def test_lita_takes_the_first_two_stamps_or_the_whole_video():
    assert official_span("from <20> to <10.5>, not <1>", 30) == ("from  to , not <1>", (10.5, 20.0))
    assert official_span("only <20>", 30) == ("only <20>", (0, 30))
    assert official_span("<40> <50>", 30) == ("", (30, 30))


def test_vtg_llm_times_are_six_tokens():
    digits = {"120.5": "0120.5", "9.87": "0009.8", "3599.9": "3599.9", "12345.6": "12345.", "5": "0005.0", "": "0000.0"}
    for number, expected in digits.items():
        assert time_tokens_to_digits(official_time_tokens(number)) == expected
        assert official_time_tokens(number).count("<TIME_") == 6
    assert time_tokens_to_digits(official_training_time_tokens("5")) == "5.0"
    with pytest.raises(ValueError):
        official_time_tokens("-1.0")
    assert VtgLlmTimeTokens().decode(VtgLlmTimeTokens().encode(12_000, 20_000), 20_000) == 9999.9
    assert VtgLlmTimeTokens().added_tokens == TIME_TOKENS


def test_vtg_llm_seconds_are_halved_to_the_even_one():
    assert [whole_second(s) for s in (0.5, 1.5, 2.5, 120.5, 3.49)] == [0, 2, 2, 120, 3]


def test_numbers_before_the_times_of_a_message_stay():
    told = numbers_to_time_tokens("96 frames sampled at 0.0, 1.2 seconds")
    assert told.startswith("96 frames") and "at <TIME_ZERO>" in told
    with pytest.raises(ValueError):
        numbers_to_time_tokens("no times")


def test_cleaning_an_answer_deletes_blanks_after_digits_everywhere():
    assert time_tokens_to_digits("on 2 couches 10 - 20") == "on 2couches 10- 20"


@pytest.mark.parametrize("make", [lambda: LitaTimeTokens(1), lambda: TextTimes(0), lambda: TextTimes(4)])
def test_codecs_check_themselves(make):
    with pytest.raises(ValueError):
        make()
