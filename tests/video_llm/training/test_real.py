"""Training on the user's own videos, from the files of a published instruction set."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.video_llm.media.drawing import draw_video
from tvu.temporal.time_tokens.lita import LitaTimeTokens
from tvu.temporal.types import Span
from tvu.video_llm.errors import TrainingError
from tvu.video_llm.lite.hands import Hands
from tvu.video_llm.lite.pose import Bodies
from tvu.video_llm.training.config import DataConfig, TrainConfig
from tvu.video_llm.training.instruction_sets import Instruction
from tvu.video_llm.training.loop import Group, Trainer, motion_network
from tvu.video_llm.training.real import RealVideo, Stretch, as_sample, draw_stretch, look_at_real

CODEC = LitaTimeTokens(20)
WHOLE = Span(0, 19)


class Cells:
    name = "cells"
    looks = 0

    def cells(self, pixels):
        Cells.looks += 1
        return np.full((len(pixels), 4, 1280), 0.5, np.float16)


class Nobody:
    def follow(self, frames):
        none = np.zeros((len(frames), 33, 2), np.float32)
        return Bodies(none, none[..., 0], none[:, 0, 0], 1.0)


class NoHands:
    def follow(self, frames, bodies):
        none = np.zeros((len(frames), 2, 21, 2), np.float32)
        return Hands(none, none[..., 0, 0], 1.0)


def nobody() -> tuple[Nobody, NoHands]:
    return Nobody(), NoHands()


@pytest.fixture
def data(tmp_path: Path) -> dict[str, str]:
    """Two videos of 4 and 6 s, one that is missing, and what LITA's authors would ask about them."""
    (tmp_path / "videos").mkdir()
    draw_video(tmp_path / "videos" / "v_one.mp4", num_frames=100, size=(64, 48))
    draw_video(tmp_path / "videos" / "v_two.mp4", num_frames=150, size=(64, 48))
    told = {
        "v_one": {"duration": 4.0, "QA": [{"q": "When does he rest?", "a": "<1.0> <2.0> He is tired."}]},
        "v_two": {"duration": 6.0, "timestamps": [[0, 3], [3, 6]], "sentences": ["A man runs.", "He falls."]},
        "v_gone": {"duration": 6.0, "QA": [{"q": "When?", "a": "<1> <2>"}]},
    }
    (tmp_path / "set.json").write_text(json.dumps(told))
    return {"path": str(tmp_path / "set.json"), "videos": str(tmp_path / "videos")}


@pytest.fixture
def real_config(config: TrainConfig, data: dict[str, str]) -> TrainConfig:
    return replace(config, data=DataConfig(weights={"real": 1}, real=(data,), questions=2))


@pytest.fixture
def eyes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tvu.video_llm.encode.lite0_encoder", Cells)
    monkeypatch.setattr("tvu.video_llm.lite.pose.PoseModels", lambda folder, num_threads: None)
    monkeypatch.setattr("tvu.video_llm.lite.pose.BodyFollower", lambda models: Nobody())
    monkeypatch.setattr("tvu.video_llm.lite.palms.HandModels", lambda folder, num_threads: None)
    monkeypatch.setattr("tvu.video_llm.lite.palms.HandFollower", lambda models: NoHands())
    Cells.looks = 0


def test_a_model_is_trained_on_real_videos(real_config, tiny_weights, eyes):
    log: list[dict[str, Any]] = []
    trainer = Trainer(real_config, Group(0, 1, torch.device("cpu")), log.append)
    trainer.run()
    assert trainer.step == 2 and any(entry.get("real") == 2 for entry in log)
    assert any("left out" in str(entry.get("real")) and "v_gone" in str(entry["real"]) for entry in log)
    assert all(np.isfinite(entry["span"]) for entry in log if "span" in entry)


def test_every_video_is_looked_at_once(real_config, data, eyes):
    network = motion_network(real_config, torch.device("cpu"))

    def look() -> Any:
        return look_at_real([data], Path(real_config.out) / "seen", Cells(), network, nobody, lambda why: None)

    videos = look()
    assert [video.steps for video in videos.videos] == [16, 24]
    assert [len(video.instructions) for video in videos.videos] == [1, 3]
    looks = Cells.looks
    assert looks > 0 and len(look().videos) == 2 and Cells.looks == looks
    seen = videos.entry(Stretch(1, 4, 8, ()))
    assert seen.slow.shape == (8, 4, 1280) and seen.motion.shape == (8, 16)
    assert seen.body.shape == (8, 104) and seen.hands.shape == (8, 92)
    assert float(seen.slow[0, 0, 0]) == 0.5 and not (seen.has_body.any() or seen.has_hands.any())


