import copy

import numpy as np
import pytest
import torch
from PIL import Image

from tvu.video_llm.models.fused_siglip import FusedSiglip, can_fuse
from tvu.video_llm.models.resize import centre_cropped
from tvu.video_llm.models.vision import build_vision_tower

# 33 pixels are 5 patches of 6 and a rest; an MLP of 37, heads of 8
FIELDS = {
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 37,
    "image_size": 33,
    "patch_size": 6,
}
SIGLIP = {"name": "siglip_vision_model", **FIELDS}
CLIP = {"name": "clip_vision_model", **FIELDS}


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def random_tower(config, dtype=torch.float32):
    """With weights that no initialisation left at zero or one."""
    tower = build_vision_tower(config).to(dtype).eval()
    with torch.no_grad():
        for parameter in tower.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return tower


def frames_for(tower, count=2):
    return torch.randint(0, 256, (count, 3, tower.side, tower.side), dtype=torch.uint8)


@pytest.mark.parametrize(
    ("config", "grid", "channels"),
    [
        ({"name": "efficientnet-lite0"}, (7, 7), 1280),
        ({"name": "efficientnet-lite0", "grid": 3}, (3, 3), 1280),
        (SIGLIP, (5, 5), 24),
        (CLIP, (5, 5), 24),
        ({"name": "open_clip", "model": "ViT-S-32-alt"}, (7, 7), 384),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) else "",
)
def test_a_tower_gives_the_grid_and_the_width_that_it_tells(config, grid, channels):
    tower = build_vision_tower(config).eval()
    with torch.no_grad():
        features = tower(frames_for(tower))
    assert (tower.grid, tower.channels) == (grid, channels)
    assert features.shape == (2, grid[0] * grid[1], channels)


def test_an_unknown_tower_is_refused_with_the_names_that_there_are():
    with pytest.raises(ValueError, match=r"'resnet'.*efficientnet-lite0, siglip_vision_model"):
        build_vision_tower({"name": "resnet"})


@pytest.mark.parametrize("config", [SIGLIP, CLIP], ids=["siglip", "clip"])
def test_bytes_and_floats_of_the_same_frames_are_the_same(config):
    tower = random_tower(config)
    frames = frames_for(tower)
    with torch.no_grad():
        torch.testing.assert_close(tower(frames.float()), tower(frames), rtol=0, atol=0)


def test_frames_of_another_size_are_refused():
    with pytest.raises(ValueError, match="33, 33"):
        build_vision_tower(SIGLIP)(torch.zeros(1, 3, 32, 33))


@pytest.mark.parametrize("config", [SIGLIP, CLIP], ids=["siglip", "clip"])
def test_frames_are_normalised_as_transformers_processors_do(config):
    from transformers import CLIPImageProcessor, SiglipImageProcessor

    tower = build_vision_tower(config)
    processor = (SiglipImageProcessor if config is SIGLIP else CLIPImageProcessor)(
        do_resize=False, do_center_crop=False
    )
    frames = frames_for(tower)
    expected = processor(list(frames.numpy()), return_tensors="pt").pixel_values
    torch.testing.assert_close(tower.normalised(frames), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layer", [None, -1, -2, 0, 2])
def test_siglip_is_transformers_own_and_loads_its_published_keys(layer):
    from transformers import SiglipModel

    whole = SiglipModel._from_config(siglip_config()).eval()
    tower = build_vision_tower({**SIGLIP, "layer": layer}).eval()
    tower.load_published(whole.state_dict())
    frames = frames_for(tower)
    with torch.no_grad():
        unit = tower.normalised(frames)
        states = whole.vision_model(unit, output_hidden_states=True)
        expected = states.last_hidden_state if layer is None else states.hidden_states[layer]
        torch.testing.assert_close(tower(frames), expected)


def siglip_config():
    from transformers import SiglipConfig

    text = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8, "vocab_size": 9}
    return SiglipConfig(text_config=text, vision_config=FIELDS)


def test_clip_is_its_last_but_one_hidden_state_without_the_class_token():
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    whole = CLIPVisionModelWithProjection(CLIPVisionConfig(**FIELDS)).eval()
    tower = build_vision_tower(CLIP).eval()
    tower.load_published(whole.state_dict())
    assert len(tower.vision_model.encoder.layers) == 2
    frames = frames_for(tower)
    with torch.no_grad():
        states = whole(tower.normalised(frames), output_hidden_states=True).hidden_states
        torch.testing.assert_close(tower(frames), states[-2][:, 1:])


def test_a_hidden_state_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="3 blocks"):
        build_vision_tower({**SIGLIP, "layer": 4})


def test_every_parameter_of_a_tower_reaches_its_output():
    for config in (SIGLIP, {**SIGLIP, "layer": -2}, CLIP):
        tower = build_vision_tower(config).train()
        tower(frames_for(tower)).square().sum().backward()
        unused = {name for name, parameter in tower.named_parameters() if parameter.grad is None}
        assert unused == set()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layer", [None, -2, 0])
def test_fused_siglip_equals_the_plain_one(layer, dtype):
    tower = random_tower({**SIGLIP, "layer": layer}, dtype)
    unit = tower.normalised(frames_for(tower, 3))
    with torch.no_grad():
        fused = FusedSiglip.of(tower.vision_model, tower.has_final_norm, mlp_multiple=16)(unit)
        plain = tower.plain_features(unit)
    # sums in another order; bfloat16 rounds some of them to the neighbour, a few times in a row
    tolerance = 16 * torch.finfo(dtype).eps
    torch.testing.assert_close(fused, plain, rtol=tolerance, atol=tolerance)


