"""Files with the official names of parameters, in every spelling, to aligners."""

import numpy as np
import pytest
import torch

from tvu.temporal.alignment.nsva import NsvaAligner, NsvaConfig
from tvu.temporal.alignment.tan import TanConfig, TemporalAligner
from tvu.temporal.alignment.word_vectors import Word2VecText
from tvu.video_llm.alignment_models import load_nsva, load_tan, load_word_tokenizer
from tvu.video_llm.word_tokens import WordTokenizer
from tvu.weights.errors import WeightsError

NSVA = NsvaConfig(
    feature_width=10, width=16, similarity_width=6, encoder_layers=1, decoder_layers=2, feedforward=24, max_frames=30
)
TAN = TanConfig(encoder_layers=1, decoder_layers=2, video_width=10, text_width=7, width=16, positions=20)


def nsva_layer(prefix, attentions, norms):
    names = [f"{prefix}.{attention}.{part}" for attention in attentions for part in ("in_proj_weight", "in_proj_bias")]
    modules = [*(f"{attention}.out_proj" for attention in attentions), "linear1", "linear2", *norms]
    return names + [f"{prefix}.{module}.{part}" for module in modules for part in ("weight", "bias")]


def official_nsva_names(encoder_layers, decoder_layers):
    """The names in an official file, spelt out here so that ours cannot drift."""
    modules = ["visual_proj.0", "visual_proj.1", "text_proj.0", "text_proj.1", "v_sim_proj", "t_sim_proj"]
    modules += ["decoder.norm", "alignable_head", *(f"timestamp_head.0.layers.{i}" for i in range(3))]
    names = [f"{module}.{part}" for module in modules for part in ("weight", "bias")]
    for i in range(encoder_layers):
        names += nsva_layer(f"visual_encoder.layers.{i}", ["self_attn"], ["norm1", "norm2"])
    for i in range(decoder_layers):
        names += nsva_layer(f"decoder.layers.{i}", ["self_attn", "multihead_attn"], ["norm1", "norm2", "norm3"])
    return {*names, "visual_pos_enc.pe", "text_pos_enc.weight"}


def official_tan_names(encoder_layers, decoder_layers):
    modules = ["fc1", "fc2"]
    names = ["bert.word_embd.weight", *(f"bert.{module}.{part}" for module in modules for part in ("weight", "bias"))]
    names += ["temporal_pos_embed", "text_temporal_pos_embed", "video_pre_proj.weight", "text_pre_proj.weight"]
    modules = [
        f"ln_{name}" for name in ("text_init", "video_init", "position_init", "video_post_enc", "joint_post_enc")
    ]
    modules += ["mlp", "binary_head"]
    for encoder, layers in {"video": encoder_layers, "joint": decoder_layers}.items():
        for i in range(layers):
            block = f"{encoder}_temporal_encoder.resblocks.{i}"
            modules += [f"{block}.{name}" for name in ("attn.out_proj", "ln_1", "mlp.c_fc", "mlp.c_proj", "ln_2")]
            names += [f"{block}.attn.in_proj_weight", f"{block}.attn.in_proj_bias"]
    return {*names, *(f"{module}.{part}" for module in modules for part in ("weight", "bias"))}


def shaken(module):
    torch.manual_seed(0)
    return {name: torch.randn_like(tensor) for name, tensor in module.state_dict().items()}


@pytest.fixture
def nsva_state():
    return shaken(NsvaAligner(NSVA))


@pytest.fixture
def tan_state():
    return shaken(TemporalAligner(TAN, Word2VecText(30, 5, 9, 7)))


def same(model, state):
    ours = model.state_dict()
    return ours.keys() == state.keys() and all(torch.equal(ours[name], tensor) for name, tensor in state.items())


def test_our_names_are_the_official_ones(nsva_state, tan_state):
    assert set(nsva_state) == official_nsva_names(1, 2)
    assert set(tan_state) == official_tan_names(1, 2)
    assert len(official_nsva_names(3, 3)) == 114 and len(official_tan_names(6, 6)) == 167


@pytest.mark.parametrize("prefix", ["", "module."])
def test_an_nsva_file_gives_its_sizes_and_its_weights(tmp_path, nsva_state, prefix):
    state = {prefix + name: tensor for name, tensor in nsva_state.items()}
    torch.save({"epoch": 20, "model_state_dict": state}, tmp_path / "NSVA_narration.pth")
    loaded = load_nsva(tmp_path / "NSVA_narration.pth")
    assert loaded.model.config == NSVA and not loaded.model.training
    assert same(loaded.model, nsva_state)
    assert loaded.report.complete and loaded.report.prefix == prefix and not loaded.report.unexpected


def test_what_an_nsva_file_lacks_or_brings_is_told(tmp_path, nsva_state):
    del nsva_state["alignable_head.weight"], nsva_state["visual_pos_enc.pe"]
    nsva_state["t"] = torch.tensor(100.0)
    torch.save({"model_state_dict": nsva_state}, tmp_path / "a.pth")
    report = load_nsva(tmp_path / "a.pth").report
    assert set(report.missing) == {"alignable_head.weight", "visual_pos_enc.pe"}
    assert report.unexpected == ("t",) and not report.complete


