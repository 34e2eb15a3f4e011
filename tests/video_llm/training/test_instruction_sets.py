import gzip
import json
from pathlib import Path

import pytest

from tvu.cli.exit_codes import ExitCode, exit_code_of
from tvu.temporal.time_tokens.lita import LitaTimeTokens
from tvu.temporal.time_tokens.text_times import TextTimes
from tvu.temporal.types import Span
from tvu.video_llm.errors import InstructionsError
from tvu.video_llm.questions import captions_request, moment_question, moments_question
from tvu.video_llm.training.instruction_sets import Instruction, read_instructions, with_stamps
from tvu.video_llm.training.tasks import NOT_THERE


def written(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


def read_list(folder: Path, *entries: object) -> list[Instruction]:
    return list(read_instructions(written(folder / "timeit.json", list(entries))).instructions)


def test_reasoning_of_lita_has_its_times_in_angle_brackets(tmp_path):
    content = {"v_abc": {"duration": 60.0, "QA": [{"q": "When does he rest?", "a": "<12.5> <30> He is tired."}]}}
    (told,) = read_instructions(written(tmp_path / "rtl.json", content)).instructions
    assert told == Instruction("v_abc", "When does he rest?", "<12.5> <30> He is tired.", (Span(12.5, 30),), 60.0)
    assert told.target(LitaTimeTokens(), 60.0) == "<t21> <t50> He is tired."


def test_the_same_answer_is_written_as_any_codec_writes_times():
    told = Instruction("v", "When?", "It is at <12.5> - <30>, and once more at <40>.")
    assert told.target(TextTimes(), 60.0) == "It is at 12.5 - 30.0 seconds, and once more at 40.0."


def test_captions_of_activitynet_become_one_request_and_a_question_for_each_sentence(tmp_path):
    entry = {"duration": 20, "timestamps": [[0, 4.5], [4.5, 25.0]], "sentences": [" A man runs.", "He  falls. "]}
    captions, first, second = read_instructions(written(tmp_path / "train.json", {"v_1": entry})).instructions
    assert captions.question == captions_request()
    assert captions.answer == "<0> <4.5> A man runs.\n<4.5> <20> He falls."
    assert captions.target(LitaTimeTokens(), 20) == "<t0> <t22> A man runs.\n<t22> <t99> He falls."
    assert (first.question, first.answer, first.is_present) == (moment_question("A man runs"), "<0> <4.5>", True)
    assert second.spans == (Span(4.5, 20),)  # what goes on behind the end of the video is cut there


def test_the_list_of_timeit_has_its_times_in_its_words(tmp_path):
    turns = [
        {"i": "Look closely.", "q": "Find 'a book on a shelf'.", "a": "The given query happens in 0.0 - 6.9 seconds."},
        {"i": "", "q": "List the steps.", "a": "3.0 - 9.5 seconds, cut 2 onions.  12.0 - 20.0 seconds, fry them."},
    ]
    one, two = read_list(tmp_path, {"video": "Charades/A.mp4", "QA": turns})
    assert one.question == "Look closely. Find 'a book on a shelf'."
    assert (one.answer, one.spans) == ("The given query happens in <0.0> <6.9>.", (Span(0, 6.9),))
    assert (two.answer, two.spans) == (
        "<3.0> <9.5>, cut 2 onions.  <12.0> <20.0>, fry them.",
        (Span(3, 9.5), Span(12, 20)),
    )
    assert one.duration is None and one.part is None


def test_timepro_tells_which_part_of_the_file_a_clip_is(tmp_path):
    (told,) = read_list(tmp_path, {"video": "a.mp4", "start": 10, "end": 40.5, "QA": [{"q": "When?", "a": "1 - 3 s"}]})
    assert told.part == Span(10, 40.5) and told.spans == (Span(1, 3),)


@pytest.mark.parametrize(
    ("answer", "stamped"),
    [
        ("From 37.8 to 59.9 seconds.", "<37.8> <59.9>."),
        ("in the 12 seconds - 16 seconds", "in the <12> <16>"),
        ("between 3 and 5 seconds", "between <3> <5>"),
        ("are in the 52, 54 seconds. Their scores are 3.0, 4.0", "are in the <52>, <54>. Their scores are 3.0, 4.0"),
        ("0052.0 seconds, score: 3.5", "<52.0>, score: 3.5"),
        ("<TIME_ZERO><TIME_ZERO><TIME_ZERO><TIME_NINE><TIME_DOT><TIME_FIVE> - <TIME_ZERO> <TIME_ZERO> <TIME_ONE> "
         "<TIME_TWO> <TIME_DOT> <TIME_ZERO> seconds, on 2 couches", "<9.5> <12.0>, on 2 couches"),
        ("There are 2 - 3 people for 5 seconds.", "There are 2 - 3 people for 5 seconds."),
    ],
)  # fmt: skip
def test_numbers_are_times_only_where_their_words_say_so(answer, stamped):
    assert with_stamps(answer) == stamped


def test_turns_of_llava_are_questions_and_answers(tmp_path):
    turns = [{"from": "human", "value": "What is it?\n<video>"}, {"from": "gpt", "value": "A dog."}]
    (told,) = read_list(tmp_path, {"video": "a.mp4", "conversations": turns})
    assert (told.question, told.answer, told.spans) == ("What is it?", "A dog.", ())


def test_questions_of_activitynet_rtl_are_read_as_well(tmp_path):
    entry = {"vid": "abc", "question": "Why?", "answer": "<1.5> <3> So.", "duration": 9.0, "question_id": "abc_0"}
    (told,) = read_list(tmp_path, entry)
    assert (told.video, told.spans, told.duration) == ("abc", (Span(1.5, 3),), 9.0)


def test_charades_sta_is_text(tmp_path):
    path = written(tmp_path / "charades_sta_train.txt", "AO8RW 0.0 6.9##a person puts a book on a shelf.\n")
    (told,) = read_instructions(path).instructions
    assert (told.video, told.spans, told.answer) == ("AO8RW", (Span(0, 6.9),), "<0> <6.9>")


def test_qvhighlights_asks_for_every_window_and_for_what_is_not_there(tmp_path):
    rows = [
        {"qid": 1, "query": "A dog", "vid": "v1", "duration": 150, "relevant_windows": [[0, 4], [10, 20]]},
        {"qid": 2, "query": "A cat", "vid": "v1", "duration": 150, "relevant_windows": []},
    ]
    path = written(tmp_path / "train.jsonl", "\n".join(map(json.dumps, rows)))
    many, none = read_instructions(path).instructions
    assert (many.question, many.answer) == (moments_question("A dog"), "<0> <4> <10> <20>")
    assert (none.answer, none.spans, none.is_present) == (NOT_THERE, (), False)


def test_a_gzipped_file_is_read_like_any_other(tmp_path):
    path = tmp_path / "a.json.gz"
    path.write_bytes(gzip.compress(json.dumps([{"video": "a", "QA": [{"q": "Q?", "a": "A."}]}]).encode()))
    assert read_instructions(path).instructions[0].answer == "A."


def test_entries_that_teach_nothing_are_left_out_and_told(tmp_path):
    entry = {"duration": 10, "timestamps": [[8, 2], [4, 4], [12, 15]], "sentences": ["turned", "a point", "too late"]}
    told = read_instructions(written(tmp_path / "a.json", {"v": entry}))
    assert [each.spans for each in told.instructions] == [(Span(2, 8),), (Span(2, 8),)]
    assert told.left_out == (
        "sentence 1 of 'v': 4 - 4 s is no part of the video",
        "sentence 2 of 'v': 12 - 15 s is no part of the video",
    )


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ("{", "is no JSON"),
        ([], "nothing to learn from"),
        (3, "neither a list nor an object"),
        ([{"QA": []}], "no text 'video' in entry 0"),
        ([{"video": "a"}], "neither QA nor conversations nor question and answer in entry 0"),
        ([{"video": "a", "QA": [{"q": "Q"}]}], "no texts 'q' and 'a' in QA 0 of entry 0"),
        ([{"video": "a", "QA": "Q"}], "no list QA for entry 0"),
        ([{"video": "a", "conversations": [{"from": "gpt", "value": ""}] * 2}], "not from human and gpt by turns"),
        ({"v": {"QA": []}}, "no duration in seconds for 'v'"),
        ({"v": {"duration": 3}}, "neither QA nor timestamps and sentences for 'v'"),
        ({"v": {"duration": 3, "timestamps": [[0, 1]], "sentences": []}}, "as many timestamps as sentences for 'v'"),
        ({"v": {"duration": 3, "timestamps": [[0, "1"]], "sentences": ["a"]}}, "not [start, end] in seconds"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_the_file_and_the_entry(tmp_path, content, wrong):
    with pytest.raises(InstructionsError) as caught:
        read_instructions(written(tmp_path / "set.json", content))
    assert wrong in str(caught.value) and "set.json" in str(caught.value) and caught.value.hint
    assert exit_code_of(caught.value) == ExitCode.UNREADABLE_INPUT
