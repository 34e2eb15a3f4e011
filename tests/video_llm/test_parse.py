import math

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


def said(text: str, *probabilities: float) -> Generation:
    return Generation(text, (1,) * len(probabilities), tuple(math.log(p) for p in probabilities), "end")


@pytest.mark.parametrize("name", CODECS)
def test_what_the_codec_writes_about_a_part_is_told_in_file_seconds(name: str) -> None:
    _, processor = tiny_processor(codec={"name": name})
    text = CODECS[name].encode_spans([Span(12, 29)], PART.seconds)
    (grounding,) = parse_groundings(said(text, 0.5, 0.5), PART, processor)
    assert (grounding.span.start_seconds, grounding.span.end_seconds) == pytest.approx((112, 129), abs=0.6)
    assert grounding.score == pytest.approx(0.5) and grounding.evidence == "visual"


@pytest.mark.parametrize("name", CODECS)
def test_times_in_the_midst_of_a_text_are_read_as_well(name: str) -> None:
    _, processor = tiny_processor(codec={"name": name})
    times = CODECS[name].encode_spans([Span(12, 29)], PART.seconds)
    (grounding,) = parse_groundings(said(f"The dog jumps at {times}", 0.9), PART, processor)
    assert (grounding.span.start_seconds, grounding.span.end_seconds) == pytest.approx((112, 129), abs=0.6)


def test_an_answer_without_a_time_is_a_result() -> None:
    _, processor = tiny_processor(codec={"name": "lita"})
    assert parse_groundings(said("It is a dog.", 0.9), PART, processor) == ()


def test_a_span_that_is_told_twice_is_one() -> None:
    _, processor = tiny_processor(codec={"name": "lita"})
    assert len(parse_groundings(said("<t1> <t9> and again <t1> <t9>", 0.9), PART, processor)) == 1


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
