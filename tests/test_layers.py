"""The import arrows: cli -> video_llm -> temporal -> kernels, weights beside."""

import ast
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "cli": {"cli", "video_llm", "temporal", "kernels", "weights"},
    "video_llm": {"video_llm", "temporal", "kernels", "weights"},
    "temporal": {"temporal", "kernels"},
    "kernels": {"kernels"},
    "weights": {"weights", "temporal.errors"},
}


OF_EXTRAS = {"tvu.video_llm.benchmarks.lmms_eval_model"}  # imported by the library that the extra brings, and by no one


def imports_of(file: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} has a relative import"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_rooms_to_its_right(room):
    files = list((ROOT / room).rglob("*.py"))
    assert files
    for file in files:
        for name in imports_of(file):
            assert name.split(".")[0] not in MAY_IMPORT, f"{file} must import tvu.{name}"
            if name.startswith("tvu."):
                inside = name.removeprefix("tvu.")
                assert any(f"{inside}.".startswith(f"{allowed}.") for allowed in MAY_IMPORT[room]), f"{file}: {name}"


def test_help_imports_nothing_heavy():
    heavy = {"torch", "numpy", "av", "cv2", "onnxruntime", "transformers", "scenedetect", "PIL"}
    script = "import sys; sys.argv = ['tvu', '--help']; import tvu.cli.main as m; import contextlib\n"
    script += "with contextlib.suppress(SystemExit): m.main()\n"
    script += f"print(sorted({heavy!r} & set(sys.modules)), file=sys.stderr)"
    run = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
    assert run.stderr.strip() == "[]"


def test_a_question_to_scout_waits_for_no_torch():
    modules = "tvu.video_llm.pipeline, tvu.video_llm.load, tvu.video_llm.batch.local, tvu.video_llm.scout.model"
    script = f"import sys, {modules}; print(sorted({{'torch', 'transformers', 'ray'}} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-P", "-c", script], text=True).strip() == "[]"


def test_the_wheel_holds_every_module(tmp_path):
    pip = [sys.executable, "-P", "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", tmp_path, ROOT], check=True)
    (wheel,) = tmp_path.glob("tvu-*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    python = tmp_path / "env" / "bin" / "python"
    site = Path(
        subprocess.check_output([python, "-c", "import site; print(site.getsitepackages()[0])"], text=True).strip()
    )
    subprocess.run([*pip, "--python", python, "install", "--no-deps", "--no-index", wheel], check=True)
    # The dependencies come from the environment of this test run, without its link to the checkout: a `.pth` inside a
    # folder that is named by a `.pth` is not read.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    modules = [
        "tvu." + ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for room in MAY_IMPORT
        for file in sorted((ROOT / room).rglob("*.py"))
    ]
    modules = [name for name in modules if name not in OF_EXTRAS]
    script = "import importlib, sys\n"
    script += (
        f"for name in {modules!r}: assert {str(ROOT)!r} not in importlib.import_module(name).__file__.split('/env/')[0]"
    )
    subprocess.run([python, "-P", "-c", script], check=True, cwd=tmp_path)
    told = subprocess.run(
        [site.parents[2] / "bin" / "tvu", "--help"], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert "ask" in told.stdout
