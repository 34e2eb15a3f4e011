"""Words into sentences, and a narration heard from sound to answer."""

import subprocess
import sys

import numpy as np
import pytest

from tvu.temporal.spans import iou
from tvu.video_llm.media.sound import Sound
from tvu.video_llm.scout import narrated
from tvu.video_llm.scout.narrated import RATE, Line, has_espeak, narrate
from tvu.video_llm.scout.speech import (
    Transcript,
    Word,
    _windows,
    score_speech,
    sentences_of,
    transcribe,
    units_of,
)
from tvu.weights.errors import WeightsError
from tvu.weights.load import located

SAID = (
    Line("The old lighthouse was painted white last summer.", ("When do they mention painting a lighthouse?",)),
    Line("The train to the airport was two hours late.", ("the part about a delayed train",)),
    Line("Remember to lock the gate before you leave.", ('when does he say "lock the gate"',)),
)


def spoken(text: str, start: float = 0.0, gap: float = 0.05) -> tuple[Word, ...]:
    words = []
    for word in text.split():
        words.append(Word(word, start, start + 0.3, 0.9))
        start += 0.3 + gap
    return tuple(words)


def whisper():
    try:
        return located("whisper-tiny.en")
    except WeightsError as error:
        pytest.skip(str(error))


def encoder():
    from tvu.video_llm.sentence import SentenceEncoder

    try:
        return SentenceEncoder()
    except WeightsError as error:
        pytest.skip(str(error))


def test_sentences_end_at_full_stops_and_pauses_but_not_at_abbreviations():
    words = spoken("Dr. Ruiz came at 3.30 in the morning. She slept") + spoken("and then woke up", start=20)
    texts = [" ".join(w.text for w in piece) for piece in sentences_of(words)]
    assert texts == ["Dr. Ruiz came at 3.30 in the morning.", "She slept", "and then woke up"]


def test_speech_without_an_end_is_cut_into_pieces_of_bounded_length():
    pieces = sentences_of(spoken("word " * 200))
    assert max(p[-1].end_seconds - p[0].start_seconds for p in pieces) <= 12
    assert sum(len(p) for p in pieces) == 200


def test_hurried_sentences_are_also_offered_one_by_one():
    words = spoken("The bridge is very long, we came by boat, my aunt sells bread and honey")
    assert "we came by boat," in [u.text for u in units_of(Transcript(words))]


def test_what_a_second_hearing_heard_is_offered_too_but_once_where_both_agree():
    first, again = (spoken(f"The bridge is long. My {aunt} sells bread.") for aunt in ("hand", "aunt"))
    texts = [u.text for u in units_of(Transcript(first, again)) if not u.is_joined]
    assert texts == ["The bridge is long.", "My hand sells bread.", "My aunt sells bread."]


def test_a_sentence_that_the_other_hearing_ends_in_the_middle_is_known_by_it():
    first = spoken("We came by train and my aunt sells bread")
    again = spoken("We came by train. And my aunt sells bread.")
    inside = {u.text: u.ends_inside for u in units_of(Transcript(first, again))}
    assert inside["We came by train and my aunt sells bread"] == 0.5
    assert inside["We came by train."] == 0


def test_a_transcript_survives_the_cache():
    transcript = Transcript(spoken("naïve words, “quoted”."), spoken("knife words"), "en")
    again = Transcript.from_arrays(transcript.to_arrays())
    assert [w.text for w in again.words + again.again] == ["naïve", "words,", "“quoted”.", "knife", "words"]
    assert again.words[1].start_seconds == transcript.words[1].start_seconds and len(again.again) == 2
    assert Transcript.from_arrays(Transcript(()).to_arrays()) == Transcript(())


def test_long_sound_is_cut_in_silence_and_nothing_is_lost():
    samples = np.ones(RATE * 150, np.float32)
    samples[RATE * 100 : RATE * 101] = 0
    windows = list(_windows(samples))
    assert [len(w) for _, w in windows] == [windows[1][0], len(samples) - windows[1][0]]
    assert RATE * 100 < windows[1][0] < RATE * 101


@pytest.mark.weights
def test_silence_and_music_say_nothing():
    times = np.arange(20 * RATE) / RATE
    chord = sum(0.1 * np.sin(2 * np.pi * f * times) for f in (220, 277, 330)).astype(np.float32)
    model = whisper()
    assert transcribe(Sound(chord, RATE, 0.0), model).words == ()
    assert transcribe(Sound(np.zeros(5 * RATE, np.float32), RATE, 0.0), model).words == ()


@pytest.mark.weights
def test_a_sentence_that_loops_is_kept_and_heard_alike_every_time():
    model = whisper()
    if not has_espeak():
        pytest.skip("espeak-ng is not installed")
    once = np.append(narrated.speak(SAID[0].text), np.zeros(RATE // 3, np.float32))
    sound = Sound(np.tile(once, 8), RATE, 0.0)
    heard = transcribe(sound, model)
    assert [w.text for w in heard.words].count("painted") >= 6
    assert transcribe(sound, model) == heard


@pytest.mark.weights
def test_a_loop_of_words_that_the_sound_does_not_hold_is_dropped():
    model = whisper()
    if not has_espeak():
        pytest.skip("espeak-ng is not installed")
    german = narrated.speak(
        "Guten Morgen, heute geht es um das Wetter in Hamburg und um neue Züge nach Berlin.", voice="de"
    )
    assert len(transcribe(Sound(german, RATE, 0.0), model).words) < 40


@pytest.mark.weights
def test_a_paraphrase_finds_what_was_said_and_a_picture_question_does_not(monkeypatch):
    monkeypatch.setattr(narrated, "VOICES", ("en-us",))  # tiny.en hears it best
    model, sentences = whisper(), encoder()
    if not has_espeak():
        pytest.skip("espeak-ng is not installed")
    sound, placed = narrate(SAID, 20, np.random.default_rng(4))
    transcript = transcribe(Sound(sound, RATE, 100.0), model)
    picture = score_speech(transcript, "when does the red car turn left?", sentences)[0][0].probability
    assert len(placed) == 3 and picture < 0.5
    for line in placed:
        for question in line.line.questions:
            best = score_speech(transcript, question, sentences)[0][0]
            heard = type(best.span)(best.span.start_seconds - 100, best.span.end_seconds - 100)
            assert iou(heard, line.span) > 0.5 and best.probability > picture


@pytest.mark.weights
def test_hearing_and_reading_load_no_torch():
    program = """
import sys, numpy as np
from tvu.video_llm.media.sound import Sound
from tvu.video_llm.scout.screen_text import read_screen_text
from tvu.video_llm.scout.speech import transcribe
from tvu.video_llm.types import FrameBatch
from tvu.weights.load import located
noise = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
transcribe(Sound(noise, 16000, 0.0), located("whisper-tiny.en"))
read_screen_text([FrameBatch(np.zeros((1, 1, 3, 64, 64), np.uint8), np.zeros((1, 1)))])
assert "torch" not in sys.modules
"""
    whisper()
    subprocess.run([sys.executable, "-P", "-c", program], check=True)
