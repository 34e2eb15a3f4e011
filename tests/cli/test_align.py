"""`tvu align` as a user runs it."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tvu.cli.align import alignment_lines
from tvu.cli.main import app
from tvu.temporal.types import Span
from tvu.video_llm.narration.types import AlignedLine, Alignment, Line, Script

SAMPLES = Path(__file__).parents[2] / "samples"
TALK = SAMPLES / "talk.mp4"
RIGHT = {"late.txt": b"Bees are small.\n", "late.srt": b"1\n00:00:01,000 --> 00:00:02,000\nBees\n\n"}


def run(*args: object):
    """In one process, through the same app and boundary as the installed command."""
    return CliRunner().invoke(app, ["align", *map(str, args)])


@pytest.fixture
def texts(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, data in RIGHT.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


@pytest.mark.parametrize(
    "args",
    [
        (TALK,),
        (TALK, "late.txt", "--transcribe"),
        (TALK, "late.txt", "--signal", "smell"),
        (TALK, "late.txt", "--order", "backwards"),
        (TALK, "late.txt", "--json", "--diff"),
        (TALK, "late.txt", "--json", "-o", "-"),
        (TALK, "late.txt", "-o", "late.srt"),  # is there already
        (TALK, "late.txt", "-o", "out.docx"),
        (TALK, "late.txt", "-o", "out.srt", "-o", "out.srt"),
        (TALK, "late.txt", "--language", "English"),
        (TALK, "late.txt", "--min-confidence", "2"),
        (TALK, "--transcribe", "--signal", "picture"),
        (TALK, "--transcribe", "--order", "free"),
        (TALK, "--transcribe", "--diff"),
        (TALK, "late.txt", "--language", "de"),  # which Whisper tiny.en does not know
        (TALK, "late.txt", "--recogniser", "missing"),
        (TALK, "late.txt", "--recogniser", ".", "--signal", "picture"),
    ],
)
def test_wrong_usage_is_told_before_any_work(texts, args):
    done = run(*args)
    assert done.exit_code == 2 and not done.stdout
    assert (texts / "late.srt").read_bytes() == RIGHT["late.srt"]
    assert sorted(path.name for path in texts.iterdir()) == sorted(RIGHT)


def test_what_cannot_be_read_is_3(texts):
    (texts / "noise.srt").write_bytes(os.urandom(2000))
    (texts / "empty.srt").write_bytes(b"")
    for args in (
        (TALK, "noise.srt"),
        (TALK, "empty.srt"),
        (TALK, "missing.srt"),
        (TALK, TALK),
        ("late.txt", "late.srt"),
    ):
        done = run(*args)
        assert done.exit_code == 3, args
        assert not done.stdout and len(done.stderr.splitlines()) == 2, args  # one sentence and a hint


def test_a_folder_without_a_recogniser_is_told_before_any_work(texts):
    done = run(TALK, "late.txt", "--recogniser", ".")
    assert done.exit_code == 5 and "model.bin" in done.stderr and "hint: " in done.stderr


@pytest.mark.weights
def test_what_is_said_is_written_as_subtitles_and_put_back_in_step(tvu, tmp_path, weights_cache):
    heard = tvu("align", TALK, "--transcribe", "-o", "talk.srt", "-o", "talk.json", cwd=tmp_path)
    assert heard.returncode == 0 and heard.stderr.count("written: ") == 2
    document = json.loads((tmp_path / "talk.json").read_text("utf-8"))
    assert any("the flowers are" in line["text"].replace("\n", " ") for line in document["lines"])

    kept = tvu("align", TALK, "talk.srt", "-o", "-", cwd=tmp_path)
    assert kept.returncode == 0 and "nothing was changed" in kept.stderr
    assert kept.stdout == (tmp_path / "talk.srt").read_text("utf-8")


@pytest.mark.weights
def test_a_text_is_found_and_a_line_that_is_not_in_the_video_is_marked(tvu, tmp_path, weights_cache):
    truth = json.loads(tvu("align", TALK, "--transcribe", "--json").stdout)["lines"]
    text = "".join(line["text"].replace("\n", " ") + "\n" for line in truth)
    (tmp_path / "talk.txt").write_text(text + "The submarine dives below the frozen harbour.\n", "utf-8")
    told = tvu("align", TALK, "talk.txt", "--signal", "speech", "--json", cwd=tmp_path)
    lines = json.loads(told.stdout)["lines"]
    assert told.returncode == 0 and lines[-1]["start_seconds"] is None
    for line, right in zip(lines, truth, strict=False):
        assert line["start_seconds"] == pytest.approx(right["start_seconds"], abs=0.5)
        assert line["evidence"] == ["speech"] and line["confidence"] > 0.5


@pytest.mark.weights
def test_nothing_of_a_text_in_the_video_is_1_and_no_empty_file(tvu, tmp_path, weights_cache):
    (tmp_path / "other.txt").write_text("The submarine dives below the frozen harbour.\n", "utf-8")
    written = tvu("align", TALK, "other.txt", "--signal", "speech", "-o", "a.srt", "-o", "a.vtt", cwd=tmp_path)
    assert written.returncode == 1
    assert "a.srt was not written" in written.stderr and not (tmp_path / "a.srt").exists()
    assert "NOTE not in the video: The submarine" in (tmp_path / "a.vtt").read_text("utf-8")


def test_the_table_says_how_sure_each_verdict_is():
    script = Script((Line("Stir it,\nthen serve."), Line("Fly.")), "txt")
    lines = (AlignedLine(0, Span(62, 64.5), 0.87, ("speech", "visual")), AlignedLine(1, None, 0.1))
    assert alignment_lines(Alignment(script, lines, "film.mp4", 100.0, ("speech", "visual"))) == [
        "1  01:02.0 - 01:04.5  87 %  speech, picture  Stir it, then serve.",
        "2  not in the video   90 %                   Fly.",
    ]
