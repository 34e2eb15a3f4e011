"""SqueezeTime on files. No published weights can be reached from the tests: files are written here, tiny and random,
under exactly the published names."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tvu.temporal.squeezetime.fused import fused
from tvu.temporal.squeezetime.network import SqueezeTime, SqueezeTimeClassifier, SqueezeTimeConfig
from tvu.temporal.squeezetime.views import KINETICS_VALIDATION, Protocol
from tvu.video_llm.decode import clock_of, open_video
from tvu.video_llm.squeezetime import classify, load_squeezetime
from tvu.weights.errors import WeightsError

SAMPLES = Path(__file__).parents[2] / "samples"
TINY = SqueezeTimeConfig(
    layers=(1, 2, 1, 1), widths=(4, 6, 8, 10), num_frames=8, strides=(1, 2, 2, 1), code_sides=(9, 5, 3, 2)
)
LAYOUTS = {
    "bare": ("", "cls_head."),
    "wrapper": ("net.", "head."),
    "recogniser": ("backbone.net.", "cls_head."),
    "two GPUs": ("module.backbone.net.", "module.cls_head."),
    "two GPUs, bare": ("module.", "module.head."),
    "of another trainer": ("model.backbone.net.", "model.cls_head."),
}


@pytest.fixture(scope="module")
def published():
    """A tiny network with moved statistics, to be written under published names."""
    torch.manual_seed(0)
    network = SqueezeTimeClassifier(TINY, num_classes=7)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2.0)
            module.num_batches_tracked.fill_(12)
    return network.eval()


def under_prefixes(network, backbone, head):
    names = {f"{backbone}{name}": tensor for name, tensor in network.net.state_dict().items()}
    return names | {f"{head}{name}": tensor for name, tensor in network.head.state_dict().items()}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_names_gives_the_same_network(tmp_path, published, layout):
    backbone, head = LAYOUTS[layout]
    torch.save({"state_dict": under_prefixes(published, backbone, head), "meta": {"epoch": 99}}, tmp_path / "a.pth")
    network, report = load_squeezetime(tmp_path / "a.pth")
    assert report.complete and report.config == TINY and report.num_classes == 7
    assert report.backbone.prefix == backbone and report.head.prefix == head
    assert report.backbone.unexpected == report.head.unexpected == ()
    assert not network.training
    video = torch.randn(2, 3, 8, 65, 47)
    torch.testing.assert_close(network(video), published(video))  # running statistics are there, too


def test_a_file_of_basic_blocks_is_told_by_its_names(tmp_path):
    config = SqueezeTimeConfig((1, 1, 2, 1), False, (4, 6, 8, 10), num_frames=4)
    torch.save(SqueezeTime(config).state_dict(), tmp_path / "a.pth")
    network, report = load_squeezetime(tmp_path / "a.pth")
    assert report.complete and network.config == config


def test_a_file_without_head_gives_the_backbone_alone(tmp_path, published):
    torch.save({"model": published.net.state_dict()}, tmp_path / "a.pth")
    network, report = load_squeezetime(tmp_path / "a.pth")
    assert isinstance(network, SqueezeTime)
    assert report.complete and report.head is None and report.num_classes == 0
    assert "no class head" in str(report)


def test_a_detectors_head_is_reported_and_not_taken_for_classes(tmp_path, published):
    state = {f"backbone.net.{name}": tensor for name, tensor in published.net.state_dict().items()}
    box = {"roi_head.bbox_head.fc_cls.weight": torch.zeros(81, 128), "roi_head.bbox_head.fc_cls.bias": torch.zeros(81)}
    torch.save({"state_dict": state | box}, tmp_path / "a.pth")
    network, report = load_squeezetime(tmp_path / "a.pth")
    assert isinstance(network, SqueezeTime) and report.complete
    assert report.detector == tuple(box) and "detection head" in str(report)


@pytest.mark.parametrize("stem", [(4, 3, 5, 5), (4, 3, 7, 7)])
def test_a_stem_for_pictures_is_reported_as_misshapen(tmp_path, published, stem):
    state = {**published.net.state_dict(), "conv1.weight": torch.zeros(stem), "fc.weight": torch.zeros(1000, 40)}
    torch.save(state, tmp_path / "a.pth")
    network, report = load_squeezetime(tmp_path / "a.pth", num_frames=8)
    assert report.backbone.misshapen == ("conv1.weight",) and not report.complete
    assert report.backbone.unexpected == ("fc.weight",)
    assert network.config.num_frames == 8 and network.conv1.weight.any()
    assert torch.equal(network.layer1[0].bn1.running_mean, published.net.layer1[0].bn1.running_mean)


def test_what_a_file_lacks_is_named(tmp_path, published):
    state = under_prefixes(published, "backbone.net.", "cls_head.")
    del state["backbone.net.layer2.1.bn3.running_var"], state["cls_head.fc_cls.bias"]
    torch.save(state, tmp_path / "a.pth")
    _, report = load_squeezetime(tmp_path / "a.pth")
    assert report.backbone.missing == ("layer2.1.bn3.running_var",) and report.head.missing == ("fc_cls.bias",)
    assert not report.complete


def test_a_file_of_something_else_or_in_parts_is_refused(tmp_path, published):
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="holds no SqueezeTime network"):
        load_squeezetime(tmp_path / "a.pth")
    state = {name: tensor for name, tensor in published.net.state_dict().items() if not name.startswith("layer3")}
    torch.save(state, tmp_path / "b.pth")
    with pytest.raises(WeightsError, match="in parts"):
        load_squeezetime(tmp_path / "b.pth")
    (tmp_path / "c.pth").write_bytes((tmp_path / "b.pth").read_bytes()[:-100])
    with pytest.raises(WeightsError, match="damaged"):
        load_squeezetime(tmp_path / "c.pth")


@pytest.mark.parametrize("sample", ["parade.mp4", "talk.mp4", "postcard.mp4#t=3,9"])
def test_a_clip_gets_probabilities_and_every_view_its_true_span(published, sample):
    clip = open_video(f"{SAMPLES}/{sample}")
    protocol = Protocol(num_clips=3, num_crops=3, short_side=64, crop_side=64, num_frames=8)
    seen = classify(clip, fused(published), protocol)
    assert seen.probabilities.shape == (7,) and seen.view_probabilities.shape == (9, 7)
    assert seen.probabilities.sum().item() == pytest.approx(1.0, abs=1e-5)
    torch.testing.assert_close(seen.probabilities, seen.view_probabilities.mean(0))
    pts = clock_of(clip).pts_seconds
    assert np.isin(seen.view_spans[:, 0], pts).all()
    assert seen.view_spans[0, 0] == pts[clock_of(clip).index_at(clip.span.start_seconds)]
    assert seen.view_spans[2, 1] == pytest.approx(clip.span.end_seconds, abs=0.05)
    assert np.array_equal(seen.view_spans[:3], seen.view_spans[6:])  # the third crop of the same clips


def test_a_network_of_other_frames_than_the_protocol_is_refused(published):
    clip = open_video(SAMPLES / "parade.mp4")
    with pytest.raises(ValueError, match="network of 8 frames"):
        classify(clip, published, KINETICS_VALIDATION)
    assert classify(clip, published, replace(KINETICS_VALIDATION, num_frames=8)).view_spans.shape == (1, 2)
