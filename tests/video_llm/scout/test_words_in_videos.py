"""The channels of words end to end: narrations and titles laid over moving pictures, asked about in other words.

The lines are in no script that anything was fitted on. They are few, so that one title that is read late costs a tenth;
the command `calibrate_words` measures the channels on hundreds of questions.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tvu.temporal.spans import iou
from tvu.video_llm.decode import open_video
from tvu.video_llm.media.sound import read_sound
from tvu.video_llm.sample import SamplingConfig, sample_frames
from tvu.video_llm.scout.narrated import Line, Placed, has_espeak, narrate, place_titles, write_video
from tvu.video_llm.scout.screen_text import read_screen_text, score_screen_text
from tvu.video_llm.scout.speech import score_speech, transcribe
from tvu.video_llm.sentence import SentenceEncoder
from tvu.weights.load import located

pytestmark = [
    pytest.mark.weights,
    pytest.mark.skipif(not has_espeak(), reason="espeak-ng is not installed, nobody can narrate"),
]

SECONDS = 20.0
SPOKEN = [
    Line(
        "My grandmother planted this apple tree forty years ago.", ("When does he mention his grandmother?", "the tree")
    ),
    Line("The water in the lake is too cold today.", ("When do they say the lake is cold?", "the cold water")),
    Line("Please fasten your seat belts before we take off.", ("When are passengers told to buckle up?",)),
    Line("Stir the soup slowly until the cheese has melted.", ("When is the soup explained?", "advice about cheese")),
    Line("You can borrow up to five books from the library.", ("When do they explain how to borrow books?",)),
    Line("The bridge will be closed for repairs until October.", ("When is the closed bridge announced?", "repairs")),
    Line("We sold more than nine hundred tickets.", ("When does the speaker mention ticket sales?",)),
    Line("She learned to play the piano when she was six.", ("When do they talk about learning the piano?",)),
]
SHOWN = [
    Line(
        "Opening hours 9 to 5", ("When does the caption with the opening hours appear?", "the text about opening hours")
    ),
    Line("Mount Fuji, Japan", ("When is the name of the mountain on screen?", "the title with Japan")),
    Line("Chapter Four", ("When does the title say chapter four?", "the words 'Chapter Four'")),
    Line("50% discount", ("When is the discount shown?", "the sign with a percentage")),
    Line("Interview with Dr. Lee", ("the caption naming the doctor", "When does the text say Interview?")),
    Line("14 March 2021", ("When does the caption with the date appear?", "the words 14 March")),
    Line("Please keep off the grass", ("When is the sign about the grass shown?",)),
    Line("The End", ("When does the text The End appear?",)),
]

Videos = list[tuple[Path, tuple[Placed, ...], tuple[Placed, ...]]]


@pytest.fixture(scope="module")
def videos(weights_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Videos:
    folder, source = tmp_path_factory.mktemp("words"), Path(__file__).parents[3] / "samples" / "parade.mp4"
    rng, made = np.random.default_rng(3), []
    for i in range(2):
        sound, said = narrate(SPOKEN[i::2], SECONDS, rng)
        drawn, shown = place_titles(SHOWN[i::2], SECONDS, (360, 640), rng)
        write_video(folder / f"{i}.mp4", source, drawn, sound)
        made.append((folder / f"{i}.mp4", said, shown))
    return made


def share_found(placed: tuple[Placed, ...], best: Callable[[str], object]) -> list[bool]:
    return [iou(best(question), p.span) >= 0.5 for p in placed for question in p.line.questions]


def test_questions_find_what_was_said(videos: Videos) -> None:
    sentences, found = SentenceEncoder(), []
    for path, said, _ in videos:
        transcript = transcribe(read_sound(open_video(path)), located("whisper-tiny.en"))
        found += share_found(said, lambda q, t=transcript: score_speech(t, q, sentences)[0][0].span)
    assert len(found) >= 8
    assert np.mean(found) >= 0.90


def test_questions_find_what_was_written(videos: Videos) -> None:
    sentences, found = SentenceEncoder(), []
    for path, _, shown in videos:
        read = read_screen_text(sample_frames(open_video(path), SamplingConfig()))
        found += share_found(shown, lambda q, r=read: score_screen_text(r, q, sentences)[0][0].span)
    assert len(found) >= 8
    assert np.mean(found) >= 0.8
