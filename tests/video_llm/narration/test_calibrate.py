"""What is fitted on generated videos: how far pictures tell where a line is said."""

import numpy as np

from tvu.temporal.types import Span
from tvu.video_llm.narration import calibrate
from tvu.video_llm.narration.types import Candidate
from tvu.video_llm.scout.visual import VisualIndex
from tvu.video_llm.training.aligner_videos import IndexedVideo

SECONDS = 40.0


def video_of(spans):
    index = VisualIndex(np.zeros(1), np.zeros((1, 4), np.float32), (Span(0.0, SECONDS),), np.zeros(1))
    return IndexedVideo(index, np.zeros((len(spans), 4), np.float32), spans, ("a line",) * len(spans))


def together(monkeypatch, candidates, spans):
    monkeypatch.setattr(calibrate, "candidates_in", lambda script, index, matcher: candidates)
    return calibrate.fit_together([video_of(spans)] * 20, matcher=None)


def test_pictures_that_are_right_count_for_more_than_pictures_that_are_wrong(monkeypatch):
    here, there = (Span(0.0, 2.0),), (Span(20.0, 22.0),)
    seen = ((Candidate(here[0], 0.9, "visual"),), ())
    right = together(monkeypatch, seen, (here, ()))
    wrong = together(monkeypatch, seen, (there, ()))
    assert wrong == 0.0
    assert 0.1 < right < 1.0, "most of what is said is never seen"
