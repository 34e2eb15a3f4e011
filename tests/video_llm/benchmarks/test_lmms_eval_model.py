"""tvu in lmms-eval: a small task of its own, run by the installed harness. Skipped where it is not installed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tvu.video_llm.benchmarks.mini_mvbench import write_mvbench
from tvu.video_llm.benchmarks.mvbench_layout import read_items, video_path

pytest.importorskip("lmms_eval", reason="lmms-eval is not installed; the README says how")

TASK = """
task: drawn_choices
dataset_path: json
dataset_kwargs: {{data_files: {{test: {documents}}}}}
test_split: test
output_type: generate_until
generation_kwargs: {{max_new_tokens: 16, until: ["\\n"]}}
doc_to_visual: !function drawn.visual
doc_to_text: !function drawn.text
doc_to_target: answer
process_results: !function drawn.judge
metric_list:
  - metric: accuracy
    aggregation: !function drawn.mean
    higher_is_better: true
"""
CODE = """
def visual(doc):
    return [doc["video"]]

def text(doc):
    listed = "".join(f"({letter}) {option}\\n" for letter, option in zip("ABCDE", doc["options"]))
    return f"Question:{doc['question']}\\nOption:\\n{listed}Only give the best option.\\n"

def judge(doc, results):
    return {"accuracy": float(results[0].strip().strip("()") == doc["answer"])}

def mean(values):
    return sum(values) / len(values)
"""


@pytest.fixture(scope="module")
def task(tmp_path_factory) -> Path:
    """A folder with a task of lmms-eval: eight drawn questions, and one about a video that is not there."""
    folder = tmp_path_factory.mktemp("task")
    write_mvbench(folder / "mvbench", tasks=["moving_direction"])
    items = read_items(folder / "mvbench")
    documents = [
        {
            "video": str(video_path(folder / "mvbench", item.video)),
            "question": item.question,
            "options": list(item.options),
            "answer": "ABCDE"[item.truth],
        }
        for item in items
    ]
    documents.append({**documents[0], "video": str(folder / "nowhere.mp4"), "answer": "B"})
    (folder / "documents.json").write_text(json.dumps(documents))
    (folder / "drawn.yaml").write_text(TASK.format(documents=folder / "documents.json"))
    (folder / "drawn.py").write_text(CODE)
    return folder


def evaluated(task: Path, out: Path, model: str) -> tuple[float, list[str]]:
    """The score of the harness, and the answers it logged."""
    args = ["--model", "tvu", "--model_args", f"model={model}", "--tasks", "drawn_choices", "--batch_size", "1"]
    subprocess.run(
        [sys.executable, "-P", "-m", "lmms_eval", *args, "--include_path", task, "--output_path", out, "--log_samples"],
        check=True,
        capture_output=True,
        timeout=110,
        env={**os.environ, "HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1", "HF_HOME": str(out / "hub")},
    )
    (results,) = out.rglob("*_results.json")
    (samples,) = out.rglob("*_samples_drawn_choices.jsonl")
    answers = [json.loads(line)["filtered_resps"] for line in samples.read_text().splitlines()]
    score = json.loads(results.read_text())["results"]["drawn_choices"]["accuracy,none"]
    return score, [answer if isinstance(answer, str) else answer[0] for answer in answers]


def test_the_harness_finds_the_model_and_scores_it(task, tmp_path):
    score, answers = evaluated(task, tmp_path, "baseline:constant:B")
    assert answers == ["(B)"] * 8 + ["?"]  # what cannot be read is wrong, not left out, and no error is an answer
    assert score == pytest.approx(2 / 9)


@pytest.mark.weights
def test_a_model_that_only_finds_moments_chooses_an_option(task, tmp_path, weights_cache):
    _, answers = evaluated(task, tmp_path, "scout")
    assert set(answers[:8]) <= {"(A)", "(B)", "(C)", "(D)"}
