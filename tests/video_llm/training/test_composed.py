"""Composed videos: the pixels do what the words say, when they say it."""

from functools import cache

import numpy as np
import pytest
import torch

from tests.video_llm.training.pictures import few_pictures
from tvu.video_llm.training.acts import ACTS, DIRECTIONS, ENTRANCES, EXITS, Act, Actor, Form, forms
from tvu.video_llm.training.assets import Assets
from tvu.video_llm.training.composed import ComposedWorld, Plan, render
from tvu.video_llm.training.rendering import Footage, Layer, PictureBank, render_footage
from tvu.video_llm.training.scenes import Split
from tvu.video_llm.training.stage import Camera, Shot, is_shape_free, plural

SIDE = 32


def drawn(count: int, split: Split = "train", seed: int = 0) -> list[Plan]:
    world = ComposedWorld(few_pictures(), split)
    return [world.draw(np.random.default_rng([seed, i])) for i in range(count)]


# --- what is said ---------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_video() -> None:
    (a,), (b,) = drawn(1, seed=3), drawn(1, seed=3)
    assert a.scene == b.scene
    assert torch.equal(render([a], "cpu", SIDE), render([b], "cpu", SIDE))


def test_what_happens_is_never_said_to_be_absent() -> None:
    for plan in drawn(60):
        happens = {wording.statement for event in plan.scene.events for wording in event.wordings}
        assert not happens & {wording.statement for wording in plan.scene.absent}


def test_things_said_to_be_absent_are_not_in_the_video() -> None:
    for plan in drawn(60, seed=1):
        there = {wording.subject for event in plan.scene.events for wording in event.wordings}
        shown = [wording for wording in plan.scene.absent if wording.rest in ("shown", "seen", "in the picture")]
        assert not there & {wording.subject for wording in shown}


def test_almost_every_video_has_events_and_absences() -> None:
    plans = drawn(60, seed=2)
    assert np.mean([bool(plan.scene.events) for plan in plans]) > 0.9
    assert np.mean([bool(plan.scene.absent) for plan in plans]) > 0.9


def test_events_of_one_key_have_the_same_words() -> None:
    for plan in drawn(60, seed=4):
        words: dict[str, tuple[str, ...]] = {}
        for event in plan.scene.events if plan.skeleton is None else ():
            told = tuple(wording.statement for wording in event.wordings)
            assert words.setdefault(event.key, told) == told


def test_videos_last_4_to_60_seconds_and_are_as_long_as_their_pictures() -> None:
    for plan in drawn(40, seed=5):
        assert 3.5 <= plan.scene.seconds <= 61
        assert plan.footage.frames == pytest.approx(plan.scene.seconds * 8, abs=1)


def test_splits_share_no_picture_and_no_coloured_shape() -> None:
    subjects = {}
    for split in ("train", "held-out"):
        plans = [plan for plan in drawn(80, split) if plan.skeleton is None]
        assets = few_pictures()
        sprites = {
            layer.picture
            for plan in plans
            for layer in plan.footage.layers
            if layer.bank == "sprite" and not assets.sprites[layer.picture].drawn
        }
        assert sprites <= set(assets.sprites_of(split).tolist())
        subjects[split] = {
            (event.facts["color"], wording.subject)
            for plan in plans
            for event in plan.scene.events
            if "color" in event.facts
            for wording in event.wordings
        }
    assert subjects["train"] and subjects["held-out"]
    assert not subjects["train"] & subjects["held-out"]


def test_a_colour_and_a_shape_belong_to_one_split() -> None:
    assert is_shape_free("red", "star", True) != is_shape_free("red", "star", False)


@pytest.mark.parametrize(
    ("one", "several"),
    [
        ("dog", "dogs"),
        ("fox", "foxes"),
        ("berry", "berries"),
        ("piece of cake", "pieces of cake"),
        ("sheep", "sheep"),
        ("knife", "knives"),
        ("giraffe", "giraffes"),
    ],
)
def test_plurals(one: str, several: str) -> None:
    assert plural(one) == several


