"""`lite` as a model of tvu, with a language model of random weights."""

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.video_llm.lite.tiny_lite import save_tiny, tiny_meaning
from tests.video_llm.media.drawing import draw_video
from tvu.temporal.spans import iou
from tvu.temporal.timecode import parse_timecode
from tvu.temporal.types import Span
from tvu.video_llm.benchmarks.choice import MultipleChoice
from tvu.video_llm.benchmarks.examinee import Chooser, choose
from tvu.video_llm.benchmarks.types import AskConfig
from tvu.video_llm.captions import Captioned, Captioner, Highlighter
from tvu.video_llm.decode import open_video
from tvu.video_llm.errors import UnknownModel
from tvu.video_llm.generate import generate
from tvu.video_llm.lite.answer import (
    NAMELESS,
    NO_WORDS,
    CaptionReader,
    Lite,
    LiteSettings,
    Told,
    apart,
    choice_in,
    next_to,
    put_together,
    wants_words,
    windows_of,
)
from tvu.video_llm.lite.checkpoint import Calibration
from tvu.video_llm.lite.naming import NAMES, Looks
from tvu.video_llm.lite.options import Options
from tvu.video_llm.lite.prior import ClassEvidence, Meaning
from tvu.video_llm.lite.see import LiteSeen, step_spans, steps_of
from tvu.video_llm.questions import captions_request
from tvu.video_llm.serving.asked import AskedChat
from tvu.video_llm.serving.videos import NamedVideo
from tvu.video_llm.serving.work import chat
from tvu.video_llm.types import Grounding, Prompt, VideoClip
from tvu.weights.errors import WeightsError

SETTINGS = LiteSettings(window_seconds=4.0, overlap_seconds=1.0, least_score=0.0, most_captions=3)


class Dreaming(Lite):
    """Sees noise in every clip, the same for the same part."""

    looks = 0

    def _recalled(self, clip):
        self.looks += 1
        steps = steps_of(clip)
        rng = np.random.default_rng(round(clip.span.start_seconds * 1000))
        return LiteSeen(
            rng.normal(size=(steps, 4, 1280)).astype(np.float16),
            rng.normal(size=(steps, 16)).astype(np.float16),
            np.zeros((steps, 104), np.float32),
            np.zeros((steps, 92), np.float32),
            np.zeros(steps, np.bool_),
            np.zeros(steps, np.bool_),
            step_spans(clip.span, steps),
        )


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> VideoClip:
    return open_video(draw_video(tmp_path_factory.mktemp("video") / "a.mp4", num_frames=250, size=(64, 48)))  # 10 s


@pytest.fixture
def model(checkpoint: Path, tiny_weights: Path) -> Dreaming:
    return Dreaming("lite:tiny", checkpoint, SETTINGS)


def test_a_checkpoint_whose_words_were_no_better_than_chance_does_not_write(model, clip, monkeypatch):
    monkeypatch.setattr(model, "files", replace(model.files, card={"writes": False}))
    for question in ("How many dogs are there?", "Which way? (A) left (B) right"):
        answer = model.answer(clip, question)
        assert answer.groundings and not answer.is_in_words
    with pytest.raises(UnknownModel, match="writes no captions"):
        model.caption(clip)


def test_spans_lie_in_the_clip_and_come_best_first(model, clip):
    first, second = model.find(clip, ["a dog runs", "a cat"])
    assert first.question == "a dog runs" and first.model == "lite:tiny" and first.groundings
    scores = [grounding.score for grounding in first.groundings]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= g.span.start_seconds < g.span.end_seconds <= 10 for g in first.groundings)
    assert first.groundings != second.groundings and model.looks == 1
    assert first.timing.total_s > 0 and second.timing.total_s == 0


def test_a_span_is_as_likely_as_it_is_right_and_there(model, clip, monkeypatch):
    (before,) = model.find(clip, ["a dog runs"])
    halved = Calibration(present=(0.0, 0.0))  # nobody knows whether anything is there
    sure = Calibration(present=(50.0, 0.0))
    scores = []
    for calibration in (halved, sure):
        monkeypatch.setattr(model, "files", replace(model.files, calibration=calibration))
        scores.append(np.array([g.score for g in model.find(clip, ["a dog runs"])[0].groundings]))
    np.testing.assert_allclose(scores[0], scores[1] / 2, rtol=1e-6)
    assert len(before.groundings) == len(scores[0])


def test_a_part_of_a_file_is_told_in_the_seconds_of_the_file(model, clip):
    part = VideoClip(**{**vars(clip), "span": Span(5.0, 8.0)})
    (answer,) = model.find(part, ["a dog"])
    assert all(5 <= g.span.start_seconds < g.span.end_seconds <= 8 for g in answer.groundings)
    assert answer.curves[0].times.min() >= 5 and answer.curves[0].times.max() <= 8
    assert answer.frame_seconds[0] == 5.0


