"""VideoChat-T from files with every official name, in small."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.video_llm.media.drawing import draw_video
from tests.video_llm.published.checkpoints import numbers, write_videochat_t
from tvu.cli.exit_codes import ExitCode, exit_code_of
from tvu.cli.main import main
from tvu.temporal.errors import TvuError
from tvu.video_llm.benchmarks.examinee import Writer
from tvu.video_llm.decode import open_video
from tvu.video_llm.generation.decoder import FusedDecoder
from tvu.video_llm.load import load_model
from tvu.video_llm.published.load import PublishedName, load_published
from tvu.video_llm.published.memory import PublishedConfig
from tvu.video_llm.published.towers import UmtEncoder
from tvu.video_llm.published.videochat_t import VideoChatT, load_videochat_t
from tvu.video_llm.published.words import ids_of
from tvu.video_llm.types import Generation, Request, VideoClip
from tvu.weights.errors import WeightsError

BRIEF = PublishedConfig(max_new_tokens=12)
OFFICIAL = PublishedConfig(official=True, max_new_tokens=12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_videochat_t(tmp_path_factory.mktemp("videochat"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> VideoClip:
    return open_video(draw_video(tmp_path_factory.mktemp("video") / "a.mp4", num_frames=150, size=(64, 36)))


@pytest.fixture(scope="module")
def ours(folder: Path) -> VideoChatT:
    return load_videochat_t(folder, BRIEF)


@pytest.fixture(scope="module")
def theirs(folder: Path) -> VideoChatT:
    return load_videochat_t(folder, OFFICIAL)


def stored(folder: Path, name: str) -> dict[str, torch.Tensor]:
    told = torch.load(folder / name, weights_only=True)
    return told.get("model", told)


def test_every_name_of_the_files_is_accounted_for(ours: VideoChatT, folder: Path) -> None:
    report = ours.load_report
    assert report.complete and report.unexpected == ()
    assert {name.split(".")[0] for name in report.unused} == {"mistral_proj", "mistral_model", "qformer"}
    own = stored(folder, "timesuite.pth")
    assert sum(len(report.parts[part].matched) for part in ("Q-Former", "bridge")) == len(
        [name for name in own if not name.startswith("mistral_model.")]
    )
    assert isinstance(ours.language, FusedDecoder) and isinstance(ours, Writer)


def test_of_a_name_in_several_files_the_last_one_counts(ours: VideoChatT, folder: Path) -> None:
    seeing, stage_3, own = (
        ours.seeing,
        stored(folder, "videochat2_mistral_7b_stage3.pth"),
        stored(folder, "timesuite.pth"),
    )
    name = "blocks.0.mlp.fc1.weight"
    assert torch.equal(seeing.tower.encoder.state_dict()[name], stage_3[f"vision_encoder.encoder.{name}"].float())
    assert torch.equal(seeing.bridge.query_tokens, own["query_tokens"])


@pytest.mark.parametrize("wrapped", [False, True])
def test_adapters_are_merged_into_the_head_too(tmp_path: Path, wrapped: bool) -> None:
    from safetensors.torch import load_file

    folder = write_videochat_t(tmp_path, wrapped=wrapped)
    model, own = load_videochat_t(folder, BRIEF), stored(folder, "timesuite.pth")
    base = {
        k: v for path in (folder / "Mistral-7B-Instruct-v0.2").glob("*.safetensors") for k, v in load_file(path).items()
    }
    language = model.language._model  # type: ignore[attr-defined]
    for name in ("lm_head", "model.layers.1.mlp.down_proj"):
        at = f"mistral_model.base_model.model.{name}"
        expected = base[f"{name}.weight"].float()
        expected = expected + 32 / 4 * own[f"{at}.lora_B.default.weight"] @ own[f"{at}.lora_A.default.weight"]
        assert torch.allclose(language.get_submodule(name).weight, expected, atol=1e-5)
    assert language.config.rope_parameters["rope_theta"] == 1e6 and language.config.sliding_window is None


def test_a_clip_becomes_tokens_of_its_clips(ours: VideoChatT, theirs: VideoChatT, clip: VideoClip) -> None:
    for model in (ours, theirs):
        sight = model._look(clip, None)
        assert tuple(sight.visual.features.shape) == (1, 2, 8, 64) and len(sight.seconds) == 16
        (first, second) = sight.visual.spans[0].tolist()
        assert first[0] == sight.seconds[0] and first[1] <= second[0] + 1e-9 and second[1] == clip.span.end_seconds
        assert torch.isfinite(sight.visual.features).all()


def test_frames_and_times_are_by_index_or_by_the_clock(ours: VideoChatT, theirs: VideoChatT, clip: VideoClip) -> None:
    index = 4 + np.round(149 / 16 * np.arange(16))
    assert np.allclose(theirs._look(clip, None).told_seconds, index / clip.fps)
    sight = ours._look(open_video(clip.path, start=2.0, end=5.0), None)
    assert np.allclose(sight.told_seconds, sight.seconds - 2.0) and abs(sight.told_seconds[0] - 3 / 32) < 1 / clip.fps


def test_prompts_are_those_of_the_sheet(ours: VideoChatT, theirs: VideoChatT) -> None:
    times = np.array([0.0, 120.54])
    message = "The video contains 2 frames sampled at 0.0, 120.5 seconds."
    system = "You are able to understand the visual content that the user provides. "
    system += "Follow the instructions carefully and explain your answers in detail. "
    official = f"{system}[INST] <Video><VideoHere></Video> [/INST] [INST] {message} Why? [/INST]"
    assert theirs.prompt_text(Request("Why?"), times) == official
    trained = f"[INST] <Video><VideoHere></Video> {message} [/INST] [INST] Why? [/INST]"
    assert ours.prompt_text(Request("Why?"), times) == trained
    chosen = Request("Why?", prefill="Best option:(")
    assert theirs.prompt_text(chosen, times) == f"{official} Best option:("
    assert ours.prompt_text(chosen, times) == f"{trained} Best option:("
    before, after = ours.around(Request("Why?"), times)
    assert before[0] == 1 and after[0] != 1


def test_the_q_former_is_told_the_times_of_each_clip(ours: VideoChatT) -> None:
    ids, mask = ours.clip_words(np.arange(16) / 2 + 1.0)
    assert ids.shape == mask.shape and ids.shape[0] == 2
    assert mask[:, -1].all() and (ids[~mask] == 0).all() and mask.sum(1).max() == ids.shape[1]  # padded on the left
    told = [ours.words.decode(row[real].tolist()) for row, real in zip(ids, mask, strict=True)]
    flat = [text.replace(" ", "").replace("##", "") for text in told]
    assert "the1-thvideoclipcontains8framessampledat1.0,1.5,2.0," in flat[0] and "4.5seconds." in flat[0]
    assert "the2-thvideoclipcontains8framessampledat5.0," in flat[1]


def test_official_answers_are_read_as_published(ours: VideoChatT, theirs: VideoChatT) -> None:
    def read(text: str):
        ids = tuple(ids_of(theirs.tokenizer, text))
        return theirs.official_reading(Generation("", ids, (0.0,) * len(ids), "end"), 100.0)

    assert read("The event happens in the 24.3 - 30.4 seconds.")[1] == (24.3, 30.4)
    missed = "The event happens from 37.8 to 59.9 seconds."
    assert read(missed) == (missed, None)
    (found,) = ours._read(missed, 100.0).spans
    assert (found.start_seconds, found.end_seconds) == (37.8, 59.9)
    assert read("1..5 - 2 seconds")[1] is None


def test_at_a_constant_rate_both_see_nearly_the_same(ours: VideoChatT, theirs: VideoChatT, clip: VideoClip) -> None:
    apart = ours._look(clip, None).seconds - theirs._look(clip, None).seconds
    assert np.abs(apart).max() < 1.01 / clip.fps


def test_every_difference_is_told(ours: VideoChatT) -> None:
    names = [each.what for each in ours.differences()]
    assert len(names) == len(set(names)) >= 8


def test_pixels_are_normalised_as_each_says(ours: VideoChatT, theirs: VideoChatT, clip: VideoClip) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 3, 32, 32), dtype=np.uint8)
    spans = torch.stack([torch.arange(16.0), torch.arange(16.0) + 1], -1).double()[None]
    seen = [model.see(pixels, torch.arange(16), spans, np.arange(16.0)) for model in (ours, theirs)]
    assert not torch.allclose(seen[0].features, seen[1].features)


@pytest.mark.parametrize("name", ["videochat-t-7b", "videochat-t-7b+official"])
def test_it_answers_through_the_library(folder: Path, clip: VideoClip, name: str) -> None:
    model = load_model(f"{name}:{folder}")
    model.config = BRIEF if name == "videochat-t-7b" else OFFICIAL  # type: ignore[attr-defined]
    part = open_video(clip.path, start=1.0, end=3.0)
    for answer in (model.answer(part, "What happens?"), *model.find(part, ["a dog", "red"])):
        assert "<video></Video>" in answer.prompt and answer.frame_seconds
        assert all(1 <= g.span.start_seconds < g.span.end_seconds <= 3 for g in answer.groundings)
    found = model.ground(part, ["a dog", "red"])
    assert name != "videochat-t-7b" or all(found)
    told = model.write(part, Request("Which?", prefill="Best option:("), max_new_tokens=3)  # type: ignore[attr-defined]
    assert told.prompt.endswith("[/INST] Best option:(")


def test_it_runs_from_the_command(folder: Path, clip: VideoClip, monkeypatch, capsys, tmp_path: Path) -> None:
    monkeypatch.setenv("TVU_CACHE", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["tvu", "ask", str(clip.path), "When?", "-m", f"videochat-t-7b:{folder}", "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr()
    assert ended.value.code in (None, 0, 1) and told.err == ""
    assert json.loads(told.out)["model"] == f"videochat-t-7b:{folder}"


def test_the_published_tower_has_its_parameters() -> None:
    with torch.device("meta"):
        tower = UmtEncoder(1024, 23, 4096, 16, 14, 4)
    assert sum(p.numel() for p in tower.parameters()) == 290_477_056
    assert tower.positions(8).shape == (8 * 196, 1024)


def refused(folder: Path, config: PublishedConfig | None = None) -> TvuError:
    with pytest.raises(WeightsError) as raised:
        load_published("videochat-t-7b", PublishedName("videochat-t-7b", folder), config=config)
    assert exit_code_of(raised.value) == ExitCode.WEIGHTS_MISSING and raised.value.hint
    assert "\n" not in raised.value.message and len(raised.value.message) < 400
    return raised.value


@pytest.mark.parametrize(
    ("drop", "says"),
    [
        ("merge_proj.bias", "1 tensors of its bridge are missing, for example merge_proj.bias"),
        ("temp_adap.UpConv0.2.layer_norm.weight", "bridge are missing"),
        ("temp_adap.fc.0.weight", "temp_adap.fc.0.weight is missing"),
        ("mistral_model.base_model.model.lm_head.lora_A.default.weight", "is not whole"),
    ],
)
def test_names_that_are_missing_are_told(tmp_path: Path, drop: str, says: str) -> None:
    assert says in refused(write_videochat_t(tmp_path, drop=[drop])).message


def test_names_that_are_misshapen_or_unexpected_are_told(tmp_path: Path) -> None:
    thin = write_videochat_t(tmp_path / "a", replace={"clip_proj.bias": numbers(3)})
    assert "have another shape, for example clip_proj.bias" in refused(thin).message
    more = write_videochat_t(tmp_path / "b", replace={"temp_adap.more": numbers(2)})
    assert load_videochat_t(more).load_report.unexpected == ("temp_adap.more",)


def test_weights_for_another_number_of_frames_are_told(tmp_path: Path) -> None:
    longer = write_videochat_t(tmp_path / "a", replace={"temp_adap.fc.0.weight": numbers(16, 16, 5)})
    assert "they are for 32 frames, its config says 16" in refused(longer).message
    told = json.loads((longer / "config.json").read_text())
    told["model"]["num_frames"] = 24
    (longer / "config.json").write_text(json.dumps(told))
    assert "24 frames are not an even number of clips of 8" in refused(longer).message


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("videochat2_mistral_7b_stage3.pth", "has no videochat2_mistral_7b_stage3.pth"),
        ("umt_l16_qformer.pth", "has no umt"),
        ("timesuite.pth", "has no timesuite"),
        ("config.json", "has no config.json"),
        ("bert-base-uncased/vocab.txt", "has no vocab.txt"),
        ("Mistral-7B-Instruct-v0.2/model-00001-of-00002.safetensors", "lacks the shard"),
        ("Mistral-7B-Instruct-v0.2/model.safetensors.index.json", "no folder of Mistral"),
        ("Mistral-7B-Instruct-v0.2/tokenizer.model", "no tokenizer.model"),
    ],
)
def test_files_that_are_missing_are_told(tmp_path: Path, file: str, says: str) -> None:
    folder = write_videochat_t(tmp_path)
    (folder / file).unlink()
    assert says in refused(folder).message


def test_a_stage_3_without_its_tower_is_no_stage_3(tmp_path: Path) -> None:
    folder = write_videochat_t(tmp_path)
    torch.save({"query_tokens": numbers(1, 8, 128)}, folder / "videochat2_mistral_7b_stage3.pth")
    assert "holds no vision tower" in refused(folder).message


class Evil:
    def __reduce__(self):
        return (open, ("ran", "w"))


def test_a_file_that_is_cut_short_or_holds_code_is_told(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_videochat_t(tmp_path / "a")
    path = folder / "Mistral-7B-Instruct-v0.2" / "model-00001-of-00002.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    assert "damaged or cut short" in refused(folder).message
    torch.save({"a": torch.ones(1), "config": Evil()}, folder / "timesuite.pth")
    assert "more than tensors" in refused(folder).message and not Path("ran").exists()


def test_what_does_not_fit_is_told(folder: Path) -> None:
    assert "does not fit into the 0.10 MB allowed" in refused(folder, PublishedConfig(max_vram_bytes=100_000)).message
