"""Cues made of what was said can be read."""

from itertools import pairwise

from tvu.video_llm.narration.speech import script_of
from tvu.video_llm.narration.spoken_cues import MOST_SECONDS, WIDTH
from tvu.video_llm.scout.speech import Transcript, Word

TALK = """Good morning everyone. Today we are going to look at how bees make honey, which is something that people have
wondered about for thousands of years. Thank you. First of all, the bees fly out and they visit up to two thousand
flowers every single day because they need nectar and pollen and all the other things that a hive wants. Yes. No. And
then it goes on and on and on without any punctuation so that nobody knows where one might cut it"""


def said(text: str, start: float = 1.0) -> tuple[Word, ...]:
    words = []
    for word in text.split():
        length = 0.1 + 0.06 * len(word)
        words.append(Word(word, start, start + length, 0.9))
        start += length + (0.35 if word[-1] in ".?!" else 0.05)
    return tuple(words)


def test_every_word_is_told_once_and_in_order():
    script = script_of(Transcript(said(TALK)))
    assert " ".join(line.text.replace("\n", " ") for line in script.lines) == " ".join(TALK.split())
    assert script.language == "en" and script.is_timed


def test_cues_have_two_rows_at_most_and_are_short_enough_and_do_not_overlap():
    lines = script_of(Transcript(said(TALK))).lines
    for line in lines:
        assert line.text.count("\n") <= 1
        assert max(map(len, line.text.split("\n"))) <= WIDTH
        assert line.span is not None and line.span.seconds <= MOST_SECONDS
        assert line.span.seconds >= 1.0
    assert all(a.end_seconds <= b.start_seconds for a, b in pairwise(lines))


def test_a_cue_ends_where_a_sentence_ends():
    texts = [line.text.replace("\n", " ") for line in script_of(Transcript(said(TALK))).lines]
    assert texts[0] == "Good morning everyone."
    assert texts[2].endswith("thousands of years.")


def test_a_long_silence_ends_a_cue_and_the_cue_does_not_last_through_it():
    words = said("one two three") + said("four five six", start=30.0)
    first, second = script_of(Transcript(words)).lines
    assert first.text == "one two three" and second.text == "four five six"
    assert first.end_seconds is not None and first.end_seconds < 4


def test_words_too_long_for_a_row_are_kept():
    (line,) = script_of(Transcript(said("a" * 60))).lines
    assert line.text == "a" * 60


def test_nothing_said_is_an_empty_text():
    assert script_of(Transcript(())).lines == ()


def test_words_that_a_recogniser_parts_at_a_hyphen_or_a_comma_are_written_as_one():
    text = "The 20 -year -old paid $4 ,000 , or 3 .5 % more , at -5 degrees - or so , to AT &T ."
    words = tuple(Word(text, 0.3 * n, 0.3 * n + 0.2, 0.9) for n, text in enumerate(text.split()))
    told = " ".join(" ".join(line.text.split()) for line in script_of(Transcript(words)).lines)
    assert told == "The 20-year-old paid $4,000 , or 3.5% more , at -5 degrees - or so , to AT&T ."
