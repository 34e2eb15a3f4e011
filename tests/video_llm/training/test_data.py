"""Batches of generated videos and what is asked about them."""

import threading
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.video_llm.lite.tiny_lite import tiny_config
from tvu.temporal.types import Span
from tvu.video_llm.errors import TrainingError
from tvu.video_llm.lite.content import clauses_of
from tvu.video_llm.lite.found import CLAUSE_PLACES, found_places
from tvu.video_llm.lite.options import options_of
from tvu.video_llm.models.parts import build_codec
from tvu.video_llm.training.bank import Bank, joined
from tvu.video_llm.training.config import DataConfig
from tvu.video_llm.training.data import Batch, Looker, Scenes, Video, offered_in, prepared, visual_counts
from tvu.video_llm.training.feature_videos import FeatureWorld
from tvu.video_llm.training.scenes import Event, Scene, Wording
from tvu.video_llm.training.tasks import Sample

CONFIG = tiny_config()
CODEC = build_codec(CONFIG.codec)


@pytest.fixture(scope="module")
def world(tiny_lite0: Path) -> FeatureWorld:
    return FeatureWorld(tiny_lite0, "train")


@pytest.fixture(scope="module")
def scenes(tiny_language: Path, tiny_lite0: Path) -> Scenes:
    return drawn(
        tiny_language, tiny_lite0, DataConfig(weights={"features": 1, "skeletons": 1}, questions=2, longest=12)
    )


def drawn(language: Path, lite0: Path, data: DataConfig, bank: Bank | None = None) -> Scenes:
    return Scenes(data, CONFIG, language / "tokenizer.json", lite0, bank, videos=3, split="train", seed=(0, 1))


@pytest.fixture(scope="module")
def batches(scenes: Scenes) -> list[Batch]:
    return list(islice(scenes, 8))


def bank_of(*steps: int) -> Bank:
    """Videos whose features tell their number and their step."""
    slow = torch.cat(
        [torch.full((n, 4, 1280), float(i)) + torch.arange(n)[:, None, None] / 100 for i, n in enumerate(steps)]
    )
    wording = Wording("a ball", "roll", "rolls", "rolling")
    scenes = tuple(Scene(n / 4, (Event(Span(0.25, 0.75), (wording,), "roll", "move"),)) for n in steps)
    starts = tuple(np.concatenate([[0], np.cumsum(steps)]).tolist())
    return Bank(scenes, (None,) * len(steps), slow.half(), slow[:, 0, :16].half(), starts)


def looker_of(world: FeatureWorld) -> Looker:
    return Looker(CONFIG, torch.device("cpu"), world)


def asked_of(*samples: Sample) -> Batch:
    offered, right = offered_in(samples)
    videos = (Video("features", Scene(4.0, ())),)
    return Batch(videos, tuple((0, sample) for sample in samples), None, 0, offered, right)


def test_the_same_seed_draws_the_same(scenes, batches):
    again = next(iter(scenes))
    assert again.asked == batches[0].asked and again.seed == batches[0].seed
    np.testing.assert_array_equal(again.sequences.ids, batches[0].sequences.ids)


def test_every_video_is_asked_about_as_often_as_was_told(batches):
    for batch in batches:
        assert [video for video, _ in batch.asked] == [0, 0, 1, 1, 2, 2]
        assert all(video.scene.seconds <= 12 for video in batch.videos)
    assert {video.source for batch in batches for video in batch.videos} == {"features", "skeletons"}


def test_videos_of_a_batch_are_about_as_long_as_each_other(batches):
    spread = [max(v.steps for v in batch.videos) - min(v.steps for v in batch.videos) for batch in batches]
    assert np.mean(spread) < 12  # of up to 48 steps


def test_there_is_a_place_for_every_visual_token(batches, world):
    looker = Looker(CONFIG, torch.device("cpu"), world)
    counts = [count + found_places(build_codec(CONFIG.codec)) for count in visual_counts(CONFIG, 48)]
    for batch in batches[:2]:
        inputs, reading = looker.inputs(batch), looker.reading(batch)
        assert inputs.lengths.tolist() == [video.steps for video in batch.videos]
        named = [CLAUSE_PLACES * len(clauses_of(sample.question)) for _, sample in batch.asked]
        expected = [counts[batch.videos[v].steps] + more for (v, _), more in zip(batch.asked, named, strict=True)]
        assert reading.is_visual.sum(1).tolist() == expected


