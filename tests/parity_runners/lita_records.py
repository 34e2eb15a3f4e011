"""Records of LITA: times, answers, targets and prompts."""

from tvu.temporal.sampling import lita_frame_indices
from tvu.temporal.time_tokens.lita import LitaTimeTokens, official_span
from tvu.video_llm.official_prompts import (
    lita_description_target,
    lita_event_questions,
    lita_prompt,
    lita_reasoning_target,
    lita_training_text,
)


def codec(record):
    return LitaTimeTokens(record.get("num_time_tokens", 100))


def seconds_to_token(record, content):
    return {"token": codec(record).official_token(record["seconds"], record["duration"])}


def token_to_seconds(record, content):
    seconds = codec(record).official_seconds(record["token"], record["duration"])
    return {"seconds": seconds, "text": f"<{seconds}>"}


def frame_indices(record, content):
    frames, fps = record["num_frames_in_file"], record["fps"]
    indices = lita_frame_indices(frames, record["num_sampled"]).tolist()
    return {"indices": indices, "duration": frames / fps if fps > 0 else 0.0}


def decode_and_parse(record, content):
    time_tokens = codec(record)
    pieces = []  # of a tokenizer that knows characters, time tokens and the end mark
    for token in record["tokens"]:
        pieces += [token] if token in {*time_tokens.added_tokens, "</s>"} else list(token)
    decoded = time_tokens.official_answer(pieces, record["duration"])
    sentence, span = official_span(decoded, record["duration"])
    demo = time_tokens.official_demo_answer(pieces, record["duration"])
    return {"decoded": decoded, "demo_decoded": demo, "sentence": sentence, "span": list(span)}


def parse(record, content):
    sentence, span = official_span(record["text"], record["duration"])
    return {"sentence": sentence, "span": list(span)}


def reasoning_target(record, content):
    target = lita_reasoning_target(record["answer"], record["duration"], codec(record))
    return {"human": f"<image>\n{record['question'].strip()}", "target": target}


def dense_caption_target(record, content):
    target = lita_description_target(record["timestamps"], record["sentences"], record["duration"], codec(record))
    return {"target": target}


def event_prompts(record, content):
    asked = {f"<image>\n{question}" for question in lita_event_questions(record["sentence"])}
    return {"possible_prompts": sorted(asked)}


def prompt(record, content):
    if record["template"] == "training":
        return {"prompt": lita_training_text(record["question"], record["answer"])}
    return {"prompt": lita_prompt(record["question"])}


RECORDS = {
    "time_tokens.seconds_to_token": seconds_to_token,
    "time_tokens.token_to_seconds": token_to_seconds,
    "time_tokens.frame_indices": frame_indices,
    "answers_and_targets.decode_and_parse": decode_and_parse,
    "answers_and_targets.parse": parse,
    "answers_and_targets.reasoning_targets": reasoning_target,
    "answers_and_targets.dense_caption_targets": dense_caption_target,
    "answers_and_targets.event_prompts": event_prompts,
    "answers_and_targets.prompts": prompt,
}
