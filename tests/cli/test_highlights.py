"""`tvu highlights` and `tvu caption` with a Video-LLM of random weights."""

import json
from pathlib import Path

import pytest

from tests.video_llm.media.drawing import draw_video
from tests.video_llm.tiny_video_llm import tiny_parts


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    for part in tiny_parts():
        part.save_pretrained(folder)
    draw_video(folder / "a.mp4", num_frames=100, size=(64, 36))
    return folder


def test_highlights_are_spans_with_scores_best_first(tvu, folder):
    options = ["-m", folder, "--no-cache", "--min-score", 0, "--top", 2]
    run = tvu("highlights", folder / "a.mp4", "a dog", *options, "--json")
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    scores = [grounding["score"] for grounding in told["groundings"]]
    assert told["question"] == "a dog" and 1 <= len(scores) <= 2 and scores == sorted(scores, reverse=True)


def test_nothing_is_no_topic(tvu, folder):
    run = tvu("highlights", folder / "a.mp4", " ")
    assert run.returncode == 2 and "there is no question" in run.stderr


def test_a_video_llm_without_captions_found_nothing(tvu, folder):
    run = tvu("caption", folder / "a.mp4", "-m", folder, "--no-cache")
    assert run.returncode in (0, 1) and (run.stdout.strip() or "tells no events" in run.stderr)
