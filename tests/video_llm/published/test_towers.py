"""Towers, Q-Former and bridges, held against implementations that others wrote and against the parity vectors."""

from pathlib import Path
from typing import Any

import pytest
import torch
from timm.models.beit import Beit
from transformers import InstructBlipQFormerConfig, InstructBlipQFormerModel

from tests.parity import read_case
from tests.video_llm.published.checkpoints import blocks, eva, qformer, umt
from tvu.temporal.tape import TemporalAdapter
from tvu.temporal.types import VisualTokens
from tvu.video_llm.published import videochat_t, vtg_llm
from tvu.video_llm.published.keys import fill
from tvu.video_llm.published.qformer import QFormer, QFormerConfig
from tvu.video_llm.published.towers import EvaTower, UmtEncoder

DATA = Path(__file__).parents[4] / "shared" / "data" / "parity"
has_vectors = pytest.mark.skipif(not DATA.is_dir(), reason="the parity vectors are not beside this checkout")
CLOSE = {"rtol": 1e-4, "atol": 1e-4}  # float32 sums in another order


def beit(width: int, inner: int, **fields: Any) -> Beit:
    """timm's BEiT without relative positions and scales: the blocks of EVA-CLIP and of UMT."""
    net = Beit(
        patch_size=14, embed_dim=width, depth=2, num_heads=2, mlp_ratio=inner / width, use_abs_pos_emb=True,
        init_values=None, num_classes=0, global_pool="", **fields,
    )  # fmt: skip
    return net.eval()


@torch.inference_mode()
def test_the_tower_of_vtg_llm_is_timms_beit_without_its_last_norm() -> None:
    state = {name.removeprefix("visual_encoder."): value.float() for name, value in eva().items()}
    theirs = beit(176, 64, img_size=28)
    assert set(theirs.load_state_dict(state, strict=False).missing_keys) == {"norm.weight", "norm.bias"}
    theirs.norm = torch.nn.Identity()
    ours = vtg_llm.empty_eva(eva())
    assert fill(ours, state, "", torch.float32).complete
    frames = torch.randn(3, 3, 28, 28)
    assert torch.allclose(ours.eval()(frames), theirs.forward_features(frames), **CLOSE)


@torch.inference_mode()
def test_the_tower_of_videochat_t_is_the_same_blocks_on_clips_with_sines() -> None:
    at = "vision_encoder.encoder."
    state = {name.removeprefix(at): value.float() for name, value in umt().items() if name.startswith(at)}
    with torch.device("meta"):
        ours = UmtEncoder(128, 2, 64, 16, 2, 4)
    assert fill(ours, state, "", torch.float32).complete
    clips = torch.randn(2, 8, 3, 32, 32)
    theirs = beit(128, 64, img_size=28)
    theirs.load_state_dict({name: value for name, value in state.items() if name.startswith("blocks.")}, strict=False)
    flat = torch.nn.functional.conv2d(
        clips.flatten(0, 1), state["patch_embed.proj.weight"][:, :, 0], state["patch_embed.proj.bias"], stride=16
    )
    x = flat.flatten(2).transpose(1, 2).reshape(2, 8 * 4, 128) + ours.positions(8)
    for block in theirs.blocks:
        x = block(x)
    assert torch.allclose(ours(clips), x, **CLOSE)
    assert len(blocks("", 8, 2, 8)) == 2 * len(blocks("", 8, 1, 8))


def instruct_blip_name(name: str) -> str:
    """What transformers calls a parameter of the published files."""
    name = name.removeprefix("bert.").replace("embeddings.LayerNorm", "embeddings.layernorm")
    return name.replace("attention.self.", "attention.attention.")


@torch.inference_mode()
@pytest.mark.parametrize("words", [0, 50])
def test_the_q_former_is_that_of_instructblip(words: int) -> None:
    torch.manual_seed(0)
    state = {name: value.float() for name, value in qformer(128, 176, words=words).items() if "ids" not in name}
    shape = QFormerConfig.of(state)
    assert shape == QFormerConfig(128, 4, 64, 176, (0, 2), words, 512 if words else 0)
    with torch.device("meta"):
        ours = QFormer(shape)
    assert fill(ours, state, "", torch.float32).complete
    config = InstructBlipQFormerConfig(
        vocab_size=50, hidden_size=128, num_hidden_layers=4, num_attention_heads=2, intermediate_size=64,
        encoder_hidden_size=176, cross_attention_frequency=2, max_position_embeddings=512,
    )  # fmt: skip
    theirs = InstructBlipQFormerModel(config).eval()
    result = theirs.load_state_dict({instruct_blip_name(name): value for name, value in state.items()}, strict=False)
    assert not result.unexpected_keys and (not words or not result.missing_keys)
    queries, seen = torch.randn(1, 6, 128), torch.randn(2, 9, 176)
    text = torch.randint(0, 50, (2, 5)) if words else None
    mask = torch.tensor([[False, False, True, True, True], [True] * 5]) if words else None
    got = ours.eval()(queries, seen, text, mask)
    if mask is None or text is None:
        expected = theirs(None, query_embeds=queries.expand(2, -1, -1), encoder_hidden_states=seen)
    else:
        whole = torch.cat([torch.ones(2, 6), mask.float()], dim=1)
        expected = theirs(
            text, attention_mask=whole, query_embeds=queries.expand(2, -1, -1), encoder_hidden_states=seen
        )
    assert torch.allclose(got, expected.last_hidden_state[:, :6], **CLOSE)


