import pytest
import torch

from tvu.kernels import bench, bench_scans, dispatch
from tvu.kernels.ssd_scan import StepSizes, ssd_bidirectional_plain


def op(ours):
    return bench.Op(
        "doubling", lambda frames: (torch.randn(frames),), ours, lambda x: 2 * x, lambda i, o: 0, lambda x: 2 * x
    )


def never_timed(works, rounds=30):
    raise AssertionError("an operation was timed before it was held against its twin")


def test_an_operation_that_differs_from_its_twin_is_not_timed(monkeypatch):
    monkeypatch.setattr(bench, "_median_seconds", never_timed)
    with pytest.raises(bench.ParityError, match=r"doubling differs from its twin by 5\.00e-01"):
        bench._row(op(lambda x: 3 * x), 8, bench.Ceilings(1.0, 1.0), compiled=False)


def test_nan_never_passes():
    with pytest.raises(bench.ParityError):
        bench.hold_near("nothing", torch.full((3,), torch.nan), torch.ones(3))
    with pytest.raises(bench.ParityError):
        bench._hold(op(lambda x: x * torch.nan), (torch.randn(3),))


def test_a_twin_in_the_rounding_of_bfloat16_passes():
    bench._hold(op(lambda x: (2 * x).bfloat16()), (torch.randn(1000),))


def test_the_scan_is_held_against_the_sum_that_its_twin_is():
    x, dt, A = torch.randn(1, 37, 2, 3), torch.randn(1, 37, 2), -3 * torch.rand(2)
    B, C = torch.randn(2, 1, 37, 1, 5)
    skip, bias = torch.randn(2), torch.randn(2)
    wide = [tensor.double() for tensor in (x, dt, A, B, C, skip, bias)]
    right = ssd_bidirectional_plain(*wide[:5], D=wide[5], steps=StepSizes(wide[6], softplus=True))
    at = torch.tensor([0, 7, 36])
    torch.testing.assert_close(bench_scans.both_directions_at(at, *wide), right[0, at])


def test_operations_are_known_by_name_and_by_what_stands_before_its_comma():
    assert {"pool_tokens", "ssd_bidirectional", "ssd_bidirectional, 64 states", "selective_scan"} <= bench.names()


def test_processes_that_compile_side_by_side_share_what_there_is_to_tune():
    tuner = type("Tuner", (), {"configs": [*"abcde"]})()
    shares = []
    for part in range(3):
        shares += bench_scans._every(tuner, part, 3)
    assert sorted(shares) == [*"abcde"]
    assert bench_scans._every(tuner, 6, 7) == ["b"]  # nobody is left without one: a tuner needs a choice


def test_inside_plain_twins_no_kernel_runs(monkeypatch):
    monkeypatch.setattr(dispatch, "has_triton", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: None)
    tensor = type("OnCuda", (), {"is_cuda": True, "dtype": torch.float32, "device": torch.device("cuda")})()
    assert dispatch.runs_on_triton(tensor)
    with dispatch.plain_twins():
        assert not dispatch.runs_on_triton(tensor)
    assert dispatch.runs_on_triton(tensor)
