import json

import pytest

from tvu.video_llm.benchmarks.types import Item, Record, Response, Summary


def test_a_record_is_read_back_as_it_was_written():
    item = Item("MC/7", "clevrer/video_1.mp4", "how often?", 2, "MC", (1.5, 9.0), ("one", "two", "three"))
    record = Record.of(item, Response("parsed", 1, "(B) two", "Question: ...", (1.6, 4.0)), 0.0, 0.25)
    assert Record.from_json(json.loads(json.dumps(record.as_json()))) == record


def test_two_prompts_are_told_apart_by_a_short_hash():
    item = Item("1", "a.mp4", "when?", [[0.0, 1.0]])
    hashes = {Record.of(item, Response("parsed", prompt=p), None, 0.0).as_json()["prompt_hash"] for p in ("a", "b")}
    assert len(hashes) == 2


def test_a_prompt_with_half_a_surrogate_pair_has_a_hash_too():
    item = Item("1", "a.mp4", "\ud800", [[0.0, 1.0]])
    assert len(Record.of(item, Response("parsed", prompt="\ud800"), None, 0.0).as_json()["prompt_hash"]) == 16


def test_a_score_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="is nan"):
        Summary({"R1@0.5": float("nan")})
