"""VTG-LLM from files with every official name, in small."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.video_llm.media.drawing import draw_video
from tests.video_llm.published.checkpoints import numbers, write_vtg_llm
from tvu.cli.exit_codes import ExitCode, exit_code_of
from tvu.cli.main import main
from tvu.temporal.errors import TvuError
from tvu.temporal.sequence_time import fill_untrained_seconds, fill_untrained_seconds_official
from tvu.video_llm.benchmarks.examinee import Writer
from tvu.video_llm.decode import open_video
from tvu.video_llm.generation.decoder import FusedDecoder
from tvu.video_llm.load import load_model
from tvu.video_llm.published.load import PublishedName, load_published
from tvu.video_llm.published.memory import PublishedConfig
from tvu.video_llm.published.qformer import QFormer, QFormerConfig
from tvu.video_llm.published.towers import EvaTower
from tvu.video_llm.published.vtg_llm import VtgLlm, load_vtg_llm
from tvu.video_llm.published.words import ids_of
from tvu.video_llm.types import Generation, Request, VideoClip
from tvu.weights.errors import WeightsError

BRIEF = PublishedConfig(max_new_tokens=12)
OFFICIAL = PublishedConfig(official=True, max_new_tokens=12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vtg_llm(tmp_path_factory.mktemp("vtg"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> VideoClip:
    return open_video(draw_video(tmp_path_factory.mktemp("video") / "a.mp4", num_frames=150, size=(64, 36)))


@pytest.fixture(scope="module")
def ours(folder: Path) -> VtgLlm:
    return load_vtg_llm(folder, BRIEF)


@pytest.fixture(scope="module")
def theirs(folder: Path) -> VtgLlm:
    return load_vtg_llm(folder, OFFICIAL)


def stored(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "vtgllm.pth", weights_only=True)["model"]


def test_every_name_of_the_file_is_accounted_for(ours: VtgLlm, folder: Path) -> None:
    report = ours.load_report
    assert report.complete and report.unexpected == () and report.unused == ()
    loaded = sum(len(keys.matched) for keys in report.parts.values())
    assert loaded == len(stored(folder)) - 2 * 8  # eight matrices have two halves of an adapter each
    assert isinstance(ours.language, FusedDecoder) and isinstance(ours, Writer)


@pytest.mark.parametrize("base_layer", [True, False])
def test_adapters_are_merged_whatever_release_of_peft_wrote_them(tmp_path: Path, base_layer: bool) -> None:
    folder = write_vtg_llm(tmp_path, base_layer=base_layer)
    model, state = load_vtg_llm(folder, BRIEF), stored(folder)
    at = "llama_model.base_model.model.model.layers.1.self_attn.v_proj."
    base = state[f"{at}base_layer.weight" if base_layer else f"{at}weight"].float()
    expected = base + 32 / 4 * state[f"{at}lora_B.default.weight"] @ state[f"{at}lora_A.default.weight"]
    layer = model.language._model.model.layers[1]  # type: ignore[attr-defined]
    assert torch.allclose(layer.self_attn.v_proj.weight, expected, atol=1e-5)


def test_a_shipped_tokenizer_with_padding_moves_every_id_by_one(tmp_path: Path, ours: VtgLlm) -> None:
    moved = load_vtg_llm(write_vtg_llm(tmp_path, pad=True), BRIEF)
    first = [model.tokenizer.convert_tokens_to_ids("<TIME_ZERO>") for model in (ours, moved)]
    assert first[1] == first[0] + 1 and moved.language.vocab_size == ours.language.vocab_size + 1


def test_untrained_seconds_are_filled_one_way_or_the_other(ours: VtgLlm, theirs: VtgLlm, folder: Path) -> None:
    table = stored(folder)["video_time_position_embedding"]
    tables = [model.seeing.bridge.video_time_position_embedding for model in (ours, theirs)]
    assert torch.equal(tables[0], fill_untrained_seconds(table))
    official = fill_untrained_seconds_official(table)
    assert torch.equal(tables[1], official.half().float()) and not torch.allclose(tables[0][:8], tables[1][:8])
    assert torch.equal(stored(folder)["video_time_position_embedding"], table)


def test_a_clip_becomes_slots(ours: VtgLlm, theirs: VtgLlm, clip: VideoClip) -> None:
    for model in (ours, theirs):
        sight = model._look(clip, None)
        assert tuple(sight.visual.features.shape) == (1, 16, 1, 64) and len(sight.seconds) == 12
        assert torch.isfinite(sight.visual.features).all()


def test_frames_and_times_are_by_index_or_by_the_clock(ours: VtgLlm, theirs: VtgLlm, clip: VideoClip) -> None:
    assert np.allclose(theirs._look(clip, None).told_seconds, np.arange(0, 150, 12.5).astype(int) / clip.fps)
    assert np.array_equal(theirs._look(clip, None).seconds, ours._look(clip, None).seconds)  # at a constant rate
    part = open_video(clip.path, start=2.0, end=5.0)
    sight = ours._look(part, None)
    assert (sight.seconds >= 1.9).all() and np.allclose(sight.told_seconds, np.maximum(sight.seconds - 2.0, 0))
    assert sight.duration == 3.0


def test_a_clip_of_fewer_frames_than_positions_is_seen_whole(ours: VtgLlm, theirs: VtgLlm, clip: VideoClip) -> None:
    short = open_video(clip.path, start=0.0, end=0.2)
    assert len(ours._look(short, None).seconds) == len(theirs._look(short, None).seconds) == 5


def test_prompts_are_those_of_the_sheet(ours: VtgLlm, theirs: VtgLlm) -> None:
    def token(number: str) -> str:
        names = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")
        return "".join("<TIME_DOT>" if digit == "." else f"<TIME_{names[int(digit)]}>" for digit in number)

    times = np.array([0.0, 120.5])
    told = f"</Video> The video contains 2 frames sampled at {token('0000.0')}, {token('0120.5')} seconds. "
    system = "You are able to understand the visual content that the user provides. "
    system += "Follow the instructions carefully and explain your answers in detail."
    official = f"[INST] <<SYS>>\n{system}\n<</SYS>>\n\n<Video><ImageHere>{told} Why? [/INST]"
    assert theirs.prompt_text(Request("Why?"), times) == official
    assert (
        ours.prompt_text(Request("Why?"), times)
        == f"[INST] <<SYS>>\n \n<</SYS>>\n\n<Video><ImageHere>{told}Why? [/INST]"
    )
    assert ours.moment_request("A man sits. ").user == (
        "Find the video segment that corresponds to the given textual query 'A man sits' and determine its start and "
        "end seconds."
    )


def test_a_time_after_text_keeps_its_blank(ours: VtgLlm) -> None:
    pieces = ours.tokenizer.convert_ids_to_tokens(ids_of(ours.tokenizer, "at <TIME_ZERO>, <TIME_ONE>"))
    assert pieces == ["▁at", "▁", "<TIME_ZERO>", "▁", ",", "▁", "<TIME_ONE>"]
    before, after = ours.around(Request("Why?"), np.array([0.0]))
    assert before[0] == 1 and after[0] != 1


def test_official_answers_are_drawn_and_read_as_published(ours: VtgLlm, theirs: VtgLlm) -> None:
    drawn = theirs.official_generation
    assert (drawn.sampling.temperature, drawn.sampling.top_p, drawn.sampling.seed) == (1.0, 0.8, 42)
    assert drawn.max_new_tokens == 512 and ours.writing().sampling.temperature == 0
    codec = theirs.codec

    def written(text: str) -> Generation:
        ids = (1, *ids_of(theirs.tokenizer, text), 2)
        return Generation("", ids, (0.0,) * len(ids), "end")

    start, end = codec.encode(24.3, 100.0), codec.encode(30.4, 100.0)
    text, span = theirs.official_reading(written(f"{start} - {end} seconds"), 100.0)
    assert text.split() == ["0024.3", "-", "0030.4", "seconds"] and span == (24.3, 30.4)
    assert theirs.official_reading(written(f"{end} - {start} seconds"), 100.0)[1] == (24.3, 30.4)
    missed = f"from {start} to {end} seconds."
    assert theirs.official_reading(written(missed), 100.0)[1] is None
    (found,) = ours._read(missed, 100.0).spans
    assert (found.start_seconds, found.end_seconds) == (24.3, 30.4)


def test_every_difference_is_told(ours: VtgLlm) -> None:
    names = [each.what for each in ours.differences()]
    assert len(names) == len(set(names)) >= 10


@pytest.mark.parametrize("name", ["vtg-llm-7b", "vtg-llm-7b+official"])
def test_it_answers_through_the_library(folder: Path, clip: VideoClip, name: str) -> None:
    model = load_model(f"{name}:{folder}")
    model.config = BRIEF if name == "vtg-llm-7b" else OFFICIAL  # type: ignore[attr-defined]
    part = open_video(clip.path, start=1.0, end=3.0)
    for answer in (model.answer(part, "What happens?"), *model.find(part, ["a dog", "red"])):
        assert "<video></Video>" in answer.prompt and answer.frame_seconds
        assert all(1 <= g.span.start_seconds < g.span.end_seconds <= 3 for g in answer.groundings)
    first, again = (model.ground(part, ["a dog", "red"]) for _ in range(2))
    assert first == again and (name != "vtg-llm-7b" or all(first))


def test_it_runs_from_the_command(folder: Path, clip: VideoClip, monkeypatch, capsys, tmp_path: Path) -> None:
    monkeypatch.setenv("TVU_CACHE", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["tvu", "ask", str(clip.path), "When?", "-m", f"vtg-llm-7b:{folder}", "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr()
    assert ended.value.code in (None, 0, 1) and told.err == ""
    assert json.loads(told.out)["model"] == f"vtg-llm-7b:{folder}"


def test_the_published_tower_has_its_parameters() -> None:
    with torch.device("meta"):
        tower = EvaTower(1408, 39, 6144, 14, 16)
        shape = QFormerConfig(768, 12, 3072, 1408, tuple(range(0, 12, 2)))
        queries = QFormer(shape)
    assert tower.pos_embed.shape == (1, 257, 1408) and {m.heads for m in tower.modules() if hasattr(m, "heads")} == {16}
    assert sum(p.numel() for p in tower.parameters()) == 985_894_528
    assert sum(p.numel() for p in queries.parameters()) == 105_137_664


def refused(folder: Path, config: PublishedConfig | None = None) -> TvuError:
    with pytest.raises(WeightsError) as raised:
        load_published("vtg-llm-7b", PublishedName("vtg-llm-7b", folder), config=config)
    assert exit_code_of(raised.value) == ExitCode.WEIGHTS_MISSING and raised.value.hint
    assert "\n" not in raised.value.message and len(raised.value.message) < 400
    return raised.value


@pytest.mark.parametrize(
    ("drop", "says"),
    [
        ("sampler.slots", "sampler.slots is missing"),
        ("llama_proj.bias", "1 tensors of its bridge are missing, for example llama_proj.bias"),
        ("visual_encoder.blocks.1.attn.q_bias", "vision tower are missing"),
        ("Qformer.bert.encoder.layer.3.output_query.dense.bias", "Q-Former are missing"),
        ("llama_model.base_model.model.model.layers.0.self_attn.q_proj.lora_B.default.weight", "is not whole"),
        ("llama_model.base_model.model.lm_head.weight", "lm_head.weight"),
    ],
)
def test_names_that_are_missing_are_told(tmp_path: Path, drop: str, says: str) -> None:
    assert says in refused(write_vtg_llm(tmp_path, drop=[drop])).message


def test_names_that_are_misshapen_or_unexpected_are_told(tmp_path: Path) -> None:
    thin = write_vtg_llm(tmp_path / "a", replace={"ln_vision.bias": numbers(3)})
    assert "vision norm have another shape, for example ln_vision.bias" in refused(thin).message
    at = "llama_model.base_model.model.model.layers.0.self_attn.q_proj.lora_B.default.weight"
    assert "does not fit" in refused(write_vtg_llm(tmp_path / "b", replace={at: numbers(64, 3)})).message
    more = write_vtg_llm(tmp_path / "c", replace={"video_Qformer.extra": numbers(2)})
    assert load_vtg_llm(more).load_report.unexpected == ("video_Qformer.extra",)


class Evil:
    def __reduce__(self):
        return (open, ("ran", "w"))


def test_a_file_that_is_cut_short_or_of_another_kind_or_holds_code_is_told(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_vtg_llm(tmp_path / "a")
    path = folder / "vtgllm.pth"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "damaged or cut short" in refused(folder).message
    torch.save({"model": {"a": torch.ones(1)}, "config": Evil()}, path)
    assert "more than tensors" in refused(folder).message and not Path("ran").exists()
    path.write_bytes(b"<html>")
    assert "is no checkpoint" in refused(folder).message
    torch.save({"a": torch.ones(1)}, path)
    assert "holds no llama" in refused(folder).message
    path.unlink()
    assert "has no vtgllm.pth" in refused(folder).message


def test_a_tokenizer_that_is_missing_or_of_another_model_is_told(tmp_path: Path) -> None:
    folder = write_vtg_llm(
        tmp_path / "a",
        replace={
            "llama_model.base_model.model.model.embed_tokens.weight": numbers(99, 64),
            "llama_model.base_model.model.lm_head.weight": numbers(99, 64),
        },
    )
    assert re.search(r"\d+ tokens, and weights for 99", refused(folder).message)
    (folder / "llama-2-7b-chat-hf" / "tokenizer.model").unlink()
    assert "has no tokenizer.model" in refused(folder).message


def test_what_does_not_fit_is_told(folder: Path) -> None:
    assert "does not fit into the 0.10 MB allowed" in refused(folder, PublishedConfig(max_vram_bytes=100_000)).message
