"""What the README says in Python runs."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.weights
def test_the_library_answers_as_the_readme_says(weights_cache, monkeypatch, capsys):
    monkeypatch.chdir(README.parent)
    (example,) = re.findall(r"```python\n(from tvu\.video_llm import .*?)```", README.read_text("utf-8"), re.DOTALL)
    exec(compile(example, str(README), "exec"), {})
    told = capsys.readouterr().out
    assert re.search(r"^the penguin 0\.0\d* (4\.\d*|5\.\d*) 0\.\d+ visual$", told, re.MULTILINE)
    assert "a zebra" not in told
