"""Pictures to compose videos from: their words, their file, and how they are picked from packages."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.video_llm.training.pictures import place, thing
from tvu.video_llm.training.asset_names import GCOMPRIS_PHOTOS, SCENERY, with_article
from tvu.video_llm.training.assets import (
    PHOTO_SIZE,
    SPRITE_SIDE,
    AssetError,
    Assets,
    Named,
    _resources,
    as_photo,
    as_sprite,
    save_assets,
    without_twins,
)


@pytest.mark.parametrize(
    ("caption", "noun", "head", "kinds"),
    [
        ("a dog", "dog", "dog", ("animal",)),
        ("an owl", "owl", "owl", ("bird", "animal")),
        ("a bee on a flower", "bee on a flower", "bee", ("insect", "animal")),
        ("some swans", "swans", "swans", ("bird", "animal")),
        ("a red apple", "red apple", "apple", ("fruit",)),
        ("a cup of coffee", "cup of coffee", "cup", ()),
    ],
)
def test_a_caption_tells_what_the_thing_is_and_what_it_is_a_kind_of(
    caption: str, noun: str, head: str, kinds: tuple[str, ...]
) -> None:
    named = Named(caption, "x")
    assert (named.noun, named.head, named.kinds) == (noun, head, kinds)


@pytest.mark.parametrize(
    ("caption", "is_plural"),
    [
        ("some swans", True),
        ("clouds", True),
        ("a pair of scissors", False),
        ("grass", False),
        ("the bottom of the sea", False),
    ],
)
def test_some_captions_are_plural(caption: str, is_plural: bool) -> None:
    assert Named(caption, "x").is_plural == is_plural


def test_articles_follow_the_sound() -> None:
    assert [with_article(noun) for noun in ("owl", "unicorn", "dog")] == ["an owl", "a unicorn", "a dog"]


def test_captions_are_noun_phrases() -> None:
    for caption in (*GCOMPRIS_PHOTOS.values(), *SCENERY.values()):
        assert caption and caption[0].islower() and not any(mark in caption for mark in "_.;:0123456789")


def test_pictures_survive_their_file_and_drawn_ones_are_added(tmp_path: Path) -> None:
    save_assets(
        tmp_path / "a.safetensors", [(Named("a dog", "d", aspect=1.5), thing(1))], [(Named("a beach", "b"), place(2))]
    )
    assets = Assets.load(tmp_path / "a.safetensors")
    assert assets.sprites[0] == Named("a dog", "d", aspect=1.5)
    assert assets.photos[0] == Named("a beach", "b")
    assert len(assets.sprites) == 1 + len(Assets.drawn().sprites)
    difference = np.abs(assets.photo_pixels[0].numpy().astype(int) - np.asarray(place(2)).transpose(2, 0, 1))
    assert difference.mean() < 3  # WebP at quality 82 on flat colours
    alpha = assets.sprite_pixels[0, 3].numpy()
    assert (alpha == np.asarray(thing(1))[..., 3]).mean() > 0.99


def test_another_file_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "b.safetensors").write_bytes(b"no")
    for name in ("b.safetensors", "missing.safetensors"):
        with pytest.raises(AssetError, match="no pictures can be read"):
            Assets.load(tmp_path / name)


def test_a_picture_belongs_to_one_split_and_shapes_to_both() -> None:
    assets = Assets.of([(Named("a dog", f"d{i}"), thing(i)) for i in range(30)], [])
    train, held_out = set(assets.sprites_of("train").tolist()), set(assets.sprites_of("held-out").tolist())
    assert all(assets.sprites[i].drawn for i in train & held_out)
    assert train | held_out == set(range(len(assets.sprites)))
    assert 1 <= sum(not assets.sprites[i].drawn for i in held_out) <= 12


def test_a_thing_is_cut_out_and_put_into_the_middle() -> None:
    large = Image.new("RGBA", (600, 400))
    large.paste((200, 30, 30, 255), (100, 150, 400, 250))
    cut = as_sprite(large)
    assert cut is not None
    sprite, aspect = cut
    assert sprite.size == (SPRITE_SIDE, SPRITE_SIDE) and aspect == pytest.approx(3.0)
    left, top, right, bottom = sprite.getbbox() or (0, 0, 0, 0)
    assert (left + right) / 2 == pytest.approx(64, abs=1) and (top + bottom) / 2 == pytest.approx(64, abs=1)
    assert sprite.getpixel((64, 64)) == (200, 30, 30, 255)


def test_a_picture_without_anything_cut_out_is_no_sprite() -> None:
    assert as_sprite(Image.new("RGB", (200, 200), "white")) is None
    assert as_sprite(Image.new("RGBA", (200, 200))) is None


def test_the_middle_of_a_photograph_is_taken_without_squeezing_it() -> None:
    wide = Image.new("RGB", (960, 240), "blue")
    wide.paste((255, 0, 0), (320, 0, 640, 240))
    photo = as_photo(wide)
    assert photo.size == PHOTO_SIZE[::-1]
    assert photo.getpixel((5, 5)) == (255, 0, 0) and photo.getpixel((315, 235)) == (255, 0, 0)


def test_the_same_picture_is_kept_once() -> None:
    pictures = [(Named("a dog", "x"), thing(1)), (Named("a dog", "y"), thing(1)), (Named("a cat", "z"), thing(5))]
    assert [named.name for named, _ in without_twins(pictures)] == ["x", "z"]


def test_members_of_a_resource_file_are_found() -> None:
    names = b""
    offsets = []
    for name in ("pictures", "dog.webp"):
        offsets.append(len(names))
        names += struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
    data = b"picture!"
    nodes = [
        struct.pack(">IHII", 0, 2, 1, 1),
        struct.pack(">IHII", offsets[0], 2, 1, 2),
        struct.pack(">IHHHI", offsets[1], 0, 0, 0, 0),
    ]
    tree = b"".join(nodes)
    contents = struct.pack(">I", len(data)) + data
    start = 20
    header = b"qres" + struct.pack(">4I", 1, start, start + len(tree), start + len(tree) + len(contents))
    assert list(_resources(header + tree + contents + names)) == [("pictures/dog.webp", data)]
    assert list(_resources(b"something else")) == []
