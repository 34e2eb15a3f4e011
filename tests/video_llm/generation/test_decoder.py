"""The fused decoder computes what the transformers model computes."""

from types import SimpleNamespace

import pytest
import torch

from tests.video_llm.generation.speakers import letters, text_prompt, tiny
from tvu.video_llm.generate import GenerateConfig, generate, read_prefix
from tvu.video_llm.generation import decoder
from tvu.video_llm.generation.decoder import FusedDecoder, can_run
from tvu.video_llm.generation.transformers_decoder import TransformersDecoder

CLOSE = {"rtol": 1e-4, "atol": 1e-4}  # of logits around 10, added up in another order
THETA = {"rope_theta": 10000.0}
FAMILIES = {
    "llama": ("llama", {}),
    "llama with biases": ("llama", {"attention_bias": True}),
    "llama with a tied head": ("llama", {"tie_word_embeddings": True}),
    "llama with wide heads": ("llama", {"head_dim": 16}),
    "llama with a head for each query": ("llama", {"num_key_value_heads": 4}),
    "llama, longer by linear": ("llama", {"rope_parameters": {"rope_type": "linear", "factor": 4.0, **THETA}}),
    "llama 3": (
        "llama",
        {
            "rope_parameters": {
                "rope_type": "llama3",
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 32,
                **THETA,
            }
        },
    ),
    "llama, longer by yarn": (
        "llama",
        {"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, **THETA}},
    ),
    "mistral": ("mistral", {"sliding_window": None, "head_dim": 8}),
    "qwen 2": ("qwen2", {"use_sliding_window": False}),
    "qwen 2 with a tied head": ("qwen2", {"use_sliding_window": False, "tie_word_embeddings": True}),
    "qwen 3": ("qwen3", {"head_dim": 16, "use_sliding_window": False}),
}
REFUSED = {
    "sliding windows": ("mistral", {"sliding_window": 16}),
    "some sliding layers": ("qwen2", {"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 1}),
    "another activation": ("llama", {"hidden_act": "gelu"}),
    "biases in the MLP": ("llama", {"mlp_bias": True}),
    "positions that depend on the length": (
        "llama",
        {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "original_max_position_embeddings": 64, **THETA}},
    ),
    "another family": ("gemma", {"head_dim": 8}),
    "half-rotated heads": (
        "llama",
        {"rope_parameters": {"partial_rotary_factor": 0.5, "rope_type": "default", **THETA}},
    ),
}


def some_ids(*lengths: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(0, 64, (length,), generator=generator).tolist() for length in lengths]


@torch.inference_mode()
def logits_of(model, ids: list[int]) -> torch.Tensor:
    return model(torch.tensor([ids])).logits[0]


def read(workspace, language, row: int, ids: list[int]) -> torch.Tensor:
    return workspace.prefill(row, language.embed(torch.tensor(ids)))


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_says_what_transformers_says(name):
    family, options = FAMILIES[name]
    model = tiny(family, **options)
    rows = some_ids(70, 41)  # beyond the original positions of the stretched ones
    expected = [logits_of(model, row) for row in rows]
    language = FusedDecoder(model)
    with language.borrow(2, 80) as workspace:
        for r, row in enumerate(rows):
            torch.testing.assert_close(read(workspace, language, r, row[:-4]), expected[r][-5], **CLOSE)
        first = workspace.step(torch.tensor([row[-4:-1] for row in rows])).clone()
        workspace.advance([3, 3])
        last = workspace.step(torch.tensor([row[-1:] for row in rows]))
        for r in range(2):
            torch.testing.assert_close(torch.cat([first[r], last[r]]), expected[r][-4:], **CLOSE)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("name", ["llama", "mistral", "qwen 2", "qwen 3"])
def test_twenty_answers_are_those_of_transformers_with_and_without_guesses(name, device):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    family, options = FAMILIES[name]
    model = tiny(family, seed=1, **options).to(device)
    rows = [[5, 6, 7, *row] for row in some_ids(*range(1, 21))]
    expected = []
    for row in rows:
        ids = torch.tensor([row], device=device)
        whole = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=16, do_sample=False)
        expected.append([token for token in whole[0, len(row) :].tolist() if token])
    language, tokenizer = FusedDecoder(model), letters()
    prefix = read_prefix(text_prompt([[5, 6, 7]]), language)
    for drafts in (0, 4):
        config = GenerateConfig(16, drafts=drafts)
        alone = [generate(text_prompt([row]), language, tokenizer, config, prefix=prefix)[0] for row in rows]
        assert [list(said.token_ids) for said in alone] == expected
        assert [list(g.token_ids) for g in generate(text_prompt(rows), language, tokenizer, config)] == expected


@pytest.mark.parametrize("name", REFUSED)
def test_what_it_cannot_compute_is_refused(name):
    family, options = REFUSED[name]
    model = tiny(family, **options)
    assert not can_run(model)
    with pytest.raises(ValueError, match="family"):
        FusedDecoder(model)


def test_quantised_and_spread_models_are_refused():
    model = tiny("llama")
    assert can_run(model)
    model.quantization_method = "bitsandbytes"
    assert not can_run(model)
    spread = SimpleNamespace(
        config=model.config,
        parameters=lambda: [torch.zeros(1), torch.zeros(1, device="meta")],
    )
    assert not can_run(spread)


def test_layers_that_compute_more_than_their_weight_says_are_refused():
    class Adapted(torch.nn.Linear):
        pass

    model = tiny("llama")
    model.model.layers[1].self_attn.q_proj = Adapted(32, 32, bias=False)
    assert not can_run(model)


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_the_adopted_model_still_works_and_saves(family, tmp_path):
    model = tiny(family)
    ids = some_ids(9)[0]
    before = logits_of(model, ids)
    FusedDecoder(model)
    assert torch.equal(logits_of(model, ids), before)
    model.save_pretrained(tmp_path)
    assert torch.equal(logits_of(type(model).from_pretrained(tmp_path), ids), before)


def test_decoders_of_one_model_hold_its_weights_together():
    model = tiny("llama")
    first, second = FusedDecoder(model), FusedDecoder(model)
    assert first._layers[0].qkv.data_ptr() == second._layers[0].qkv.data_ptr()
    with first.borrow(1, 8) as one, second.borrow(1, 8) as other:
        assert torch.equal(read(one, first, 0, [1, 2]), read(other, second, 0, [1, 2]))


def test_the_adopted_model_can_still_be_trained_and_steps_see_what_it_learns(monkeypatch):
    monkeypatch.setattr(decoder, "HALVE_AFTER", 0)  # which copies weights
    model = tiny("llama")
    for parameter in model.parameters():
        parameter.data = parameter.half().float()
    with torch.inference_mode():
        language = FusedDecoder(model)

    def step():
        with language.borrow(1, 8) as workspace:
            read(workspace, language, 0, [1, 2])
            return workspace.step(torch.tensor([[3]]))[0, 0].clone()

    torch.testing.assert_close(step(), logits_of(model, [1, 2, 3])[-1], **CLOSE)
    model(torch.tensor([[1, 2, 3]])).logits[..., 5].sum().backward()
    torch.optim.SGD(model.parameters(), 0.01).step()
    torch.testing.assert_close(step(), logits_of(model, [1, 2, 3])[-1], **CLOSE)


@pytest.mark.parametrize("replace", [lambda model: model.resize_token_embeddings(70), lambda model: model.double()])
def test_a_model_whose_weights_were_replaced_needs_a_new_decoder(replace):
    model = tiny("llama")
    language = FusedDecoder(model)
    replace(model)
    with pytest.raises(ValueError, match="make a new one"), language.borrow(1, 8):
        pass
    with FusedDecoder(model).borrow(1, 8):
        pass


def test_a_model_in_training_mode_is_fused_as_it_speaks_and_else_refused():
    model = tiny("llama", attention_dropout=0.5)
    ids = some_ids(9)[0]
    expected = logits_of(model, ids)[-1]
    model.train()
    language = FusedDecoder(model)
    with language.borrow(1, 16) as workspace:
        torch.testing.assert_close(read(workspace, language, 0, ids), expected, **CLOSE)
    with pytest.raises(ValueError, match="training mode"), TransformersDecoder(model).borrow(1, 16):
        pass


def test_rows_of_different_lengths_do_not_see_each_other():
    model = tiny("llama")
    language = FusedDecoder(model)
    rows = some_ids(3, 50, 1, 17)
    with language.borrow(4, 64) as workspace:
        for row in (2, 0, 3, 1):
            read(workspace, language, row, rows[row])
        told = workspace.step(torch.tensor([[1, 2]] * 4))
    for row, ids in enumerate(rows):
        torch.testing.assert_close(told[row], logits_of(model, [*ids, 1, 2])[-2:], **CLOSE)


@pytest.mark.parametrize("name", ["llama", "qwen 3"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_a_cpu_takes_steps_in_the_dtype_of_the_weights(dtype, name):
    family, options = FAMILIES[name]
    model = tiny(family, **options).to(dtype)
    ids = some_ids(12)[0]
    language = FusedDecoder(model)
    with language.borrow(1, 32) as workspace:
        read(workspace, language, 0, ids[:10])
        for place in (10, 11):
            told = workspace.step(torch.tensor([ids[place : place + 1]]))[0, 0]
            workspace.advance([1])
    expected = logits_of(model, ids)[-1].float()
    assert (told - expected).norm() < 0.05 * expected.norm()  # bfloat16 keeps 8 bits, and sums come in another order


def test_a_step_that_was_not_kept_leaves_no_trace():
    model = tiny("llama")
    language = FusedDecoder(model)
    ids = some_ids(12)[0]
    with language.borrow(1, 32) as workspace:
        read(workspace, language, 0, ids)
        workspace.step(torch.tensor([[9, 9, 9]]))
        workspace.advance([0])
        workspace.step(torch.tensor([[3, 4, 9]]))
        workspace.advance([2])
        told = workspace.step(torch.tensor([[5]]))
    torch.testing.assert_close(told[0, 0], logits_of(model, [*ids, 3, 4, 5])[-1], **CLOSE)


def test_a_prompt_read_chunk_by_chunk_is_the_same_prompt(monkeypatch):
    model = tiny("qwen2", use_sliding_window=False)
    language = FusedDecoder(model)
    ids = some_ids(50)[0]
    for chunk in (512, 16, 7):
        monkeypatch.setattr(decoder, "CPU_CHUNK", chunk)
        with language.borrow(1, 64) as workspace:
            told = read(workspace, language, 0, ids)
            after = workspace.step(torch.tensor([[4]]))[0, 0]
        torch.testing.assert_close(told, logits_of(model, ids)[-1], **CLOSE)
        torch.testing.assert_close(after, logits_of(model, [*ids, 4])[-1], **CLOSE)


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("mistral", {"sliding_window": 8}),
        ("gemma", {"head_dim": 8}),
        ("gpt_neox", {}),
        ("qwen3", {"head_dim": 8}),
        ("mamba", {}),
        ("lfm2", {"layer_types": ["conv", "full_attention"]}),
    ],
    ids=lambda given: str(given),
)
@pytest.mark.filterwarnings("error:.*past_key_values:FutureWarning")
def test_any_other_model_of_transformers_answers_as_it_does_there(family, options):
    model = tiny(family, seed=2, **options)
    model.generation_config.eos_token_id = 5
    rows = some_ids(20, 3, 11)
    language, tokenizer = TransformersDecoder(model), letters()
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(5)
    for drafts in (0, 4):
        told = generate(text_prompt(rows), language, tokenizer, GenerateConfig(24, drafts=drafts))
        for row, said in zip(rows, told, strict=True):
            ids = torch.tensor([row])
            whole = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, do_sample=False)
            expected = whole[0, len(row) :].tolist()
            assert list(said.token_ids) == (expected[: expected.index(5)] if 5 in expected else expected)
    assert language.can_rewind == (family in ("gemma", "gpt_neox", "qwen3"))


