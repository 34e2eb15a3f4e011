"""Records of VideoChat-T: frame times, clip texts, answers and prompts."""

from tvu.temporal.sampling import videochat_t_frame_indices
from tvu.temporal.time_tokens.official_answers import (
    retrieval_span,
    timesuite_captions,
    timesuite_highlight_list,
    timesuite_highlights,
)
from tvu.video_llm.official_prompts import (
    frames_message,
    videochat_t_clip_texts,
    videochat_t_frame_times,
    videochat_t_prompt,
)


def retrieval(record, content):
    span = retrieval_span(record["text"])
    return {"span": [] if span is None else [list(span)]}


def highlights(record, content):
    return timesuite_highlights(record["text"])._asdict()


def highlight_post_processing(record, content):
    return {"result": timesuite_highlight_list(record["text"])}


def dense_captions(record, content):
    found = timesuite_captions(record["text"])
    return {"spans": [list(span) for span in found.spans], "captions": found.captions}


def video(record, content):
    indices = videochat_t_frame_indices(record["num_frames_in_file"], record["num_frames"]).tolist()
    return {"indices": indices, "message": frames_message(videochat_t_frame_times(indices, record["fps"]))}


def clip_texts(record, content):
    num_clips, clip_frames = record["num_frames"] // record["clip_frames"], record["clip_frames"]
    texts = [videochat_t_clip_texts(text, num_clips, clip_frames) for text in record["texts"]]
    return {"clip_texts": [text for clips in texts for text in clips]}


def prompt(record, content):
    return {"prompt": videochat_t_prompt(record["question"], record["message"], record["answer_prefix"] or "")}


RECORDS = {
    "answers.retrieval": retrieval,
    "answers.highlights": highlights,
    "answers.highlight_post_processing": highlight_post_processing,
    "answers.dense_captions": dense_captions,
    "timestamps_and_prompts.videos": video,
    "timestamps_and_prompts.clip_texts": clip_texts,
    "timestamps_and_prompts.prompts": prompt,
}
