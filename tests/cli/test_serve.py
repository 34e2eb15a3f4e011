"""`tvu serve`, `tvu mcp` and `-m http://…` through the installed command."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.video_llm.serving.running import running
from tvu.cli.exit_codes import UsageError
from tvu.cli.options import ModelChoice
from tvu.cli.serve import read_token

SAMPLES = Path(__file__).parent.parent.parent / "samples"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("place") / "videos"
    folder.mkdir()
    shutil.copy(SAMPLES / "postcard.mp4", folder)
    return folder


def spans(stdout: str) -> list:
    return [[(each["start_seconds"], each["end_seconds"]) for each in row["groundings"]] for row in _rows(stdout)]


def _rows(stdout: str) -> list:
    return [json.loads(line) for line in stdout.splitlines()]


@pytest.fixture(scope="module")
def server(folder):
    with running(folder, "-m", "baseline:middle", "-m", "baseline:whole") as server:
        yield server


def test_ground_sends_the_file_and_its_part(tvu, folder, server):
    asked = ["-q", "a penguin", "-q", "a ship", "--start", 2, "--json"]
    run = tvu("ground", folder / "postcard.mp4", "-m", f"{server.url}/v1#baseline:middle", *asked)
    assert run.returncode == 0, run.stderr
    assert spans(run.stdout) == [[(6.0, 14.0)], [(6.0, 14.0)]]


def test_ask_may_send_the_path_alone(tvu, folder, server):
    model = f"{server.url}/v1?send=path#baseline:middle"
    run = tvu("ask", folder / "postcard.mp4", "a penguin", "-m", model, "--json")
    assert run.returncode == 0 and spans(run.stdout) == [[(4.5, 13.5)]], run.stderr
    assert _rows(run.stdout)[0]["model"] == model
    outside = tvu("ask", SAMPLES / "talk.mp4", "a man", "-m", model)
    assert outside.returncode == 5 and "answers 403" in outside.stderr and "Traceback" not in outside.stderr


def test_which_of_several_models_is_meant_has_to_be_told(tvu, folder, server):
    run = tvu("ask", folder / "postcard.mp4", "a penguin", "-m", f"{server.url}/v1")
    assert run.returncode == 2 and "there is baseline:middle, baseline:whole" in run.stderr


@pytest.mark.weights
def test_scout_of_a_server_answers_as_scout(tvu, folder, weights_cache):
    video, question = folder / "postcard.mp4", "when do we see the penguin?"
    with running(folder, "-m", "scout", "--evidence", "visual") as server:
        there = tvu("ask", video, question, "-m", f"{server.url}/v1#scout", "--json")
    here = tvu("ask", video, question, "-m", "scout", "--evidence", "visual", "--json")
    assert there.returncode == 0, there.stderr
    assert _rows(there.stdout)[0]["groundings"] == _rows(here.stdout)[0]["groundings"]


def test_offline_asks_no_other_machine():
    with pytest.raises(UsageError, match="another machine"):
        ModelChoice("http://example.org/v1#m", (), offline=True).fetch()
    ModelChoice("http://127.0.0.1:9/v1#m", (), offline=True).fetch()


def test_a_server_that_asks_for_a_token_gets_it_from_the_environment(tvu, folder, tmp_path):
    token = tmp_path / "token"
    token.write_text("s3cret")
    with running(folder, "-m", "baseline:whole", "--token-file", token) as server:
        asked = ["ask", folder / "postcard.mp4", "a penguin", "-m", f"{server.url}/v1"]
        without, right = tvu(*asked), tvu(*asked, TVU_API_KEY="s3cret")
    assert without.returncode == 5 and "TVU_API_KEY" in without.stderr
    assert right.returncode == 0 and "s3cret" not in right.stderr


def test_a_port_that_is_taken_is_one_sentence(tvu, server):
    run = tvu("serve", "-m", "baseline:whole", "--port", server.url.rpartition(":")[2])
    assert run.returncode == 5 and "cannot listen" in run.stderr and run.stderr.count("\n") == 2


@pytest.mark.parametrize(
    "command", [["serve", "-m", "none"], ["serve", "--max-queue", "0"], ["mcp"], ["mcp", "--root", "none"]]
)
def test_what_makes_no_sense_is_wrong_usage(tvu, command):
    run = tvu(*command)
    assert run.returncode == 2 and "Traceback" not in run.stderr and run.stderr.strip()


def test_a_token_is_one_line_without_blanks(tmp_path):
    file = tmp_path / "token"
    for content in (None, b"", b"\n", b"two words", b"caf\xc3\xa9"):
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(UsageError):
            read_token(file)
    file.write_text("s3cret\n")
    assert read_token(file) == "s3cret"


@pytest.mark.parametrize(("command", "package"), [("serve", "uvicorn"), ("mcp", "mcp")])
def test_an_extra_that_is_not_installed_is_named(command, package, folder):
    script = f"import sys; sys.modules[{package!r}] = None; import tvu.cli.main as m\n"
    script += f"sys.argv = ['tvu', {command!r}, '-m', 'baseline:whole', '--root', {str(folder)!r}]; m.main()"
    run = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True)
    assert run.returncode == 2 and f"pip install 'tvu[{command}]'" in run.stderr, run.stderr


def test_help_and_the_commands_import_no_server():
    script = "import sys; import tvu.cli.main\n"
    script += "print(sorted({'fastapi', 'uvicorn', 'starlette', 'httpx', 'mcp', 'pydantic'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
