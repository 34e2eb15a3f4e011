"""`tvu ask` and `tvu ground` with a saved Video-LLM of random weights."""

import json


def test_ground_tells_spans_as_json_within_the_part(tvu, folder, tmp_path):
    options = ["-m", folder, "--json", "--top", 2, "--start", 1, "--end", 3, "--min-score", 0]
    run = tvu("ground", folder / "a.mp4", "-q", "a dog", "-q", "red", *options, TVU_CACHE=str(tmp_path))
    assert run.returncode == 0, run.stderr
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    assert [answer["question"] for answer in answers] == ["a dog", "red"]
    for answer in answers:
        assert answer["model"] == str(folder) and 1 <= len(answer["groundings"]) <= 2
        assert all(1 <= g["start_seconds"] < g["end_seconds"] <= 3 for g in answer["groundings"])
        assert all(g["evidence"] == "visual" and 0 <= g["score"] <= 1 for g in answer["groundings"])
    assert answers[0]["timing"]["decode_s"] > 0 and answers[1]["timing"]["decode_s"] == 0
    assert run.stderr == ""


def test_ask_answers_in_words(tvu, folder):
    run = tvu("ask", folder / "a.mp4", "What happens?", "-m", f"tvu:{folder}", "--no-cache")
    assert run.returncode in (0, 1) and run.stdout.strip() and run.stderr == ""


def test_a_folder_that_is_no_model_is_one_sentence(tvu, folder, tmp_path):
    run = tvu("ask", folder / "a.mp4", "What?", "-m", tmp_path)
    assert run.returncode == 2 and run.stderr.startswith("tvu: ") and run.stderr.count("\n") == 2


def test_a_question_that_is_no_text_is_wrong_usage(tvu, folder):
    for command in (["ask"], ["ground", "-q"]):
        for question, says in (("caf\udce9", "is not text"), (" ", "there is no question")):
            run = tvu(*command[:1], folder / "a.mp4", *command[1:], question, "-m", folder)
            assert run.returncode == 2 and says in run.stderr
