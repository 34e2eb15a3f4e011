import math
from typing import Any

import pytest

from tests.video_llm.models.words import tiny_processor
from tvu.temporal.time_tokens.codec import TimeCodec
from tvu.temporal.time_tokens.lita import LitaTimeTokens
from tvu.temporal.time_tokens.text_times import TextTimes
from tvu.temporal.time_tokens.vtg_llm import VtgLlmTimeTokens
from tvu.temporal.types import Span
from tvu.video_llm.parse import in_words, parse_groundings, readable
from tvu.video_llm.types import Generation, Grounding

PART = Span(100.0, 199.0)
CODECS = {"lita": LitaTimeTokens(), "vtg-llm": VtgLlmTimeTokens(), "text": TextTimes()}
TOKENS = {"lita": 2, "vtg-llm": 12, "text": 8}  # of two times: of "12.0" and "29.0" every byte


def said(processor: Any, text: str, *probabilities: float) -> Generation:
    """An answer of which token n has probability n of those given, over and over."""
    ids = processor.tokenizer(text, add_special_tokens=False).input_ids
    chances = [probabilities[n % len(probabilities)] for n in range(len(ids))]
    return Generation(text, tuple(ids), tuple(map(math.log, chances)), "end")


@pytest.mark.parametrize("name", CODECS)
def test_what_the_codec_writes_about_a_part_is_told_in_file_seconds(name: str) -> None:
    _, processor = tiny_processor(codec={"name": name})
    text = CODECS[name].encode_spans([Span(12, 29)], PART.seconds)
    (grounding,) = parse_groundings(said(processor, text, 0.9), PART, processor)
    assert (grounding.span.start_seconds, grounding.span.end_seconds) == pytest.approx((112, 129), abs=0.6)
    assert grounding.score == pytest.approx(0.9 ** TOKENS[name]) and grounding.evidence == "visual"


@pytest.mark.parametrize("name", CODECS)
def test_times_in_the_midst_of_a_text_are_read_as_well_and_scored_by_their_own_tokens(name: str) -> None:
    _, processor = tiny_processor(codec={"name": name})
    times = CODECS[name].encode_spans([Span(12, 29)], PART.seconds)
    (grounding,) = parse_groundings(said(processor, f"2 dogs jump at {times}", 0.9), PART, processor)
    assert (grounding.span.start_seconds, grounding.span.end_seconds) == pytest.approx((112, 129), abs=0.6)
    assert grounding.score == pytest.approx(0.9 ** TOKENS[name])


def test_every_span_has_a_score_of_its_own_and_the_likelier_comes_first() -> None:
    _, processor = tiny_processor(codec={"name": "lita"})
    groundings = parse_groundings(said(processor, "<t1><t9><t20><t40>", 0.5, 0.6, 0.7, 0.8), PART, processor)
    assert [g.score for g in groundings] == pytest.approx([0.56, 0.30])
    assert [g.span.start_seconds for g in groundings] == pytest.approx([120, 101])


def test_times_as_people_write_them_are_scored_by_their_digits() -> None:
    _, processor = tiny_processor(codec={"name": "lita"})
    for text, digits in (("from 2 to 41 seconds", 3), ("0:02 - 0:41", 8), ("from 2 to 500 seconds", 4)):
        (grounding,) = parse_groundings(said(processor, text, 0.9), PART, processor)
        assert grounding.score == pytest.approx(0.9**digits)
    (grounding,) = parse_groundings(said(processor, "from 1 minute 5 s to 1 minute 10 s", 0.9), PART, processor)
    assert grounding.score == pytest.approx(0.9)  # of its words


def test_an_answer_without_a_time_is_a_result() -> None:
    _, processor = tiny_processor(codec={"name": "lita"})
    assert parse_groundings(said(processor, "It is a dog.", 0.9), PART, processor) == ()
    assert parse_groundings(Generation("", (), (), "end"), PART, processor) == ()


def test_a_span_that_is_told_twice_is_one_and_as_likely_as_it_was_first() -> None:
    _, processor = tiny_processor(codec={"name": "lita"})
    generation = said(processor, "<t1><t9><t1><t9>", 0.5, 0.5, 1.0, 1.0)
    (grounding,) = parse_groundings(generation, PART, processor)
    assert grounding.score == pytest.approx(0.25)


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_people_read_time_codes_of_the_file(codec: TimeCodec) -> None:
    times = codec.encode_spans([Span(12, 29)], PART.seconds)
    assert readable(times, PART, codec) == "01:52.0 - 02:09.0"
    assert readable(f"The dog jumps at {times}.", PART, codec).startswith("The dog jumps at 01:52.0 - 02:09.0")


def test_a_single_time_is_read_and_what_is_no_time_stays() -> None:
    assert readable("it starts at <t12>, twice", PART, LitaTimeTokens()) == "it starts at 01:52.0, twice"
    assert readable("2 dogs, version 1.5", PART, TextTimes()) == "2 dogs, version 1.5"


def test_a_sentence_says_when() -> None:
    found = [Grounding(Span(12, 15.5), 0.8, "visual"), Grounding(Span(20, 21), 0.5, "visual")]
    assert in_words(found) == "Most likely from 00:12.0 to 00:15.5, and at 1 more place."
    assert in_words([]) == "Nothing in this video seems to be that."
