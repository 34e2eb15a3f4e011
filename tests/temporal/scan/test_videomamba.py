from dataclasses import replace

import pytest
import torch

from tvu.temporal.scan.mamba import MambaConfig
from tvu.temporal.scan.videomamba import MIDDLE, SMALL, TINY, VideoMamba, VideoMambaConfig

CONFIG = VideoMambaConfig(
    MambaConfig(d_model=12, d_state=3),
    depth=2,
    num_classes=5,
    num_frames=5,
    tubelet=2,
    image_size=(18, 13),
    patch_size=(6, 4),
)


def network(**changes):
    torch.manual_seed(0)
    return VideoMamba(replace(CONFIG, **changes)).double()


def video(batch=2, frames=5):
    return torch.randn(batch, 3, frames, 18, 13, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_a_video_becomes_a_class_token_and_patches_in_order_of_time():
    model = network()
    assert model.config.grid == (2, 3, 3)
    assert model.embed(video()).shape == model.tokens(video()).shape == (2, 1 + 18, 12)
    assert model(video()).shape == (2, 5)
    with torch.no_grad():
        model.pos_embed.zero_()
        patches = model.patch_embed(video())
        same = model.embed(video())[:, 1:].unflatten(1, (2, 3, 3))
        torch.testing.assert_close(same, patches.permute(0, 2, 3, 4, 1))


def test_places_in_time_are_for_patches_alone():
    model = network()
    before = model.embed(video())
    with torch.no_grad():
        model.temporal_pos_embedding[:, 1] += 1
    change = model.embed(video()) - before
    assert torch.equal(change[:, :10], torch.zeros_like(change[:, :10]))
    torch.testing.assert_close(change[:, 10:], torch.ones_like(change[:, 10:]))


def test_the_class_token_hears_the_last_frame_and_the_order_of_frames():
    model = network()
    clip = video()
    for other in (clip.roll(2, dims=2), torch.cat([clip[:, :, :2], -clip[:, :, 2:]], dim=2)):
        assert (model(clip) - model(other)).abs().max() > 1e-6


def test_without_a_head_the_feature_is_the_answer():
    model = network(num_classes=0)
    assert torch.equal(model(video()), model.tokens(video())[:, 0])


def test_the_residual_stream_stays_in_float32():
    model = network().bfloat16()
    hidden, residual = model.layers[0](model.embed(video().bfloat16()), None)
    hidden, residual = model.layers[1](hidden, residual)
    assert hidden.dtype == torch.bfloat16 and residual.dtype == torch.float32
    assert model(video().bfloat16()).dtype == torch.bfloat16


def test_published_models_have_their_published_sizes():
    with torch.device("meta"):
        counts = [sum(p.numel() for p in VideoMamba(config).parameters()) for config in (TINY, SMALL, MIDDLE)]
    assert [round(count / 1e6) for count in counts] == [7, 26, 74]  # millions, table 1 of the paper


def test_a_video_of_other_size_is_refused():
    with pytest.raises(ValueError, match="places"):
        network()(video(frames=8))
    with pytest.raises(ValueError, match="do not fit"):
        replace(CONFIG, tubelet=6)


def test_layer_norm_and_one_direction_can_be_asked_for():
    model = network(rms_norm=False, bidirectional=False)
    assert "layers.0.norm.bias" in model.state_dict() and "layers.0.mixer.A_b_log" not in model.state_dict()
    clip, changed = video(), video()
    changed[:, :, 2:] += 1
    torch.testing.assert_close(model(clip), model(changed))  # the class token comes first and looks back