def test_forms_combine_verbs_and_rests() -> None:
    assert forms("move,come in", "from the left") == (Form("move", "from the left"), Form("come", "in from the left"))
    assert Form("be", "shown").told_of("some swans", True).statement == "some swans are shown"
    assert Form("flip", "over").told_of("a dog", False).noun == "a dog flipping over"
    assert Form("go", "up").told_of("a dog", False).asked == "does a dog go up"


# --- what things do -------------------------------------------------------------------------------------------


def actor(x: float = 0.0, y: float = 0.0) -> Actor:
    return Actor.at(np.arange(0, 6, 0.125), x, y, 0.25, 1.0, 4 / 3, (1.0, 1.0, 1.0))


def done(act: Act, who: Actor, start: float = 2.0, end: float = 4.0) -> bool:
    return act.does(who, who.progress(start, end), np.random.default_rng(0))


@pytest.mark.parametrize("direction", list(DIRECTIONS))
def test_a_thing_moves_where_the_words_say(direction: str) -> None:
    who = actor()
    assert done(next(act for act in ACTS if act.name == f"move {direction}"), who)
    dx, dy = who.x[-1] - who.x[0], who.y[-1] - who.y[0]
    assert np.sign(dx) == np.sign(DIRECTIONS[direction][0]) and np.sign(dy) == np.sign(DIRECTIONS[direction][1])


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.name)
def test_nothing_happens_before_or_after_a_deed(act: Act) -> None:
    for where in ((0.0, 0.0), (-0.7, -0.3), (0.0, 0.5)):
        who = actor(*where)
        if act.name == "stand up":
            who.angle += np.pi / 2
        if act.name == "recede":
            who.size *= 2
        if act.name == "light up":
            who.glow *= 0.28
        if not done(act, who):
            continue
        state = np.stack([who.x, who.y, who.size, who.angle, who.wide, who.opacity, who.glow])
        early, late = who.times <= 2.0, who.times > 4.0
        assert np.allclose(state[:, early], state[:, :1]) and np.allclose(state[:, late], state[:, -1:])
        assert not np.allclose(state[:, ~(early | late)], state[:, :1])
        return
    pytest.fail("there was room for it nowhere")


@pytest.mark.parametrize("act", ENTRANCES, ids=lambda act: act.name)
def test_what_enters_is_outside_before(act: Act) -> None:
    who = actor()
    assert done(act, who)
    before = who.times < 2.0
    assert (who.opacity[before] == 0).all() and (who.opacity[~before][1:] > 0).all()
    assert who.x[-1] == pytest.approx(0) and who.y[-1] == pytest.approx(0)


@pytest.mark.parametrize("act", EXITS, ids=lambda act: act.name)
def test_what_leaves_is_gone_after(act: Act) -> None:
    who = actor()
    assert done(act, who)
    assert (who.opacity[who.times >= 4.0] == 0).all() and (who.opacity[who.times < 3.9] > 0).all()


# --- pixels ---------------------------------------------------------------------------------------------------


def shot_of(n: int, aspect: float = 1.0) -> Shot:
    return Shot(0, n, 0.0, n / 8, (0.0, n / 8), np.ones(n), aspect, Camera.still(n))


@cache
def shapes() -> PictureBank:
    return PictureBank(Assets.drawn(), "cpu")


def filmed(shot: Shot, side: int = SIDE) -> torch.Tensor:
    n = shot.last
    ones, zeros = np.ones(n, np.float32), np.zeros(n, np.float32)
    footage = Footage(n, tuple(shot.layers), ones, zeros, zeros)
    return render_footage([footage], shapes(), side)[0].float() / 255