def test_what_is_seen_is_the_same_for_the_same_batch(batches, world):
    looker = Looker(CONFIG, torch.device("cpu"), world)
    one, two = looker.inputs(batches[0]), looker.inputs(batches[0])
    assert torch.equal(one.slow, two.slow) and torch.equal(one.body, two.body)


def test_each_source_is_seen_by_its_own_path(batches, world):
    looker = Looker(CONFIG, torch.device("cpu"), world)
    batch = next(batch for batch in batches if {v.source for v in batch.videos} == {"features", "skeletons"})
    inputs = looker.inputs(batch)
    for row, video in enumerate(batch.videos):
        path = inputs.has_slow if video.source == "features" else inputs.has_body
        assert path[row, : video.steps].any() and not path[row, video.steps :].any()


def test_entries_of_banks_keep_their_places_where_these_are_joined():
    banks = bank_of(16, 24), bank_of(20), bank_of(4, 8)
    whole = joined(banks)
    assert whole.starts == (0, 16, 40, 60, 64, 72) and len(whole.bodies) == 5
    assert whole.scenes == tuple(scene for bank in banks for scene in bank.scenes)
    each = [(bank, number) for bank in banks for number in range(len(bank.scenes))]
    for place, (bank, number) in enumerate(each):
        there, here = whole.places(place, 30), bank.places(number, 30)  # longer than all of them
        assert torch.equal(whole.slow[there], bank.slow[here]) and torch.equal(whole.motion[there], bank.motion[here])


def test_one_bank_is_joined_to_itself():
    bank = bank_of(16, 24)
    alone = joined([bank])
    assert (alone.starts, alone.scenes, alone.bodies) == (bank.starts, bank.scenes, bank.bodies)
    assert torch.equal(alone.slow, bank.slow) and torch.equal(alone.motion, bank.motion)


def test_composed_videos_are_taken_from_the_bank(tiny_language, tiny_lite0, world):
    bank = bank_of(16, 24, 20)
    data = DataConfig(weights={"composed": 1}, questions=1, distract=0.0)
    batch = next(iter(drawn(tiny_language, tiny_lite0, data, bank)))
    inputs = Looker(CONFIG, torch.device("cpu"), world, bank).inputs(batch)
    for row, video in enumerate(batch.videos):
        places = bank.places(video.bank, video.steps)
        assert (
            torch.equal(inputs.slow[row, : video.steps], bank.slow[places]) and video.scene is bank.scenes[video.bank]
        )


def test_a_longer_video_repeats_an_entry_and_a_shorter_one_cuts_it():
    bank = bank_of(3, 5)
    assert bank.places(0, 7).tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert bank.places(1, 2).tolist() == [3, 4]


def test_a_scene_that_allows_nothing_of_what_is_wanted_is_drawn_anew(tiny_language, tiny_lite0):
    data = DataConfig(weights={"skeletons": 1}, kinds={"order": 1.0}, questions=1, longest=12, distract=0.0)
    batches = islice(drawn(tiny_language, tiny_lite0, data), 4)
    assert {sample.kind for batch in batches for _, sample in batch.asked} == {"order"}


def test_where_no_scene_allows_what_is_wanted_that_is_said(tiny_language, tiny_lite0):
    bank = bank_of(16)  # one event, and nothing is known to be absent
    data = DataConfig(weights={"composed": 1}, kinds={"order": 1.0})
    with pytest.raises(TrainingError, match="none of up to 64 s allows order"):
        next(iter(drawn(tiny_language, tiny_lite0, data, bank)))


def test_videos_that_show_what_is_not_told_of_are_asked_only_about_what_is_named(tiny_language, tiny_lite0):
    data = DataConfig(weights={"features": 1, "skeletons": 1}, questions=3, longest=12, distract=1.0)
    kinds: dict[bool, set[str]] = {True: set(), False: set()}
    for batch in islice(drawn(tiny_language, tiny_lite0, data), 24):
        for video, sample in batch.asked:
            kinds[batch.videos[video].is_mixed].add(sample.kind)
    assert kinds[True] <= {"moment", "moments", "absent", "presence", "highlights", "counting"}
    assert "caption" in kinds[False] and "choice" in kinds[False]