def test_processes_share_the_videos(real_config, data, eyes, tmp_path):
    network = motion_network(real_config, torch.device("cpu"))
    found = [
        look_at_real([data], tmp_path / "seen", Cells(), network, nobody, lambda why: None, (rank, 2))
        for rank in (0, 1)
    ]
    assert [[video.path.stem for video in each.videos] for each in found] == [["v_one"], ["v_two"]]


def test_without_any_video_there_is_nothing_to_train_on(real_config, data, eyes, tmp_path):
    with pytest.raises(TrainingError, match="no video"):
        look_at_real(
            [{**data, "videos": str(tmp_path / "none")}],
            tmp_path / "seen",
            Cells(),
            torch.nn.Linear(1, 1),
            Nobody,
            print,
        )


# --- what is asked ---


def test_times_are_written_by_the_codec_and_one_span_is_what_the_head_is_to_find():
    told = Instruction("v", "When does he rest?", "<4> <9> He is tired.", (Span(4, 9),), 19.0)
    sample = as_sample(told, WHOLE, CODEC, is_whole=True)
    assert (sample.kind, sample.answer, sample.spans, sample.is_present) == (
        "moment", "<t4> <t9> He is tired.", (Span(4, 9),), True
    )  # fmt: skip


def test_times_count_from_the_start_of_the_stretch():
    told = Instruction("v", "When?", "<24> <29>", (Span(24, 29),), 90.0)
    sample = as_sample(told, Span(20, 39), CODEC, is_whole=False)
    assert sample.answer == "<t4> <t9>" and sample.spans == (Span(4, 9),)


def test_captions_teach_text_alone():
    spans = (Span(0, 3), Span(3, 6))
    told = Instruction("v", "What happens?", "<0> <3> A man runs.\n<3> <6> He falls.", spans, 19.0)
    sample = as_sample(told, WHOLE, CODEC, is_whole=True)
    assert sample.kind == "caption" and sample.is_present is None and sample.spans == spans


def test_what_is_absent_is_absent_from_the_whole_only():
    told = Instruction("v", "When?", "This does not happen.", (), 90.0, is_present=False)
    assert as_sample(told, WHOLE, CODEC, is_whole=True).kind == "absent"
    assert as_sample(told, WHOLE, CODEC, is_whole=False) is None


def test_a_question_about_another_part_is_not_asked():
    told = Instruction("v", "When?", "<24> <29>", (Span(24, 29),), 90.0)
    assert as_sample(told, Span(0, 19), CODEC, is_whole=False) is None


def test_a_stretch_of_a_long_video_holds_what_it_is_asked_about():
    spans = [Span(4, 9), Span(40, 52), Span(70, 79)]
    told = tuple(
        Instruction("v", f"When {i}?", f"<{s.start_seconds:g}> <{s.end_seconds:g}>", (s,)) for i, s in enumerate(spans)
    )
    video = RealVideo(Path("v.mp4"), "key", 4 * 80, told)
    rng = np.random.default_rng(0)
    firsts = set()
    for _ in range(60):
        stretch = draw_stretch(rng, [video], CODEC, longest=20.0, questions=3)
        assert stretch.steps == 80 and 0 <= stretch.first <= 240
        for sample in stretch.asked:
            (span,) = sample.spans
            assert 0 <= span.start_seconds < span.end_seconds <= 20
            number = int(sample.question[5])
            assert span.start_seconds + stretch.first / 4 == pytest.approx(spans[number].start_seconds)
        firsts.add(stretch.first)
    assert len(firsts) > 20


def test_a_question_about_more_than_can_be_looked_at_is_not_asked():
    long = Instruction("v", "When?", "<4> <60>", (Span(4, 60),))
    video = RealVideo(Path("v.mp4"), "key", 4 * 80, (long,))
    assert draw_stretch(np.random.default_rng(0), [video], CODEC, longest=20.0, questions=3) is None
