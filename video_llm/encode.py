"""Frames as feature vectors: pretrained image networks behind one protocol.

`Lite0Encoder` runs on any CPU through ONNX Runtime and never imports torch; `Lite0Torch` is the same network for a GPU;
`OpenClipEncoder` is any CLIP model of open_clip, whose pictures and sentences share one space. `encode_frames` is the
stage of a Video-LLM, whose vision tower keeps where in a frame each feature was seen.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tvu.video_llm.runtime import cuda_devices, onnx_session, quiet_threads
from tvu.video_llm.types import FrameBatch
from tvu.weights.load import located

if TYPE_CHECKING:
    from torch import Tensor

    from tvu.video_llm.models.vision import VisionTower

Pixels = NDArray[np.uint8]
"""uint8 `[T, 3, H, W]`, RGB."""

SIDE = 224  # pixels; what Lite0 was trained on
CPU_BATCH = 4  # what fits the caches: a frame of 16 at once takes a fifth more
GPU_BATCH = 128
CELLS = 4  # 2 x 2 parts of a picture


class FrameEncoder(Protocol):
    """What every frame encoder can do. `name` goes into cache keys: it changes whenever the features would."""

    name: str

    def features(self, pixels: Pixels) -> NDArray[np.float32]:
        """uint8 `[T, 3, H, W]` to float32 `[T, C]`."""
        ...


class Classifier(FrameEncoder, Protocol):
    """A frame encoder with named classes on top of its features."""

    class_names: tuple[str, ...]

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 `[T, C]` to float32 `[T, len(class_names)]`."""
        ...


def squashed(pixels: Pixels, side: int = SIDE) -> Pixels:
    """Whole frames at `side` x `side`, whatever their shape was: uint8 `[T, 3, H, W]` to uint8 `[T, 3, side, side]`.

    Cropping the middle would lose what happens at the edges, bars would waste pixels, two crops would take twice the
    time. On 40 questions about 8 clips of 4:3 the right clip stood out by 1.68 standard deviations when squashed, 1.71
    cropped, 1.60 with bars and 1.68 with two crops; it came first for 65, 78, 60 and 78 %, which two clips decided.
    """
    if pixels.ndim != 4 or pixels.shape[1] != 3 or pixels.dtype != np.uint8:
        raise ValueError(f"pixels must be uint8 [T, 3, H, W], not {pixels.dtype} {pixels.shape}")
    if pixels.shape[2:] == (side, side):
        return pixels
    from PIL import Image

    small = np.empty((len(pixels), 3, side, side), np.uint8)
    for frame, out in zip(pixels, small, strict=True):
        picture = Image.fromarray(np.ascontiguousarray(frame.transpose(1, 2, 0)))
        out[:] = np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    return small


