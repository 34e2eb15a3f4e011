"""How fast a Video-LLM answers: beside transformers, beside what the memory allows, and where the time goes.

Random weights of real size serve, since how long a product takes does not depend on its numbers; the small model is
the real one. Nothing is timed before it was held against transformers.
"""

import copy
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from tvu.video_llm.generate import GenerateConfig, generate
from tvu.video_llm.generation.decoder import HALVE_AFTER, FusedDecoder
from tvu.video_llm.types import Prompt
from tvu.weights.load import located

SMALL = "smollm2-135m"
PROMPTS = (
    "Tell me a long story about a dog who learns to swim.",
    "List the planets of the solar system and say one sentence about each of them.",
    "Explain how to make a cup of tea, step by step.",
    "Describe a video of a penguin, second by second, one line for every two seconds.",
)
CONTEXT = 8192
FRAMES = (128, 256)
ANSWER = 32  # tokens of a whole request
REDUCTIONS: dict[str, list[dict[str, Any]]] = {
    "none": [],
    "x4": [{"name": "pool", "frames": 4}],
    "x8": [{"name": "pool", "frames": 4, "every": 2}],
}
"""STORM's temporal pooling, and its sampling at test time on top (arXiv 2503.04130, table 1)."""

SIGLIP = {
    "name": "siglip_vision_model",
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "image_size": 384,
    "patch_size": 14,
    "layer": -1,
}
QWEN2_7B = {
    "model_type": "qwen2",
    "vocab_size": 152064,
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
}


@dataclass(frozen=True)
class Figure:
    """One line of the table. bar: what `value` is asked to be, in words; empty where nothing is asked."""

    what: str
    value: float
    unit: str
    bar: str = ""


class ParityError(AssertionError):
    """What computes something else is not timed."""


class NoWords:
    """A tokenizer for weights that know no language: nothing ends an answer, and tokens have no text."""

    eos_token_id = None

    def decode(self, ids: Sequence[int], **options: Any) -> str:
        return ""


