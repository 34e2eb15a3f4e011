"""Prompts of the published models, to the character."""

import pytest

from tvu.video_llm.official_prompts import (
    BEST_OPTION,
    LITA_SHORT_PHRASE,
    VIDEOCHAT_T_HIGHLIGHT_RANGE,
    VIDEOCHAT_T_HIGHLIGHTS,
    VTG_LLM_TRAINING_SYSTEM,
    frames_message,
    lita_description_requests,
    lita_description_target,
    lita_event_questions,
    lita_event_target,
    lita_prompt,
    lita_reasoning_target,
    lita_training_text,
    lita_video_question,
    videochat_t_clip_texts,
    videochat_t_frame_times,
    videochat_t_prompt,
    videochat_t_training_text,
    vtg_llm_frame_times,
    vtg_llm_prompt,
)

MESSAGE = "The video contains 4 frames sampled at 0.0, 1.5, 3.0, 4.5 seconds. "


def test_lita_was_trained_with_a_user_and_is_asked_by_a_human():
    assert "curious human" in lita_prompt("Why?") and lita_prompt("Why?").endswith("USER: <image>\nWhy? ASSISTANT:")
    text = lita_training_text("Why?", "<t3>")
    assert "curious user" in text and "the user's questions. USER: <image>\nWhy? ASSISTANT: <t3></s>" in text


def test_lita_asks_for_an_event_in_twelve_ways():
    asked = lita_event_questions(" A man jumps.. ")
    assert len(set(asked)) == 12
    assert asked[0] == (
        'When does "a man jumps" happen in the video? Answer the question only using start and end timestamps.'
    )
    assert '"X"' in lita_event_questions("X.")[0]
    assert len(set(lita_description_requests())) == 12


def test_lita_targets_are_not_clamped_and_may_be_equal():
    assert lita_reasoning_target(" from <12.5> to <100>, <x>. ", 50) == "from <t25> to <t198>, <x>."
    assert lita_event_target(10, 10.1, 99) == "<t10> <t10>"
    assert lita_description_target([(0, 10), (10, 99)], [" a ", "b"], 99) == "<t0> <t10> a <t10> <t99> b"
    with pytest.raises(ValueError):
        lita_description_target([(0, 10)], [], 99)


def test_lita_asks_other_questions_with_a_capital_and_a_question_mark():
    assert lita_video_question(" why ", LITA_SHORT_PHRASE) == "Why? Answer the question using a short phrase."


def test_frame_times_are_rounded_as_each_model_rounds_them():
    assert vtg_llm_frame_times([3, 5], 20.0) == [0.1, 0.2]  # 0.15 is a little less than that
    assert videochat_t_frame_times([3, 5], 20.0) == [0.2, 0.2]
    assert frames_message([0.0, 1.5, 3.0, 4.5]) == MESSAGE


def test_vtg_llm_has_two_blanks_before_the_task():
    prompt = vtg_llm_prompt("Describe.", MESSAGE, VTG_LLM_TRAINING_SYSTEM)
    assert prompt == f"[INST] <<SYS>>\n \n<</SYS>>\n\n<Video><ImageHere></Video> {MESSAGE[:-1]}  Describe. [/INST]"


def test_videochat_t_asks_after_the_video():
    assert videochat_t_prompt("Why?", MESSAGE).endswith(
        f"in detail. [INST] <Video><VideoHere></Video> [/INST] [INST] {MESSAGE}Why? [/INST]"
    )
    assert videochat_t_prompt("Why?", MESSAGE, BEST_OPTION).endswith("Why? [/INST] Best option:(")


def test_videochat_t_was_trained_with_the_message_beside_the_video():
    text = videochat_t_training_text(MESSAGE, [("Why?", "So."), ("When?", "Now.")])
    assert text == (
        f"[INST] <Video></Video> {MESSAGE.strip()} [/INST] [INST] Why? [/INST] So. </s> [INST] When? [/INST] Now. </s>"
    )


def test_every_clip_is_told_its_own_times():
    assert videochat_t_clip_texts(MESSAGE, 2, 2) == (
        "The 1-th video clip contains 2 frames sampled at 0.0, 1.5 seconds. ",
        "The 2-th video clip contains 2 frames sampled at 3.0, 4.5 seconds. ",
    )
    told = f"[INST] <Video></Video> {MESSAGE}[/INST] [INST] At 9 seconds? [/INST]"
    assert videochat_t_clip_texts(told, 2, 2) == videochat_t_clip_texts(MESSAGE, 2, 2)
    assert videochat_t_clip_texts(MESSAGE, 1, 8) == ("The 1-th video clip contains 8 frames without timestamps. ",)


def test_highlights_are_asked_as_a_list_or_as_a_range():
    assert "in the 52, 54, 56, 58 seconds." in VIDEOCHAT_T_HIGHLIGHTS and VIDEOCHAT_T_HIGHLIGHTS.count("{}") == 2
    assert "in the 60 - 80 seconds. Their saliency scores are 3.0'" in VIDEOCHAT_T_HIGHLIGHT_RANGE
