"""Pictures put together on the device: layers of pictures under affine maps, then light, blur, noise and compression.

Coordinates of the screen and of every picture are -1 to 1, x to the right and y down.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from tvu.video_llm.training.assets import Assets

Floats = NDArray[np.float32]

SIDE = 224  # pixels, of the square pictures that encoders see
FRAMES_AT_ONCE = 1536  # of 224 x 224 pixels, which bounds the memory of a device to about 3 GB
NOISE_TILES = 24


@dataclass(frozen=True, eq=False)
class Layer:
    """One picture that is on the screen for n frames.

    picture: index among the sprites or the photos of the assets.
    first:   the first frame.
    affine:  float32 `[n, 2, 3]`, maps coordinates of the picture to those of the screen.
    opacity: float32 `[n]` in [0, 1]. tint: float32 `[n, 3]`, what its colours are multiplied by.
    """

    bank: Literal["sprite", "photo"]
    picture: int
    first: int
    affine: Floats
    opacity: Floats
    tint: Floats

    def __post_init__(self) -> None:
        n = len(self.affine)
        if self.affine.shape != (n, 2, 3) or self.opacity.shape != (n,) or self.tint.shape != (n, 3):
            raise ValueError(f"a layer of {self.affine.shape}, {self.opacity.shape}, {self.tint.shape}")


@dataclass(frozen=True, eq=False)
class Footage:
    """All that the pictures of a video are made of.

    layers: back to front.
    gain, offset: float32 `[F]`, light: values in [0, 1] become `value * gain + offset`.
    blur:   float32 `[F]` in [0, 1].
    noise:  standard deviation of the grain, of values in [0, 1].
    blocks: how coarse the compression is: 0 none, 1 strong.
    seed:   of the grain.
    """

    frames: int
    layers: tuple[Layer, ...]
    gain: Floats
    offset: Floats
    blur: Floats
    noise: float = 0.0
    blocks: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if any(layer.first < 0 or layer.first + len(layer.affine) > self.frames for layer in self.layers):
            raise ValueError(f"a layer lies outside {self.frames} frames")


class PictureBank:
    """The pictures of `Assets` on a device, each also at smaller sizes, colours multiplied by alpha."""

    def __init__(self, assets: Assets, device: torch.device | str) -> None:
        self.device = torch.device(device)
        self.dtype = torch.float16 if self.device.type == "cuda" else torch.float32
        sprites = assets.sprite_pixels.to(self.device).to(self.dtype) / 255
        sprites[:, :3] *= sprites[:, 3:]
        photos = assets.photo_pixels.to(self.device).to(self.dtype) / 255
        self.sizes = {
            "sprite": [sprites, *_halved(sprites, 2)],
            "photo": [photos, *_halved(photos, 1)],
        }
        noise = torch.randn((NOISE_TILES, 1, SIDE, SIDE), generator=torch.Generator().manual_seed(0))
        colour = torch.randn((NOISE_TILES, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(1))
        self.noise = (0.8 * noise + 0.6 * colour).to(self.device, self.dtype)


def _halved(pictures: Tensor, times: int) -> list[Tensor]:
    out = [pictures]
    for _ in range(times):
        out.append(functional.avg_pool2d(out[-1], 2))
    return out[1:]


@torch.no_grad()
def render_footage(footages: Sequence[Footage], bank: PictureBank, side: int = SIDE) -> Tensor:
    """uint8 `[B, F, 3, side, side]` on the bank's device, F the longest; what a shorter one lacks is black."""
    frames = max(footage.frames for footage in footages)
    out = torch.zeros((len(footages), frames, 3, side, side), dtype=torch.uint8, device=bank.device)
    at_once = max(int(FRAMES_AT_ONCE * (SIDE / side) ** 2) // frames, 1)
    for first in range(0, len(footages), at_once):
        part = footages[first : first + at_once]
        canvas = _composed(part, frames, bank, side)
        canvas = _filmed(canvas, part, frames, bank, side)
        pixels = (canvas * 255 + 0.5).clamp_(0, 255).to(torch.uint8)
        out[first : first + len(part)] = pixels.view(len(part), frames, 3, side, side)
    for number, footage in enumerate(footages):
        out[number, footage.frames :] = 0
    return out


@dataclass(frozen=True)
class _Job:
    """A layer to draw: rows of the canvas, rows of the table of numbers, its picture, and the box that it stays in."""

    canvas: slice
    table: slice
    pictures: Tensor
    picture: int
    is_photo: bool
    box: tuple[slice, slice]  # pixel rows and columns


def _composed(footages: Sequence[Footage], frames: int, bank: PictureBank, side: int) -> Tensor:
    """`[B * F, 3, side, side]`. One layer at a time, all of its frames at once, and no more of them than it covers."""
    jobs, table = _jobs(footages, frames, bank, side)
    canvas = torch.zeros((len(footages) * frames, 3, side, side), dtype=bank.dtype, device=bank.device)
    numbers = torch.from_numpy(table).to(bank.device)
    places = (2 * torch.arange(side, device=bank.device, dtype=torch.float32) + 1) / side - 1
    for job in jobs:
        rows, columns = job.box
        inverse = numbers[job.table, :6].view(-1, 2, 3)
        x, y = places[columns], places[rows]
        along = inverse[:, :, 0, None, None] * x + (inverse[:, :, 1, None, None] * y[:, None])
        grid = (along + inverse[:, :, 2, None, None]).permute(0, 2, 3, 1).to(bank.dtype)
        n, high, wide, _ = grid.shape
        drawn = functional.grid_sample(
            job.pictures[job.picture, None],
            grid.reshape(1, n * high, wide, 2),
            "bilinear",
            "reflection" if job.is_photo else "zeros",
            align_corners=False,
        )
        drawn = drawn.view(-1, n, high, wide).transpose(0, 1)  # [n, 3 or 4, high, wide]
        opacity = numbers[job.table, 6].to(bank.dtype)[:, None, None, None]
        tint = numbers[job.table, 7:].to(bank.dtype)[:, :, None, None] * opacity
        covered = opacity if job.is_photo else drawn[:, 3:] * opacity
        view = canvas[job.canvas, :, rows, columns]
        view.mul_(1 - covered).addcmul_(drawn[:, :3], tint)
    return canvas


def _jobs(footages: Sequence[Footage], frames: int, bank: PictureBank, side: int) -> tuple[list[_Job], Floats]:
    """What to draw, back to front, and float32 `[rows, 10]`: inverse maps, opacity and tint of every frame of it."""
    jobs, table, filled = [], [], 0
    for number, footage in enumerate(footages):
        for layer in footage.layers:
            seen = np.flatnonzero(layer.opacity > 0.004)
            if not len(seen):
                continue
            part = slice(int(seen[0]), int(seen[-1]) + 1)
            affine, is_photo = layer.affine[part], layer.bank == "photo"
            box = (slice(0, side), slice(0, side)) if is_photo else _box(layer.affine[seen], side)
            if box[0].start >= box[0].stop or box[1].start >= box[1].stop:
                continue
            count = len(affine)
            columns = [_inverted(affine).reshape(count, 6), layer.opacity[part, None], layer.tint[part]]
            table.append(np.concatenate(columns, axis=1).astype(np.float32))
            first = number * frames + layer.first + part.start
            sizes = bank.sizes[layer.bank]
            pictures = sizes[_level(affine, sizes[0].shape[-1], side, len(sizes))]
            rows = slice(filled, filled + count)
            jobs.append(_Job(slice(first, first + count), rows, pictures, layer.picture, is_photo, box))
            filled += count
    return jobs, np.concatenate(table) if table else np.zeros((0, 10), np.float32)


def _box(affine: Floats, side: int) -> tuple[slice, slice]:
    """Pixel rows and columns that the square of a picture covers in any of its frames."""
    reach = np.abs(affine[:, :, :2]).sum(axis=2)
    low = np.floor(((affine[:, :, 2] - reach).min(axis=0) + 1) / 2 * side).clip(0, side).astype(int)
    high = np.ceil(((affine[:, :, 2] + reach).max(axis=0) + 1) / 2 * side).clip(0, side).astype(int)
    return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))


