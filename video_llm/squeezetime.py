"""SqueezeTime on files: a published checkpoint to a network, and a clip to class probabilities by the clock."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tvu.temporal.checkpoint_keys import KeyReport, load_matching
from tvu.temporal.squeezetime.network import Four, SqueezeTime, SqueezeTimeClassifier, SqueezeTimeConfig
from tvu.temporal.squeezetime.views import (
    KINETICS_TEST,
    Protocol,
    clip_indices,
    mean_probabilities,
    normalise,
    resize,
    short_side_size,
    views_of,
)
from tvu.video_llm.decode import clock_of, read_frames
from tvu.video_llm.types import VideoClip
from tvu.weights.checkpoints import read_checkpoint
from tvu.weights.errors import WeightsError

# Published files are known to nest the backbone as `net.`, `backbone.net.` or not at all, and training wrappers add
# their own; so the prefix is read off the one name that every backbone, and nothing else, has.
LANDMARK = "layer1.0.conv2.spatial_conv.pos_embed"
HEAD_LANDMARK = "fc_cls.weight"


@dataclass(frozen=True)
class LoadReport:
    """What a checkpoint file held, and what was made of it.

    config:      the shape that was read off the tensors; `has_max_pool` leaves no trace in a file and is assumed.
    backbone:    what became of the backbone's names; a stem for pictures (3 channels) is among `misshapen`.
    head:        the same for the class head; None where the file has no head for classes.
    num_classes: K, 0 without a head.
    detector:    names of a detection head (AVA), which is not built.
    """

    config: SqueezeTimeConfig
    backbone: KeyReport
    head: KeyReport | None
    num_classes: int
    detector: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether nothing of the returned network keeps its random start."""
        return self.backbone.complete and (self.head is None or self.head.complete)

    def __str__(self) -> str:
        head = f"head of {self.num_classes} classes: {self.head}" if self.head else "no class head"
        detector = f"; {len(self.detector)} tensors of a detection head are not used" if self.detector else ""
        return f"backbone: {self.backbone}; {head}{detector}"


def load_squeezetime(
    path: str | Path, *, num_frames: int = 16
) -> tuple[SqueezeTime | SqueezeTimeClassifier, LoadReport]:
    """The network in a published file, in `eval()` on the CPU, and what became of every name.

    Depth, widths, T, strides and classes are read off the shapes. A file without class head gives the backbone alone.
    num_frames: T where the stem of the file is for pictures; that stem is reported as misshapen and stays random.
    Running statistics of batch norms are loaded as well, which the published loader leaves out.
    Raises WeightsError if the file cannot be read or holds no SqueezeTime; a file that lacks a part loads, and the
    report says so: look at `report.complete` before believing an answer.
    """
    state = read_checkpoint(path)
    prefixes = [name.removesuffix(LANDMARK) for name in state if name.endswith(LANDMARK)]
    if not prefixes:
        raise WeightsError(f"{path} holds no SqueezeTime network", hint=f"no name in it ends in {LANDMARK}")
    try:
        config = _config(state, prefixes[0], num_frames)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise WeightsError(f"{path} holds a SqueezeTime network in parts: {error}", hint="download it again") from error

    detector = tuple(name for name in state if "roi_head." in name or "bbox_head." in name)
    rest = {name: tensor for name, tensor in state.items() if name not in detector}
    head_prefixes = [name.removesuffix(HEAD_LANDMARK) for name in rest if name.endswith(f"head.{HEAD_LANDMARK}")]
    of_heads = {name: tensor for name, tensor in rest.items() if name.startswith(tuple(head_prefixes))}
    of_backbone = {name: tensor for name, tensor in rest.items() if name not in of_heads}

    backbone = SqueezeTime(config)
    backbone_report = load_matching(backbone, of_backbone, prefixes)
    if not head_prefixes:
        return backbone.eval(), LoadReport(config, backbone_report, None, 0, detector)
    num_classes = len(state[f"{head_prefixes[0]}{HEAD_LANDMARK}"])
    network = SqueezeTimeClassifier(config, num_classes)
    network.net = backbone
    head_report = load_matching(network.head, of_heads, head_prefixes)
    return network.eval(), LoadReport(config, backbone_report, head_report, num_classes, detector)


