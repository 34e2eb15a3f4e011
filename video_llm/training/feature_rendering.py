"""Features as EfficientNet-Lite0 would make them of videos that nobody filmed.

A frame of Lite0 is a map of 320 channels, then one linear layer, min(max(x, 0), 6) and a mean over places. A feature
video starts at those 320 channels: pictures at large are a mean and four covariances (see `feature_statistics.py`), and
a thing that is shown pushes the channels of its places in the direction that raises the logit of its class. So all 1000
classes can be shown, in mixtures that name places and activities (see `words.py`), with known times and no pictures.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tvu.temporal.types import Span
from tvu.video_llm.lite.inputs import STEPS_PER_SECOND
from tvu.video_llm.training.feature_statistics import LEVELS, FeatureStatistics
from tvu.video_llm.training.scenes import Scene

SIDE = 6  # places of a frame in each direction, where Lite0 has 7; 3 x 3 of them are a cell
PLACES = SIDE * SIDE
WAVES, SLOWEST_WAVE = 3, 20.0  # of how clearly something is seen; the latter in seconds
CHUNK = 4096  # steps rendered at once, which take 380 MB a copy in float16


@dataclass(frozen=True)
class Layer:
    """Classes that push the channels of some places for some time.

    classes, logits: by how much each raises its logit where it covers all places; span: when, seconds.
    box: top, left, bottom, right in [0, 1]; drift: how far it moves over the span, (down, right).
    fade: seconds over which it comes and goes, 0 for a cut.
    waver: standard deviation of how clearly each class is seen while it is there, 1 is usual; never less than not.
    """

    classes: tuple[int, ...]
    logits: tuple[float, ...]
    span: Span
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    drift: tuple[float, float] = (0.0, 0.0)
    fade: float = 0.0
    waver: float = 0.0

    def __post_init__(self) -> None:
        if not self.classes or len(self.classes) != len(self.logits):
            raise ValueError(f"{len(self.classes)} classes with {len(self.logits)} logits")


@dataclass(frozen=True)
class Shot:
    """One shot of a video, of unknown content but for the layers.

    fade: seconds of the dissolve from the shot before; pan: radians a second by which the picture turns into another.
    shake: of the variation in time, 1 is usual; contrast: of everything, below 1 for blur and haze; light: 0 is black.
    look: shots with the same number look alike, as when a film comes back to a place; likeness: how much of a shot is
    that look, in [0, 1].
    """

    span: Span
    look: int
    fade: float = 0.0
    pan: float = 0.0
    shake: float = 1.0
    contrast: float = 1.0
    light: float = 1.0
    likeness: float = 0.9


@dataclass(frozen=True)
class FeaturePlan:
    """What one feature video shows, and what is true of it.

    strangeness: how far the whole video is off the mean of pictures, in [0, 1]: all shots share it, and 1 leaves them
    nothing of their own.
    """

    scene: Scene
    shots: tuple[Shot, ...]
    layers: tuple[Layer, ...]
    strangeness: float

    @property
    def steps(self) -> int:
        """How many steps it has."""
        return max(1, round(self.scene.seconds * STEPS_PER_SECOND))


# --- from channels to features ------------------------------------------------------------------------------


class Lite0Head:
    """The last layer of Lite0 and its classifier, and the direction of each class in the channels before them.

    weight `[1280, 320]`, bias `[1280]`: the layer with its normalisation; classifier `[1000, 1280]`, `[1000]`.
    """

    def __init__(self, folder: Path, statistics: FeatureStatistics) -> None:
        from safetensors import safe_open

        with safe_open(folder / "model.safetensors", framework="pt") as tensors:
            get = tensors.get_tensor
            scale = get("bn2.weight") / torch.sqrt(get("bn2.running_var") + 1e-3)
            self.weight: Tensor = get("conv_head.weight")[:, :, 0, 0] * scale[:, None]
            self.bias: Tensor = get("bn2.bias") - get("bn2.running_mean") * scale
            self.classifier: tuple[Tensor, Tensor] = (get("classifier.weight"), get("classifier.bias"))
        self.mean = torch.from_numpy(statistics.mean)
        self.black = torch.from_numpy(statistics.black)
        self.levels = torch.from_numpy(statistics.directions)
        self.rest = torch.from_numpy(statistics.rest)
        self.drift = statistics.drift

    def features(self, channels: Tensor) -> Tensor:
        """`[..., 320]` of places to `[..., 1280]`."""
        return F.linear(channels, self.weight.to(channels), self.bias.to(channels)).clamp_(0.0, 6.0)

    @cached_property
    def directions(self) -> Tensor:
        """`[1000, 320]`: added to all places, they raise the logit of their class by about 1."""
        generator = torch.Generator().manual_seed(0)
        usual = self.mean + self.noise(generator, (512,), LEVELS)
        pre = usual @ self.weight.T + self.bias
        rows = self.classifier[0] - self.classifier[0].mean(dim=0)
        # the gradient of a logit over usual places, made as likely as pictures are: more along what varies
        slope = ((pre > 0) & (pre < 6)).float().mean(dim=0)
        gradient = (rows * slope) @ self.weight
        covariance = (self.levels @ self.levels.transpose(1, 2)).sum(dim=0) + torch.diag(self.rest.sum(dim=0))
        likely = gradient @ covariance
        raised = []
        for strength in (4.0, 8.0):
            step = likely * (strength / (likely * gradient).sum(dim=1, keepdim=True))
            some = usual[:24]
            found = self.features(some[None] + step[:, None]).mean(dim=1) - self.features(some).mean(dim=0)
            raised.append((found * rows).sum(dim=1) / strength)
        gain = torch.stack(raised).mean(dim=0).clamp_min(0.2)
        return likely / ((likely * gradient).sum(dim=1) * gain)[:, None]

    def noise(self, generator: torch.Generator, shape: tuple[int, ...], levels: Sequence[str]) -> Tensor:
        """`[*shape, 320]`: what varies at these levels, together."""
        device = generator.device
        total = torch.zeros(*shape, self.mean.shape[0], device=device)
        for name in levels:
            level = LEVELS.index(name)
            along = torch.randn(*shape, self.levels.shape[2], generator=generator, device=device)
            across = torch.randn(total.shape, generator=generator, device=device)
            total += along @ self.levels[level].T.to(device) + across * self.rest[level].sqrt().to(device)
        return total


# --- rendering ----------------------------------------------------------------------------------------------


def _envelope(times: Tensor, start: Tensor, end: Tensor, fade: Tensor) -> Tensor:
    """How much is there at `times [T]` of what starts and ends at `[..., 1]`: `[..., T]` in [0, 1].

    A step counts as far as its quarter second is covered; a fade is centred on the start and on the end.
    """
    width = fade + 1 / STEPS_PER_SECOND
    middle = times + 0.5 / STEPS_PER_SECOND
    comes = ((middle - start) / width + 0.5).clamp(0.0, 1.0)
    goes = ((end - middle) / width + 0.5).clamp(0.0, 1.0)
    return comes * goes


def _covered(box: Tensor) -> Tensor:
    """How much of each place boxes `[..., 4]` (top, left, bottom, right) cover: `[..., PLACES]`."""
    edges = torch.arange(SIDE, device=box.device) / SIDE
    spans = [
        (torch.minimum(box[..., far, None], edges + 1 / SIDE) - torch.maximum(box[..., near, None], edges)).clamp_min(0)
        for near, far in ((0, 2), (1, 3))
    ]
    return (spans[0][..., :, None] * spans[1][..., None, :]).flatten(-2) * PLACES


def _padded(rows: Sequence[Sequence[Sequence[float]]], width: int) -> Tensor:
    """float32 `[B, N, width]` with zeros where a row has fewer than N."""
    count = max(1, *(len(row) for row in rows))
    table = np.zeros((len(rows), count, width), np.float32)
    for b, row in enumerate(rows):
        for n, values in enumerate(row):
            table[b, n] = values
    return torch.from_numpy(table)


class FeatureRenderer:
    """Makes features of plans. Deterministic for one generator and one device."""

    def __init__(self, head: Lite0Head) -> None:
        self._head = head

    def render(self, plans: Sequence[FeaturePlan], device: torch.device | str, generator: torch.Generator) -> Tensor:
        """float16 `[B, T, 4, 1280]`, T the steps of the longest; zeros after the end of the others."""
        longest = max(plan.steps for plan in plans)
        out = torch.zeros(len(plans), longest, 4, self._head.weight.shape[0], dtype=torch.float16, device=device)
        order = sorted(range(len(plans)), key=lambda i: -plans[i].steps)  # neighbours need little padding
        while order:
            count = max(1, CHUNK // plans[order[0]].steps)
            chosen, order = order[:count], order[count:]
            found = self._render([plans[i] for i in chosen], torch.device(device), generator)
            for i, row in zip(chosen, found, strict=True):
                out[i, : plans[i].steps] = row[: plans[i].steps]
        return out

    def _render(self, plans: Sequence[FeaturePlan], device: torch.device, generator: torch.Generator) -> Tensor:
        head, batch, steps = self._head, len(plans), max(plan.steps for plan in plans)
        wide = torch.float16 if device.type == "cuda" else torch.float32
        times = torch.arange(steps, device=device) / STEPS_PER_SECOND
        shots = _padded(
            [
                [
                    (
                        *(s.span.start_seconds, s.span.end_seconds, s.fade, s.look),
                        *(s.pan, s.shake, s.contrast, s.light, s.likeness),
                    )
                    for s in plan.shots
                ]
                for plan in plans
            ],
            9,
        ).to(device)
        start, end, fade, look, pan, shake, contrast, light, like = (shots[..., i, None] for i in range(9))
        share = _envelope(times, start, end, fade) * (end > start)  # [B, S, T]
        share = share / share.sum(dim=1, keepdim=True).clamp_min(1e-6)
        looks = int(look.max()) + 1
        chosen = look.squeeze(-1).long()  # [B, S]
        strange = torch.tensor([plan.strangeness for plan in plans], device=device)[:, None, None]

        def drawn(*shape: int, levels: Sequence[str]) -> Tensor:
            return head.noise(generator, shape, levels)

        # a look is partly the video's, partly its own; a shot is partly its look, partly its own
        of_video = drawn(batch, 1, levels=("shot",))
        rows = torch.arange(batch, device=device)[:, None]
        unlike = (1 - like**2).clamp_min(0.0).sqrt()
        own = (1 - strange**2).clamp_min(0.0).sqrt()
        of_shots = like * drawn(batch, looks, levels=("shot",))[rows, chosen]
        of_shots = of_shots + unlike * drawn(batch, shots.shape[1], levels=("shot",))
        base = strange * of_video + own * of_shots  # [B, S, 320]
        cells = like[..., None] * drawn(batch, looks, 4, levels=("cell",))[rows, chosen]  # [B, S, 4, 320]
        cells = cells + unlike[..., None] * drawn(batch, shots.shape[1], 4, levels=("cell",))
        quadrant = torch.arange(PLACES, device=device)
        quadrant = quadrant // (PLACES // 2) * 2 + quadrant % SIDE // (SIDE // 2)  # of each place
        fields = torch.stack([drawn(batch, looks, PLACES, levels=("place",)) for _ in range(2)])  # what a pan turns
        fields = fields[:, rows, chosen] + cells[:, :, quadrant]  # [2, B, S, P, 320]
        turned = pan * (times - start)  # [B, S, T]
        weights = torch.stack([share * turned.cos(), share * turned.sin()])
        seen = torch.einsum("kbst,kbspc->btpc", weights.to(wide), fields.to(wide))
        seen += torch.einsum("bst,bsc->btc", share, base).to(wide)[:, :, None]
        seen += self._in_time(batch, steps, share, shake, generator)[:, :, quadrant].to(wide)
        seen *= torch.einsum("bst,bsx->bt", share, contrast)[..., None, None].to(wide)
        seen += self._things(plans, times, generator).to(wide)
        lit = torch.einsum("bst,bsx->bt", share, light)[..., None, None].to(wide)
        mean, black = head.mean.to(device, wide), head.black.to(device, wide)
        seen = black.lerp(seen.add_(mean), lit) if float(light.min()) < 1 else seen.add_(mean)
        features = head.features(seen)  # [B, T, P, 1280]
        halves = features.unflatten(2, (2, SIDE // 2, 2, SIDE // 2))
        return halves.mean(dim=(3, 5)).flatten(2, 3).half()

    def _in_time(self, batch: int, steps: int, share: Tensor, shake: Tensor, generator: torch.Generator) -> Tensor:
        """What comes and goes from frame to frame, an autoregressive process: `[B, T, 4, 320]`."""
        device = share.device
        fresh = self._head.noise(generator, (batch, steps, 4), ("time",))
        lag = torch.arange(steps, device=device)
        lag = lag[:, None] - lag[None]
        kept = torch.where(lag >= 0, self._head.drift ** lag.clamp_min(0), 0.0) * math.sqrt(1 - self._head.drift**2)
        process = torch.einsum("ts,bsqc->btqc", kept, fresh)
        return process * torch.einsum("bst,bsx->bt", share, shake)[..., None, None]

    def _things(self, plans: Sequence[FeaturePlan], times: Tensor, generator: torch.Generator) -> Tensor:
        """What the layers add: `[B, T, P, 320]`."""
        device = times.device
        per_class = [
            [
                (
                    *(layer.span.start_seconds, layer.span.end_seconds, layer.fade),
                    *(*layer.box, *layer.drift, index, logit, layer.waver),
                )
                for layer in plan.layers
                for index, logit in zip(layer.classes, layer.logits, strict=True)
            ]
            for plan in plans
        ]
        table = _padded(per_class, 12).to(device)
        start, end, fade = (table[..., i, None] for i in range(3))
        here = _envelope(times, start, end, fade) * (end > start)  # [B, E, T]
        here = here * (1 + table[..., 11, None] * self._wavering(start.squeeze(-1), times, generator)).clamp_min(0.0)
        passed = ((times - start) / (end - start).clamp_min(1e-3)).clamp(0.0, 1.0)[..., None]
        moved = table[:, :, None, 7:9] * passed  # [B, E, T, 2]
        box = table[:, :, None, 3:7] + torch.cat([moved, moved], dim=-1)
        pushes = self._head.directions.to(device)[table[..., 9].long()] * table[..., 10, None]  # [B, E, 320]
        return torch.einsum("betp,bec->btpc", _covered(box) * here[..., None], pushes)

    def _wavering(self, like: Tensor, times: Tensor, generator: torch.Generator) -> Tensor:
        """`[B, E, T]` of variance 1: a few waves of 1 to 20 s, their own for each of `like [B, E]`."""
        chance = torch.rand(2, *like.shape, 1, WAVES, generator=generator, device=like.device)
        turns = times[:, None] / (SLOWEST_WAVE ** chance[0]) + chance[1]  # [B, E, T, W]
        return (2 * torch.pi * turns).sin().sum(-1) * math.sqrt(2 / WAVES)