def test_the_curve_covers_every_window_once(model, clip):
    (answer,) = model.find(clip, ["a dog"])
    times = answer.curves[0].times
    assert (np.diff(times) > 0).all() and times[0] < 0.5 and times[-1] > 9.4
    assert np.diff(times).max() < 0.6


def test_unlikely_spans_are_not_told(checkpoint, tiny_weights, clip):
    (answer,) = Dreaming("lite", checkpoint, LiteSettings(least_score=1.0)).find(clip, ["a dog"])
    assert answer.groundings == () and answer.text == "Nothing in this video seems to be that."


def test_a_second_question_about_the_clip_looks_no_more(model, clip):
    model.find(clip, ["a dog"])
    answer = model.answer(clip, "How many dogs are there?")
    assert model.looks == 1 and answer.timing.encode_s == 0 and answer.is_in_words


def test_a_question_for_a_time_is_answered_by_spans_without_writing(model, clip):
    answer = model.answer(clip, "When does the dog run?")
    assert answer.text.startswith("Most likely from") and not answer.is_in_words


def test_a_choice_is_answered_by_its_likeliest_letter(model, clip):
    question = MultipleChoice("Which way does it go?", ("left", "right", "up"))
    assert isinstance(model, Chooser)
    answer = model.choose(clip, question)
    assert answer.text in ("(A) left", "(B) right", "(C) up")
    response = choose(model, clip, question, AskConfig())
    assert response.status == "parsed" and response.text == answer.text
    typed = model.answer(clip, "Which way does it go? (A) left (B) right (C) up")
    assert typed.text == answer.text and typed.is_in_words


def test_the_options_are_read_not_only_their_letters(model, clip):
    a, b = (
        model._letters(model.look(clip).windows[0], q, q.request.user.rstrip())
        for q in (MultipleChoice("Which?", ("left", "right")), MultipleChoice("Which?", ("up", "down")))
    )
    assert len(a) == 2 and a != b


def test_captions_come_in_order_each_once_as_they_are_written(model, clip):
    told: list[Captioned] = []
    captions = model.caption(clip, told.append)
    assert isinstance(model, Captioner) and sorted(told, key=lambda each: each.span) == captions
    assert all(0 <= each.span.start_seconds < each.span.end_seconds <= 10 and each.text for each in captions)
    answer = model.answer(clip, captions_request())
    assert answer.text.count("\n") == max(0, len(captions) - 1)


def test_highlights_are_asked_for_as_the_model_was_taught(model, clip):
    assert isinstance(model, Highlighter)
    found = model.highlights(clip, "a goal")
    assert found.question == "a goal" and "best first" in found.prompt and found.curves


@pytest.mark.parametrize("question", ["When does the dog run?", "How many dogs are there?"])
def test_a_server_counts_the_tokens_that_are_read_and_written(model, clip, question):
    reply = chat(AskedChat("a.mp4", question), NamedVideo(str(clip.path), "a.mp4"), model)
    letters = [len(text.encode()) for text in (question, reply.content)]  # a token each, to the tokenizer of the tests
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == tuple(letters)
    assert reply.usage.frames == 40


class Patient(Dreaming):
    """Watches until all that questions are read with is there."""

    def _recalled(self, clip):
        started = time.monotonic()
        while not {"loaded", "tokenizer", "_evidence", "_meanings"} <= vars(self).keys():
            assert time.monotonic() < started + 30
            time.sleep(0.01)
        return super()._recalled(clip)


def test_what_reads_questions_is_loaded_while_frames_are_watched(checkpoint, tiny_weights, clip):
    (answer,) = Patient("lite", checkpoint, SETTINGS).find(clip, ["a dog"])
    assert answer.groundings


# --- with what is known without training ---


class Knowing(Dreaming):
    """Is told what classes of noise say for questions whose meaning is how long they are."""

    _evidence = ClassEvidence(torch.eye(6, 1280), torch.zeros(6), torch.zeros(1280))

    def _meanings(self, texts: Sequence[str]) -> Meaning:
        lengths = torch.tensor([len(text) for text in texts])
        of_lengths = tiny_meaning(torch.eye(384), torch.eye(6)[torch.arange(384) % 6])
        return Meaning(*(each[lengths] for each in vars(of_lengths).values()))


@pytest.fixture
def knowing(tmp_path: Path, tiny_weights: Path) -> Knowing:
    return Knowing("lite:tiny", save_tiny(tmp_path / "lite", has_prior=True), SETTINGS)