def sequence(x: torch.Tensor) -> VisualTokens:
    """`[B, T, N, C]`, frames of a second each."""
    spans = torch.arange(x.shape[1], dtype=torch.float64)[:, None] + torch.tensor([0.0, 1.0])
    return VisualTokens.from_frames(x, spans.expand(len(x), -1, -1), (1, x.shape[2]))


@has_vectors
@torch.inference_mode()
def test_the_bridge_of_vtg_llm_gives_the_official_numbers() -> None:
    path = DATA / "vtg_llm" / "bridge_slots.safetensors"
    meta, case, _ = read_case(path, torch.float64)
    state = {**case.weights, "query_tokens": torch.zeros(1, 5, case.config["width"], dtype=torch.float64)}
    with torch.device("meta"):
        bridge = vtg_llm.Bridge.of(state)
    assert fill(bridge, state, "", torch.float64).complete
    known = bridge(case.inputs["query_output"], case.inputs["absolute_timestamp"])
    words = bridge.llama_proj(bridge.sampler(sequence(known)).features).squeeze(2)
    assert_official(words, path, "llm_inputs", meta["tolerance"]["llm_inputs"]["atol_f64"])


@has_vectors
@torch.inference_mode()
def test_the_bridge_of_videochat_t_gives_the_official_numbers() -> None:
    path = DATA / "timesuite" / "video_tokens_shuffle_and_adapter.safetensors"
    meta, case, _ = read_case(path, torch.float64)
    told = case.config
    width = told["width"]
    with torch.device("meta"):
        adapter = TemporalAdapter(told["merge_len"], told["clip_num"], width, told["mid"], told["llm_width"])
        bridge = videochat_t.Bridge(told["merge_len"], width, told["llm_width"], adapter, [8, 8])
    report = fill(bridge, case.weights, "", torch.float64)
    assert set(report.missing) == {"query_tokens", "extra_query_tokens", "clip_proj.weight", "clip_proj.bias"}
    clips = case.inputs["clip_features"].unflatten(1, (told["clip_num"], -1))
    tokens = bridge(sequence(clips)).features.flatten(1, 2)
    assert_official(tokens, path, "tokens", meta["tolerance"]["tokens"]["atol_f64"])


@torch.inference_mode()
def test_at_the_published_size_shapes_and_counts_are_those_of_the_sheet() -> None:
    """Without numbers, so that only shapes are computed."""
    with torch.device("meta"):
        eva_tower, umt_tower = EvaTower(1408, 39, 6144, 14, 16), UmtEncoder(1024, 23, 4096, 16, 14, 4)
        crossing = tuple(range(0, 12, 2))
        of_frames = QFormer(QFormerConfig(768, 12, 3072, 1408, crossing))
        of_clips = QFormer(QFormerConfig(768, 12, 3072, 1024, crossing, 30523, 512))
        slots = vtg_llm.Bridge(768, 32, 96, 8192, 256, 4096)
        adapter = TemporalAdapter(4, 16, 768, 192, 4096)
        shuffle = videochat_t.Bridge(4, 768, 4096, adapter, [32, 64])
        frames = eva_tower(torch.zeros(1, 3, 224, 224))
        clips = umt_tower(torch.zeros(1, 8, 3, 224, 224))
        assert frames.shape == (1, 257, 1408) and clips.shape == (1, 8 * 196, 1024)
        assert of_frames(slots.query_tokens, frames).shape == (1, 32, 768)
        text, real = torch.zeros(1, 60, dtype=torch.int64), torch.ones(1, 60, dtype=torch.bool)
        assert of_clips(shuffle.queries, clips, text, real).shape == (1, 96, 768)
        tokens = shuffle.merge(torch.zeros(1, 16 * 96, 768), torch.full((1,), 16 * 96))
        assert tokens.shape == (1, 384, 4096)
    shapes = {name: tuple(value.shape) for part in (slots, shuffle) for name, value in part.state_dict().items()}
    assert shapes["video_frame_position_embedding.weight"] == (96, 768)
    assert shapes["video_time_position_embedding"] == (8192, 768) and shapes["sampler.slots"] == (768, 256)
    assert shapes["llama_proj.weight"] == (4096, 768) and shapes["merge_proj.weight"] == (4096, 3072)
    assert shapes["temp_adap.fc.0.weight"] == (192, 192, 17)
    assert round(sum(p.numel() for p in adapter.parameters()) / 1e6, 2) == 1.72


def assert_official(got: torch.Tensor, path: Path, name: str, bound: float) -> None:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        expected = file.get_tensor(f"out.{name}")
    assert got.shape == expected.shape and (got.double() - expected.double()).abs().max() <= bound
