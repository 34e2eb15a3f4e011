import gzip
import json

import pytest

from tvu.video_llm.benchmarks.grounding_data import (
    clamped,
    lasting,
    read_activitynet,
    read_activitynet_rtl,
    read_charades_sta,
    read_durations,
    read_moments,
    read_nextgqa,
    read_timelens,
)
from tvu.video_llm.errors import BenchmarkError

MOMENT = {"qid": 7, "query": "a dog", "duration": 30, "vid": "ab_1.0_31.0", "relevant_windows": [[2, 4], [8, 10]]}
QUESTIONS = "video_id,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4\n"


@pytest.fixture
def put(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
        return path

    return write


def test_moments_are_read_with_all_their_windows(put):
    absent = {**MOMENT, "qid": "x", "relevant_windows": []}
    first, second = read_moments(put("a.jsonl", f"{json.dumps(MOMENT)}\n{json.dumps(absent)}\n"))
    assert (first.id, first.video, first.question) == ("7", "ab_1.0_31.0", "a dog")
    assert (first.truth, first.facts) == ([[2.0, 4.0], [8.0, 10.0]], {"duration": 30.0})
    assert (second.id, second.truth) == ("x", [])


def test_saliency_of_highlights_is_a_fact(put):
    scored = {**MOMENT, "relevant_clip_ids": [1], "saliency_scores": [[4, 1, 0]]}
    (item,) = read_moments(put("a.jsonl", scored))
    assert (item.facts["relevant_clip_ids"], item.facts["saliency_scores"]) == ([1], [[4, 1, 0]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vid": None}, "no text 'vid' in line 1"),
        ({"vid": "../../etc/passwd"}, "no name of a video"),
        ({"duration": "30"}, "no 'duration' in seconds in line 1"),
        ({"duration": float("inf")}, "no 'duration' in seconds in line 1"),
        ({"relevant_windows": [[1]]}, r"has \[1\] in line 1"),
        ({"relevant_windows": [[1, float("nan")]]}, "in line 1"),
        ({"relevant_windows": None}, "no list 'relevant_windows' in line 1"),
        ({"relevant_clip_ids": [1], "saliency_scores": []}, "not as many relevant_clip_ids"),
    ],
)
def test_what_is_wrong_with_a_line_is_told(put, change, message):
    with pytest.raises(BenchmarkError, match=message):
        read_moments(put("a.jsonl", {**MOMENT, **change}))


@pytest.mark.parametrize("text", ["", "7", "[]", "{", f"{json.dumps(MOMENT)}\n{json.dumps(MOMENT)}"])
def test_files_without_items_or_with_items_twice_are_refused(put, text):
    with pytest.raises(BenchmarkError):
        read_moments(put("a.jsonl", text))


def test_both_forms_of_charades_sta_are_the_same_items(put, tmp_path):
    text = "AB1 24.3 30.4##person turn a light on.\r\nAB1 0.0 9##person #2 sits.\n"
    rows = [
        {"image_id": "AB1.mp4", "caption": "person turn a light on.", "timestamp": [24.3, 30.4], "id": 0},
        {"image_id": "AB1.mp4", "caption": "person #2 sits.", "timestamp": [0.0, 9], "id": 1},
    ]
    zipped = tmp_path / "charades_sta_test.txt.gz"
    zipped.write_bytes(gzip.compress(text.encode()))
    items = read_charades_sta(zipped)
    assert [(item.id, item.truth) for item in items] == [("0", [[24.3, 30.4]]), ("1", [[0.0, 9.0]])]
    told = [(item.id, item.question, item.truth) for item in items]
    assert told == [(i.id, i.question, i.truth) for i in read_charades_sta(put("a.json", {"annotations": rows}))]


@pytest.mark.parametrize("line", ["AB1 24.3##sits", "AB1 a 3##sits", "AB1 1 nan##sits", "AB1 1 2 sits"])
def test_a_bad_line_of_charades_sta_is_named(put, line):
    with pytest.raises(BenchmarkError, match="in line 2"):
        read_charades_sta(put("a.txt", f"AB1 1 2##sits\n{line}\n"))


def test_spans_are_cut_at_the_end_of_a_video_that_is_known(put):
    items = read_charades_sta(put("a.txt", "AB1 24.3 30.4##sits\nCD2 1 99##sits\n"))
    durations = read_durations(put("Charades_v1_test.csv", "id,subject,length\nAB1,x,28.5\n"))
    assert [item.truth for item in clamped(lasting(items, durations))] == [[[24.3, 28.5]], [[1.0, 99.0]]]


def test_sentences_of_activitynet_are_numbered_in_their_video(put):
    entry = {"duration": 55.15, "timestamps": [[0, 4.14], [3, 60]], "sentences": ["One.", "Two."]}
    items = read_activitynet(put("val_2.json", {"v_ab": entry}))
    assert [(item.id, item.truth) for item in items] == [("v_ab/0", [[0.0, 4.14]]), ("v_ab/1", [[3.0, 60.0]])]
    with pytest.raises(BenchmarkError, match="not as many timestamps as sentences in v_ab"):
        read_activitynet(put("val_2.json", {"v_ab": {**entry, "sentences": ["One."]}}))


def test_queries_of_timelens_are_tidied(put):
    entry = {"duration": 9, "spans": [[0, 4]], "queries": [" a  man\nsits . "]}
    (item,) = read_timelens(put("charades-timelens.json", {"AB1": entry}))
    assert (item.id, item.group, item.question) == ("charades/AB1/0", "charades", "a man sits")


def test_spans_of_activitynet_rtl_stand_in_their_answer(put):
    row = {"question_id": 3, "vid": "ab", "duration": 20.0, "question": "When?", "answer": "<30.5> <12.1> So."}
    (item,) = read_activitynet_rtl(put("a.json", [row]))
    assert (item.id, item.video, item.truth) == ("3", "v_ab", [[12.1, 20.0]])
    with pytest.raises(BenchmarkError, match="no two times"):
        read_activitynet_rtl(put("a.json", [{**row, "answer": "<12.1> So."}]))


def test_questions_of_nextgqa_without_a_span_are_no_part_of_it(put):
    rows = '11,9,1,1,"why, then",c,5,CW,a,b,c,d,e\n11,9,1,1,what,a,6,TN,a,b,c,d,e\n'
    spans = {"11": {"duration": 35, "location": {"5": [[0.5, 12.6]]}, "fps": 29.97}}
    names = put("map_vid_vidorID.json", {"11": "1164/11"})
    (item,) = read_nextgqa(put("test.csv", QUESTIONS + rows), put("gsub_test.json", spans), names)
    assert (item.id, item.video, item.group) == ("11_5", "1164/11", "CW")
    assert item.truth == {"choice": 2, "spans": [[0.5, 12.6]]}


def test_an_answer_of_nextgqa_that_is_no_option_is_named(put):
    spans = put("gsub_test.json", {"11": {"duration": 35, "location": {"5": [[0.5, 12.6]]}}})
    with pytest.raises(BenchmarkError, match="row 2"):
        read_nextgqa(put("test.csv", f"{QUESTIONS}11,9,1,1,why,z,5,CW,a,b,c,d,e\n"), spans, None)