def test_weights_of_sentences_that_are_missing_are_told(tmp_path, tiny_weights, clip, monkeypatch):
    def located(name):
        raise WeightsError(f"weights are missing: {name}")

    monkeypatch.setattr("tvu.video_llm.minilm.located", located)
    model = Dreaming("lite", save_tiny(tmp_path / "lite", has_prior=True), SETTINGS)
    monkeypatch.setattr(Dreaming, "_evidence", Knowing._evidence)
    for _ in range(2):
        with pytest.raises(WeightsError, match="minilm"):
            model.find(clip, ["a dog"])


def test_words_are_written_after_what_is_known_was_read(knowing, clip, monkeypatch):
    prompts: list[Prompt] = []

    def noted(prompt: Prompt, *rest, **more):
        prompts.append(prompt)
        return generate(prompt, *rest, **more)

    monkeypatch.setattr("tvu.video_llm.lite.answer.generate", noted)
    window, choice = knowing.look(clip).windows[0], MultipleChoice("Which?", ("left", "right"))

    def letters() -> list[float]:
        return knowing._letters(window, choice, choice.request.user)

    knowing._written(window, "How many dogs are there?", None, 2)
    before = letters()
    knowing.loaded.model.told.weight.data.normal_(generator=torch.Generator().manual_seed(0))
    for question in ("How many dogs are there?", "How many?"):
        knowing._written(window, question, None, 2)
    untold, one, other = (prompt.visual.features.squeeze(2) for prompt in prompts)
    timed = knowing.loaded.model.eyes.rows(window.tokens) + knowing.loaded.model.time_rows(window.tokens)
    torch.testing.assert_close(untold[:, : timed.shape[1]], timed)
    untold, one, other = (each[:, : timed.shape[1]] for each in (untold, one, other))
    assert letters() != before
    assert not torch.isclose(untold, one).all(-1).any() and not torch.isclose(one, other).all(-1).any()


def test_every_window_has_shots_of_its_own(knowing, clip):
    windows = knowing.look(clip).windows
    edges = [window.evidence.shots.edges for window in windows]
    assert len(windows) > 1 and all(float(each[0, 0]) == 0 and float(each[0, -1]) <= 4 for each in edges)
    (answer,) = knowing.find(clip, ["a dog runs"])
    assert all(0 <= g.span.start_seconds < g.span.end_seconds <= 10 for g in answer.groundings)


# --- answers that can be listed ---


LISTED = {
    "Is there a dog?": ("Yes", "No"),
    "How many dogs are there?": tuple(map(str, range(10))),
    "Which happens first: a dog jumps or a car stops?": ("a dog jumps", "a car stops"),
}
WHOLE = LiteSettings(window_seconds=20.0, least_score=0.0)


class Unreading(Knowing):
    """Has no language model, and none to find."""


@pytest.fixture
def unreading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Unreading:
    def located(name):
        raise AssertionError(f"nobody needs {name}")

    for module in ("tvu.weights.load", "tvu.video_llm.lite.checkpoint"):
        monkeypatch.setattr(f"{module}.located", located)
    return Unreading("lite:tiny", save_tiny(tmp_path / "lite", reads=False, has_prior=True), WHOLE)


def test_a_checkpoint_that_does_not_read_finds_moments_without_a_language_model(unreading, clip):
    first, second = unreading.find(clip, ["a dog runs", "a cat"])
    assert first.groundings and first.curves and first.groundings != second.groundings
    assert all(0 <= g.span.start_seconds < g.span.end_seconds <= 10 for g in first.groundings)
    assert unreading.loaded.causal is None and "tokenizer" not in vars(unreading)
    assert unreading.highlights(clip, "a goal").question == "a goal"


@pytest.mark.parametrize("question", LISTED)
def test_of_answers_that_can_be_listed_the_likeliest_is_told_and_how_likely_it_is(unreading, clip, question):
    answer = unreading.answer(clip, question)
    assert unreading.speaks(question) and answer.text in LISTED[question]
    assert answer.question == question and answer.is_in_words and answer.groundings
    (note,) = answer.notes
    assert re.fullmatch(rf"of {len(LISTED[question])} answers this is right with \d+%", note)


def test_beside_the_one_or_the_other_of_two_things_stand_its_own_spans(unreading, clip):
    answer = unreading.answer(clip, "Which happens first: a dog jumps or a car stops?")
    assert answer.groundings == unreading.find(clip, [answer.text])[0].groundings
    assert (
        unreading.answer(clip, "Is there a dog?").groundings == unreading.find(clip, ["Is there a dog?"])[0].groundings
    )


def test_beside_an_order_stands_the_best_span_of_each_thing_in_it(unreading, clip):
    answer = unreading.answer(clip, "In what order do these happen: a dog jumps; a car stops; a man waves?")
    each = unreading.find(clip, ["a dog jumps", "a car stops", "a man waves"])
    best = sorted((one.groundings[0] for one in each), key=lambda grounding: -grounding.score)
    assert len(answer.text.split(", then ")) == 3 and answer.groundings[0] == best[0]
    spans = [grounding.span for grounding in answer.groundings]
    assert set(answer.groundings) <= set(best)  # none of them twice
    assert all(any(grounding.span == span or iou(grounding.span, span) > 0.5 for span in spans) for grounding in best)
    assert all(iou(one, other) <= 0.5 for one, other in combinations(spans, 2))