def _inverted(affine: Floats) -> Floats:
    """The maps back; one that flattens its picture to a line maps what it covers to outside of it."""
    matrix = affine[:, :, :2].astype(np.float64)
    determinant = matrix[:, 0, 0] * matrix[:, 1, 1] - matrix[:, 0, 1] * matrix[:, 1, 0]
    determinant = np.where(np.abs(determinant) < 1e-6, 1e-6, determinant)
    inverse = np.empty_like(matrix)
    inverse[:, 0, 0], inverse[:, 1, 1] = matrix[:, 1, 1] / determinant, matrix[:, 0, 0] / determinant
    inverse[:, 0, 1], inverse[:, 1, 0] = -matrix[:, 0, 1] / determinant, -matrix[:, 1, 0] / determinant
    offset = -np.einsum("nij,nj->ni", inverse, affine[:, :, 2])
    return np.concatenate([inverse, offset[:, :, None]], axis=2).astype(np.float32)


def _level(affine: Floats, width: int, side: int, levels: int) -> int:
    """Which of the sizes of a picture has no more pixels than are seen of it where it is largest."""
    pixels = float(np.sqrt(np.abs(np.linalg.det(affine[:, :, :2]))).max()) * side
    return int(np.clip(np.floor(np.log2(width / max(pixels, 1.0)) + 0.4), 0, levels - 1))


