"""mamba-ssm's kernels: found where they work, and equal to ours."""

import subprocess
import sys
from types import ModuleType

import pytest
import torch

from tvu.temporal.scan import native, selective_scan, ssd
from tvu.temporal.scan.ssd import ssd_scan


@pytest.fixture(autouse=True)
def asked_anew():
    finders = (native.mamba_ssm_selective_scan, native.mamba_ssm_chunk_scan)
    for find in finders:
        find.cache_clear()
    yield
    for find in finders:
        find.cache_clear()


@pytest.mark.parametrize("error", [ImportError("undefined symbol"), OSError("libcudart"), RuntimeError("no driver")])
def test_a_broken_package_counts_as_absent(monkeypatch, error):
    def broken(name):
        raise error

    monkeypatch.setattr(native.importlib, "import_module", broken)
    assert native.mamba_ssm_selective_scan() is None
    assert native.mamba_ssm_chunk_scan() is None


def test_a_package_without_its_extension_has_no_selective_scan(monkeypatch):
    module = ModuleType("interface")
    module.selective_scan_fn, module.selective_scan_cuda = object(), None
    monkeypatch.setattr(native.importlib, "import_module", lambda name: module)
    assert native.mamba_ssm_selective_scan() is None
    native.mamba_ssm_selective_scan.cache_clear()
    module.selective_scan_cuda = object()
    assert native.mamba_ssm_selective_scan() is module.selective_scan_fn


def test_importing_the_scans_does_not_import_the_package():
    script = "import sys, tvu.temporal.scan.ssd; print('mamba_ssm' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-P", "-c", script], text=True).strip() == "False"


def test_offsets_beyond_31_bits_do_not_fit():
    one = torch.zeros(1)
    largest = torch.empty(2**31, device="meta")
    assert native.offsets_fit(one.expand(2**40), None, largest)  # a stride of 0 goes nowhere
    assert not native.offsets_fit(one, torch.empty(2, 2**31, device="meta"))
    assert not native.offsets_fit(
        torch.empty(2, 2**31, device="meta")[:, :2]
    )  # what counts is how far apart, not how many


def test_a_cpu_tensor_never_meets_the_kernels(monkeypatch):
    def find():
        raise AssertionError("asked for the package")

    monkeypatch.setattr(ssd, "mamba_ssm_chunk_scan", find)
    x, B = torch.randn(1, 3000, 1, 2), torch.randn(1, 3000, 1, 2)
    ssd_scan(x.half(), torch.rand(1, 3000, 1), -torch.ones(1), B, B)


@pytest.mark.gpu
@pytest.mark.timeout(900)  # their first calls, backward above all, try out settings for minutes
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_kernels_agree_with_ours(monkeypatch):
    if native.mamba_ssm_chunk_scan() is None:
        pytest.skip("mamba-ssm is not installed, or does not import")
    torch.manual_seed(0)

    def random(*shape):
        return torch.randn(*shape, device="cuda", dtype=torch.bfloat16).requires_grad_()

    x, z, dt = random(2, 4099, 8, 64), random(2, 4099, 8, 64), random(2, 4099, 8)
    B, C = random(2, 4099, 2, 64), random(2, 4099, 2, 64)
    A, D, bias = (-torch.rand(8, device="cuda")).requires_grad_(), torch.randn(8, 64, device="cuda"), dt.new_zeros(8)
    tensors, lengths = (x, dt, A, B, C), torch.tensor([4099, 3001], device="cuda")
    answers = []
    for finder in (native.mamba_ssm_chunk_scan, lambda: None):
        monkeypatch.setattr(ssd, "mamba_ssm_chunk_scan", finder)
        y, state = ssd_scan(*tensors, D=D, z=z, dt_bias=bias, dt_softplus=True, lengths=lengths)
        gradients = torch.autograd.grad(y.float().square().mean(), (*tensors, z))
        answers.append([y, state, *gradients])
    for theirs, ours in zip(*answers, strict=True):
        error = (theirs.double() - ours.double()).square().mean().sqrt() / ours.double().square().mean().sqrt()
        assert error < 0.01  # states travel in bfloat16 in their kernels


@pytest.mark.gpu
@pytest.mark.timeout(900)
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype, bound", [(torch.float32, 1e-5), (torch.float16, 2e-3), (torch.bfloat16, 1e-2)])
def test_the_selective_scan_agrees_with_ours(monkeypatch, dtype, bound):
    if native.mamba_ssm_selective_scan() is None:
        pytest.skip("mamba-ssm is not installed, or has no compiled scan")
    torch.manual_seed(0)
    u, z = (torch.randn(2, 64, 1001, device="cuda", dtype=dtype).requires_grad_() for _ in range(2))
    delta = torch.rand(2, 64, 1001, device="cuda", dtype=dtype).requires_grad_()
    B, C = (torch.randn(2, 16, 1001, device="cuda", dtype=dtype).requires_grad_() for _ in range(2))
    A, D, bias = -torch.rand(64, 16, device="cuda"), torch.randn(64, device="cuda"), torch.randn(64, device="cuda")
    answers = []
    for finder in (native.mamba_ssm_selective_scan, lambda: None):
        monkeypatch.setattr(selective_scan, "mamba_ssm_selective_scan", finder)
        y, state = selective_scan.selective_scan(u, delta, A, B, C, D, z, bias, delta_softplus=True)
        answers.append([y, state, *torch.autograd.grad(y.float().square().mean(), (u, delta, B, C, z))])
    for theirs, ours in zip(*answers, strict=True):
        error = (theirs.double() - ours.double()).norm() / ours.double().norm()
        assert error < bound  # gradients are rounded to the dtype of what they belong to
