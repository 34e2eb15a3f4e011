"""`scout+lite`: what both see is one visual channel; all else is as `scout` or as `lite` has it."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.video_llm.lite.test_answer import Dreaming
from tests.video_llm.lite.tiny_lite import save_tiny
from tests.video_llm.media.drawing import draw_video
from tvu.cli.exit_codes import ExitCode, exit_code_of
from tvu.temporal.types import Span
from tvu.video_llm.benchmarks.choice import MultipleChoice
from tvu.video_llm.benchmarks.examinee import Chooser, choose
from tvu.video_llm.benchmarks.types import AskConfig
from tvu.video_llm.captions import Captioned, Captioner, Highlighter, caption_clip, find_highlights
from tvu.video_llm.decode import open_video
from tvu.video_llm.errors import UnknownModel
from tvu.video_llm.lite.answer import NO_WORDS, LiteSettings, choice_in, wants_words
from tvu.video_llm.lite.together import JoinConfig, ScoutAndLite, Support, join_visual
from tvu.video_llm.load import best_model, is_lite, is_together, load_model, weights_needed, weights_of
from tvu.video_llm.questions import highlights_request
from tvu.video_llm.scout.model import Scout, Seen
from tvu.video_llm.scout.query import Channels
from tvu.video_llm.types import Answer, Evidence, Grounding, ScoreCurve, Timing, VideoClip
from tvu.weights.errors import WeightsError

CLIP = VideoClip(Path("a.mp4"), Span(0, 100), 100.0, 25.0, 2500, 48, 64, has_audio=True)


def seen(start: float, end: float, score: float, phrase: str = "") -> Grounding:
    return Grounding(Span(start, end), score, "visual", phrase)


def told(groundings: list[Grounding]) -> list[tuple[float, float, float]]:
    return [(g.span.start_seconds, g.span.end_seconds, pytest.approx(g.score)) for g in groundings]


# --- two opinions of the pictures ---


def test_a_span_that_both_tell_has_the_mean_of_what_they_hold_it_for():
    (one,) = join_visual([seen(10, 20, 0.8, "a dog")], [seen(10, 20, 0.4)])
    assert one.score == pytest.approx(0.6) and one.phrase == "a dog" and one.evidence == "visual"


def test_a_span_that_one_of_them_tells_keeps_half():
    assert told(join_visual([seen(10, 20, 0.8)], [seen(40, 50, 0.6)])) == [(10, 20, 0.4), (40, 50, 0.3)]
    assert told(join_visual([], [seen(40, 50, 0.6)])) == [(40, 50, 0.3)]
    assert join_visual([], []) == []


def test_a_span_is_supported_as_far_as_it_overlaps():
    joined = join_visual([seen(10, 20, 0.8)], [seen(10, 14, 0.9)])  # IoU 0.4, so both stay
    assert told(joined) == [(10, 14, (0.4 * 0.8 + 0.9) / 2), (10, 20, (0.8 + 0.4 * 0.9) / 2)]


def test_support_is_that_of_the_best_grounding_not_the_sum_of_all():
    support = Support([seen(0, 10, 0.5), seen(5, 10, 0.8), seen(50, 60, 1.0)])
    assert support.of(Span(0, 10)) == pytest.approx(0.5)
    assert support.of(Span(5, 10)) == pytest.approx(0.8)
    assert support.of(Span(20, 30)) == 0 and Support([]).of(Span(0, 1)) == 0


def test_of_spans_of_one_event_the_one_that_both_support_more_is_told():
    joined = join_visual([seen(10, 20, 0.3, "a dog"), seen(60, 70, 0.1)], [seen(11, 20, 0.9)])
    assert told(joined) == [(11, 20, (0.9 * 0.3 + 0.9) / 2), (60, 70, 0.05)]
    assert joined[0].phrase == "a dog"


def test_words_for_a_long_shot_are_none_for_a_moment_of_it():
    moment, shot = join_visual([seen(10, 20, 0.5, "a dog")], [seen(10, 12, 0.9)])
    assert moment.phrase == "" and shot.phrase == "a dog"


def test_what_neither_holds_for_likely_is_left_out():
    assert told(join_visual([seen(10, 20, 0.6)], [seen(40, 50, 0.4)], least_score=0.25)) == [(10, 20, 0.3)]


def test_shares_may_be_other_than_halves_and_are_parts_of_a_probability():
    (one,) = join_visual([seen(1, 2, 0.5)], [seen(1, 2, 1.0)], lite_share=0.8)
    assert one.score == pytest.approx(0.9)
    assert told(join_visual([seen(1, 2, 0.5)], [seen(5, 6, 0.5)], lite_share=0.8)) == [(5, 6, 0.4), (1, 2, 0.1)]
    for share in (-0.1, 1.2):
        with pytest.raises(ValueError, match="share"):
            JoinConfig(actions=share)
        with pytest.raises(ValueError, match="share"):
            JoinConfig(others=share)


def test_lite_leads_where_something_is_done_and_scout_where_things_are_named():
    config = JoinConfig(actions=0.8, others=0.2)
    assert config.lite_share("a dog shakes itself") == pytest.approx(0.8)
    assert config.lite_share("a dog") == pytest.approx(0.2)


# --- the model ---


class Told(Scout):
    """Sees, hears and reads what it is told, in every clip. What `she says` is half about words, what else about
    pictures alone."""

    router = SimpleNamespace(channels=lambda query: Channels(0.5 * ("she says" in query), 0.0))

    def __init__(self, *groundings: Grounding, evidence: tuple[Evidence, ...] = ("visual", "speech")) -> None:
        super().__init__("scout", None, dict.fromkeys(evidence, ()), least_score=0.25)
        self._groundings = groundings
        self.asked: list[str] = []

    def _look(self, clip):
        return Seen(decode_s=1.0, encode_s=2.0, notes=("cache full", "speech was not heard")), True

    def _score(self, seen, question):
        self.asked.append(question)
        for channel in self.evidence:
            curve = ScoreCurve(channel, np.array([0.0, 4.0]), np.array([0.1, 0.2], np.float32))
            yield [g for g in self._groundings if g.evidence == channel], curve


class Seeing:
    """In place of `lite`: tells the same spans for every query, and writes what it was asked."""

    def __init__(self, *groundings: Grounding) -> None:
        self.groundings = groundings
        self.writes = self.has_words = True
        self.asked: list[list[str]] = []

    def speaks(self, question):
        return self.writes and self.has_words and (choice_in(question) is not None or wants_words(question))

    def lacks_words(self, question):
        return self.writes and not self.has_words and wants_words(question)

    def find(self, clip, queries):
        self.asked.append(list(queries))
        return [self._answer(query, first=not number) for number, query in enumerate(queries)]

    def highlights(self, clip, topic):
        return self.find(clip, [highlights_request(topic)])[0]

    def answer(self, clip, question, on_text=None):
        if on_text is not None:
            on_text("two")
        return Answer(question, "two", self.groundings, "lite", is_in_words=True)

    def choose(self, clip, question):
        return Answer(question.question, "(B) right", self.groundings, "lite", is_in_words=True)

    def caption(self, clip, on_caption=None):
        written = Captioned(Span(1, 2), "A dog runs.")
        if on_caption is not None:
            on_caption(written)
        return [written]

    def _answer(self, query: str, first: bool) -> Answer:
        curve = ScoreCurve("visual", np.array([0.5]), np.array([0.9], np.float32))
        timing = Timing(10.0, 20.0, 30.0, 40.0, 100.0) if first else Timing()
        return Answer(query, "", self.groundings, "lite", timing, ("cache full",), (curve,), query, (0.0, 0.5))


SCOUT = Told(seen(10, 20, 0.8, "a dog"), Grounding(Span(40, 50), 0.5, "speech", '"the dog"'))
LITE = Seeing(seen(10, 20, 0.6), seen(40, 50, 0.4), seen(80, 90, 0.3))


ALIKE = JoinConfig(actions=0.5, others=0.5)  # whatever is asked, both count the same


def both(scout: Told = SCOUT, lite: Seeing = LITE, config: JoinConfig = ALIKE) -> ScoutAndLite:
    return ScoutAndLite("scout+lite", scout, lite, config)  # type: ignore[arg-type]


def test_the_joined_channel_is_fused_with_the_words_as_scout_fuses():
    (answer,) = both().find(CLIP, ["a dog"])
    said = 0.5  # a witness of 0.2 is chance, and 0.15 is unlikely
    assert told(list(answer.groundings)) == [(10, 20, 0.7), (40, 50, said)]
    assert [g.evidence for g in answer.groundings] == ["visual", "speech"]
    assert answer.text.startswith("Most likely from 00:10.0") and answer.model == "scout+lite"


def test_speech_is_a_witness_to_what_both_see():
    scout = Told(seen(40, 50, 0.4), Grounding(Span(40, 50), 0.5, "speech"))
    (answer,) = both(scout, Seeing(seen(40, 50, 0.6))).find(CLIP, ["a dog"])
    assert told(list(answer.groundings)) == [(40, 50, 1 - 0.5 * 0.5)]


def test_an_answer_tells_the_time_notes_frames_and_curves_of_both():
    first, second = both().find(CLIP, ["a dog", "a cat"])
    assert (first.timing.decode_s, first.timing.encode_s, first.timing.temporal_s) == (11, 22, 30)
    assert first.timing.generate_s >= 40 and 100 <= first.timing.total_s < 101 and second.timing.total_s < 1
    assert first.notes == ("cache full", "speech was not heard")
    assert [curve.evidence for curve in first.curves] == ["visual", "speech", "visual"]
    assert first.frame_seconds == (0.0, 0.5) and (first.question, second.question) == ("a dog", "a cat")


def test_lite_counts_as_far_as_a_question_is_about_pictures():
    scout, lite = Told(seen(10, 20, 0.4)), Seeing(seen(10, 20, 0.8), seen(40, 50, 0.6))
    dog, said = both(scout, lite).find(CLIP, ["a dog", "she says a dog"])
    assert told(list(dog.groundings)) == [(10, 20, 0.6), (40, 50, 0.3)]
    assert told(list(said.groundings)) == [(10, 20, (0.4 + 0.5 * 0.8) / 2)]
    assert [each.curves[-1].scores[0] for each in (dog, said)] == [pytest.approx(0.9), pytest.approx(0.45)]


def test_each_query_is_joined_by_the_one_that_leads_in_it():
    scout, lite = Told(seen(10, 20, 0.4)), Seeing(seen(10, 20, 0.8))
    thing, action = both(scout, lite, JoinConfig(actions=0.9, others=0.1)).find(CLIP, ["a dog", "a dog shakes itself"])
    assert told(list(thing.groundings)) == [(10, 20, 0.9 * 0.4 + 0.1 * 0.8)]
    assert told(list(action.groundings)) == [(10, 20, 0.1 * 0.4 + 0.9 * 0.8)]


def test_all_queries_are_put_to_lite_at_once():
    lite = Seeing()
    assert len(both(lite=lite).ground(CLIP, ["a dog", "a cat"])) == 2
    assert lite.asked == [["a dog", "a cat"]]


def test_without_the_visual_channel_moments_are_scouts_alone():
    lite, said = Seeing(seen(10, 20, 0.9)), Grounding(Span(40, 50), 0.5, "speech")
    model = both(Told(said, evidence=("speech",)), lite)
    assert model.ground(CLIP, ["a dog"]) == [[said]] == [list(model.highlights(CLIP, "a dog").groundings)]
    assert model.answer(CLIP, "a dog").model == "scout+lite" and lite.asked == []


def test_a_channel_without_its_weights_is_told_before_lite_looks(monkeypatch):
    def require(names):
        raise WeightsError("weights are missing: whisper-tiny.en")

    monkeypatch.setattr("tvu.video_llm.scout.model.require", require)
    lite = Seeing()
    with pytest.raises(WeightsError, match=r"whisper"):
        both(lite=lite).find(CLIP, ["a dog"])
    assert lite.asked == []


def test_highlights_are_the_spans_of_both_each_asked_in_its_own_way():
    scout, lite = Told(seen(10, 20, 0.8)), Seeing(seen(10, 20, 0.6))
    found = find_highlights(both(scout, lite), CLIP, "a dog")
    assert isinstance(both(), Highlighter) and told(list(found.groundings)) == [(10, 20, 0.7)]
    assert scout.asked == ["a dog"] == [found.question] and lite.asked == [[highlights_request("a dog")]]
    assert found.prompt == highlights_request("a dog")


@pytest.mark.parametrize("question", ["How many dogs are there?", "Which way? (A) left (B) right"])
def test_a_question_that_wants_words_is_answered_by_lite(question):
    pieces: list[str] = []
    answer = both().answer(CLIP, question, pieces.append)
    assert answer.text == "two" and answer.is_in_words and answer.model == "scout+lite" and pieces == ["two"]


def test_a_lite_that_does_not_write_answers_no_question_in_words():
    lite = Seeing(seen(10, 20, 0.6))
    lite.writes = False
    answer = both(Told(seen(10, 20, 0.8)), lite).answer(CLIP, "How many dogs are there?")
    assert told(list(answer.groundings)) == [(10, 20, 0.7)] and not answer.is_in_words


def test_a_question_that_wants_words_is_told_what_they_need():
    scout, lite = Told(seen(10, 20, 0.8)), Seeing(seen(10, 20, 0.6))
    lite.has_words = False
    answer = both(scout, lite).answer(CLIP, "How many dogs are there?")
    assert told(list(answer.groundings)) == [(10, 20, 0.7)] and not answer.is_in_words
    assert answer.notes.count(NO_WORDS) == 1 and {"cache full", "speech was not heard"} <= {*answer.notes}
    assert NO_WORDS not in both(scout, lite).answer(CLIP, "When does the dog run?").notes
    lite.writes = False
    assert NO_WORDS not in both(scout, lite).answer(CLIP, "How many dogs are there?").notes


def test_a_question_that_is_not_for_lite_is_told_nothing_of_words(monkeypatch):
    lite, question = Seeing(seen(10, 20, 0.6)), "How many dogs are told of?"
    lite.has_words = False
    unseen = Told(Grounding(Span(40, 50), 0.5, "speech"), evidence=("speech",))
    assert NO_WORDS not in both(unseen, lite).answer(CLIP, question).notes
    for about_words, is_told in ((0.4, True), (0.6, False)):
        router = SimpleNamespace(channels=lambda query, speech=about_words: Channels(speech, 0.0))
        monkeypatch.setattr(Told, "router", router)
        assert (NO_WORDS in both(lite=lite).answer(CLIP, question).notes) == is_told


def test_a_question_that_is_more_about_words_than_pictures_is_answered_by_both(monkeypatch):
    question, lite = "How many dogs are told of?", Seeing(seen(10, 20, 0.6))
    model = both(Told(seen(10, 20, 0.8)), lite)
    for about_words, is_in_words in ((0.4, True), (0.6, False)):
        router = SimpleNamespace(channels=lambda query, speech=about_words: Channels(speech, 0.0))
        monkeypatch.setattr(Told, "router", router)
        assert model.answer(CLIP, question).is_in_words == is_in_words
    assert lite.asked == [[question]]


def test_of_what_lite_tells_beside_words_only_the_likely_is_told():
    answer = both(lite=Seeing(seen(1, 2, 0.3), seen(5, 6, 0.2))).answer(CLIP, "Why does it run?")
    assert told(list(answer.groundings)) == [(1, 2, 0.3)]


def test_a_question_for_a_time_is_answered_by_both():
    assert told(list(both().answer(CLIP, "When does the dog run?").groundings))[0] == (10, 20, 0.7)


def test_choices_and_captions_are_those_of_lite():
    model, shown = both(), []
    assert isinstance(model, Chooser) and isinstance(model, Captioner)
    response = choose(model, CLIP, MultipleChoice("Which way?", ("left", "right")), AskConfig())
    assert response.status == "parsed" and response.prediction == 1
    assert model.choose(CLIP, MultipleChoice("Which way?", ("left", "right"))).model == "scout+lite"
    assert caption_clip(model, CLIP, shown.append) == shown == [Captioned(Span(1, 2), "A dog runs.")]


def test_scout_is_joined_with_a_real_lite(checkpoint, tiny_weights, tmp_path):
    clip = open_video(draw_video(tmp_path / "a.mp4", num_frames=100, size=(64, 48)))  # 4 s
    lite = Dreaming("scout+lite:tiny", checkpoint, LiteSettings(least_score=0.0))
    (answer,) = ScoutAndLite("scout+lite:tiny", Told(seen(0, 4, 0.8)), lite).find(clip, ["a dog"])
    assert answer.groundings and answer.model == "scout+lite:tiny" and len(answer.curves) == 3
    assert all(0 <= g.span.start_seconds < g.span.end_seconds <= 4 for g in answer.groundings)


# --- its name ---


def test_it_needs_the_weights_of_both_and_those_of_speech_only_where_it_listens():
    assert is_together("scout+lite") and is_together("scout+lite:somewhere") and not is_together("scout+litest")
    assert not is_lite("scout+lite")
    assert set(weights_needed("scout+lite")) == {*weights_needed("scout"), *weights_needed("lite")}
    assert "whisper-tiny.en" not in weights_needed("scout+lite", ("visual",))


def test_only_a_checkpoint_that_reads_needs_a_language_model(checkpoint, tmp_path):
    unread = save_tiny(tmp_path / "lite", reads=False, has_prior=True)
    assert weights_needed("lite") == ("efficientnet-lite0", "mediapipe-bodies", "minilm-l6")
    assert weights_needed(f"lite:{unread}") == weights_needed("lite")
    assert weights_needed(f"lite:{checkpoint}") == (*weights_needed("lite"), "smollm2-135m")
    for folder in (unread, checkpoint):
        needed = {*weights_needed("scout"), *weights_needed(f"lite:{folder}")}
        assert set(weights_needed(f"scout+lite:{folder}")) == needed


def test_a_head_that_does_not_hear_needs_a_language_model_for_words_alone(checkpoint, tmp_path):
    deaf = save_tiny(tmp_path / "deaf", has_prior=True, listens=False)
    unread = save_tiny(tmp_path / "unread", reads=False, has_prior=True)
    assert weights_needed(f"lite:{deaf}") == weights_needed(f"lite:{unread}")
    for_words = {folder: weights_needed(f"lite:{folder}", for_words=True) for folder in (deaf, unread, checkpoint)}
    assert for_words[deaf] == (*weights_needed(f"lite:{unread}"), "smollm2-135m") == for_words[checkpoint]
    assert for_words[unread] == weights_needed(f"lite:{unread}")
    for folder, needed in for_words.items():
        both = weights_needed(f"scout+lite:{folder}", for_words=True)
        assert set(both) == {*weights_needed("scout"), *needed} and len(both) == len(set(both))
    assert weights_needed("scout", for_words=True) == weights_needed("scout")


@pytest.mark.parametrize("config", [None, "", "[]", "{}", '{"model": 1}', '{"model": "reads"}'])
def test_a_checkpoint_that_cannot_be_read_needs_what_all_need(config, tmp_path):
    if config is not None:
        (tmp_path / "config.json").write_text(config, "utf-8")
    assert weights_needed(f"lite:{tmp_path}") == weights_needed("lite")
    assert weights_needed(f"lite:{tmp_path}", for_words=True) == weights_needed("lite")


@pytest.mark.parametrize("lacking", ["", *weights_needed("scout+lite")])
def test_both_are_asked_where_all_their_weights_are_there_else_scout_alone(lacking, monkeypatch):
    def state_of(weights):
        return ("missing" if weights.name == lacking else "ready"), {}

    monkeypatch.setattr("tvu.weights.store.state_of", state_of)
    assert best_model() == ("scout" if lacking else "scout+lite")


def test_its_weights_are_known_by_those_of_both(tmp_path, monkeypatch):
    monkeypatch.setenv("TVU_CACHE", str(tmp_path / "cache"))
    (tmp_path / "lite-00001-of-00001.safetensors").write_bytes(b"one")
    name = f"scout+lite:{tmp_path}"
    assert weights_of(name) == {**weights_of("scout"), **weights_of(f"lite:{tmp_path}")}


@pytest.mark.parametrize("name", ["lite", "scout+lite"])
def test_without_a_checkpoint_it_says_what_lite_says(name, tmp_path, monkeypatch):
    monkeypatch.setattr("tvu.video_llm.lite.checkpoint.shipped_folder", lambda: tmp_path)
    with pytest.raises(WeightsError, match="no trained lite ships") as raised:
        load_model(name)
    assert "tvu train" in raised.value.hint and exit_code_of(raised.value) == ExitCode.WEIGHTS_MISSING


def test_a_folder_that_is_none_is_wrong_usage():
    with pytest.raises(UnknownModel, match="not a folder") as raised:
        load_model("scout+lite:nowhere")
    assert "scout+lite:DIR" in raised.value.hint


def test_the_least_score_is_that_of_the_joined_spans_and_weak_ones_of_lite_still_support(checkpoint, monkeypatch):
    monkeypatch.setattr("tvu.weights.load.require", lambda names: None)
    name = f"scout+lite:{checkpoint}"
    model = load_model(name, evidence=("visual",), min_score=0.4, use_cache=False)
    assert isinstance(model, ScoutAndLite) and model.name == name and model.scout.evidence == ("visual",)
    assert model.scout.least_score == 0.4 and model.lite.settings.least_score == JoinConfig().least_support
    assert load_model(name, min_score=0.0, use_cache=False).lite.settings.least_score == 0.0