def _filmed(canvas: Tensor, footages: Sequence[Footage], frames: int, bank: PictureBank, side: int) -> Tensor:
    """Light, blur, grain and compression, in this order."""

    def per_frame(values: Sequence[Floats], rest: float) -> Tensor:
        padded = np.full((len(footages), frames), rest, np.float32)
        for number, row in enumerate(values):
            padded[number, : len(row)] = row
        return torch.from_numpy(padded.reshape(-1, 1, 1, 1)).to(canvas.device, canvas.dtype)

    blur = per_frame([f.blur for f in footages], 0.0)
    blurred = torch.nonzero(blur.view(-1) > 0.02).view(-1)
    if len(blurred):
        wide = max(round(side * 7 / 224) // 2 * 2 + 1, 3)
        soft = functional.avg_pool2d(canvas[blurred], wide, 1, wide // 2, count_include_pad=False)
        canvas[blurred] = torch.lerp(canvas[blurred], soft, blur[blurred].expand_as(soft))
    canvas = canvas * per_frame([f.gain for f in footages], 1.0) + per_frame([f.offset for f in footages], 0.0)
    grain = per_frame([np.full(f.frames, f.noise, np.float32) for f in footages], 0.0)
    if any(f.noise > 0 for f in footages):
        seeds = np.concatenate([(f.seed * 7919 + np.arange(frames) * 31) % NOISE_TILES for f in footages])
        tiles = bank.noise[:, :, :side, :side]
        canvas = canvas + tiles[torch.from_numpy(seeds).to(canvas.device)] * grain
    for number, footage in enumerate(footages):
        if footage.blocks > 0:
            rows = slice(number * frames, number * frames + footage.frames)
            canvas[rows] = _compressed(canvas[rows].clamp(0, 1), footage.blocks)
    return canvas.clamp_(0, 1)


_OPPONENT = torch.tensor([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]])


def _compressed(pictures: Tensor, strength: float) -> Tensor:
    """What is left of pictures whose 8 x 8 blocks are rounded in frequency, colours more coarsely than brightness."""
    frames, _, high, wide = pictures.shape
    turn = _OPPONENT.to(pictures)
    back = torch.linalg.inv(_OPPONENT).to(pictures)
    k = torch.arange(8, dtype=torch.float32)
    basis = torch.cos((2 * k[None] + 1) * k[:, None] * torch.pi / 16) * 0.5
    basis[0] *= 0.5**0.5
    basis = basis.to(pictures)
    step = (0.008 + 0.05 * strength * (0.6 + k[:, None] + k[None]) / 4).to(pictures)
    steps = torch.stack([step, step * 1.8, step * 1.8])[None, :, None, :, None, :]
    colors = torch.einsum("dc,nchw->ndhw", turn, pictures).reshape(frames, 3, high // 8, 8, wide // 8, 8)
    waves = torch.einsum("ki,ndaibj,lj->ndakbl", basis, colors, basis)
    waves = torch.round(waves / steps) * steps
    blocks = torch.einsum("ki,ndakbl,lj->ndaibj", basis, waves, basis)
    return torch.einsum("cd,ndhw->nchw", back, blocks.reshape(frames, 3, high, wide))
