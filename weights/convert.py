"""Published files to the files that tvu reads, once, when weights are pulled.

Each converter gets a folder of verified parts and an empty one to fill, and holds what it wrote against the published
numbers before it returns. Importing this module imports torch, so only a pull that converts does.
"""

import contextlib
import io
import json
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tvu.weights.errors import WeightsError
from tvu.weights.manifest import CLIP_PREFIX, LITE0, MINILM, SMOLLM2

TOLERANCE = 1e-4  # of the largest output: float32 sums in another order, and nothing else


class PooledFeatures(nn.Module):
    """A timm network from pixels uint8 `[n, 3, H, W]` to its last map, averaged in two ways.

    Returns features float32 `[n, C]`, over the whole picture, and cells float32 `[n, 4, C]`, over each of 2 x 2 parts,
    row by row: what torch's adaptive average pooling to (2, 2) gives, whose parts share the middle row and column of a
    map with an odd number of them.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net: Any = net

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        unit = (frames.float() - 127.5) / 127.5  # its authors trained with mean = std = 0.5
        last = self.net.forward_features(unit)
        pooled = self.net.forward_head(last, pre_logits=True)
        # Written out, for the exporter knows no adaptive pooling to a size that does not divide the map's.
        rows, columns = (_halves(int(size)) for size in last.shape[-2:])
        cells = [last[:, :, row, column].mean((2, 3)) for row in rows for column in columns]
        return pooled, torch.stack(cells, dim=1)


def _halves(size: int) -> tuple[slice, slice]:
    return slice(0, (size + 1) // 2), slice(size // 2, size)


class MeanOfTokens(nn.Module):
    """A BERT from `input_ids` and `attention_mask` int64 `[n, l]` to unit vectors float32 `[n, C]`."""

    def __init__(self, bert: nn.Module) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        tokens = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        kept = attention_mask.unsqueeze(-1).to(tokens.dtype)
        return nn.functional.normalize((tokens * kept).sum(1) / kept.sum(1), dim=-1)


def convert(name: str, parts: Path, out: Path) -> None:
    """Fill the empty folder `out` from the files in `parts`. Raises WeightsError if the result computes otherwise."""
    converters: dict[str, Callable[[Path, Path], None]] = {
        LITE0.name: lite0,
        MINILM.name: minilm,
        SMOLLM2.name: smollm2,
    }
    if name.startswith(CLIP_PREFIX):
        open_clip_folder(name, parts, out)
    else:
        converters[name](parts, out)


def lite0(parts: Path, out: Path) -> None:
    """EfficientNet-Lite0: `model.safetensors` under timm's names, `features.onnx` and `classes.json`.

    features.onnx: `frames` uint8 `[n, 3, 224, 224]` to `features` float32 `[n, 1280]` and `cells` float32
    `[n, 4, 1280]` (`PooledFeatures`). Logits are `features @ classifier.weight.T + classifier.bias` with the two
    tensors of model.safetensors.
    classes.json: of each of the 1000 classes all names of its WordNet synset, separated by commas.
    """
    import timm
    from timm.data import ImageNetInfo

    published = torch.load(parts / LITE0.parts[0].filename, map_location="cpu", weights_only=True)
    net = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    names = list(net.state_dict())
    if [tensor.shape for tensor in published.values()] != [tensor.shape for tensor in net.state_dict().values()]:
        raise WeightsError("EfficientNet-Lite0 does not fit timm's layers", hint="install another version of timm")
    # The publisher wrote the same layers in the same order under other names.
    net.load_state_dict(dict(zip(names, published.values(), strict=True)))
    save_file(net.state_dict(), out / "model.safetensors")
    (out / "classes.json").write_text(json.dumps(list(map(ImageNetInfo().index_to_description, range(1000))), indent=0))

    frames = torch.randint(0, 256, (3, 3, 224, 224), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    _fix_padding(net, frames.float())
    _export(PooledFeatures(net), {"frames": frames}, {0: "n"}, ("features", "cells"), out / "features.onnx")


def _fix_padding(net: nn.Module, example: Tensor) -> None:
    """Replace the "same" padding that timm computes from each input's size by the constants it has for `example`.

    ONNX Runtime folds constant padding into the convolution that follows, where it would otherwise leave its blocked
    memory layout and come back: 9.5 instead of 14.5 ms of CPU time a frame, in batches of 4.
    """
    from timm.layers import Conv2dSame

    sizes: dict[str, torch.Size] = {}
    convs = {name: module for name, module in net.named_modules() if isinstance(module, Conv2dSame)}
    for name, conv in convs.items():
        conv.register_forward_pre_hook(lambda _, inputs, name=name: sizes.update({name: inputs[0].shape[-2:]}))
    with torch.no_grad():
        net(example)
    for name, conv in convs.items():
        kernel, stride = conv.kernel_size[0], conv.stride[0]
        plain = nn.Conv2d(conv.in_channels, conv.out_channels, kernel, stride, groups=conv.groups, bias=False)
        plain.weight = conv.weight
        height, width = (max((math.ceil(size / stride) - 1) * stride + kernel - size, 0) for size in sizes[name])
        # TensorFlow puts an odd pixel of padding below and to the right, where torch's own pads both sides alike.
        pad = nn.ZeroPad2d((width // 2, width - width // 2, height // 2, height - height // 2))
        net.set_submodule(name, nn.Sequential(pad, plain))


def minilm(parts: Path, out: Path) -> None:
    """all-MiniLM-L6-v2: `sentence.onnx`, `words.safetensors` and `tokenizer.json`, the last as published.

    sentence.onnx: `input_ids` and `attention_mask` int64 `[n, l]` to `embedding` float32 `[n, 384]`: the mean over the
    tokens that the mask keeps, at length 1. words.safetensors: the weights of the same network under their published
    names, in half precision.
    """
    from transformers import BertConfig, BertModel

    bert = BertModel(BertConfig.from_json_file(parts / "config.json"), add_pooling_layer=False).eval()
    lacking, _ = bert.load_state_dict(load_file(parts / "model.safetensors"), strict=False)  # the pooler is left over
    if lacking:
        raise WeightsError(f"MiniLM has no {lacking[0]}", hint="install another version of transformers")

    input_ids = torch.randint(1000, 20000, (3, 11), generator=torch.Generator().manual_seed(0))
    attention_mask = torch.ones_like(input_ids)
    attention_mask[1, 7:] = 0
    inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
    _export(MeanOfTokens(bert), inputs, {0: "n", 1: "l"}, ("embedding",), out / "sentence.onnx")
    halves = {name: each.half().contiguous() for name, each in bert.state_dict().items() if each.is_floating_point()}
    save_file(halves, out / "words.safetensors")
    (parts / "tokenizer.json").rename(out / "tokenizer.json")


def smollm2(parts: Path, out: Path) -> None:
    """SmolLM2-135M-Instruct: the 4-bit blocks of the GGUF as float16 `model.safetensors`, with config and tokenizer."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    gguf = SMOLLM2.parts[0].filename
    with contextlib.redirect_stderr(io.StringIO()):  # progress bars that cannot be asked to be quiet
        published = AutoModelForCausalLM.from_pretrained(parts, gguf_file=gguf, dtype=torch.float32).eval()
        tokenizer = AutoTokenizer.from_pretrained(parts, gguf_file=gguf)
        with torch.no_grad():
            expected = published(**tokenizer("The train arrives at", return_tensors="pt")).logits.numpy()
        del published.config.quantization_config  # or its class would refuse to be written in another type
        plain = type(published)(published.config)
        plain.load_state_dict(published.state_dict(), assign=True)
        plain.tie_weights()  # words in and words out are one table, written once
        plain.half().save_pretrained(out)
        tokenizer.save_pretrained(out)
        del published, plain
        read = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32).eval()
        tokens = AutoTokenizer.from_pretrained(out)("The train arrives at", return_tensors="pt")
    with torch.no_grad():
        got = read(**tokens).logits.numpy()
    # float16 moves a weight by 2^-11 of itself at most, far less than the four bits that it had
    _require_alike(got, expected, 5e-3, "model.safetensors of SmolLM2")