class _Lite0Classes:
    """What both twins of EfficientNet-Lite0 share: the classifier on top of the pooled features, and its classes.

    class_names: for each of the 1000 ImageNet classes all names of its WordNet synset, as "tench, Tinca tinca".
    """

    weights_name = "efficientnet-lite0"

    def __init__(self, folder: Path) -> None:
        from safetensors import safe_open

        with safe_open(folder / "model.safetensors", framework="numpy") as tensors:
            self._weight: NDArray[np.float32] = tensors.get_tensor("classifier.weight")  # [1000, 1280]
            self._bias: NDArray[np.float32] = tensors.get_tensor("classifier.bias")  # [1000]
        self.class_names: tuple[str, ...] = tuple(json.loads((folder / "classes.json").read_text()))
        self.name = f"{self.weights_name}@{folder.name}/squashed{SIDE}"

    @property
    def classifier(self) -> NDArray[np.float32]:
        """float32 `[1000, 1280]`, a row for each class."""
        return self._weight

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pooled features float32 `[T, 1280]` to ImageNet logits float32 `[T, 1000]`."""
        return features @ self._weight.T + self._bias


class Lite0Encoder(_Lite0Classes):
    """EfficientNet-Lite0 on the CPU: `features` are its 1280 pooled features.

    Raises WeightsError where the weights are missing or damaged.
    """

    def __init__(self) -> None:
        folder = located(self.weights_name)
        super().__init__(folder)
        self._session = onnx_session(folder / "features.onnx")

    def features(self, pixels: Pixels) -> NDArray[np.float32]:
        """uint8 `[T, 3, H, W]` of any size to float32 `[T, 1280]`."""
        found = np.empty((len(pixels), self._weight.shape[1]), np.float32)
        for start in range(0, len(pixels), CPU_BATCH):
            frames = np.ascontiguousarray(squashed(pixels[start : start + CPU_BATCH]))
            (found[start : start + CPU_BATCH],) = self._session.run(["features"], {"frames": frames})
        return found

    def cells(self, pixels: Pixels) -> NDArray[np.float16]:
        """uint8 `[T, 3, H, W]` of any size to float16 `[T, 4, 1280]`: the features of each of 2 x 2 parts, row by row.

        The parts overlap by a seventh of the picture; `features` are the mean of the same map over all of it.
        """
        found = np.empty((len(pixels), CELLS, self._weight.shape[1]), np.float16)
        for start in range(0, len(pixels), CPU_BATCH):
            frames = np.ascontiguousarray(squashed(pixels[start : start + CPU_BATCH]))
            (found[start : start + CPU_BATCH],) = self._session.run(["cells"], {"frames": frames})
        return found


class Lite0Torch(_Lite0Classes):
    """The same network through torch, for a GPU: features equal to Lite0Encoder's up to rounding
    (TF32 on an H200: 0.4 % of the largest), hence its name.

    Raises WeightsError where the weights are missing or damaged.
    """

    def __init__(self, device: str = "cuda") -> None:
        import timm
        from safetensors.torch import load_file

        folder = located(self.weights_name)
        super().__init__(folder)
        self._net: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        self._net.load_state_dict(load_file(folder / "model.safetensors"))
        self._net.eval().to(device)
        self._device = device

    def features(self, pixels: Pixels) -> NDArray[np.float32]:
        """uint8 `[T, 3, H, W]` of any size to float32 `[T, 1280]`."""
        import torch

        found = np.empty((len(pixels), self._weight.shape[1]), np.float32)
        with torch.inference_mode():
            for start, last in self._maps(pixels):
                pooled = self._net.forward_head(last, pre_logits=True)
                found[start : start + GPU_BATCH] = pooled.cpu().numpy()
        return found

    def cells(self, pixels: Pixels) -> NDArray[np.float16]:
        """uint8 `[T, 3, H, W]` of any size to float16 `[T, 4, 1280]`: see `Lite0Encoder.cells`."""
        import torch

        found = np.empty((len(pixels), CELLS, self._weight.shape[1]), np.float16)
        with torch.inference_mode():
            for start, last in self._maps(pixels):
                parts = torch.nn.functional.adaptive_avg_pool2d(last, (2, 2)).flatten(2).transpose(1, 2)
                found[start : start + GPU_BATCH] = parts.half().cpu().numpy()
        return found

    def _maps(self, pixels: Pixels) -> "Iterator[tuple[int, Tensor]]":
        """The number of its first frame and the last map `[n, 1280, 7, 7]` of some frames after others."""
        import torch

        for start in range(0, len(pixels), GPU_BATCH):
            frames = torch.from_numpy(np.ascontiguousarray(squashed(pixels[start : start + GPU_BATCH])))
            unit = (frames.to(self._device).float() - 127.5) / 127.5
            yield start, self._net.forward_features(unit)


def lite0_encoder() -> Lite0Encoder | Lite0Torch:
    """EfficientNet-Lite0 on a GPU where the driver knows one and torch can use it, else on the CPU without torch.

    Raises WeightsError where the weights are missing or damaged.
    """
    if cuda_devices() > 0:
        import torch

        if torch.cuda.is_available():
            return Lite0Torch()
    return Lite0Encoder()


def encode_frames(frames: Iterable[FrameBatch], vision: "VisionTower") -> NDArray[np.float16]:
    """Frames of one clip as the vision tower of a Video-LLM sees them: float16 `[T, rows * columns, C]`.

    They are taken batch by batch, so that pixels of a few frames are in memory and no more.
    """
    import torch

    parts = []
    with torch.inference_mode():
        device = next(vision.parameters()).device
        for batch in frames:
            small = torch.from_numpy(np.ascontiguousarray(vision.resized(batch.pixels[0])))
            size = CPU_BATCH if device.type == "cpu" else GPU_BATCH
            parts += [vision(some.to(device)).half().cpu().numpy() for some in small.split(size)]
    return np.concatenate(parts)


class OpenClipEncoder:
    """A CLIP model of open_clip, on a GPU where there is one: pictures and sentences as unit vectors of one space.

    name: `clip:<open_clip model>/<tag>`. Raises WeightsError where its weights are missing or damaged.
    """

    def __init__(self, name: str, device: str | None = None) -> None:
        folder = located(name)
        quiet_threads()
        import open_clip
        import torch

        address = f"local-dir:{folder}"
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._model: Any
        self._model, _, self._preprocess = open_clip.create_model_and_transforms(address, device=self._device)
        self._model.eval()
        self._tokenizer = open_clip.get_tokenizer(address)
        self._width: int = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]["embed_dim"]
        self.name = f"{name}@{folder.name}"

    def features(self, pixels: Pixels) -> NDArray[np.float32]:
        """uint8 `[T, 3, H, W]` to float32 `[T, C]` of length 1, through open_clip's own resizing and cropping."""
        import torch
        from PIL import Image

        found = np.empty((len(pixels), self._width), np.float32)
        with torch.inference_mode():
            for start in range(0, len(pixels), GPU_BATCH):
                pictures = (
                    Image.fromarray(np.ascontiguousarray(frame.transpose(1, 2, 0)))
                    for frame in pixels[start : start + GPU_BATCH]
                )
                batch = torch.stack([self._preprocess(picture) for picture in pictures])
                unit = self._model.encode_image(batch.to(self._device), normalize=True)
                found[start : start + GPU_BATCH] = unit.float().cpu().numpy()
        return found

    def embed_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Sentences to float32 `[n, C]` of length 1; their cosines with `features` say how well they describe them."""
        import torch

        with torch.inference_mode():
            found = self._model.encode_text(self._tokenizer(list(texts)).to(self._device), normalize=True)
        return found.float().cpu().numpy()


class ClipEnsemble:
    """Several CLIP models as one: unit vectors of pictures and sentences whose cosines are the mean of theirs."""

    def __init__(self, encoders: Sequence[OpenClipEncoder]) -> None:
        if not encoders:
            raise ValueError("an ensemble has at least one model")
        self._encoders = tuple(encoders)
        self.name = "+".join(encoder.name for encoder in encoders)

    def features(self, pixels: Pixels) -> NDArray[np.float32]:
        """uint8 `[T, 3, H, W]` to float32 `[T, C]` of length 1, C the widths of all models together."""
        return self._joined([encoder.features(pixels) for encoder in self._encoders])

    def embed_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Sentences to float32 `[n, C]` of length 1."""
        return self._joined([encoder.embed_text(texts) for encoder in self._encoders])

    def _joined(self, parts: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        return np.concatenate(parts, axis=1) / np.float32(np.sqrt(len(parts)))
