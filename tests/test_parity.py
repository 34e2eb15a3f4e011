"""Our modules against the numbers of the official implementations, case by case."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from tests.parity import procedural, run, run_records

DATA = Path(__file__).parents[2] / "shared" / "data" / "parity"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the parity vectors are not beside this checkout")


def named(suffix: str) -> list[str]:
    return [str(path.relative_to(DATA)) for path in sorted(DATA.glob(f"*/*{suffix}"))]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("case", named(".safetensors"))
def test_outputs_are_those_of_the_official_code(case, dtype):
    ours = run(DATA / case, dtype)
    with safe_open(DATA / case, framework="pt") as file:
        meta = json.loads(file.metadata()["meta"])
        expected = {name: file.get_tensor(name) for name in file.keys() if name.startswith("out.")}  # noqa: SIM118
    assert ours.keys() == expected.keys()
    for name, tensor in expected.items():
        assert ours[name].shape == tensor.shape, name
        if not tensor.is_floating_point():
            assert torch.equal(ours[name], tensor), name
            continue
        tolerance = meta["tolerance"][name.removeprefix("out.")]
        bound = tolerance["atol_f32"]
        if dtype == torch.float64:
            bound = tolerance.get("atol_f64", bound)
        assert (ours[name].double() - tensor.double()).abs().max() <= bound, name


@pytest.mark.parametrize("case", named(".json"))
def test_strings_and_numbers_are_those_of_the_official_code(case):
    content = json.loads((DATA / case).read_text("utf-8"))
    records = [r for value in content.values() if isinstance(value, list) for r in value if isinstance(r, dict)]
    assert run_records(DATA / case) == records


def test_procedural_tensors_start_as_their_rule_says():
    weight = procedural("net.conv1.weight", 1000, [4], 1.0, 0.0)
    assert weight.tolist() == [0.240095853805542, -0.1333475112915039, 0.11988747119903564, 0.1097031831741333]
    video = procedural("in.video", 31, [3], 1.7, 0.25)
    assert video.tolist() == [1.4010082483291626, 1.3687838315963745, -0.6312509179115295]
