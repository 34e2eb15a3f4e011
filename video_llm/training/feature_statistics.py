"""How real pictures vary inside EfficientNet-Lite0: `python -P -m tvu.video_llm.training.feature_statistics FOLDER...`.

The folders hold photographs and cut-out objects (PNG with transparency, which are set onto the photographs). A camera
wanders over each of them for a few frames, so that what differs between shots, between the quadrants of a frame,
between the places of a quadrant and from frame to frame can be told apart. What is kept are four covariances in the 320
channels before Lite0's last layer, as their strongest directions and the variance that these leave: no pictures.

The command writes `feature_statistics.safetensors` beside this file. Shipped: Debian's tuxpaint-stamps-default,
gnome-backgrounds, lomiri-wallpapers-16.04, lomiri-wallpapers-20.04, mate-backgrounds, plasma-workspace-wallpapers and
ukui-wallpapers, bookworm's versions.
"""

import argparse
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

FILE = "feature_statistics.safetensors"
LEVELS = ("shot", "cell", "place", "time")
"""shot: between shots, over all places and times; cell: of quadrants about their frame; place: of the 7 x 7 places
about their quadrant; time: of a quadrant about its shot."""
CHANNELS = 320
RANK = 64
FRAMES = 6  # of a shot
SIDE = 224
SMALLEST = 200  # pixels: icons are no photographs
BATCH = 12


@dataclass(frozen=True, eq=False)
class FeatureStatistics:
    """Covariances of the 320 channels before Lite0's last layer: `directions[l] @ directions[l].T` plus a diagonal.

    directions: float32 `[L, 320, R]`; rest: float32 `[L, 320]`, the diagonal; both in the order of `LEVELS`.
    mean, black: float32 `[320]`, of pictures and of a black one.
    drift: how much of what varies in time is still there a quarter second later, in [0, 1).
    """

    mean: NDArray[np.float32]
    black: NDArray[np.float32]
    directions: NDArray[np.float32]
    rest: NDArray[np.float32]
    drift: float

    def __post_init__(self) -> None:
        levels = len(LEVELS)
        if {self.mean.shape, self.black.shape} != {(CHANNELS,)} or self.rest.shape != (levels, CHANNELS):
            raise ValueError(f"statistics are of {CHANNELS} channels, not {self.mean.shape} and {self.rest.shape}")
        if self.directions.shape[:2] != (levels, CHANNELS) or not 0 <= self.drift < 1:
            raise ValueError(f"{levels} levels of {CHANNELS} channels and a drift in [0, 1)")


def load_feature_statistics() -> FeatureStatistics:
    """The statistics that ship."""
    from safetensors.numpy import load

    arrays = load(resources.files(__package__).joinpath(FILE).read_bytes())
    wide = {name: array.astype(np.float32) for name, array in arrays.items()}
    return FeatureStatistics(wide["mean"], wide["black"], wide["directions"], wide["rest"], float(wide["drift"][0]))


def statistics_of(maps: NDArray[np.floating[Any]], black: NDArray[np.floating[Any]]) -> FeatureStatistics:
    """maps: float `[S, T, 320, 7, 7]`, S shots of T frames a quarter second apart; black: `[320, 7, 7]`."""
    halves = slice(0, 3), slice(4, 7)  # the middle row and column belong to neither
    quadrants = np.stack(
        [maps[..., rows, columns] for rows in halves for columns in halves], axis=3
    )  # [S, T, 320, 4, 3, 3]
    flat = quadrants.reshape(*quadrants.shape[:4], 9).astype(np.float32)
    cells = flat.mean(axis=-1)  # [S, T, 320, 4]
    frames = cells.mean(axis=-1)  # [S, T, 320]
    shots = frames.mean(axis=1)  # [S, 320]
    in_time = cells - cells.mean(axis=1, keepdims=True)
    parts = {
        "shot": shots - shots.mean(axis=0),
        "cell": np.moveaxis(cells.mean(axis=1) - shots[..., None], 2, 1),
        "place": np.moveaxis(flat - cells[..., None], 2, -1)[:, :1],
        "time": np.moveaxis(in_time, 2, -1),
    }
    factors = [_factored(part.reshape(-1, CHANNELS)) for part in (parts[name] for name in LEVELS)]
    now, later = in_time[:, :-1], in_time[:, 1:]
    # a shot of T frames is centred on its own mean, which takes 1/(T - 1) off the correlation of its neighbours
    drift = float((now * later).sum() / np.sqrt((now**2).sum() * (later**2).sum())) + 1 / (maps.shape[1] - 1)
    return FeatureStatistics(
        shots.mean(axis=0),
        black.astype(np.float32).mean(axis=(1, 2)),
        np.stack([directions for directions, _ in factors]),
        np.stack([rest for _, rest in factors]),
        min(max(drift, 0.0), 0.98),
    )