def test_a_long_video_passes_the_fused_tower_in_parts(monkeypatch):
    tower = random_tower(SIGLIP)
    unit = tower.normalised(frames_for(tower, 7))
    with torch.no_grad():
        at_once = tower.fused()(unit)
        monkeypatch.setattr("tvu.video_llm.models.fused_siglip.FRAMES_AT_ONCE", 3)
        torch.testing.assert_close(tower.fused()(unit), at_once)


def test_the_fused_form_follows_its_weights():
    tower = random_tower(SIGLIP)
    unit = tower.normalised(frames_for(tower))
    before = tower.fused()
    assert tower.fused() is before
    with torch.no_grad():
        tower.vision_model.encoder.layers[1].self_attn.k_proj.weight.mul_(2)
        torch.testing.assert_close(tower.fused()(unit), tower.plain_features(unit))
    tower.load_state_dict(random_tower(SIGLIP).state_dict(), assign=True)
    with torch.no_grad():
        torch.testing.assert_close(tower.fused()(unit), tower.plain_features(unit))


def test_a_tower_with_other_layers_than_its_own_is_not_fused():
    class Adapted(torch.nn.Linear):
        pass

    tower = random_tower(SIGLIP)
    tower.vision_model.encoder.layers[0].mlp.fc1 = Adapted(24, 37)
    assert not can_fuse(tower.vision_model)
    assert tower.fused() is None
    quick = build_vision_tower({**SIGLIP, "hidden_act": "quick_gelu"})
    assert quick.fused() is None


def test_the_fused_form_is_no_part_of_the_weights():
    tower = random_tower(SIGLIP)
    names = set(tower.state_dict())
    tower.fused()
    assert set(copy.deepcopy(tower).state_dict()) == names


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_the_tower_is_fused_for_inference_and_plain_for_training():
    tower = random_tower(SIGLIP, torch.bfloat16).cuda()
    wide = copy.deepcopy(tower).float()
    frames = frames_for(tower, 5).cuda()
    with torch.inference_mode():
        exact = wide.plain_features(wide.normalised(frames))
        fast, plain = tower(frames), tower.plain_features(tower.normalised(frames))
    assert tower._fused is not None
    assert (fast - exact).norm() <= 1.2 * (plain - exact).norm()
    fresh = random_tower(SIGLIP).cuda().train()
    fresh(frames).sum().backward()
    assert fresh._fused is None


@pytest.mark.parametrize("shape", [(40, 90), (90, 40), (33, 100), (7, 5), (33, 33)])
def test_frames_of_any_shape_are_resized_as_the_tower_was_trained(shape):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, *shape), np.uint8)
    for config in (SIGLIP, CLIP):
        tower = build_vision_tower(config)
        small = tower.resized(pixels)
        assert (small.shape, small.dtype) == ((2, 3, 33, 33), np.uint8)
        picture = Image.fromarray(pixels[1].transpose(1, 2, 0))
        if config is SIGLIP:
            expected = picture.resize((33, 33), Image.Resampling.BICUBIC)
        else:
            rows, columns = (int(33 * edge / min(shape)) for edge in shape)
            left, top = (columns - 33) // 2, (rows - 33) // 2
            resized = picture.resize((columns, rows), Image.Resampling.BICUBIC)
            expected = resized.crop((left, top, left + 33, top + 33))
        difference = small[1].transpose(1, 2, 0).astype(int) - np.asarray(expected)
        assert abs(difference).max() <= 1  # a filter's weights are rounded where its window starts


def test_a_crop_of_a_very_wide_frame_needs_no_memory_for_the_rest():
    assert centre_cropped(np.zeros((1, 3, 2, 20_000), np.uint8), 224).shape == (1, 3, 224, 224)


@pytest.mark.weights
def test_lite0_features_average_to_those_of_its_encoder():
    from tvu.video_llm.encode import Lite0Encoder

    tower = build_vision_tower({"name": "efficientnet-lite0"}).load_pretrained().eval()
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 12, 20), np.uint8).repeat(20, 2).repeat(20, 3)
    with torch.no_grad():
        features = tower(torch.from_numpy(tower.resized(pixels)))
    expected = Lite0Encoder().features(pixels)
    np.testing.assert_allclose(features.mean(1).numpy(), expected, rtol=1e-3, atol=1e-3)


def test_training_leaves_the_statistics_of_lite0_as_they_are():
    tower = build_vision_tower({"name": "efficientnet-lite0", "grid": 1})
    frames, before = frames_for(tower), copy.deepcopy(dict(tower.named_buffers()))
    tower.train()(frames).sum().backward()
    assert all(torch.equal(buffer, before[name]) for name, buffer in tower.named_buffers())
    assert all(parameter.grad is not None for parameter in tower.parameters())


def test_a_smaller_grid_is_the_mean_of_its_cells():
    tower = build_vision_tower({"name": "efficientnet-lite0", "grid": 1}).eval()
    whole = build_vision_tower({"name": "efficientnet-lite0"}).eval()
    whole.load_state_dict(tower.state_dict())
    frames = frames_for(tower, 1)
    with torch.no_grad():
        torch.testing.assert_close(tower(frames)[:, 0], whole(frames).mean(1))