def test_videos_may_be_as_long_as_is_wanted(tiny_language, tiny_lite0):
    bank = bank_of(400)
    data = DataConfig(weights={"composed": 1}, kinds={"moment": 1.0}, questions=1, longest=100.0)
    batch = next(iter(drawn(tiny_language, tiny_lite0, data, bank)))
    assert batch.sequences.is_visual.sum(1).tolist() == [200 + found_places(build_codec(CONFIG.codec))] * 3


def test_drawing_scenes_here_leaves_torch_its_threads(tiny_language, tiny_lite0):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        next(iter(drawn(tiny_language, tiny_lite0, DataConfig(weights={"skeletons": 1}, questions=1))))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_batches_are_prepared_in_their_order_and_the_thread_ends_with_them(batches, world):
    looker = Looker(CONFIG, torch.device("cpu"), world)
    with closing(prepared(iter(batches[:3]), looker)) as ready:
        for batch, found in zip(batches[:2], ready, strict=False):
            assert torch.equal(found.inputs.slow, looker_of(world).inputs(batch).slow)
            assert found.reading.ids.tolist() == batch.sequences.ids.tolist()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("prepare")]


def test_what_goes_wrong_while_a_batch_is_prepared_is_raised(batches, world):
    def broken():
        yield batches[0]
        raise TrainingError("gone")

    ready = prepared(broken(), looker_of(world))
    next(ready)
    with pytest.raises(TrainingError, match="gone"):
        next(ready)


def test_targets_are_what_the_questions_ask_for(world):
    looker = Looker(CONFIG, torch.device("cpu"), world)
    spans = (Span(0.5, 1.5), Span(2.0, 3.0))
    told = looker.targets(
        asked_of(
            Sample("moments", "q", "a", spans, True),
            Sample("absent", "q", "a", (), False),
            Sample("caption", "q", "a", spans, None),
        )
    )
    assert told.is_asked.tolist() == [True, True, False]
    assert told.is_event.tolist() == [[True, True], [False, False], [False, False]]
    assert told.spans[0].tolist() == [[0.5, 1.5], [2.0, 3.0]]
    assert told.is_present[:2].tolist() == [1.0, 0.0] and told.is_present[2].isnan()


def test_questions_without_any_span_have_targets_too(world):
    told = Looker(CONFIG, torch.device("cpu"), world).targets(asked_of(Sample("absent", "q", "a", (), False)))
    assert told.spans.shape == (1, 1, 2) and not told.is_event.any()


def test_half_as_many_tokens_as_steps_are_counted_beforehand():
    assert visual_counts(CONFIG, 7) == [0, 1, 1, 2, 2, 3, 3, 4]


def test_a_counting_question_asks_for_moments_as_well(world):
    spans = (Span(0.5, 1.5), Span(2.0, 3.0))
    told = looker_of(world).targets(
        asked_of(
            Sample("counting", "How many times does a dog jump?", "2", spans, None),
            Sample("counting", "How many times does a cat sleep?", "0", (), None),
            Sample("choice", CHOICE, "(B) a cat", (), None, ("a dog", "a cat", "a cup"), 1),
        )
    )
    assert told.is_asked.tolist() == [True, True, False]
    assert told.is_present[:2].tolist() == [1.0, 0.0] and told.spans[0].tolist() == [[0.5, 1.5], [2.0, 3.0]]
    assert told.right.tolist() == [2, 0, 1]


CHOICE = "What happens?\nOptions:\n(A) a dog\n(B) a cat\n(C) a cup\nAnswer with the letter."
FIRST = "Which happens first: a dog jumps or a car stops?"
SORT = "Put these in order: a dog jumps; a car stops; a cat sleeps."


