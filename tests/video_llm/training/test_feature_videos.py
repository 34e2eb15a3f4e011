import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tvu.temporal.types import Span
from tvu.video_llm.training.feature_rendering import FeaturePlan, FeatureRenderer, Layer, Lite0Head, Shot
from tvu.video_llm.training.feature_statistics import (
    CHANNELS,
    LEVELS,
    FeatureStatistics,
    load_feature_statistics,
    statistics_of,
)
from tvu.video_llm.training.feature_videos import (
    LONG,
    SHORT,
    UNTOLD,
    Content,
    FeatureWorld,
    _Stretch,
    contents_of,
    text_of,
)
from tvu.video_llm.training.scenes import Scene
from tvu.video_llm.training.words import (
    PEOPLE,
    class_words,
    does,
    everyday_scenes,
    is_held_out,
    members_of_kinds,
    scene_wordings,
    with_article,
)


@pytest.fixture(scope="module")
def lite0_folder(tmp_path_factory):
    """Weights of the right shapes, with rows of the classifier that differ."""
    folder = tmp_path_factory.mktemp("lite0")
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape):
        return torch.randn(*shape, generator=generator)

    save_file(
        {
            "conv_head.weight": drawn(1280, CHANNELS, 1, 1) / CHANNELS**0.5,
            "bn2.weight": torch.full((1280,), 3.5),
            "bn2.bias": torch.full((1280,), -3.0),
            "bn2.running_mean": torch.zeros(1280),
            "bn2.running_var": torch.full((1280,), 5.0),
            "classifier.weight": drawn(1000, 1280) / 16,
            "classifier.bias": torch.zeros(1000),
        },
        folder / "model.safetensors",
    )
    return folder


@pytest.fixture(scope="module")
def world(lite0_folder):
    return FeatureWorld(lite0_folder, "train")


@pytest.fixture(scope="module")
def plans(world):
    rng = np.random.default_rng(5)
    return [world.draw(rng) for _ in range(60)]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


# --- words ---


def test_every_class_has_a_name_and_dogs_are_dogs():
    words = class_words()
    assert len(words) == 1000
    assert all(w.names for w in words)
    assert "golden retriever" in words[207].names
    assert {"dog", "animal"} <= set(words[207].kinds)
    assert 207 in members_of_kinds()["dog"]
    assert not any("Canis" in name for w in words for name in w.names)  # nobody asks in Latin


def test_scenes_of_everyday_life_name_classes_that_there_are():
    scenes = everyday_scenes()
    assert len(scenes) >= 200
    assert len({s.key for s in scenes}) == len(scenes)
    assert all(0 <= c < 1000 for s in scenes for c in s.classes)


def test_verbs_and_articles_are_those_of_english():
    assert does("a dog", "carry a stick").statement == "a dog carries a stick"
    assert does("people", "sit on a bench", is_plural=True).asked == "do people sit on a bench"
    assert does("someone", "bake bread").noun == "someone baking bread"
    assert [with_article(n) for n in ("owl", "unicycle", "hay", "sunglasses")] == [
        "an owl",
        "a unicycle",
        "hay",
        "a pair of sunglasses",
    ]
    assert scene_wordings("mountains", "someone", "train")[0].statement == "mountains are shown"


def test_words_are_dealt_out_between_the_splits():
    for split in ("train", "held-out"):
        _, _, scenes = contents_of(split)
        assert scenes
        assert all(is_held_out(s.key.removeprefix("scene ")) == (split == "held-out") for s in scenes)


def test_a_text_that_is_true_of_something_else_shown_is_not_used():
    dog = Content(
        "class 207", (207,), (1.0,), 1, (("a golden retriever", frozenset({207})), ("a dog", frozenset({207, 208})))
    )
    rng = np.random.default_rng(0)
    assert {w.subject for w in text_of(dog, frozenset({208}), "train", rng)} == {"a golden retriever"}
    assert {w.subject for w in text_of(dog, frozenset({3}), "train", rng)} == {"a golden retriever", "a dog"}
    assert text_of(dog, frozenset({207}), "train", rng) == ()


# --- plans ---


def test_the_same_generator_draws_the_same_plan(world):
    assert world.draw(np.random.default_rng(3)) == world.draw(np.random.default_rng(3))


def test_plans_are_of_all_lengths_and_kinds(plans):
    seconds = [p.scene.seconds for p in plans]
    assert min(seconds) >= 4
    assert max(seconds) <= 60
    assert 24 <= np.median(seconds) <= 38
    assert {len(p.shots) for p in plans} >= {1, 2, 3}
    assert any(len({e.key for e in p.scene.events}) < len(p.scene.events) for p in plans)  # something is repeated
    assert any(e.facts.get("place") for p in plans for e in p.scene.events)


