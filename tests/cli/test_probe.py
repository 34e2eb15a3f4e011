import json
import os
from pathlib import Path

import pytest

from tests.video_llm.media.torture import READABLE, nasty_names, unreadable

pytestmark = pytest.mark.timeout(60)


def test_the_text_names_the_file_and_what_is_odd(tvu, tmp_path: Path) -> None:
    done = tvu("probe", READABLE["cut with an edit list"](tmp_path).path)
    assert done.returncode == 0 and not done.stderr
    for words in ("cut.mp4", "h264, yuv420p, 128x96", "118", "00:04.720", "edit-list", "32 stored frames are hidden"):
        assert words in done.stdout


def test_json_is_one_document(tvu, tmp_path: Path) -> None:
    file = READABLE["rotated by 90"](tmp_path)
    document = json.loads(tvu("probe", file.path, "--json").stdout)
    assert document["video"] == str(file.path)
    assert (document["width"], document["height"], document["num_frames"]) == (128, 96, 120)
    assert document["audio"] is None
    assert [oddity["name"] for oddity in document["oddities"]] == ["rotation"]


def test_every_unreadable_file_exits_with_3_and_one_sentence(tmp_path: Path) -> None:
    """In one process, through the same app and boundary as the installed command."""
    from typer.testing import CliRunner

    from tvu.cli.main import app

    for name, path in unreadable(tmp_path).items():
        done = CliRunner().invoke(app, ["probe", str(path)])
        assert done.exit_code == 3, name
        assert not done.stdout, name
        sentence, hint = done.stderr.splitlines()
        assert sentence.startswith("tvu: ") and hint.startswith("hint: "), name


def test_the_installed_command_refuses_random_bytes_with_3(tvu, tmp_path: Path) -> None:
    (tmp_path / "noise.mp4").write_bytes(os.urandom(50_000))
    done = tvu("probe", tmp_path / "noise.mp4", timeout=5)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) == 2


def test_names_may_be_anything_after_two_dashes(tvu, tmp_path: Path) -> None:
    nasty_names(tmp_path)
    for name in ("new\nline.mp4", "--help"):
        done = tvu("probe", "--json", "--", name, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["video"] == name
