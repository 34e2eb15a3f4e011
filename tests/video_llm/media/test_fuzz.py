"""Damaged files end in frames or in an error for people, never in a crash, a hang or another exception."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.video_llm.media.torture import bit_flipped, fuzz_sources
from tvu.video_llm.decode import open_video, read_frames
from tvu.video_llm.errors import VideoError

COUNT = 300
PART = 20
PATIENCE_SECONDS = 15.0  # on a busy machine; alone it is five


def outcome(path: Path) -> str:
    started = time.monotonic()
    try:
        clip = open_video(path)
        times = np.linspace(clip.span.start_seconds, clip.span.end_seconds, 4, endpoint=False)
        num_frames = sum(batch.pixels.shape[1] for batch in read_frames(clip, times, max_side=32))
        assert num_frames == len(times), path.name
        verdict = "frames"
    except VideoError as error:
        assert error.message and error.hint and "\n" not in error.message, path.name
        verdict = "refused"
    assert time.monotonic() - started < PATIENCE_SECONDS, path.name
    return verdict


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("fuzz")
    return bit_flipped(fuzz_sources(folder), folder, COUNT, seed=2)


@pytest.mark.parametrize("first", range(0, COUNT, PART))
def test_bit_flipped_files_end_in_frames_or_a_refusal(damaged: list[Path], first: int) -> None:
    with ThreadPoolExecutor(max_workers=2) as pool:
        verdicts = Counter(pool.map(outcome, damaged[first : first + PART]))
    assert verdicts.total() == PART
    assert verdicts["frames"] > PART / 4  # or the reader gives up on files that others play