def _factored(samples: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Strongest directions `[C, R]` of the covariance of samples `[n, C]`, and the variances they leave `[C]`."""
    covariance = samples.T.astype(np.float64) @ samples / max(len(samples) - 1, 1)
    values, vectors = np.linalg.eigh(covariance)
    directions = vectors[:, -RANK:] * np.sqrt(np.maximum(values[-RANK:], 0.0))
    rest = np.maximum(np.diag(covariance) - (directions**2).sum(axis=1), 0.0)
    return directions.astype(np.float32), rest.astype(np.float32)


# --- pictures as shots --------------------------------------------------------------------------------------


def shots_of(folders: Sequence[Path], per_photo: int, seed: int = 0) -> Iterator[NDArray[np.uint8]]:
    """uint8 `[T, 3, 224, 224]`: `per_photo` shots of each photograph, one of each cut-out object before one of them."""
    from PIL import Image

    rng = np.random.default_rng(seed)
    files = sorted(f for folder in folders for f in folder.rglob("*") if f.suffix.lower() in {".jpg", ".png", ".webp"})
    photos: dict[tuple[str, int], Path] = {}
    objects: list[Path] = []
    for file in files:
        with Image.open(file) as picture:
            if picture.mode in {"RGBA", "LA"} or "transparency" in picture.info:
                objects.append(file)
            elif min(picture.size) >= SMALLEST:
                name = (
                    file.stem if not file.stem[0].isdigit() else str(file.parent)
                )  # one size of a wallpaper is enough
                photos.setdefault((name, picture.width // picture.height), file)
    backdrops = []
    for file in photos.values():
        with Image.open(file) as picture:
            picture.draft("RGB", (1400, 1400))
            photo = picture.convert("RGB")
        photo.thumbnail((1400, 1400))
        backdrops.append(photo)
        for _ in range(per_photo):
            yield _wander(photo, rng)
    for file in objects:
        with Image.open(file) as picture:
            thing = picture.convert("RGBA")
        backdrop = backdrops[rng.integers(len(backdrops))].resize((640, 480))
        size = rng.uniform(0.4, 0.95) * 480 / max(thing.size)
        thing = thing.resize((max(1, round(thing.width * size)), max(1, round(thing.height * size))))
        corner = int(rng.integers(0, 641 - thing.width)), int(rng.integers(0, 481 - thing.height))
        backdrop.paste(thing, corner, thing)
        yield _wander(backdrop, rng, closest=0.75)


def _wander(picture: "Image", rng: np.random.Generator, closest: float = 0.35) -> NDArray[np.uint8]:
    """A shot of a camera that pans, zooms and shakes over a picture: uint8 `[T, 3, 224, 224]`."""
    from PIL import Image, ImageEnhance

    width, height = picture.size
    zooms = np.linspace(1, rng.uniform(0.8, 1.25), FRAMES) * rng.uniform(closest, 1.0)
    zooms = np.clip(zooms, 0.25, 1.0)
    room = np.array([width, height]) * (1 - zooms[0])
    path = rng.uniform(0, 1, 2) * room + np.linspace(0, 1, FRAMES)[:, None] * rng.normal(0, 0.15, 2) * (width, height)
    path += rng.normal(0, 0.004, path.shape) * (width, height)
    light = rng.uniform(0.7, 1.3)
    frames = []
    for (x, y), zoom in zip(path, zooms, strict=True):
        x, y = np.clip((x, y), 0, np.array([width, height]) * (1 - zoom))
        seen = picture.crop((int(x), int(y), int(x + width * zoom), int(y + height * zoom))).resize((320, 240))
        packed = io.BytesIO()
        ImageEnhance.Brightness(seen).enhance(light).save(packed, "JPEG", quality=int(rng.choice([30, 50, 75])))
        with Image.open(packed) as unpacked:
            frames.append(np.asarray(unpacked.convert("RGB").resize((SIDE, SIDE))).transpose(2, 0, 1))
    return np.stack(frames)


def maps_of(shots: Iterator[NDArray[np.uint8]], lite0_folder: Path) -> NDArray[np.float16]:
    """float16 `[S, T, 320, 7, 7]`: what enters Lite0's last layer."""
    import timm
    import torch
    from safetensors.torch import load_file

    net: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    net.load_state_dict(load_file(lite0_folder / "model.safetensors"))
    net.eval()
    found = []
    with torch.inference_mode():
        for shot in shots:
            unit = (torch.from_numpy(np.ascontiguousarray(shot)).float() - 127.5) / 127.5
            found.append(net.blocks(net.bn1(net.conv_stem(unit))).half().numpy())
    return np.stack(found)


def main() -> None:
    """Measure, print what was found, and write the file."""
    from safetensors.numpy import save_file

    from tvu.weights.load import located

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--per-photo", type=int, default=4)
    parser.add_argument("--maps", type=Path, help="keep the maps here, to look at them")
    options = parser.parse_args()
    lite0 = located("efficientnet-lite0")
    maps = maps_of(shots_of(options.folders, options.per_photo), lite0)
    black = maps_of(iter([np.zeros((1, 3, SIDE, SIDE), np.uint8)]), lite0)[0, 0]
    if options.maps:
        np.save(options.maps, maps)
    found = statistics_of(maps, black)
    arrays = {
        "mean": found.mean,
        "black": found.black,
        "directions": found.directions,
        "rest": found.rest,
        "drift": np.array([found.drift]),
    }
    out = Path(__file__).with_name(FILE)
    save_file({name: np.asarray(array, np.float16) for name, array in arrays.items()}, out)
    for name, directions, rest in zip(LEVELS, found.directions, found.rest, strict=True):
        kept = (directions**2).sum()
        print(
            f"{name:6} variance {kept + rest.sum():8.2f}, {100 * kept / (kept + rest.sum()):.0f} % in {RANK} directions"
        )
    print(f"drift {found.drift:.3f}, {len(maps)} shots; wrote {out.name}, {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