def middle_of(pictures: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Where the light is, from -1 to 1, for each picture."""
    weight = pictures.mean(dim=1)
    places = torch.linspace(-1, 1, weight.shape[-1])
    total = weight.sum(dim=(1, 2))
    return (weight.sum(1) @ places / total).numpy(), (weight.sum(2) @ places / total).numpy()


def circle() -> int:
    return next(i for i, named in enumerate(Assets.drawn().sprites) if named.name == "shape:circle")


def test_a_thing_is_drawn_where_its_actor_is() -> None:
    shot = shot_of(5)
    who = Actor.at(shot.times, -0.5, 0.2, 0.2, 1.0, 1.0, (1.0, 1.0, 1.0))
    who.x += np.linspace(0, 1, 5)
    shot.thing(circle(), who)
    x, y = middle_of(filmed(shot))
    assert x == pytest.approx(who.x, abs=0.03) and y == pytest.approx(who.y, abs=0.03)


def test_a_wide_picture_is_squeezed_to_a_square() -> None:
    shot = shot_of(1, aspect=2.0)
    shot.thing(circle(), Actor.at(shot.times, 1.0, 0.0, 0.5, 1.0, 2.0, (1.0, 1.0, 1.0)))
    picture = filmed(shot, 64)[0].mean(dim=0) > 0.3
    rows, columns = picture.any(dim=1).sum(), picture.any(dim=0).sum()
    assert rows / columns == pytest.approx(2.0, abs=0.25)
    assert middle_of(filmed(shot, 64))[0] == pytest.approx([0.5], abs=0.05)


def test_a_camera_that_pans_right_moves_everything_left() -> None:
    shot = shot_of(4)
    shot.camera.x += np.linspace(0, 0.6, 4)
    shot.thing(circle(), Actor.at(shot.times, 0.3, 0.0, 0.2, 1.0, 1.0, (1.0, 1.0, 1.0)))
    x, _ = middle_of(filmed(shot))
    assert x == pytest.approx(0.3 - np.linspace(0, 0.6, 4), abs=0.04)


def test_what_lies_in_front_hides_what_is_behind() -> None:
    shot = shot_of(1)
    for color in ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0)):
        shot.thing(circle(), Actor.at(shot.times, 0.0, 0.0, 0.5, 1.0, 1.0, color))
    red, _, blue = filmed(shot)[0, :, SIDE // 2, SIDE // 2].tolist()
    assert blue > 0.7 and red < 0.02


def test_opacity_and_light_are_those_of_each_frame() -> None:
    shot = shot_of(3)
    who = Actor.at(shot.times, 0.0, 0.0, 0.5, 1.0, 1.0, (1.0, 1.0, 1.0))
    who.opacity[:] = (0.0, 0.5, 1.0)
    shot.thing(circle(), who)
    n = np.ones(3, np.float32)
    footage = Footage(3, tuple(shot.layers), np.array([1, 1, 0.5], np.float32), 0 * n, 0 * n)
    values = render_footage([footage], shapes(), SIDE)[0, :, 0, SIDE // 2, SIDE // 2].tolist()
    assert values[0] == 0 and values[1] == pytest.approx(values[2], abs=3) and values[1] > 80


def test_compression_and_grain_change_little_and_keep_the_mean() -> None:
    shot = shot_of(2)
    shot.plate(len(Assets.drawn().photos) - 1, (0.8, 0.8, 0.8), 1.2)
    ones, zeros = np.ones(2, np.float32), np.zeros(2, np.float32)
    clean, worn = (
        render_footage([Footage(2, tuple(shot.layers), ones, zeros, zeros, noise, blocks)], shapes(), SIDE).float()
        for noise, blocks in ((0.0, 0.0), (0.03, 0.8))
    )
    assert 1 < (clean - worn).abs().mean() < 25
    assert clean.mean() == pytest.approx(float(worn.mean()), abs=4)


def test_videos_of_different_length_share_a_batch() -> None:
    plans = sorted(drawn(12, seed=6), key=lambda plan: plan.footage.frames)[:2]
    pixels = render(plans, "cpu", SIDE)
    assert pixels.shape == (2, plans[1].footage.frames, 3, SIDE, SIDE) and pixels.dtype == torch.uint8
    alone = render(plans[:1], "cpu", SIDE)[0]
    assert torch.equal(pixels[0, : len(alone)], alone)


def test_layers_outside_the_video_are_refused() -> None:
    one = np.ones(2, np.float32)
    layer = Layer("sprite", 0, 1, np.zeros((2, 2, 3), np.float32), one, np.ones((2, 3), np.float32))
    with pytest.raises(ValueError, match="outside"):
        Footage(2, (layer,), one, one, one)
