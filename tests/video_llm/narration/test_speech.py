"""The user's text on the words that were heard, and hours of sound as words."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from tvu.temporal.types import Span
from tvu.video_llm.cache import FeatureCache
from tvu.video_llm.errors import BackendError
from tvu.video_llm.media.sound import Sound
from tvu.video_llm.narration import speech
from tvu.video_llm.narration.speech import HearingConfig, speech_candidates, transcribe_clip
from tvu.video_llm.narration.types import Line, Script
from tvu.video_llm.scout.model import key_of
from tvu.video_llm.scout.speech import Transcript, Word, heard_in
from tvu.video_llm.types import VideoClip

RATE = 16000


def said(text: str, start: float = 0.0) -> tuple[Word, ...]:
    """Half a second for each word, and half a second of silence after each sentence."""
    words = []
    for word in text.split():
        words.append(Word(word, start, start + 0.5, 0.9))
        start += 1.0 if word[-1] in ".?!" else 0.5
    return tuple(words)


def script(*lines: str) -> Script:
    return Script(tuple(Line(line) for line in lines), "txt")


TALK = said(
    "Welcome to my kitchen. Preheat the oven to 180 degrees. Shop the onions finely. Thank you. "
    "It costs twelve hundred dollars. Thank you."
)


def test_a_line_is_found_where_its_words_begin_and_end():
    ((best, *_),) = speech_candidates(script("Preheat the oven to one hundred and eighty degrees"), Transcript(TALK))
    assert best.span == Span(2.5, 5.5) and best.evidence == "speech" and best.score > 0.8


def test_lines_may_come_in_any_order_and_with_numbers_as_people_write_them():
    found = speech_candidates(script("It costs $1,200.", "Welcome to my kitchen"), Transcript(TALK))
    assert found[0][0].span.start_seconds > found[1][0].span.start_seconds
    assert min(found[0][0].score, found[1][0].score) > 0.8


def test_misheard_words_at_the_edge_of_a_line_are_part_of_it():
    ((best, *_),) = speech_candidates(script("Chop the onions finely"), Transcript(TALK))
    assert best.span == Span(6.0, 8.0)
    garbled = said("So there. Grabbed a maroon onions finely. Next.")  # not a sound of "now slice the"
    ((best, *_),) = speech_candidates(script("Now slice the onions finely"), Transcript(garbled))
    assert best.span.start_seconds == pytest.approx(1.5, abs=0.51) and best.span.end_seconds == 4.0


def test_a_sentence_said_twice_has_two_candidates():
    (found,) = speech_candidates(script("Thank you."), Transcript(TALK))
    assert sorted(c.span.start_seconds for c in found[:2]) == [8.5, 13.0]


def test_the_order_of_the_text_tells_which_of_equal_sentences_is_meant():
    first, *_, last = speech_candidates(
        script("Chop the onions finely", "It costs $1,200", "Thank you"),
        Transcript(TALK[:-2] + said("Thank you.", 12.5)),
    )
    assert first[0].span.start_seconds == 6.0
    assert last[0].span.start_seconds == 12.5


def test_a_line_that_is_never_said_is_unlikely():
    (found,) = speech_candidates(script("The striker scored in the final minute"), Transcript(TALK))
    assert all(candidate.score < 0.2 for candidate in found)


def test_what_the_second_hearing_heard_counts_too_and_places_of_both_are_one():
    again = said("Welcome to my kitchen. Preheat the oven to 180 degrees. Chop the onions finely.")
    garbled = said("Welcome to my kitchen. Preheat the oven to 180 degrees. Sharp tea onion fine Lee.")
    alone, both = (
        speech_candidates(script("Chop the onions finely"), t)[0]
        for t in (Transcript(garbled), Transcript(garbled, again))
    )
    assert both[0].score > alone[0].score
    assert len(both) == 1


def test_sounds_and_names_of_speakers_are_not_looked_for():
    (found,) = speech_candidates(script("[oven beeps] MARY: Welcome to my kitchen"), Transcript(TALK))
    assert found[0].span == Span(0, 2)
    assert speech_candidates(script("[music]", "", "♪"), Transcript(TALK)) == ((), (), ())


def test_silence_has_no_candidates():
    assert speech_candidates(script("Welcome", "Thank you"), Transcript(())) == ((), ())
    assert speech_candidates(script(), Transcript(TALK)) == ()


@dataclass(frozen=True)
class Topics:
    """A sentence encoder that knows two topics."""

    def embed(self, texts):
        rows = np.zeros((len(texts), 384), np.float32)
        for i, text in enumerate(texts):
            rows[i, 0 if set(text.lower().strip(".").split()) & {"costs", "price", "expensive"} else 1 + i % 300] = 1
        return rows


def test_a_line_in_other_words_is_found_by_its_meaning():
    (found,) = speech_candidates(script("A terribly expensive thing"), Transcript(TALK), Topics())
    assert any(abs(c.span.start_seconds - 10.0) < 0.1 for c in found)
    assert all(
        c.span.start_seconds != 9.5
        for c in speech_candidates(script("A terribly expensive thing"), Transcript(TALK))[0]
    )


# --- hearing ---


def clip(path: Path, seconds: float = 250.0) -> VideoClip:
    path.write_bytes(b"a film")
    return VideoClip(path, Span(0.0, seconds), seconds, fps=25.0, num_frames=100, height=90, width=160, has_audio=True)


@pytest.fixture
def recogniser(monkeypatch, tmp_path: Path) -> list[float]:
    """A recogniser that hears one word in each part; the starts of the parts it was given."""
    parts: list[float] = []

    def transcribe(sound: Sound, folder: Path, language: str = "en") -> Transcript:
        parts.append(sound.start_seconds)
        return Transcript((Word("word", sound.start_seconds, sound.start_seconds + 1, 1.0),), language=language)

    def sound_windows(clip: VideoClip):
        for start in np.arange(0.0, clip.span.end_seconds, 100.0):
            count = round(min(100.0, clip.span.end_seconds - start) * RATE)
            yield Sound(np.zeros(count, np.float32), RATE, float(start))

    monkeypatch.setattr(speech, "transcribe", transcribe)
    monkeypatch.setattr(speech, "sound_windows", sound_windows)
    monkeypatch.setattr(speech, "located", lambda name: tmp_path)
    return parts


def test_what_was_heard_is_kept_and_shared_with_the_index(recogniser, tmp_path: Path):
    film, cache = clip(tmp_path / "film.mp4"), FeatureCache(tmp_path / "cache")
    heard = transcribe_clip(film, cache=cache)
    assert len(heard.words) == len(recogniser) == 3
    assert transcribe_clip(film, cache=cache) == heard and len(recogniser) == 3
    entry = cache.load(key_of(film, cache.content_of(film.path), "speech"))  # as Scout keeps what it hears
    assert entry is not None and Transcript.from_arrays(dict(entry.arrays)) == heard


def test_how_far_it_is_heard_is_told(recogniser, tmp_path: Path):
    told: list[tuple[str, float]] = []
    transcribe_clip(clip(tmp_path / "film.mp4"), report=lambda stage, done: told.append((stage, done)))
    assert [stage for stage, _ in told] == ["listening"] * 3
    assert [done for _, done in told] == sorted(done for _, done in told) and told[-1][1] == 1.0


def test_a_film_without_sound_has_no_words(recogniser, tmp_path: Path):
    assert transcribe_clip(replace(clip(tmp_path / "film.mp4"), has_audio=False)).words == ()
    assert recogniser == []


def test_a_language_that_the_recogniser_does_not_know_is_said(recogniser, tmp_path: Path):
    with pytest.raises(BackendError, match="knows English only") as raised:
        transcribe_clip(clip(tmp_path / "film.mp4"), HearingConfig(language="de"))
    assert raised.value.hint is not None and "multilingual" in raised.value.hint


def test_a_folder_that_is_no_model_is_said(tmp_path: Path):
    (tmp_path / "model.bin").write_bytes(b"")
    with pytest.raises(BackendError, match=r"config\.json, tokenizer\.json missing"):
        transcribe_clip(clip(tmp_path / "film.mp4"), HearingConfig(model=tmp_path))


def test_a_model_of_ones_own_hears_its_languages_and_is_kept_apart(recogniser, monkeypatch, tmp_path: Path):
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("model.bin", "config.json", "tokenizer.json"):
        (folder / name).write_text("{}")
    monkeypatch.setattr(speech, "languages_of", lambda folder: ("de", "en"))
    monkeypatch.setattr(speech, "language_of", lambda sound, folder: "de")
    film, cache = clip(tmp_path / "film.mp4"), FeatureCache(tmp_path / "cache")
    transcribe_clip(film, cache=cache)
    assert transcribe_clip(film, HearingConfig(model=folder), cache=cache).language == "de"
    assert len(recogniser) == 6
    with pytest.raises(BackendError, match="does not know the language 'fr'"):
        transcribe_clip(film, HearingConfig("fr", folder), cache=cache)


def test_no_word_is_cut_where_one_sound_ends_and_the_next_begins():
    rng = np.random.default_rng(0)
    samples = rng.normal(0, 0.1, 250 * RATE).astype(np.float32)
    pauses = [95.0, 200.0]
    for pause in pauses:
        samples[round(pause * RATE) : round((pause + 0.5) * RATE)] = 0
    sounds = [Sound(samples[a * RATE : (a + 50) * RATE], RATE, 10.0 + a) for a in range(0, 250, 50)]
    given: list[Sound] = []

    def hear(sound: Sound) -> Transcript:
        given.append(sound)
        return Transcript(())

    reached = [seconds for seconds, _ in heard_in(sounds, hear)]
    assert np.array_equal(np.concatenate([sound.samples for sound in given]), samples)
    edges = [sound.start_seconds - 10.0 for sound in given[1:]]
    assert all(pause < edge < pause + 0.5 for pause, edge in zip(pauses, edges, strict=True))
    assert reached == [*(edge + 10.0 for edge in edges), 260.0]
    assert max(len(sound.samples) for sound in given) <= 120 * RATE