def _config(state: Mapping[str, Tensor], prefix: str, num_frames: int) -> SqueezeTimeConfig:
    """The shape of the network under `prefix`. Raises KeyError or ValueError where a telling tensor is missing."""
    stem_channels = state[f"{prefix}conv1.weight"].shape[1]
    first_blocks = [f"{prefix}layer{stage}.0." for stage in (1, 2, 3, 4)]
    return SqueezeTimeConfig(
        layers=_four([_count(state, f"{prefix}layer{stage}.") for stage in (1, 2, 3, 4)]),
        is_bottleneck=f"{prefix}layer1.0.conv3.weight" in state,
        widths=_four([len(state[f"{block}bn2.weight"]) for block in first_blocks]),
        num_frames=stem_channels // 3 if stem_channels % 3 == 0 and stem_channels > 3 else num_frames,
        strides=_four([2 if f"{block}downsample.0.weight" in state else 1 for block in first_blocks]),
        code_sides=_four([state[f"{block}conv2.spatial_conv.pos_embed"].shape[-1] for block in first_blocks]),
    )


def _four(values: list[int]) -> Four:
    first, second, third, fourth = values
    return first, second, third, fourth


def _count(state: Mapping[str, Tensor], stage: str) -> int:
    """How many blocks a stage has: one more than the largest number after its name."""
    numbers = [int(name.removeprefix(stage).split(".")[0]) for name in state if name.startswith(stage)]
    return max(numbers, default=-1) + 1


@dataclass(frozen=True)
class Recognition:
    """What a network saw in a clip.

    probabilities:      `[K]` float32, the mean of those of the views.
    view_probabilities: `[V, K]` float32, views crop after crop, and in each clip after clip.
    view_spans:         `[V, 2]` float64 seconds: what each view looked at, from its first frame to its last one's end.
    """

    probabilities: Tensor
    view_probabilities: Tensor
    view_spans: NDArray[np.float64]


@torch.inference_mode()
def classify(
    clip: VideoClip, network: SqueezeTimeClassifier, protocol: Protocol = KINETICS_TEST, *, batch_views: int = 4
) -> Recognition:
    """Class probabilities of `clip` under a test protocol, on the network's device.

    The protocol counts frames; the frames counted are the pictures that the clock lists inside the clip's span, and
    they are read at the times it gives them, so variable frame rates and cut files are counted as they play.
    Raises VideoError if the file cannot be decoded, ValueError if the network takes another number of frames.
    """
    if network.net.config.num_frames != protocol.num_frames:
        raise ValueError(f"a network of {network.net.config.num_frames} frames cannot follow {protocol}")
    clock = clock_of(clip)
    shown = clock.pts_seconds
    first = clock.index_at(clip.span.start_seconds)
    last = max(first + 1, int(np.searchsorted(shown, clip.span.end_seconds)))
    indices = first + clip_indices(last - first, protocol)  # [clips, T]
    wanted, places = np.unique(indices, return_inverse=True)

    height, width = short_side_size(clip.height, clip.width, protocol.short_side)
    batches = read_frames(clip, shown[wanted], max_side=None, batch_frames=8)  # resized as they come
    frames = torch.cat([resize(torch.from_numpy(batch.pixels[0]), height, width) for batch in batches])
    views = views_of(frames[torch.from_numpy(places.ravel())], protocol)

    weight = network.net.conv1.weight
    logits = [
        network(normalise(some.to(weight.device), weight.dtype)).float().cpu() for some in views.split(batch_views)
    ]
    ends = np.append(shown[1:], clock.duration_seconds)
    spans = np.stack([shown[indices.min(axis=1)], ends[indices.max(axis=1)]], axis=-1)
    all_logits = torch.cat(logits)
    return Recognition(mean_probabilities(all_logits), all_logits.softmax(-1), np.tile(spans, (protocol.num_crops, 1)))
