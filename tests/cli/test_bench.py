import pytest
import torch


def test_benchmarks_are_named(tvu):
    told = tvu("bench", "list")
    assert told.returncode == 0
    assert [line.split()[0] for line in told.stdout.splitlines()] == ["speed", "temporal", "kernels"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_kernels_are_not_timed_without_a_gpu(tvu):
    told = tvu("bench", "kernels")
    assert told.returncode == 5
    assert "no CUDA device" in told.stderr
