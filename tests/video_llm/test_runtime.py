import os
from pathlib import Path

import pytest

from tvu.video_llm.runtime import usable_cores

AFFINITY = len(os.sched_getaffinity(0))


def test_cores_are_those_that_this_process_may_run_on(tmp_path: Path):
    assert usable_cores(tmp_path) == AFFINITY


@pytest.mark.parametrize("quota, cores", [("100000 100000", 1), ("50000 100000", 1), ("max 100000", AFFINITY)])
def test_the_quota_of_a_container_counts(tmp_path: Path, quota: str, cores: int):
    (tmp_path / "cpu.max").write_text(quota + "\n")
    assert usable_cores(tmp_path) == cores


def test_the_older_kind_of_quota_counts(tmp_path: Path):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    for quota, cores in (("100000\n", 1), ("-1\n", AFFINITY)):
        (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota)
        assert usable_cores(tmp_path) == cores