def test_a_model_whose_memory_cannot_be_handed_to_it_is_refused():
    with pytest.raises(ValueError, match="no memory that can be handed to it"):
        TransformersDecoder(tiny("rwkv"))


@pytest.mark.parametrize("decoder_of", [FusedDecoder, TransformersDecoder])
def test_a_prefix_is_continued_by_any_row_any_number_of_times(decoder_of):
    model = tiny("llama")
    language = decoder_of(model)
    ids, *ends = some_ids(20, 3, 5)
    with language.borrow(1, 32) as workspace:
        prefix = workspace.keep(0, read(workspace, language, 0, ids))
    assert prefix.length == 20
    with language.borrow(2, 32) as workspace:
        for _ in range(2):
            for row, end in enumerate(ends):
                workspace.restore(row, prefix)
                told = read(workspace, language, row, end)
                torch.testing.assert_close(told, logits_of(model, [*ids, *end])[-1], **CLOSE)


@pytest.mark.parametrize("decoder_of", [FusedDecoder, TransformersDecoder])
def test_rows_change_places(decoder_of):
    model = tiny("llama")
    language = decoder_of(model)
    ids = some_ids(11)[0]
    with language.borrow(3, 32) as workspace:
        read(workspace, language, 0, ids)
        workspace.reorder([0, 0, 0])
        workspace.step(torch.tensor([[1, 9], [2, 9], [3, 9]]))
        workspace.advance([1, 1, 1])
        workspace.reorder([2, 0, 0], since=11)
        told = workspace.step(torch.tensor([[4], [5], [6]]))
    for row, end in enumerate(([3, 4], [1, 5], [1, 6])):
        torch.testing.assert_close(told[row, 0], logits_of(model, [*ids, *end])[-1], **CLOSE)