@pytest.mark.parametrize("spelling", ["bert.", "lang_model."])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_tan_file_of_one_model_gives_its_sizes_and_its_weights(tmp_path, tan_state, prefix, spelling):
    state = {prefix + name.replace("bert.", spelling): tensor for name, tensor in tan_state.items()}
    torch.save({"epoch": 3, "state_dict": state, "best_acc": 0.5, "iteration": 9}, tmp_path / "tan.pth.tar")
    loaded = load_tan(tmp_path / "tan.pth.tar")
    assert loaded.model.config == TAN and same(loaded.model, tan_state)
    assert loaded.report.complete and loaded.report.prefix == prefix and not loaded.report.unexpected


@pytest.mark.parametrize("wrapper", ["", "module."])
@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("averaged", [False, True])
def test_of_a_twin_the_one_that_was_asked_for_is_loaded(tmp_path, tan_state, wrapper, beside, averaged):
    twins = {"online.": tan_state, "target.": {name: tensor + 1 for name, tensor in tan_state.items()}}
    state = {f"{wrapper}{twin}{name}": tensor for twin, inside in twins.items() for name, tensor in inside.items()}
    state = {name.replace("bert.", "lang_model."): tensor for name, tensor in state.items()}
    wanted = twins["target." if averaged else "online."]
    if beside:  # the text tower once, beside both
        state = {name: tensor for name, tensor in state.items() if "lang_model." not in name}
        tower = {name: tensor for name, tensor in tan_state.items() if name.startswith("bert.")}
        state |= {wrapper + name.replace("bert.", "lang_model."): tensor for name, tensor in tower.items()}
        wanted = wanted | tower
    torch.save({"state_dict": state}, tmp_path / "tan.pth.tar")
    loaded = load_tan(tmp_path / "tan.pth.tar", averaged=averaged)
    assert same(loaded.model, wanted)
    assert loaded.report.complete and not loaded.report.unexpected
    assert loaded.report.prefix == wrapper + ("target." if averaged else "online.")


def test_a_tan_without_its_text_tower_takes_sentence_vectors(tmp_path, tan_state):
    state = {name: tensor for name, tensor in tan_state.items() if not name.startswith("bert.")}
    torch.save({"state_dict": state}, tmp_path / "tan.pth.tar")
    loaded = load_tan(tmp_path / "tan.pth.tar")
    assert loaded.report.complete and loaded.model.align(torch.randn(1, 4, 10), torch.randn(1, 2, 7))[0].shape == (
        1,
        2,
        4,
    )


@pytest.mark.parametrize("load", [load_nsva, load_tan])
def test_another_network_is_refused_with_its_path(tmp_path, load, nsva_state, tan_state):
    path = tmp_path / "other.pth"
    torch.save(torch.nn.Linear(2, 2).state_dict(), path)
    with pytest.raises(WeightsError, match=r"other\.pth"):
        load(path)
    kept = {"visual_proj.0.weight", "video_pre_proj.weight"}
    torch.save({name: tensor for name, tensor in (nsva_state | tan_state).items() if name in kept}, path)
    with pytest.raises(WeightsError, match=r"other\.pth"):
        load(path)


def test_words_are_places_in_the_vocabulary_and_unknown_ones_are_zero(tmp_path):
    np.save(tmp_path / "s3d_dict.npy", np.array(["add", "salt", "don't"]))
    tokenizer = load_word_tokenizer(tmp_path / "s3d_dict.npy", max_words=5)
    assert tokenizer.words("Add SALT-and, don't_") == ["add", "salt", "and", "don't_"]
    assert tokenizer.ids("Add SALT and, don't") == [1, 2, 0, 3, 0]
    assert tokenizer.ids("salt " * 9) == [2] * 5
    assert WordTokenizer(["add"]).ids("") == [0] * 32


@pytest.mark.parametrize("content", [np.arange(3), np.array(["a", None], dtype=object), b"<html>"])
def test_a_vocabulary_that_is_no_list_of_words_is_refused(tmp_path, content):
    path = tmp_path / "dict.npy"
    path.write_bytes(content) if isinstance(content, bytes) else np.save(path, content)
    with pytest.raises(WeightsError, match=r"dict\.npy"):
        load_word_tokenizer(path)


def test_a_loaded_aligner_says_when(tmp_path, tan_state):
    torch.save({"state_dict": tan_state}, tmp_path / "tan.pth.tar")
    model = load_tan(tmp_path / "tan.pth.tar").model
    sentences = model.bert(torch.tensor([[1, 2, 0], [3, 0, 0]]))
    assert model.align(torch.randn(1, 11, 10), sentences[None])[0].argmax(-1).shape == (1, 2)
