"""Records of VTG-LLM: time tokens, frame times, answers and prompts."""

from tvu.temporal.sampling import vtg_llm_frame_indices
from tvu.temporal.time_tokens.official_answers import retrieval_span, vtg_llm_captions, vtg_llm_highlights
from tvu.temporal.time_tokens.vtg_llm import (
    numbers_to_time_tokens,
    official_time_tokens,
    official_training_time_tokens,
    time_tokens_to_digits,
    whole_second,
)
from tvu.video_llm.official_prompts import frames_message, vtg_llm_frame_times, vtg_llm_prompt


def number(record, content):
    text = record["text"]
    return {"inference": official_time_tokens(text), "training": official_training_time_tokens(text)}


def video(record, content):
    indices = vtg_llm_frame_indices(record["num_frames_in_file"], record["max_frames"]).tolist()
    times = vtg_llm_frame_times(indices, record["fps"])
    return {
        "indices": indices,
        "message": frames_message(times),
        "message_with_time_tokens": numbers_to_time_tokens(frames_message(times)),
        "whole_seconds": [whole_second(time) for time in times],
    }


def half_second(record, content):
    return {"whole_second": whole_second(float(record["text"]))}


def retrieval(record, content):
    plain = time_tokens_to_digits(record["text"])
    span = retrieval_span(plain)
    return {"plain": plain, "span": [] if span is None else [list(span)]}


def dense_captions(record, content):
    found = vtg_llm_captions(record["text"], time_tokens_to_digits(record["text"]))
    return {"spans": [list(span) for span in found.spans], "captions": found.captions}


def highlights(record, content):
    return vtg_llm_highlights(time_tokens_to_digits(record["text"]))._asdict()


def prompt(record, content):
    return {"prompt": vtg_llm_prompt(record["question"], record["message"], record["system"])}


RECORDS = {
    "time_tokens.numbers": number,
    "time_tokens.videos": video,
    "time_tokens.half_seconds": half_second,
    "answers_and_prompts.retrieval": retrieval,
    "answers_and_prompts.dense_captions": dense_captions,
    "answers_and_prompts.highlights": highlights,
    "answers_and_prompts.prompts": prompt,
}
