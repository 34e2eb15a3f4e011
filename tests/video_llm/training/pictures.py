"""A few drawn things in place of the pictures that packages hold."""

from functools import cache

from PIL import Image, ImageDraw

from tvu.video_llm.training.assets import Assets, Named

THINGS = ("a dog", "a cat", "an owl", "a red apple", "a truck", "a kite", "a guitar", "a snail", "a crown", "a cactus")
PLACES = ("a beach", "mountains", "a bridge", "some windmills", "a cheetah", "a sunset", "an orchestra", "a lighthouse")


def thing(number: int) -> Image.Image:
    """A cut-out thing of 128 x 128, another one for another number."""
    picture = Image.new("RGBA", (128, 128))
    pen = ImageDraw.Draw(picture)
    color = tuple((number * step) % 200 + 40 for step in (67, 131, 29))
    pen.ellipse((10, 30, 118, 100), fill=(*color, 255))
    pen.rectangle((30 + number, 60, 50 + number, 120), fill=(*color[::-1], 255))
    return picture


def place(number: int) -> Image.Image:
    """A picture of 320 x 240 with a horizon."""
    picture = Image.new("RGB", (320, 240), tuple((number * step) % 200 + 30 for step in (91, 57, 143)))
    ImageDraw.Draw(picture).rectangle((0, 100 + 10 * number, 320, 240), fill=(20 * number, 120, 90))
    return picture


@cache
def few_pictures() -> Assets:
    """Drawn stand-ins for sprites and photographs, and the shapes and textures that are always there."""
    things = [(Named(caption, f"thing {i}/{j}"), thing(2 * i + j)) for i, caption in enumerate(THINGS) for j in (0, 1)]
    places = [(Named(caption, f"place {i}"), place(i)) for i, caption in enumerate(PLACES)]
    return Assets.of(things, places)