def test_half_of_all_videos_last_longer_than_half_a_minute(world):
    rng = np.random.default_rng(0)
    seconds = np.array([world._seconds(rng) for _ in range(2000)])
    assert seconds.min() >= 4 and seconds.max() <= 60 and SHORT[0] < np.median(seconds) < LONG[0]
    assert np.mean(seconds > 30) == pytest.approx(0.52, abs=0.034)  # three standard deviations


@pytest.mark.parametrize(("seconds", "most"), [(4.0, 4), (24.0, 8), (60.0, 14)])
def test_the_longer_a_video_the_more_things_may_be_in_it(world, monkeypatch, seconds, most):
    counts, contents = [], world._contents

    def noted(rng, count):
        counts.append(count)
        return contents(rng, 1)

    monkeypatch.setattr(world, "_seconds", lambda rng: seconds)
    monkeypatch.setattr(world, "_contents", noted)
    rng = np.random.default_rng(0)
    for _ in range(100):
        world.draw(rng)
    assert (min(counts), max(counts)) == (1, most)


def test_an_event_lasts_exactly_as_long_as_what_it_names_is_shown(plans):
    for plan in plans:
        for event in plan.scene.events:
            if not event.key.startswith("class"):
                continue
            index = int(event.key.split()[1])
            layers = [layer for layer in plan.layers if index == layer.classes[0]]
            inside = [s.span for s in layers if s.span.start_seconds < event.span.end_seconds - 1e-6]
            inside = [s for s in inside if s.end_seconds > event.span.start_seconds + 1e-6]
            assert min(s.start_seconds for s in inside) == event.span.start_seconds
            assert max(s.end_seconds for s in inside) == event.span.end_seconds


def test_events_of_one_key_neither_touch_nor_overlap(plans):
    for plan in plans:
        for key in {e.key for e in plan.scene.events}:
            spans = [e.span for e in plan.scene.events if e.key == key]
            assert all(a.end_seconds < b.start_seconds for a, b in itertools.pairwise(spans))


def test_what_is_absent_is_true_of_nothing_shown(plans):
    kinds = members_of_kinds()
    for plan in plans:
        seen = {c for layer in plan.layers for c in layer.classes}
        for wording in plan.scene.absent:
            if wording.subject in ("the screen", "a black screen"):
                assert all(e.key != "black" for e in plan.scene.events)
            if wording.rest.startswith(("on the", "at the")):  # there, but somewhere else
                continue
            if wording.subject in PEOPLE:  # who may be there, but does something else
                continue
            name = wording.subject.removeprefix("a pair of ").removeprefix("an ").removeprefix("a ")
            assert not kinds.get(name.lower(), frozenset()) & seen


CUT = tuple(Shot(Span(*span), look) for look, span in enumerate([(0.0, 2.0), (2.0, 5.0), (5.0, 6.0), (6.0, 9.0)]))
THING = Content("class 7", (7,), (1.0,), 1, ())
SCENE = Content("scene a kitchen", (7, 8, 9), (1.0, 1.0, 1.0), 5, ())


def test_a_thing_is_seen_anew_in_each_shot_of_its_stretch(world):
    layers = world._layers(np.random.default_rng(0), _Stretch(Span(0.0, 6.0), THING), CUT)
    assert [layer.span for layer in layers] == [shot.span for shot in CUT[:3]]
    assert {layer.classes[0] for layer in layers} == {7} and not any(layer.fade for layer in layers)
    assert len({layer.waver for layer in layers}) == 1 and len({layer.logits for layer in layers}) == 3


def test_of_a_scene_the_first_shot_shows_something_and_each_other_may(world):
    rng, shown = np.random.default_rng(0), []
    for _ in range(200):
        layers = world._layers(rng, _Stretch(Span(0.0, 6.0), SCENE), CUT)
        assert {layer.span for layer in layers} <= {shot.span for shot in CUT[:3]}
        shown.append([any(layer.span == shot.span for layer in layers) for shot in CUT[:3]])
    first, *others = np.mean(shown, axis=0)
    assert first == 1 and others == pytest.approx([1 - UNTOLD] * 2, abs=0.1)  # three standard deviations