@pytest.mark.parametrize(
    ("sample", "right"),
    [
        (Sample("choice", CHOICE, "(B) a cat", (), None, ("a dog", "a cat", "a cup"), 1), "a cat"),
        (Sample("counting", "How many times does a dog jump?", "3", (), None), "3"),
        (Sample("counting", "How often does a dog jump?", "Three.", (), None), None),
        (Sample("presence", "Do we see a dog? Answer yes or no.", "No", (), False), "No"),
        (Sample("presence", "Is there a dog?", "Yes", (Span(0, 1),), True), "Yes"),
        (Sample("order", FIRST, "A car stops.", (), None), "a car stops"),
        (Sample("order", FIRST, "a dog jumps", (), None), "a dog jumps"),
        (Sample("order", FIRST, "a cup falls", (), None), None),
        (
            Sample("order", SORT, "A cat sleeps, then a dog jumps, then a car stops.", (), None),
            "a cat sleeps, then a dog jumps, then a car stops",
        ),
        (Sample("order", "What happens first?", "A dog jumps.", (), None), None),
        (Sample("moment", "When does a dog jump?", "", (Span(0, 1),), True), None),
        (Sample("what_next", "Is it a cup that falls next?", "Yes", (), None), None),
    ],
    ids=lambda told: f"{told.kind} {told.answer}" if isinstance(told, Sample) else None,
)
def test_of_the_answers_that_a_question_allows_the_right_one_is_known(sample, right):
    offered, found = offered_in([sample])
    assert found.dtype == np.int64
    if right is None:
        assert found.tolist() == [-1] and len(offered.question) == 0
        return
    assert offered.number.tolist() == list(range(len(offered.number)))
    assert options_of(sample.question).options[found[0]].strip(".") == right


def test_options_are_those_of_the_questions_that_have_some():
    offered, right = offered_in(
        [
            Sample("presence", "Is there a dog?", "Yes", (Span(0, 1),), True),
            Sample("moment", "When does a dog jump?", "", (Span(0, 1),), True),
            Sample("order", FIRST, "A car stops.", (), None),
        ]
    )
    assert right.tolist() == [0, -1, 1]
    assert offered.question.tolist() == [0, 0, 2, 2] and offered.number.tolist() == [0, 1, 0, 1]
    assert offered.told.tolist() == [2, 3] and len(offered.alone) == len(offered.joined) == 2


def test_a_choice_whose_options_cannot_be_read_is_not_judged():
    sample = Sample("choice", CHOICE, "(B) a cat", (), None, ("a dog", "a cat", "a cup", "a sea"), 1)
    offered, right = offered_in([sample])
    assert right.tolist() == [-1] and len(offered.question) == 0


def test_of_generated_questions_that_are_judged_most_have_a_right_answer(tiny_language, tiny_lite0):
    kinds = {"choice": 1.0, "presence": 1.0, "counting": 1.0, "order": 1.0}
    data = DataConfig(weights={"features": 1, "skeletons": 1}, kinds=kinds, questions=2, longest=12, distract=0.0)
    known: dict[str, list[bool]] = {}
    for batch in islice(drawn(tiny_language, tiny_lite0, data), 40):
        assert len(batch.right) == len(batch.asked) and batch.texts is None
        for row, (_, sample) in enumerate(batch.asked):
            # What happens first, of all that happens, is a question of order whose answers cannot be listed.
            if sample.kind != "order" or options_of(sample.question) is not None:
                known.setdefault(sample.kind, []).append(bool(batch.right[row] >= 0))
    assert set(known) == set(kinds)
    assert all(np.mean(each) > 0.9 for each in known.values())


def test_all_texts_of_a_batch_are_understood_where_the_model_knows_what_questions_mean(
    tiny_language, tiny_lite0, world, tiny_minilm
):
    config = tiny_config(has_prior=True)
    data = DataConfig(weights={"features": 1}, kinds={"choice": 1.0}, questions=2, longest=12, distract=0.0)
    scenes = Scenes(
        data, config, tiny_language / "tokenizer.json", tiny_lite0, None, videos=3, split="train", seed=(0, 1)
    )
    batch = next(iter(scenes))
    count = len(batch.asked) + len(batch.sequences.clauses) + 2 * len(batch.offered.told)
    assert len(batch.texts.ids) == count and len(batch.offered.told) > 0
    reading = Looker(config, torch.device("cpu"), world).reading(batch)
    assert reading.meaning.vectors.shape == (count, 384) and reading.meaning.classes.shape == (count, 1000)
    assert reading.offered.question.tolist() == batch.offered.question.tolist()
    assert looker_of(world).reading(batch).meaning is None
