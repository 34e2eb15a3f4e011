"""Pictures as a video: a folder of them, in the order of the numbers in their names, or a single one.

Each is on the screen for `1 / PICTURES_PER_SECOND` seconds. The first one gives the size; others are fitted into it
with black borders. The `answer_` functions run in the reader process.
"""

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from tvu.video_llm.errors import VideoError
from tvu.video_llm.media.batches import BatchSender
from tvu.video_llm.media.limits import MAX_PIXELS
from tvu.video_llm.media.pixels import THUMBNAIL_WIDTH, Geometry
from tvu.video_llm.media.wire import Message

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm"}


def pictures_in(folder: Path) -> tuple[Path, ...]:
    """The pictures of a folder, `shot 9.png` before `shot 10.png`. Hidden files and sub-folders are passed over.

    Raises OSError where the folder cannot be listed.
    """
    paths = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")]
    return tuple(sorted((path for path in paths if path.is_file()), key=_natural_order))


def _natural_order(path: Path) -> list[tuple[int, int | str]]:
    parts = re.split(r"(\d+)", path.name.casefold())
    key: list[tuple[int, int | str]] = [(0, int(part)) if part.isdecimal() else (1, part) for part in parts]
    return [*key, (1, path.name)]  # names that differ in case only still have an order


def answer_survey(request: Message, send: Callable[[Message], None], tick: Callable[[], None]) -> None:
    """Sends one `survey` message about the first of `paths` that can be read."""
    for path in request.fields["paths"]:
        tick()
        picture = _open(path)
        if picture is not None:
            height, width = picture.shape[:2]
            send(Message("survey", {"height": height, "width": width}))
            return
    raise VideoError("cannot be read as a picture", hint="the file is damaged, or of a kind that Pillow does not know")


def answer_frames(request: Message, send: Callable[[Message], None], tick: Callable[[], None]) -> None:
    """Sends the pictures whose rows are `wanted` (int64 `[T]`, increasing) in `batch` messages; see `BatchSender`.

    A picture that cannot be read is passed over: the last one before it that can stays on the screen.
    """
    fields = request.fields
    geometry = Geometry(**fields["geometry"])
    sender = BatchSender(send, geometry.height, geometry.width, fields["batch_frames"])
    shown = -1
    fitted: NDArray[np.uint8] | None = None
    for row in request.arrays["wanted"].tolist():
        for candidate in range(row, shown, -1):
            tick()
            picture = _open(fields["paths"][candidate])
            if picture is not None:
                shown, fitted = candidate, _fit(picture, geometry.height, geometry.width)
                break
        if (
            fitted is None
        ):  # nothing before it can be read either: then what comes next, as before a video's first frame
            shown, fitted = _next_after(row, fields["paths"], geometry)
        sender.add(row, shown, fitted)
        if fields["thumbnails"]:
            height = max(1, round(geometry.height * THUMBNAIL_WIDTH / geometry.width))
            sender.add_thumbnail(shown, _fit(fitted, height, THUMBNAIL_WIDTH)[..., ::-1])
    sender.flush()


def _next_after(row: int, paths: list[str], geometry: Geometry) -> tuple[int, NDArray[np.uint8]]:
    for later in range(row + 1, len(paths)):
        picture = _open(paths[later])
        if picture is not None:
            return later, _fit(picture, geometry.height, geometry.width)
    raise VideoError("has no picture that can be read", hint="are its files damaged?")


def _open(path: str) -> NDArray[np.uint8] | None:
    """uint8 `[H, W, 3]` RGB, turned as its EXIF says, what is transparent white; None where it cannot be read."""
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2  # Pillow refuses more than twice as many as it warns of
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore")
            upright: Any = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I") or upright.mode == "F":  # 16 bits and more: Pillow would clip them
                values = np.asarray(upright, np.float64)
                top = 65535.0 if values.max() > 255 else 255.0
                upright = Image.fromarray((values / top * 255).clip(0, 255).astype(np.uint8))
            if upright.has_transparency_data:
                upright = upright.convert("RGBA")
                upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
            return np.asarray(upright.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _fit(picture: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """The picture at `height` x `width`, with black borders where its shape differs; never enlarged beyond touching."""
    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(ImageOps.pad(Image.fromarray(picture), (width, height), Image.Resampling.BOX))