def measure_small(new_tokens: int = 48) -> Iterator[Figure]:
    """SmolLM2-135M on the CPU, its real weights in float32, beside transformers' `generate` in turn on each prompt.

    Raises WeightsError where its weights are missing, ParityError if the answers differ.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = located(SMALL)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    decoder = FusedDecoder(model)
    prompts = [_chat(tokenizer, text) for text in PROMPTS]
    configs = {"tvu": GenerateConfig(new_tokens), "tvu, with drafts": GenerateConfig(new_tokens, drafts=7)}
    model.generate(torch.tensor(prompts[:1]), max_new_tokens=2, do_sample=False)
    generate(prompt_of(prompts), decoder, NoWords(), GenerateConfig(HALVE_AFTER + 2))  # as it is after a few answers
    seconds: dict[str, float] = dict.fromkeys(["transformers", *configs], 0.0)
    written = dict.fromkeys(seconds, 0)
    passes = 0
    for ids in prompts:
        with _timed(seconds, "transformers"):
            whole = model.generate(torch.tensor([ids]), max_new_tokens=new_tokens, do_sample=False)
        theirs = whole[0, len(ids) :].tolist()
        written["transformers"] += len(theirs)
        for name, config in configs.items():
            with _timed(seconds, name):
                (answer,) = generate(prompt_of([ids]), decoder, tokenizer, config)
            if list(answer.token_ids) != [token for token in theirs if token != tokenizer.eos_token_id]:
                raise ParityError(f"{name} writes something else than transformers")
            written[name] += len(theirs)
            passes += answer.steps + 1 if config.drafts else 0
    speeds = {name: written[name] / spent for name, spent in seconds.items()}
    for name, speed in speeds.items():
        yield Figure(f"{SMALL}, float32, {name}", speed, "tokens/s")
    best = max(speeds[name] for name in configs)
    yield Figure("the faster of ours over transformers", best / speeds["transformers"], "x", "at least 1.5")
    yield Figure("tokens a step with drafts", written["tvu, with drafts"] / passes, "tokens")


def measure_first_token(frames: int = 100) -> Iterator[Figure]:
    """Lite0, SlowFast tokens as LITA has them and SmolLM2 on the CPU, from frames to the first token; stage by stage.

    The projector between them is random: what is said means nothing, how long it takes is the same.
    """
    from transformers import AutoModelForCausalLM

    from tvu.video_llm.models.configuration import TvuConfig
    from tvu.video_llm.models.modeling import TvuForConditionalGeneration
    from tvu.video_llm.models.vision import Lite0Tower

    language = AutoModelForCausalLM.from_pretrained(located(SMALL), dtype=torch.float32)
    config = TvuConfig(
        vision_config={"name": "efficientnet-lite0", "grid": 7},
        text_config=language.config,
        reductions=[{"name": "slow_fast"}],
        project_first=False,
    )
    model = TvuForConditionalGeneration(config, language, Lite0Tower(7).load_pretrained()).eval()
    pixels = torch.randint(0, 256, (1, frames, 3, 224, 224), dtype=torch.uint8)
    yield from _request(model, FusedDecoder(language), pixels, new_tokens=1, name=f"{frames} frames to the first token")


def measure_large() -> Iterator[Figure]:
    """A model of the size of SigLIP-So400m/384 and Qwen2-7B in bfloat16 on a CUDA device, random weights.

    Raises ParityError if the fused decoder's logits are not transformers'.
    """
    from tvu.kernels.bench import read_ceiling
    from tvu.video_llm.models.configuration import TvuConfig
    from tvu.video_llm.models.modeling import TvuForConditionalGeneration
    from tvu.video_llm.models.parts import build_reductions
    from tvu.video_llm.models.vision_speed import measure as measure_vision

    vision = measure_vision()
    for row in vision:
        yield Figure(f"vision tower, {row.what}, {row.frames} frames at once", row.frames_per_second, "frames/s")
    best = max(row.ratio for row in vision if row.what == "tvu")
    yield Figure("vision tower, tvu over transformers at its best", best, "x", "at least 1.3")
    ceiling = read_ceiling()
    yield Figure("memory, read ceiling", ceiling / 1e12, "TB/s")
    config = TvuConfig(
        vision_config=SIGLIP,
        text_config=QWEN2_7B,
        projector={"layers": 1, "space_to_depth": True},
        temporal={"name": "storm", "layers": 2, "mixer": "mamba2"},
    )
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.bfloat16)
        with torch.device("cuda"):
            model = TvuForConditionalGeneration(config).eval()
    finally:
        torch.set_default_dtype(before)
    language = model.language_model
    decoder = FusedDecoder(language)
    _hold(language, decoder)
    read_once = (sum(p.numel() * p.element_size() for p in language.parameters()) - _table_bytes(language)) / ceiling
    yield from _token_by_token(language, decoder, read_once)
    for frames in FRAMES:
        whole = {}
        pixels = torch.randint(0, 256, (1, frames, 3, 384, 384), dtype=torch.uint8, device="cuda")
        for name, told in REDUCTIONS.items():
            model.reductions = build_reductions(told, config.language_width)[0]
            for figure in _request(model, decoder, pixels, new_tokens=ANSWER, name=f"{frames} frames, {name}"):
                whole[name] = figure.value
                yield figure
        bar = "at least 3" if frames == max(FRAMES) else ""
        yield Figure(f"{frames} frames: none over x8", whole["none"] / whole["x8"], "x", bar)


def table(figures: Iterator[Figure]) -> Iterator[str]:
    """The figures as lines, as they come."""
    for figure in figures:
        bar = f"  (bar: {figure.bar})" if figure.bar else ""
        yield f"{figure.value:12.3f} {figure.unit:10} {figure.what}{bar}"


def prompt_of(ids: Sequence[Sequence[int]]) -> Prompt:
    """A prompt of text alone, a row for each sequence of ids."""
    rows = [torch.tensor(row) for row in ids]
    input_ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    return Prompt(input_ids, torch.zeros_like(input_ids, dtype=torch.bool), torch.tensor([len(row) for row in rows]))


def _token_by_token(language: Any, decoder: FusedDecoder, read_once: float) -> Iterator[Figure]:
    """Seconds a token after CONTEXT positions, by the difference of a long answer and a short one."""
    ids = torch.randint(0, language.config.vocab_size, (1, CONTEXT), device="cuda")

    def theirs(count: int) -> None:
        language.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, min_new_tokens=count, do_sample=False
        )

    def ours(count: int) -> None:
        generate(prompt_of(ids.tolist()), decoder, NoWords(), GenerateConfig(count))

    each = {}
    for name, work, counts in (("transformers' generate", theirs, (2, 18)), ("tvu", ours, (2, 130))):
        short, long = (_median(partial(work, count)) for count in counts)
        each[name] = (long - short) / (counts[1] - counts[0])
        yield Figure(f"{name}, a token after {CONTEXT} positions", each[name] * 1e3, "ms")
    yield Figure("reading the weights once", read_once * 1e3, "ms")
    yield Figure("tvu over that", each["tvu"] / read_once, "x", "at most 1.4")
    yield Figure("transformers over tvu", each["transformers' generate"] / each["tvu"], "x", "at least 15")


def _request(model: Any, decoder: FusedDecoder, pixels: Tensor, *, new_tokens: int, name: str) -> Iterator[Figure]:
    """The stages of one request about one video, medians, and the whole last."""
    spans = torch.arange(pixels.shape[1] + 1, dtype=torch.float64, device=pixels.device)
    spans = torch.stack([spans[:-1], spans[1:]], dim=-1)[None]
    question = list(range(100, 120))
    rounds: list[dict[str, float]] = []
    for _ in range(4 if pixels.is_cuda else 2):
        spent: dict[str, float] = {}
        with torch.inference_mode():
            with _timed(spent, "vision tower"):
                tokens = model.encode_frames(pixels, spans)
            if model.config.project_first:
                with _timed(spent, "projector"):
                    tokens = model.project(tokens)
            with _timed(spent, "temporal encoder and reduction"):
                tokens = model.encode_time_and_compress(tokens)
            if not model.config.project_first:
                with _timed(spent, "projector"):
                    tokens = model.project(tokens)
        size = tokens.features.shape[1] * tokens.features.shape[2]
        ids = torch.tensor([[0] * size + question])
        prompt = Prompt(ids, torch.arange(ids.shape[1])[None] < size, torch.tensor([ids.shape[1]]), tokens)
        with _timed(spent, "prefill"):
            generate(prompt, decoder, NoWords(), GenerateConfig(1))
        if new_tokens > 1:
            with _timed(spent, f"prefill and {new_tokens} tokens"):
                generate(prompt, decoder, NoWords(), GenerateConfig(new_tokens))
            spent[f"{new_tokens - 1} more tokens"] = spent.pop(f"prefill and {new_tokens} tokens") - spent["prefill"]
        rounds.append(spent)
    stages = {stage: statistics.median(spent[stage] for spent in rounds[1:]) for stage in rounds[0]}
    for stage, seconds in stages.items():
        told = f"{stage} of {size} visual tokens" if stage == "prefill" else stage
        yield Figure(f"{name}: {told}", seconds * 1e3, "ms")
    yield Figure(f"{name}: whole request", sum(stages.values()) * 1e3, "ms")


def _hold(language: Any, decoder: FusedDecoder) -> None:
    """The fused decoder may be no further from float32 than transformers in the same half precision."""
    ids = torch.randint(0, language.config.vocab_size, (1, 200), device="cuda")
    with torch.inference_mode():
        theirs = language(input_ids=ids, logits_to_keep=2).logits[0].float()
        with decoder.borrow(1, 512) as workspace:
            first = workspace.prefill(0, decoder.embed(ids[0, :-1]))
            ours = torch.stack([first, workspace.step(ids[:, -1:])[0, 0]])
        exact = copy.deepcopy(language).float()(input_ids=ids, logits_to_keep=2).logits[0]
    error, usual = (float((logits - exact).norm() / exact.norm()) for logits in (ours, theirs))
    if not error <= 1.2 * usual:
        raise ParityError(f"the fused decoder is off by {error:.1e}, transformers by {usual:.1e}")


def _table_bytes(language: Any) -> int:
    table = language.get_input_embeddings().weight
    return table.numel() * table.element_size() if not language.config.tie_word_embeddings else 0


def _chat(tokenizer: Any, text: str) -> list[int]:
    told = [{"role": "user", "content": text}]
    return tokenizer.apply_chat_template(told, add_generation_prompt=True, return_dict=True)["input_ids"]


def _median(work: Callable[[], None], rounds: int = 3) -> float:
    spent = []
    for _ in range(rounds + 1):
        one: dict[str, float] = {}
        with _timed(one, ""):
            work()
        spent.append(one[""])
    return statistics.median(spent[1:])


@contextmanager
def _timed(spent: dict[str, float], name: str) -> Iterator[None]:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    started = time.perf_counter()
    yield
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    spent[name] = spent.get(name, 0.0) + time.perf_counter() - started