def test_a_scene_is_cut_more_often_than_a_thing(world):
    rng = np.random.default_rng(0)

    def cut(content, seconds=20.0, **more):
        """Share of stretches that have more than one shot."""
        stretch = _Stretch(Span(0.0, seconds), content, **more)
        return np.mean([len(world._shots(rng, [stretch], seconds)) > 1 for _ in range(500)])

    assert cut(SCENE) == pytest.approx(2 / 3, abs=0.063) and cut(THING) == pytest.approx(1 / 2, abs=0.067)
    assert cut(None) == pytest.approx(1 / 2, abs=0.067)  # three standard deviations
    assert cut(SCENE, seconds=2.0) == cut(None, is_black=True) == 0


def test_what_comes_and_goes_heeds_no_cut_and_is_told_by_itself(world):
    layers = world._layers(np.random.default_rng(0), _Stretch(Span(1.0, 6.0), THING, is_visit=True), CUT)
    assert [layer.span for layer in layers] == [Span(1.0, 6.0)] and layers[0].waver <= 0.2


def test_shots_leave_no_time_between_them(plans):
    for plan in plans:
        edges = [(shot.span.start_seconds, shot.span.end_seconds) for shot in plan.shots]
        assert edges[0][0] == 0 and edges[-1][1] == pytest.approx(plan.scene.seconds, abs=0.1)
        assert all(one[1] == pytest.approx(other[0], abs=1e-9) for one, other in itertools.pairwise(edges))


# --- rendering ---


def plan_of(*layers, seconds=8.0, shots=None):
    shots = shots or (Shot(Span(0.0, seconds), 0, shake=0.0),)
    return FeaturePlan(Scene(seconds, ()), tuple(shots), layers, 0.5)


@pytest.fixture(scope="module")
def renderer(lite0_folder):
    return FeatureRenderer(Lite0Head(lite0_folder, load_feature_statistics()))


def logit(lite0_folder, features, index):
    head = Lite0Head(lite0_folder, load_feature_statistics())
    weight, bias = head.classifier
    return features.float() @ weight[index] + bias[index]


def test_features_have_the_shape_of_the_longest_plan_and_the_range_of_lite0(world, plans):
    features = world.render(plans[:3], "cpu", generator())
    assert features.shape == (3, max(p.steps for p in plans[:3]), 4, 1280)
    assert features.dtype == torch.float16
    assert features.min() >= 0
    assert features.max() <= 6
    for row, plan in zip(features, plans[:3], strict=True):
        assert not row[plan.steps :].any()
        assert row[: plan.steps].any(dim=-1).all()


