"""The error boundary and the commands about tvu itself."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

from tvu.cli.exit_codes import ExitCode
from tvu.cli.main import boundary, one_line
from tvu.temporal.errors import TvuError
from tvu.video_llm.errors import BackendError, OutputError, OutputExists, UnknownModel, VideoError
from tvu.weights.errors import WeightsError


def code_of(error: BaseException) -> int:
    def command() -> None:
        raise error

    with pytest.raises(typer.Exit) as stop:
        boundary(command)()
    return stop.value.exit_code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (VideoError("m"), ExitCode.UNREADABLE_INPUT),
        (WeightsError("m"), ExitCode.WEIGHTS_MISSING),
        (OutputExists("m"), ExitCode.WRONG_USAGE),
        (UnknownModel("m"), ExitCode.WRONG_USAGE),
        (OutputError("m"), ExitCode.BACKEND_FAILED),
        (BackendError("m"), ExitCode.BACKEND_FAILED),
        (TvuError("m"), ExitCode.BACKEND_FAILED),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED),
        (BrokenPipeError(), ExitCode.CLOSED_PIPE),
        (OSError(28, "No space left on device"), ExitCode.BACKEND_FAILED),
        (MemoryError(), ExitCode.BACKEND_FAILED),
        (ZeroDivisionError("a bug"), ExitCode.BACKEND_FAILED),
    ],
)
def test_every_error_has_its_code(error, code):
    assert code_of(error) == code


def test_what_an_extension_makes_of_ctrl_c_is_an_interruption():
    """safetensors tells of a shape that it cannot determine, an import of an initialization that failed."""
    script = """
import signal, sys
from tvu.cli import main

def ask():
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        raise main.TvuError("could not determine the shape", hint="install tvu again") from None

signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs the tests may ignore it
main.app.command("swallow")(main.boundary(ask))
sys.argv = ["tvu", "swallow"]
main.main()
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (told.returncode, told.stderr) == (ExitCode.INTERRUPTED, "tvu: interrupted\n")


def test_an_error_is_a_sentence_and_a_hint_on_stderr(capsys):
    code_of(VideoError("a\nb.mp4 is empty", hint="download it again"))
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "tvu: a\\nb.mp4 is empty\nhint: download it again\n"


def test_a_bug_asks_to_be_reported_and_debug_shows_where_it_is(capsys, monkeypatch):
    code_of(ZeroDivisionError("division by zero"))
    assert "Traceback" not in capsys.readouterr().err
    monkeypatch.setenv("TVU_DEBUG", "1")
    code_of(ZeroDivisionError("division by zero"))
    assert "Traceback" in capsys.readouterr().err


def test_terminal_escapes_in_names_are_spelled_out():
    assert one_line("x\x1b[31m.mp4") == "x\\x1b[31m.mp4"


@pytest.mark.alone
def test_help_is_instant(tvu):
    took = []
    for _ in range(5):
        started = time.perf_counter()
        assert "ask" in tvu("--help").stdout
        took.append(time.perf_counter() - started)
    assert min(took) < 0.6  # 0.12 s on a quiet machine; tvu bench speed measures it against 0.3


def test_the_version_is_that_of_the_package(tvu):
    from importlib.metadata import version

    assert tvu("--version").stdout == f"tvu {version('tvu')}\n"


def test_doctor_names_what_is_missing_and_how_to_get_it(tvu, tmp_path):
    run = tvu("doctor", "--json", TVU_CACHE=str(tmp_path))
    found = {finding["what"]: finding for finding in json.loads(run.stdout)}
    assert found["reader pyav"]["state"] == "works"
    assert found["ffmpeg"]["state"] == "works"
    assert found["weights minilm-l6"]["state"] == "missing"
    assert found["weights minilm-l6"]["mend"] == "tvu models pull minilm-l6"
    assert found["cache"]["state"] == "works"


def test_bench_lists_its_benchmarks(tvu):
    assert "speed" in tvu("bench", "list").stdout


def test_a_closed_standard_output_is_no_traceback():
    program = Path(sys.executable).with_name("tvu")
    run = subprocess.run(["bash", "-c", f"{program} --version >&-"], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stderr) == (0, "")
