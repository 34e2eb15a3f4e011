"""LITA from files with every official name, in small."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.video_llm.media.drawing import draw_video
from tests.video_llm.published.checkpoints import numbers, write_lita
from tvu.cli.exit_codes import ExitCode, exit_code_of
from tvu.temporal.errors import TvuError
from tvu.temporal.time_tokens.lita import official_span
from tvu.video_llm.benchmarks.examinee import Writer
from tvu.video_llm.decode import open_video
from tvu.video_llm.generation.decoder import FusedDecoder
from tvu.video_llm.load import load_model, weights_needed, weights_of
from tvu.video_llm.published.lita import Lita, load_lita
from tvu.video_llm.published.load import published_named
from tvu.video_llm.published.memory import PublishedConfig
from tvu.video_llm.published.words import ids_of
from tvu.video_llm.types import Generation, Request, VideoClip
from tvu.weights.errors import WeightsError

BRIEF = PublishedConfig(max_new_tokens=12)
OFFICIAL = PublishedConfig(official=True, max_new_tokens=12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lita(tmp_path_factory.mktemp("lita"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> VideoClip:
    return open_video(draw_video(tmp_path_factory.mktemp("video") / "a.mp4", num_frames=150, size=(64, 36)))


@pytest.fixture(scope="module")
def ours(folder: Path) -> Lita:
    return load_lita(folder, BRIEF)


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Lita:
    return load_lita(folder, OFFICIAL)


def test_every_name_of_the_files_is_accounted_for(ours: Lita) -> None:
    report = ours.load_report
    assert report.complete and report.unexpected == ()
    assert {name: len(keys.matched) for name, keys in report.parts.items()} == {
        "language model": 21,
        "projector": 2,
        "vision tower": 37,  # two of three blocks: the last one does not reach the output
    }
    assert report.unused == tuple(f"model.layers.{i}.self_attn.rotary_emb.inv_freq" for i in range(2))
    assert isinstance(ours.language, FusedDecoder) and isinstance(ours, Writer)


def test_weights_are_those_of_the_file(folder: Path, ours: Lita) -> None:
    states = [torch.load(path, weights_only=True) for path in sorted(folder.glob("*.bin"))]
    state = {name: value for part in states for name, value in part.items()}
    assert torch.equal(ours.projector.weight, state["model.mm_projector.weight"].float())
    ids = torch.tensor([5, 7])
    assert torch.equal(ours.language.embed(ids), state["model.embed_tokens.weight"].float()[ids])


def test_a_clip_becomes_100_fast_and_the_slow_tokens(ours: Lita, theirs: Lita, clip: VideoClip) -> None:
    sights = [model._look(clip, None) for model in (ours, theirs)]
    for sight in sights:
        assert tuple(sight.visual.features.shape) == (1, 100 + 4 * 2 * 2, 1, 64)
        assert len(sight.seconds) == 100
    # projecting after averaging is the same but for rounding
    pixels = np.random.default_rng(0).integers(0, 256, (5, 3, 56, 56), dtype=np.uint8)
    place = torch.arange(100) // 20
    first, second = (m.see(pixels, place, sights[0].visual.spans[:, :100], np.zeros(100)) for m in (ours, theirs))
    assert (first.features - second.features).abs().max() < 1e-4


def test_official_frames_are_by_index_and_ours_by_the_clock(ours: Lita, theirs: Lita, clip: VideoClip) -> None:
    assert theirs.frame_indices(150)[:8].tolist() == [0, 2, 3, 5, 6, 8, 9, 11]
    official, by_clock = theirs._look(clip, None), ours._look(clip, None)
    assert np.allclose(official.told_seconds[:4], np.array([0, 2, 3, 5]) / clip.fps)
    assert by_clock.duration == clip.span.seconds and official.duration == pytest.approx(150 / clip.fps)
    wanted = np.linspace(0, clip.span.seconds, 100)
    assert (by_clock.seconds <= wanted + 1e-6).all() and (wanted - by_clock.seconds).max() < 1.01 / clip.fps + 1e-6


def test_prompts_are_those_of_the_sheet(ours: Lita, theirs: Lita, clip: VideoClip) -> None:
    asked = "USER: <video>\nWhat? ASSISTANT:"
    system = "A chat between a curious {0} and an artificial intelligence assistant. The assistant gives helpful, "
    system += "detailed, and polite answers to the {0}'s questions."
    for model, who in ((ours, "user"), (theirs, "human")):
        prompt = model.prompt([Request("What?")], model._look(clip, None))
        assert model.told_prompt(prompt) == f"<s> {system.format(who)} {asked}"
        assert int(prompt.is_visual.sum()) == 116 and int(prompt.input_ids[0, 0]) == 1
    told = theirs.moment_request("A dog runs.").user
    assert (
        told == 'When does "a dog runs" happen in the video? Answer the question only using start and end timestamps.'
    )


def test_blanks_around_time_tokens_go_as_in_the_release_of_its_training(ours: Lita) -> None:
    pieces = ours.tokenizer.convert_ids_to_tokens(ids_of(ours.tokenizer, "<t5> <t10> A man"))
    assert pieces == ["<t5>", "<t10>", "▁A", "▁man"]


def test_what_stands_after_the_video_begins_no_text(ours: Lita) -> None:
    before, after = ours.around(Request("What?"), np.zeros(0))
    assert before[0] == 1 and after[0] != 1
    assert ours.tokenizer.convert_ids_to_tokens(after[:2]) == ["▁", "<0x0A>"]


def written(model: Lita, text: str, stop: str) -> Generation:
    ids = tuple(ids_of(model.tokenizer, text))
    return Generation("", ids, (0.0,) * len(ids), stop)  # type: ignore[arg-type]


def test_official_answers_are_read_token_by_token(theirs: Lita) -> None:
    text = theirs.official_text(written(theirs, "<t22> <t29> A man", "end"), 206.86)
    assert text == "<45.97> <60.6> A man"
    assert official_span(text, 206.86) == ("A man", (45.97, 60.6))
    cut = theirs.official_text(written(theirs, "<t22> <t29>", "length"), 206.86)
    assert cut == "<45.97><t29>" and official_span(cut, 206.86)[1] == (0, 206.86)  # the last token stays


def test_official_and_ours_read_an_answer_differently(ours: Lita, theirs: Lita) -> None:
    backwards = written(theirs, "<t29> <t22>", "end")
    assert theirs.official_reading(backwards, 206.86)[1] == (45.97, 60.6)
    assert theirs.official_reading(written(theirs, "A man", "end"), 99.0) == ("A man", (0, 99.0))
    assert ours._read("A man", 99.0).spans == ()
    (span,) = ours._read("<t22> <t29>", 206.86).spans
    assert (span.start_seconds, span.end_seconds) == (22 * 206.86 / 99, 29 * 206.86 / 99)


def test_at_a_constant_rate_both_see_nearly_the_same(ours: Lita, theirs: Lita, clip: VideoClip) -> None:
    apart = ours._look(clip, None).seconds - theirs._look(clip, None).seconds
    assert np.abs(apart).max() < 1.01 / clip.fps


def test_every_difference_is_told(ours: Lita) -> None:
    names = [each.what for each in ours.differences()]
    assert len(names) == len(set(names)) >= 10 and all(each.official and each.ours for each in ours.differences())


@pytest.mark.parametrize("name", ["lita-13b", "lita-13b+official"])
def test_it_answers_through_the_library(folder: Path, clip: VideoClip, name: str, monkeypatch) -> None:
    whole = f"{name}:{folder}"
    assert weights_needed(whole) == () and set(weights_of(whole)) == {"folder"}
    model = load_model(whole)
    model.config = BRIEF if name == "lita-13b" else OFFICIAL  # type: ignore[attr-defined]
    part = open_video(clip.path, start=1.0, end=3.0)
    for answer in (model.answer(part, "What happens?"), *model.find(part, ["a dog", "red"])):
        assert answer.model == whole and "<video>" in answer.prompt and answer.frame_seconds
        assert all(1 <= g.span.start_seconds < g.span.end_seconds <= 3 for g in answer.groundings)
    found = model.ground(part, ["a dog", "red"])
    assert len(found) == 2 and (name != "lita-13b" or all(found))
    alone = model.ground(part, ["red"])
    assert [g.span for g in alone[0]] == [g.span for g in found[1]]  # other queries change nothing


def test_it_writes_to_the_character(ours: Lita, clip: VideoClip) -> None:
    request = Request("What?", system="Be brief.", prefill="It is")
    answer = ours.write(clip, request, max_new_tokens=3)
    assert answer.prompt == "<s> Be brief. USER: <video>\nWhat? ASSISTANT: It is" and answer.groundings == ()


def test_it_runs_from_the_command(folder: Path, clip: VideoClip, tvu, tmp_path: Path) -> None:
    run = tvu("ask", clip.path, "When?", "-m", f"lita-13b:{folder}", "--json", TVU_CACHE=str(tmp_path))
    assert run.returncode in (0, 1) and run.stderr == ""
    answer = json.loads(run.stdout)
    assert answer["model"] == f"lita-13b:{folder}" and answer["timing"]["encode_s"] > 0


def test_the_tower_may_lie_in_the_checkpoint(tmp_path: Path) -> None:
    model = load_lita(write_lita(tmp_path / "a", tower="checkpoint"))
    assert model.load_report.complete and model.tower.side == 56
    assert any(name.startswith("model.vision_tower.") for name in model.load_report.unused)
    with pytest.raises(WeightsError, match="no CLIP vision tower"):
        load_lita(write_lita(tmp_path / "b", tower="nowhere"))


def refused(folder: Path, config: PublishedConfig | None = None, **env: str) -> TvuError:
    with pytest.raises(WeightsError) as raised:
        told = published_named(f"lita-13b:{folder}")
        assert told is not None
        from tvu.video_llm.published.load import load_published

        load_published("lita-13b", told, config=config)
    assert exit_code_of(raised.value) == ExitCode.WEIGHTS_MISSING and raised.value.hint
    assert "\n" not in raised.value.message and len(raised.value.message) < 400
    return raised.value


def test_a_folder_that_is_not_there_tells_where_to_get_it(tmp_path: Path, monkeypatch) -> None:
    error = refused(tmp_path / "nowhere")
    assert "huggingface.co/deahuang" in error.hint and "not for commercial use" in error.hint
    monkeypatch.setenv("TVU_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match="the files of lita-13b are not here"):
        load_model("lita-13b")
    with pytest.raises(WeightsError, match="are not here"):
        weights_of("lita-13b")
    with pytest.raises(TvuError, match="names no folder"):
        load_model("lita-13b:")


def test_names_that_are_missing_or_misshapen_are_told(tmp_path: Path) -> None:
    lacks = write_lita(tmp_path / "a", drop=["model.norm.weight"])
    assert "1 tensors of its language model are missing, for example model.norm.weight" in refused(lacks).message
    thin = write_lita(tmp_path / "b", replace={"model.mm_projector.bias": numbers(3)})
    assert "have another shape, for example model.mm_projector.bias" in refused(thin).message
    none = write_lita(tmp_path / "c", drop=["model.embed_tokens.weight"])
    assert "model.embed_tokens.weight is missing" in refused(none).message


def test_names_that_are_unexpected_are_reported(tmp_path: Path) -> None:
    more = write_lita(tmp_path / "a", replace={"model.extra.weight": numbers(2)})
    assert load_lita(more).load_report.unexpected == ("model.extra.weight",)


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"model_type": "llava"}, "of type 'llava'"),
        ({"video_arch": "spiral"}, "video_arch is 'spiral'"),
        ({"time_token_ids": [1, 2]}, "2 ids for 100 time tokens"),
        ({"time_token_ids": list(range(100))}, "do not fit"),
        ({"num_hidden_layers": 3}, "num_hidden_layers of 2, its config says 3"),
        ({"num_attention_heads": 7}, "7 heads"),
        ({"mm_use_im_start_end": True}, "tokens of its own"),
        ({"num_frames": "many"}, "cannot be loaded|holds no LITA"),
    ],
)
def test_a_config_of_another_model_is_told(folder: Path, tmp_path: Path, told: dict[str, object], says: str) -> None:
    copy = write_lita(tmp_path / "a")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | told))
    assert re.search(says, refused(copy).message)


@pytest.mark.parametrize("file", ["tokenizer.model", "config.json", "pytorch_model-00002-of-00003.bin", "clip"])
@pytest.mark.parametrize("how", ["missing", "cut short"])
def test_files_that_are_missing_or_cut_short_are_told(tmp_path: Path, file: str, how: str) -> None:
    copy = write_lita(tmp_path / "a")
    path = copy / (file if file != "clip" else "clip-vit-large-patch14/pytorch_model.bin")
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert str(copy) in refused(copy).message


class Evil:
    def __reduce__(self):
        return (open, ("ran", "w"))


def test_code_in_a_checkpoint_is_never_run(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    copy = write_lita(tmp_path / "a")
    for is_zip in (True, False):
        path = copy / "pytorch_model-00001-of-00003.bin"
        kept = path.read_bytes()
        evil = {"model.norm.weight": torch.ones(2), "evil": Evil()}
        torch.save(evil, path, _use_new_zipfile_serialization=is_zip)
        assert "more than tensors" in refused(copy).message
        path.write_bytes(kept)
    (copy / "modeling_lita.py").write_text("open('ran', 'w')")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "modeling_lita.Evil"}}))
    load_lita(copy)
    assert not Path("ran").exists()


def test_an_index_cannot_lead_out_of_its_folder(tmp_path: Path) -> None:
    copy = write_lita(tmp_path / "a")
    index = copy / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": {"model.norm.weight": "../b.bin"}}))
    assert "not in its folder" in refused(copy).message


def test_what_does_not_fit_is_told_before_it_is_loaded(folder: Path, monkeypatch) -> None:
    error = refused(folder, PublishedConfig(max_vram_bytes=100_000))
    assert "does not fit into the 0.10 MB allowed: it needs" in error.message and "language model" in error.message
    monkeypatch.setenv("TVU_MAX_VRAM", "0.1 MB")
    assert "allowed" in refused(folder).message
    monkeypatch.setenv("TVU_MAX_VRAM", "much")
    assert "no amount of memory" in refused(folder).message
    monkeypatch.setenv("TVU_MAX_VRAM", "8GB")
    assert load_lita(folder).plan.limit_bytes == 8_000_000_000


def test_it_runs_in_bfloat16(folder: Path, clip: VideoClip) -> None:
    model = load_lita(folder, PublishedConfig(precision="bf16", max_new_tokens=4))
    assert model.plan.dtype == torch.bfloat16 and model.projector.weight.dtype == torch.bfloat16
    (found,) = model.ground(clip, ["a dog"])
    assert found


def test_an_adapter_is_put_on_its_base(tmp_path: Path, folder: Path) -> None:
    whole = load_lita(folder)
    states = [torch.load(path, weights_only=True) for path in sorted(folder.glob("*.bin"))]
    state = {name: value for part in states for name, value in part.items()}
    copy = write_lita(tmp_path / "a")
    for path in copy.glob("pytorch_model*"):
        path.unlink()
    base = copy / "vicuna-13b-v1.3"
    base.mkdir()
    tables = ("model.embed_tokens.weight", "lm_head.weight")
    plain = {name: value for name, value in state.items() if "mm_projector" not in name}
    torch.save(plain | {name: plain[name][:-100].clone() for name in tables}, base / "pytorch_model.bin")
    adapter = {name: value for name, value in state.items() if "mm_projector" in name or name in tables}
    other = {name: adapter[name].clone() for name in tables}
    for table in other.values():
        table[:-100] += 1  # which is not to be taken
    torch.save(adapter | other, copy / "mm_projector.bin")
    put_together = load_lita(copy)
    ids = torch.arange(whole.language.vocab_size)
    assert torch.equal(put_together.language.embed(ids), whole.language.embed(ids))