def test_a_workspace_is_used_again_and_never_shared():
    language = FusedDecoder(tiny("llama"))
    with language.borrow(2, 40) as first:
        memory = first.cache.keys.data_ptr()
        with language.borrow(2, 40) as second:
            assert second.cache.keys.data_ptr() != memory
    with language.borrow(2, 30) as again:
        assert again.cache.keys.data_ptr() in (memory, second.cache.keys.data_ptr())
        assert again.cache.host_lengths == [0, 0]


def test_a_workspace_outlives_a_question_that_failed():
    language = FusedDecoder(tiny("llama"))
    with pytest.raises(ValueError, match="empty"):
        generate(text_prompt([[5], []]), language, letters(), GenerateConfig(4))
    memory = language._spare.cache.keys.data_ptr()
    with language.borrow(2, 40) as workspace:
        assert workspace.cache.keys.data_ptr() == memory
        torch.testing.assert_close(
            read(workspace, language, 1, [5, 6]), logits_of(language._model, [5, 6])[-1], **CLOSE
        )


def test_steps_write_into_the_cache_that_is_there():
    language = FusedDecoder(tiny("llama"))
    with language.borrow(1, 40) as workspace:
        memory = workspace.cache.keys.data_ptr(), workspace.cache.values.data_ptr()
        read(workspace, language, 0, [1, 2, 3])
        for token in range(30):
            workspace.step(torch.tensor([[token]]))
            workspace.advance([1])
        assert (workspace.cache.keys.data_ptr(), workspace.cache.values.data_ptr()) == memory
        assert workspace.cache.host_lengths == [33]


def test_positions_beyond_the_cache_are_refused():
    language = FusedDecoder(tiny("llama"))
    with language.borrow(1, 8) as workspace:
        full = workspace.cache.capacity
        workspace.prefill(0, torch.zeros(full - 1, 32))
        with pytest.raises(ValueError, match="do not fit"):
            workspace.step(torch.tensor([[1, 2]]))
        with pytest.raises(ValueError, match="do not fit"):
            workspace.prefill(0, torch.zeros(2, 32))