def test_of_a_long_video_it_is_told_by_what_it_was_judged(unreading, clip, monkeypatch):
    monkeypatch.setattr(unreading, "settings", SETTINGS)
    answer = unreading.answer(clip, "Which happens first: a dog jumps or a car stops?")
    found = re.fullmatch(r"judged by what is seen from (\S+) to (\S+)", answer.notes[-1])
    start, end = map(parse_timecode, found.groups())
    assert any(
        abs(w.span.start_seconds - start) < 0.1 > abs(w.span.end_seconds - end) for w in unreading.look(clip).windows
    )
    assert all(each.span.start_seconds < end and each.span.end_seconds > start for each in answer.groundings)


@pytest.mark.parametrize("reads", [False, True])
def test_a_choice_is_judged_where_it_is_known_what_options_mean(request, clip, monkeypatch, reads):
    model = request.getfixturevalue("knowing" if reads else "unreading")
    monkeypatch.setattr(Lite, "_letters", None)  # no letter is written
    question = MultipleChoice("Which way does it go?", ("left", "to the right", "up"))
    answer = model.choose(clip, question)
    assert answer.text in ("(A) left", "(B) to the right", "(C) up") and answer.is_in_words
    assert answer.question == question.question and answer.notes[-1].startswith("of 3 answers this is right with ")
    assert choose(model, clip, question, AskConfig()).text == answer.text
    typed = model.answer(clip, "Which way does it go? (A) left (B) to the right (C) up")
    assert typed.text == answer.text and typed.question == question.question


def test_options_are_judged_by_what_they_say_not_by_where_they_stand(unreading, clip):
    window, question = unreading.look(clip).windows[0], "Which way?"
    options = ("left", "to the right", "up")
    chances = unreading._chances(window, question, Options(question, options, is_lettered=True))
    turned = unreading._chances(window, question, Options(question, options[::-1], is_lettered=True))
    assert sum(chances) == pytest.approx(1) and len(set(chances)) == 3
    assert turned == pytest.approx(chances[::-1], abs=1e-5)  # float32, another order


def test_over_several_windows_moments_are_counted(unreading, clip, monkeypatch):
    monkeypatch.setattr(unreading, "settings", SETTINGS)
    sure = Calibration(span=(50.0, 0.0), present=(50.0, 0.0))
    for calibration in (sure, Calibration(present=(0.0, 0.0))):
        monkeypatch.setattr(unreading, "files", replace(unreading.files, calibration=calibration))
        answer = unreading.answer(clip, "How many dogs are there?")
        likely = apart([each.span for each in answer.groundings if each.score >= 0.5])
        note = f"counted are moments that are likelier than not: {len(likely)}"
        assert answer.text == str(len(likely)) and answer.notes == (note,)
        choice = unreading.choose(clip, MultipleChoice("How many dogs are there?", ("0", "four", "9")))
        assert choice.notes[-1].startswith("counted are moments")
        counted = int(choice.notes[-1].rpartition(" ")[2])
        nearest = {"(A) 0": 0, "(B) four": 4, "(C) 9": 9}
        assert abs(nearest[choice.text] - counted) == min(abs(number - counted) for number in nearest.values())
    assert unreading.answer(clip, "Is there a dog?").text in ("Yes", "No")


def test_a_thing_is_counted_once_whole_or_in_part():
    whole, part, next_, other = Span(0, 10), Span(2, 5), Span(9.5, 20), Span(30, 40)
    assert apart([whole, part, next_, other]) == [whole, next_, other]
    assert apart([part, whole, Span(5, 9)]) == [part, Span(5, 9)] and apart([]) == []


def test_what_is_not_there_is_nowhere_in_a_long_video(unreading, clip, monkeypatch):
    monkeypatch.setattr(unreading, "settings", SETTINGS)
    chances = {"a dog": (0.9, 0.1, 0.1), "a cat": (0.1, 0.1, 0.8), "a cup": (0.3, 0.2, 0.3)}  # in each window
    found = unreading._found

    def of_windows(clip, queries):
        answers, _ = found(clip, queries)
        known = [[Told((), each, np.zeros(4)) for each in chances.get(q, (0.5, 0.5, 0.5))] for q in queries]
        return answers, known

    monkeypatch.setattr(unreading, "_found", of_windows)
    answer = unreading.answer(clip, "Which does not happen? (A) a dog (B) a cat (C) a cup")
    assert answer.text == "(C) a cup" and answer.notes[-1] == "of 3 answers this is right with 87%"