def test_rendering_is_deterministic_by_its_generator(world, plans):
    one, same, other = (world.render(plans[:2], "cpu", generator(s)) for s in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_a_class_is_seen_while_its_layer_lasts(renderer, lite0_folder):
    plan = plan_of(Layer((7,), (8.0,), Span(2.0, 5.0)))
    values = logit(lite0_folder, renderer.render([plan], "cpu", generator())[0].mean(dim=1), 7)
    assert values[8:20].min() > values[[*range(8), *range(20, 32)]].max() + 2


def test_a_thing_on_the_left_is_seen_on_the_left(renderer, lite0_folder):
    layer = Layer((7,), (8.0,), Span(2.0, 6.0), box=(0.0, 0.0, 1.0, 0.5))
    values = logit(lite0_folder, renderer.render([plan_of(layer)], "cpu", generator())[0], 7)
    rise = values[8:24].mean(dim=0) - values[:8].mean(dim=0)
    assert rise[[0, 2]].min() > 3
    assert rise[[1, 3]].abs().max() < 0.5


def test_a_thing_that_fades_in_rises_slowly(renderer, lite0_folder):
    plan = plan_of(Layer((7,), (8.0,), Span(3.0, 8.0), fade=2.0))
    values = logit(lite0_folder, renderer.render([plan], "cpu", generator())[0].mean(dim=1), 7)
    assert values[4] < values[10] < values[13] < values[20]


def clearness(renderer, layer, seconds=60.0, seed=0):
    """By how much a layer is seen more clearly than one that does not waver, `[T]` while it is there."""
    times = torch.arange(round(seconds * 4)) / 4
    wavering, steady = (
        renderer._things([plan_of(each, seconds=seconds)], times, generator(seed))[0]
        for each in (layer, replace(layer, waver=0.0))
    )
    there = (times >= layer.span.start_seconds) & (times < layer.span.end_seconds)
    assert not wavering[~there].any()
    return ((wavering * steady).sum((1, 2)) / (steady**2).sum((1, 2)))[there]


def test_what_wavers_is_now_clear_now_hardly_there_and_never_less_than_not(renderer):
    factor = clearness(renderer, Layer((7,), (8.0,), Span(5.0, 55.0), waver=1.0))
    assert factor.min() == 0 and factor.max() > 1.5


def test_without_waver_a_thing_is_as_clear_all_the_time(renderer):
    factor = clearness(renderer, Layer((7,), (8.0,), Span(5.0, 55.0)))
    torch.testing.assert_close(factor, torch.ones(200))


def test_waver_is_a_standard_deviation(renderer):
    layer = Layer((7,), (8.0,), Span(0.0, 40.0), waver=0.1)  # seldom above 2.5 of them: nothing is cut off
    factors = torch.stack([clearness(renderer, layer, 40.0, seed) for seed in range(8)])
    assert 0.08 < factors.std() < 0.12 and 0.98 < factors.mean() < 1.02
    assert factors.diff().std() < factors.std()  # it takes longer than a step: of noise this would be 1.4 times as much


def test_each_layer_wavers_by_itself(renderer):
    times = torch.arange(32) / 4
    plan = plan_of(*(Layer((index,), (8.0,), Span(0.0, 8.0), waver=0.5) for index in (7, 8)))
    one, other = renderer._wavering(torch.zeros(1, 2), times, generator())[0]
    assert (one - other).abs().mean() > 0.3
    assert not torch.equal(*(renderer._things([plan], times, generator(seed)) for seed in (0, 1)))


def test_black_frames_are_all_alike(renderer):
    shots = (Shot(Span(0.0, 4.0), 0), Shot(Span(4.0, 8.0), 1, light=0.0))
    features = renderer.render([plan_of(shots=shots)] * 2, "cpu", generator()).float()
    dark = features[:, 17:].flatten(0, 2)
    assert torch.equal(dark, dark[:1].expand_as(dark))
    assert not torch.equal(features[0, 3], features[0, 20])


def test_frames_of_a_shot_are_alike_and_shots_are_not(renderer):
    shots = (Shot(Span(0.0, 4.0), 0), Shot(Span(4.0, 8.0), 1))
    features = renderer.render([plan_of(shots=shots)], "cpu", generator())[0].float().mean(dim=1)
    within = (features[1:16] - features[:15]).norm(dim=1).mean()
    assert (features[16] - features[15]).norm() > 2 * within


def unlikeness(renderer, likeness, one, other):
    """How far two of three shots of 2 s are apart, of which the first two have the same look; a mean of 8 videos."""
    shots = [Shot(Span(2.0 * i, 2.0 * i + 2), look, shake=0.0, likeness=likeness) for i, look in enumerate((0, 0, 1))]
    features = renderer.render([plan_of(seconds=6.0, shots=shots)] * 8, "cpu", generator()).float()
    of_shots = features.unflatten(1, (3, 8)).mean(2)  # steps of 2 s
    return (of_shots[:, one] - of_shots[:, other]).flatten(1).norm(dim=1).mean()


def test_shots_of_one_look_are_as_alike_as_they_are_told_and_others_less(renderer):
    alike, hardly = (unlikeness(renderer, likeness, 0, 1) for likeness in (0.9, 0.2))
    assert alike < 0.7 * hardly
    assert all(hardly < unlikeness(renderer, likeness, 0, 2) for likeness in (0.9, 0.2))


def test_a_shot_that_is_all_its_look_is_the_same_each_time(renderer):
    assert unlikeness(renderer, 1.0, 0, 1) < 0.001 * unlikeness(renderer, 1.0, 0, 2)  # half precision


# --- statistics ---


def test_statistics_tell_apart_what_varies_where():
    rng = np.random.default_rng(0)
    maps = np.zeros((60, 6, CHANNELS, 7, 7), np.float32)
    maps[:, :, 0] += rng.normal(0, 3, (60, 1, 1, 1))  # between shots
    maps[:, :, 1] += rng.normal(0, 3, (60, 1, 1, 1)) * np.repeat((1, 0, -1), (3, 1, 3))  # between left and right
    maps[:, :, 2] += rng.normal(0, 3, (60, 1, 7, 7))  # from place to place
    maps[:, :, 3] += rng.normal(0, 3, (60, 6, 1, 1))  # from frame to frame
    found = statistics_of(maps, np.zeros((CHANNELS, 7, 7)))
    variance = (found.directions**2).sum(axis=2) + found.rest
    for channel, level in enumerate(LEVELS):
        assert variance[:, channel].argmax() == LEVELS.index(level)
    assert found.drift == pytest.approx(0.0, abs=0.1)  # white noise in time


def test_statistics_that_do_not_fit_are_refused():
    good = load_feature_statistics()
    with pytest.raises(ValueError, match="channels"):
        FeatureStatistics(good.mean[:5], good.black, good.directions, good.rest, 0.5)
    with pytest.raises(ValueError, match="drift"):
        FeatureStatistics(good.mean, good.black, good.directions, good.rest, 1.0)