def open_clip_folder(name: str, parts: Path, out: Path) -> None:
    """An open_clip checkpoint with the config of its model and tag: what open_clip reads as `local-dir:<out>`.

    A pickled checkpoint is read as tensors and nothing else.
    """
    import open_clip

    model, _, tag = name.removeprefix(CLIP_PREFIX).partition("/")
    model_cfg: dict[str, Any] = open_clip.get_model_config(model)
    tag_cfg: dict[str, Any] = open_clip.get_pretrained_cfg(model, tag) or {}
    if tag_cfg.get("quick_gelu"):
        model_cfg["quick_gelu"] = True
    told = ("mean", "std", "interpolation", "resize_mode")
    config = {"model_cfg": model_cfg, "preprocess_cfg": {key: tag_cfg[key] for key in told if key in tag_cfg}}
    (out / "open_clip_config.json").write_text(json.dumps(config, indent=1))

    (published,) = parts.iterdir()
    target = out / "open_clip_model.safetensors"
    if published.suffix == ".safetensors":
        published.rename(target)
    else:
        try:
            tensors = torch.load(published, map_location="cpu", weights_only=True)
        except UnpicklingError as error:
            hint = "it is damaged, or carries code, which is never run"
            raise WeightsError(f"{published.name} cannot be read as tensors", hint=hint) from error
        tensors = tensors.get("state_dict", tensors)
        save_file({key: tensor.clone().contiguous() for key, tensor in tensors.items()}, target)
    try:
        open_clip.create_model(f"local-dir:{out}")
    except (RuntimeError, ValueError) as error:  # other names or shapes than the model has
        raise WeightsError(f"{published.name} does not hold the weights of {model}", hint=str(error)) from error


def _export(
    module: nn.Module, inputs: dict[str, Tensor], free: dict[int, str], outputs: tuple[str, ...], path: Path
) -> None:
    """Write `module` as ONNX, with the `free` axes of its inputs, and hold ONNX Runtime's outputs against torch's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of its age and of tracing; the check below is what counts
        torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            str(path),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={**dict.fromkeys(inputs, free), **{output: {0: "n"} for output in outputs}},
            opset_version=17,
            dynamo=False,  # the other exporter takes four times as long and needs one more package
        )
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for rows in (3, 2):  # the batch that was traced, and another
        some = {name: tensor[:rows] for name, tensor in inputs.items()}
        with torch.no_grad():
            told = module(**some)
        expected = told if isinstance(told, tuple) else (told,)
        got = session.run(list(outputs), {name: tensor.numpy() for name, tensor in some.items()})
        for ours, theirs in zip(got, expected, strict=True):
            _require_alike(ours, theirs.numpy(), TOLERANCE, path.name)


def _require_alike(got: NDArray[np.float32], expected: NDArray[np.float32], tolerance: float, what: str) -> None:
    off = float(np.abs(got - expected).max() / np.abs(expected).max())
    if not off <= tolerance:  # so that NaN is refused as well
        hint = "install other versions of torch and onnx"
        raise WeightsError(f"{what} computes {off:.1e} away from the published weights", hint=hint)