# --- what happens, by name ---


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that has a picture looks like a dog."""
    monkeypatch.setattr("tvu.video_llm.lite.naming.name_of", lambda chances: ("a dog", 0.6) if chances.any() else None)


def test_a_checkpoint_that_does_not_write_tells_what_has_a_name(unreading, clip, named):
    assert unreading.judges and unreading.names and not unreading.writes
    told: list[Captioned] = []
    (caption,) = unreading.caption(clip, told.append)
    assert told == [caption] and (caption.span, caption.text) == (Span(0, 10), "a dog")
    assert caption.score == pytest.approx(0.6)
    assert unreading.looks == 1
    for question in ("What happens in the video?", captions_request(), "How does the video begin?"):
        answer = unreading.answer(clip, question)
        text = "00:00.0 - 00:10.0 a dog" if question == captions_request() else "A dog."
        assert unreading.speaks(question) and answer.is_in_words and answer.text == text
        assert [(each.span, each.phrase) for each in answer.groundings] == [(Span(0, 10), "a dog")]
        assert answer.notes[-1] == NAMES and answer.curves == () and answer.question == question
    assert not unreading.speaks("When does the dog run?")


def test_over_several_windows_every_second_is_named_once(unreading, clip, named, monkeypatch):
    monkeypatch.setattr(unreading, "settings", SETTINGS)
    assert [each.span for each in unreading.caption(clip)] == [Span(0, 10)]
    names = iter(["a dog", "a cat"] * 100)
    monkeypatch.setattr("tvu.video_llm.lite.naming.name_of", lambda chances: (next(names), 0.6))
    told = unreading.caption(clip)
    assert told == sorted(told, key=lambda each: each.span)
    assert told[0].span.start_seconds == 0 and told[-1].span.end_seconds == 10
    assert all(a.span.end_seconds == pytest.approx(b.span.start_seconds) for a, b in pairwise(told))


def doing(
    monkeypatch: pytest.MonkeyPatch, model: Lite, clip: VideoClip, *spans: tuple[float, float]
) -> list[Captioned]:
    """Captions of a clip in which a body is seen throughout, which drinks as long as `spans` say."""
    seen = Dreaming._recalled(model, clip)
    monkeypatch.setattr(model, "_recalled", lambda clip: replace(seen, has_body=np.ones_like(seen.has_body)))
    monkeypatch.setattr(Looks, "animal_chance", lambda self, span: 0.0)

    def head(window, queries):
        within = [(max(a, window.span.start_seconds), min(b, window.span.end_seconds), 0.9) for a, b in spans]
        drinks = tuple(each for each in within if each[0] < each[1])
        return [Told(drinks if query == "somebody drinks" else (), 0.9, np.zeros(20)) for query in queries]

    monkeypatch.setattr(model, "_head", head)
    told: list[Captioned] = []
    assert model.caption(clip, told.append) == told == sorted(told, key=lambda each: each.span)
    return [each for each in told if each.text != "a dog"]


def test_what_somebody_does_is_told_beside_what_is_seen(unreading, clip, named, monkeypatch):
    (told,) = doing(monkeypatch, unreading, clip, (2.0, 4.0))
    assert (told.span, told.text) == (Span(2, 4), "somebody holds a hand to their face")
    monkeypatch.setattr(unreading, "_recalled", lambda clip: Dreaming._recalled(unreading, clip))
    monkeypatch.setattr(unreading, "_last", None)
    assert [each.text for each in unreading.caption(clip)] == ["a dog"]  # nobody is seen


def test_a_deed_that_several_windows_see_is_told_once(unreading, clip, named, monkeypatch):
    monkeypatch.setattr(unreading, "settings", SETTINGS)
    told = doing(monkeypatch, unreading, clip, (1.0, 6.0), (8.5, 9.5))
    assert [each.span for each in told] == [Span(1, 6), Span(8.5, 9.5)]


def test_what_is_named_once_is_not_named_anew(unreading, clip, named, monkeypatch):
    told = unreading.caption(clip)
    monkeypatch.setattr(unreading, "_named_anew", None)
    assert unreading.caption(clip) == told and unreading.answer(clip, "What happens?").is_in_words


def test_what_comes_after_and_before_is_told_by_name(unreading, clip, monkeypatch):
    told = ((0, 2, "a cat", 0.6), (5, 7, "a dog", 0.7), (7, 10, "a cup", 0.8))
    captions = [Captioned(Span(start, end), text, score) for start, end, text, score in told]
    monkeypatch.setattr(unreading, "_names", lambda clip: captions)
    (found,) = unreading.find(clip, ["the goal"])
    ball = replace(found, groundings=(Grounding(Span(3, 4.6), 0.6, "visual"),))
    monkeypatch.setattr(unreading, "_found", lambda clip, queries: ([ball], [[]]))
    for question, text in {
        "What happens after the goal?": "A dog.",
        "What happens before the goal?": "A cat.",
        "What happens first?": "A cat.",
        "What happens last?": "A cup.",
        "What is shown in the video?": "A cat, then a dog, then a cup.",
    }.items():
        answer = unreading.answer(clip, question)
        scores = [each.score for each in answer.groundings]
        assert answer.text == text and scores == sorted(scores, reverse=True) and answer.is_in_words
    assert unreading.answer(clip, "What happens after the goal?").notes[-1] == (
        "after 00:03.0 - 00:04.6, which is that with 60 %"
    )
    unlikely = Grounding(Span(3, 4.6), 0.4, "visual")
    for groundings in ((), (unlikely,)):
        less = replace(ball, groundings=groundings)
        monkeypatch.setattr(unreading, "_found", lambda clip, queries, less=less: ([less], [[]]))
        answer = unreading.answer(clip, "What happens after the goal?")
        assert answer.text == "Nothing in this video seems to be that." and not (
            answer.groundings or answer.is_in_words
        )
    monkeypatch.setattr(unreading, "_names", lambda clip: [])
    answer = unreading.answer(clip, "What happens first?")
    assert answer.text == NAMELESS and not answer.is_in_words


def test_of_captions_the_nearest_is_next():
    told = [Captioned(Span(a, b), str(a)) for a, b in ((0, 5), (1, 3), (4, 6), (8, 9))]
    assert next_to(told, Span(3, 4), is_after=True) == [told[2]]
    assert next_to(told, Span(3.4, 4.6), is_after=False) == [told[1]] and next_to(told, Span(9, 10), True) == []
    assert next_to(told, Span(0, 4), is_after=False) == []


def test_a_checkpoint_that_judged_no_better_than_chance_answers_by_moments(unreading, clip, monkeypatch):
    monkeypatch.setattr(unreading, "files", replace(unreading.files, card={"judges": False}))
    for question in (*LISTED, "Which way? (A) left (B) right"):
        answer = unreading.answer(clip, question)
        assert not unreading.speaks(question) and answer.groundings and not answer.is_in_words


def test_a_checkpoint_that_is_told_nothing_writes_what_others_judge(model, knowing):
    assert not model.judges and model.writes and knowing.judges and knowing.writes
    for question in (*LISTED, "What happens after it jumps?", "Which way? (A) left (B) right"):
        assert knowing.speaks(question)
    assert model.speaks("How many dogs are there?") and not model.speaks(list(LISTED)[-1] + " When?")
    assert not any(each.speaks("When does the dog run?") for each in (model, knowing))


# --- a head that needs no language model beside one that writes ---


def without(folder: Path, *names: str):
    """Looks for weights where all but some are there."""

    def located(name: str) -> Path:
        if name in names:
            raise WeightsError(f"weights are missing: {name}")
        return folder

    return located


@pytest.fixture
def deaf(tmp_path: Path, tiny_weights: Path) -> Knowing:
    """Writes, and finds moments before it reads anything."""
    return Knowing("lite:tiny", save_tiny(tmp_path / "lite", has_prior=True, listens=False), SETTINGS)


@pytest.fixture
def wordless(deaf: Knowing, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch) -> Knowing:
    """The same where SmolLM2 was never pulled."""
    for module in ("tvu.weights.load", "tvu.video_llm.lite.checkpoint"):
        monkeypatch.setattr(f"{module}.located", without(tiny_weights, "smollm2-135m"))
    lacking = {"smollm2-135m": ("missing", {})}
    monkeypatch.setattr("tvu.weights.store.state_of", lambda weights: lacking.get(weights.name, ("ready", {})))
    return deaf


WORDY = "Why does it jump?"


def test_moments_and_judged_answers_need_no_language_model(wordless, clip):
    first, second = wordless.find(clip, ["a dog runs", "a cat"])
    assert first.groundings and first.curves and first.groundings != second.groundings
    assert wordless.highlights(clip, "a goal").groundings and wordless.loaded.causal is None
    for question, options in LISTED.items():
        answer = wordless.answer(clip, question)
        assert wordless.speaks(question) and answer.is_in_words
        assert answer.text in options or question.startswith("How many")  # which is counted over several windows
    choice = wordless.choose(clip, MultipleChoice("Which way?", ("left", "to the right")))
    assert choice.text in ("(A) left", "(B) to the right")
    assert not {"worded", "tokenizer"} & vars(wordless).keys()


def test_a_question_that_wants_words_is_told_what_they_need(wordless, clip):
    answer = wordless.answer(clip, WORDY)
    assert wordless.explains and not wordless.has_words and not wordless.speaks(WORDY)
    assert answer.groundings and not answer.is_in_words and answer.notes == (NO_WORDS,) and "pull" in NO_WORDS
    assert wordless.lacks_words(WORDY) and wordless.lacks_words(captions_request())
    for question in ("When does the dog run?", next(iter(LISTED))):
        assert NO_WORDS not in wordless.answer(clip, question).notes
    assert not wordless.lacks_words("When does the dog run?")


def test_captions_and_letters_need_a_language_model(wordless, clip, monkeypatch):
    assert wordless.writes
    with pytest.raises(WeightsError, match="smollm2"):
        wordless.caption(clip)
    assert wordless.looks == 0  # which is told at once
    monkeypatch.setattr(wordless, "files", replace(wordless.files, card={"judges": False}))
    with pytest.raises(WeightsError, match="smollm2"):
        wordless.choose(clip, MultipleChoice("Which way?", ("left", "to the right")))


def test_a_checkpoint_without_words_to_read_says_nothing_of_what_they_need(unreading, wordless, clip, monkeypatch):
    monkeypatch.setattr(wordless, "files", replace(wordless.files, card={"writes": False}))
    for model in (unreading, wordless):
        answer = model.answer(clip, WORDY)
        assert not model.explains and answer.notes == () and answer.groundings and not answer.is_in_words


def test_words_are_written_beside_moments_that_stay_the_same(deaf, clip):
    before = deaf.find(clip, ["a dog runs"])[0].groundings
    assert deaf.loaded.causal is None and "worded" not in vars(deaf)
    answer = deaf.answer(clip, WORDY)
    assert deaf.speaks(WORDY) and not deaf.lacks_words(WORDY) and answer.is_in_words and answer.notes == ()
    assert deaf.worded.causal is not None and deaf.loaded.causal is None
    assert deaf.worded.motion is deaf.loaded.motion
    captions = deaf.caption(clip)
    assert all(0 <= each.span.start_seconds < each.span.end_seconds <= 10 and each.text for each in captions)
    assert deaf.find(clip, ["a dog runs"])[0].groundings == before


def test_beside_words_stands_how_often_words_were_right(deaf, clip, monkeypatch):
    monkeypatch.setattr(deaf, "files", replace(deaf.files, card={"right_about_next": 0.4}))
    (note,) = deaf.answer(clip, WORDY).notes
    assert "40% were right" in note
    assert note not in deaf.answer(clip, next(iter(LISTED))).notes + deaf.answer(clip, "When does the dog run?").notes


def test_what_is_heard_is_loaded_once(knowing, clip):
    knowing.find(clip, ["a dog"])
    assert knowing.worded is knowing.loaded and knowing.loaded.causal is not None


@pytest.mark.parametrize(
    ("card", "writes", "explains"),
    [
        ({}, True, True),
        ({"writes": False}, False, False),  # of a card that was made before they were told apart
        ({"writes": False, "explains": True}, False, True),
        ({"writes": True, "explains": False}, True, False),
    ],
)
def test_captions_and_answers_are_worth_reading_one_by_one(deaf, monkeypatch, card, writes, explains):
    monkeypatch.setattr(deaf, "files", replace(deaf.files, card=card))
    assert (deaf.writes, deaf.explains) == (writes, explains)
    assert deaf.speaks(captions_request()) and deaf.speaks(WORDY) == explains  # what it does not write has names
    assert all(deaf.speaks(question) for question in LISTED)


# --- which checkpoint judges answers ---


@pytest.fixture
def finding(tmp_path: Path, unreading: Unreading) -> Unreading:
    """Finds moments, and judges nothing."""
    folder = save_tiny(tmp_path / "finding", reads=False, has_prior=True, judges=False)
    return Unreading("lite:tiny", folder, WHOLE)


@pytest.mark.parametrize("card", [{}, {"judges": True}])
def test_a_checkpoint_without_a_judge_answers_by_moments_whatever_its_card_says(finding, clip, monkeypatch, card):
    monkeypatch.setattr(finding, "files", replace(finding.files, card=card))
    assert not finding.judges and finding.loaded.model.judge is None
    for question in (*LISTED, "Which way? (A) left (B) right"):
        answer = finding.answer(clip, question)
        assert not finding.speaks(question) and answer.groundings and not answer.is_in_words


def test_whether_answers_are_judged_is_told_by_the_card(unreading, clip, monkeypatch):
    files, question = unreading.files, next(iter(LISTED))
    for card, judges in (({}, True), ({"judges": True}, True), ({"judges": False}, False)):
        monkeypatch.setattr(unreading, "files", replace(files, card=card))
        assert (unreading.judges, unreading.speaks(question)) == (judges, judges)
        assert unreading.answer(clip, question).is_in_words == judges


def test_weights_that_are_missing_are_told_where_a_clip_is_looked_at(unreading, clip, monkeypatch):
    files = unreading.files
    lacking = {name: each for name, each in files.state.items() if not name.startswith("judge.")}
    monkeypatch.setattr(unreading, "files", replace(files, state=lacking))
    with pytest.raises(WeightsError, match="another model: judge") as raised:
        unreading.find(clip, ["a dog"])
    assert str(files.folder) in raised.value.message


# --- captions out of a text ---


def told_by(*pieces: str) -> list[tuple[float, float, str]]:
    from tvu.temporal.time_tokens.lita import LitaTimeTokens

    found: list[Captioned] = []
    reader = CaptionReader(Span(10.0, 29.0), LitaTimeTokens(20), found.append)
    for piece in pieces:
        reader.take(piece)
    reader.finish()
    return [(each.span.start_seconds, each.span.end_seconds, each.text) for each in found]


def test_a_caption_is_two_times_and_a_sentence():
    text = "<t0> <t4> A dog runs.\n<t4> <t19> It stops < here."
    assert told_by(text) == [(10, 14, "A dog runs."), (14, 29, "It stops < here.")]
    assert told_by(*text) == told_by(text)  # letter by letter


def test_captions_of_one_line_part_at_their_times():
    assert told_by("<t0> <t4> A dog runs. <t5> <t6> It stops.") == [(10, 14, "A dog runs."), (15, 16, "It stops.")]


def test_what_is_no_caption_is_passed_over():
    assert told_by("Well. <t3> <t3> Nothing.\n<t4> <t2> Backwards.\n<t5> alone\n<t1> <t2>\n") == []
    assert told_by("<t1> <t2> A \x1b[31mdog.") == [(11, 12, "A [31mdog.")]


def test_a_caption_is_told_as_soon_as_its_line_ends():
    from tvu.temporal.time_tokens.lita import LitaTimeTokens

    found: list[Captioned] = []
    reader = CaptionReader(Span(0.0, 19.0), LitaTimeTokens(20), found.append)
    reader.take("<t0> <t4> A dog runs.")
    assert not found
    reader.take("\n")
    assert len(found) == 1


# --- what is asked ---


@pytest.mark.parametrize("question", ["How many times does it jump?", "Is there a dog?", "What happens after it?"])
def test_some_questions_want_words(question):
    assert wants_words(question)


@pytest.mark.parametrize("question", ["When does the dog jump?", "a dog", "Find the goal", "at what time is it?", ""])
def test_others_want_a_time(question):
    assert not wants_words(question)


def test_a_typed_choice_is_understood():
    told = choice_in("Question: Which way?\nOptions:\n(A) left\n(B) to the right")
    assert told == MultipleChoice("Which way?", ("left", "to the right"))
    assert choice_in("Which way? A. left B. right") == MultipleChoice("Which way?", ("left", "right"))


@pytest.mark.parametrize(
    "question", ["When does vitamin A) appear?", "(A) left (B) right", "Which? (A) one", "Why? (B) a (A) b"]
)
def test_what_is_no_choice_is_none(question):
    assert choice_in(question) is None


# --- windows ---


def test_a_short_video_is_one_window():
    assert windows_of(7, SETTINGS) == [(0, 7)]


def test_windows_overlap_and_the_last_ends_with_the_video():
    assert windows_of(40, SETTINGS) == [(0, 16), (12, 28), (24, 40)]
    assert windows_of(37, SETTINGS) == [(0, 16), (12, 28), (21, 37)]


TWO = (Span(0, 60), Span(48, 108))  # what is before 54 is the first one's


def test_what_two_windows_see_is_told_by_the_one_that_it_is_nearer_to_the_middle_of():
    assert put_together(TWO, [[(30, 52, 0.9)], [(48, 52, 0.8)]]) == [(30, 52, 0.9)]
    assert put_together(TWO, [[(50, 59.9, 0.9)], [(50, 70, 0.6)]]) == [(50, 70, 0.6)]


def test_what_is_whole_in_neither_window_is_joined():
    assert put_together(TWO, [[(40, 59.8, 0.9)], [(48.2, 66, 0.7)]]) == [(40, 66, 0.7), (48.2, 66, 0.7)]


def test_one_window_tells_all_that_it_sees():
    assert put_together([Span(0, 9)], [[(-1.0, 2.0, 0.5), (8.9, 9.5, 0.4)]]) == [(-1.0, 2.0, 0.5), (8.9, 9.5, 0.4)]


def test_windows_overlap_by_less_than_their_length():
    with pytest.raises(ValueError, match="overlap"):
        LiteSettings(window_seconds=2, overlap_seconds=2)


def test_a_checkpoint_that_neither_judges_nor_reads_chooses_nothing(tmp_path, tiny_weights, clip):
    lite = Lite(folder=save_tiny(tmp_path / "finds", has_prior=True, listens=False, reads=False, judges=False))
    with pytest.raises(UnknownModel, match="judges no answers"):
        lite.choose(clip, MultipleChoice("What is it?", ("a cat", "a dog")))
