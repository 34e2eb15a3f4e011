"""`tvu highlights` and `tvu caption` with a Video-LLM of random weights."""

import json


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
