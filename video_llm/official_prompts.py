"""What the published LITA, VTG-LLM and VideoChat-T are asked, and how they were trained to answer, to the character.

Double blanks, missing blanks and misspellings are those of the published models, which were trained and evaluated with
them. `<image>`, `<ImageHere>` and `<VideoHere>` mark where the visual tokens go.
"""

from collections.abc import Sequence

import numpy as np

from tvu.temporal.time_tokens.lita import LitaTimeTokens

# LITA (arXiv 2403.19046). Training and inference differ in one word of the system prompt, user and human.

LITA_SYSTEM = (
    "A chat between a curious human and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the human's questions."
)
LITA_TRAINING_SYSTEM = LITA_SYSTEM.replace("curious human", "curious user").replace("the human's", "the user's")
LITA_EVENT_QUESTIONS = (
    'When does "%s" happen in the video?',
    'At what point in the video does "%s" happen?',
    'When is "%s" depicted in the video?',
    'At what time in the video does "%s" take place?',
)
LITA_EVENT_FORMATS = (
    "Answer the question only using start and end timestamps.",
    "Provide a response using only start and end timestamps.",
    "Convey your answer using start and end timestamps exclusively.",
)
LITA_DESCRIPTION_REQUESTS = (
    "Provide a detailed description of the given video.",
    "Describe the provided video in detail.",
    "Summarize the visual content of the video.",
    "Write a informative summary of the video.",
)
LITA_DESCRIPTION_FORMATS = (
    "Each sentence should begin with the start and end timestamps.",
    "At the beginning of each sentence, include the start and end timestamps.",
    "Prepend each sentence with its start and end timestamps.",
)
LITA_SHORT_PHRASE = "Answer the question using a short phrase."
LITA_WORD_OR_PHRASE = "Answer the question using a single word or phrase."


def lita_prompt(question: str) -> str:
    """A question about a video, as it is put to the published model."""
    return f"{LITA_SYSTEM} USER: <image>\n{question} ASSISTANT:"


def lita_training_text(question: str, answer: str) -> str:
    """A question and its answer, as the published model was trained on them."""
    return f"{LITA_TRAINING_SYSTEM} USER: <image>\n{question} ASSISTANT: {answer}</s>"


def lita_event_questions(event: str) -> tuple[str, ...]:
    """The twelve ways in which LITA was asked when an event happens; each visit drew one.

    Full stops at the end of `event` are dropped and its first letter is put in lower case, if it has more than one.
    """
    event = event.strip().rstrip(".")
    if len(event) > 1:
        event = event[0].lower() + event[1:]
    return tuple(f"{question % event} {form}" for question in LITA_EVENT_QUESTIONS for form in LITA_EVENT_FORMATS)


def lita_description_requests() -> tuple[str, ...]:
    """The twelve ways in which LITA was asked to describe a video with times."""
    return tuple(f"{request} {form}" for request in LITA_DESCRIPTION_REQUESTS for form in LITA_DESCRIPTION_FORMATS)


def lita_video_question(question: str, form: str) -> str:
    """A question of a video data set with the form of its answer, `LITA_SHORT_PHRASE` or `LITA_WORD_OR_PHRASE`."""
    question = question.strip()
    if len(question) > 1:
        question = question[0].upper() + question[1:]
    if not question.endswith("?"):
        question += "?"
    return f"{question} {form}"


def lita_reasoning_target(answer: str, duration: float, codec: LitaTimeTokens | None = None) -> str:
    """The training target of an answer in which seconds stand as `<12.34>`."""
    return (codec or LitaTimeTokens()).stamps_to_tokens(answer, duration).strip()


def lita_event_target(start_seconds: float, end_seconds: float, duration: float) -> str:
    """The training target of an event: two tokens, equal for an event shorter than a hundredth of the video."""
    codec = LitaTimeTokens()
    return f"{codec.official_token(start_seconds, duration)} {codec.official_token(end_seconds, duration)}"


def lita_description_target(
    times: Sequence[Sequence[float]], sentences: Sequence[str], duration: float, codec: LitaTimeTokens | None = None
) -> str:
    """The training target of a description: `<start> <end> sentence` in the order given; times are pairs of seconds.

    Sentences beyond the last time are left out. Raises ValueError if there are fewer sentences than times.
    """
    if len(sentences) < len(times):
        raise ValueError(f"{len(times)} times need as many sentences, not {len(sentences)}")
    codec = codec or LitaTimeTokens()
    told = [
        f"{codec.official_token(start, duration)} {codec.official_token(end, duration)} {sentence.strip()}"
        for (start, end), sentence in zip(times, sentences, strict=False)
    ]
    return " ".join(told).strip()


# VTG-LLM (arXiv 2405.13382)

ANSWER_IN_DETAIL = (
    "You are able to understand the visual content that the user provides. "
    "Follow the instructions carefully and explain your answers in detail."
)
VTG_LLM_TRAINING_SYSTEM = " "
VTG_LLM_RETRIEVAL = (
    "Find the video segment that corresponds to the given textual query '{}' and determine its start and end seconds."
)
VTG_LLM_DENSE_CAPTIONS = (
    "Please locate a series of events in the video, output the start and end timestamps of each event, "
    "and describe each event in sentences. The output format of each predicted event should be as follows: "
    '"Start - End seconds, event description".'
)
VTG_LLM_ACTIVITYNET_CAPTIONS = (
    "Determine the start and end times of various activity events in the video, accompanied by descriptions."
)
VTG_LLM_HIGHLIGHTS = (
    "After viewing the assigned video, identify the moments that align with the description: '{}'. "
    "Record the timecodes of these key scenes and assess their prominence using a relevance scale."
)


def vtg_llm_frame_times(frame_indices: Sequence[int], fps: float) -> list[float]:
    """Seconds of each frame as VTG-LLM tells them: one decimal, rounded as Python rounds the exact binary value."""
    return [round(int(index) / fps, 1) for index in frame_indices]


def frames_message(frame_times: Sequence[float]) -> str:
    """When the frames of a video were taken, as VTG-LLM and VideoChat-T are told; VTG-LLM with time tokens instead of
    the numbers, see `numbers_to_time_tokens`. It ends in a blank."""
    return f"The video contains {len(frame_times)} frames sampled at {', '.join(map(str, frame_times))} seconds. "


def vtg_llm_prompt(question: str, message: str, system: str = ANSWER_IN_DETAIL) -> str:
    """A task about a video, as it is put to the published model: two blanks between `message` and the task."""
    return f"[INST] <<SYS>>\n{system}\n<</SYS>>\n\n<Video><ImageHere></Video> {message} {question} [/INST]"


# VideoChat-T (TimeSuite, arXiv 2410.19702)

VIDEOCHAT_T_RETRIEVAL = (
    "You are given a video from the {} dataset. Please find the visual event described by a sentence in the video, "
    "determining its starting and ending times. The format should be: "
    "'The event happens in the start time - end time'. "
    "For example, The event 'person turn a light on' happens in the 24.3 - 30.4 seonds. "
    "Now I will give you the textual sentence: {}. Please return its start time and end time."
)
VIDEOCHAT_T_DENSE_CAPTIONS = (
    "You are given a cooking video from the YouCook2 dataset. Please watch the video and extract a maximum of 10 "
    "significant cooking steps. For each step, determine the starting and ending times and provide a concise "
    "description. The format should be: 'start time - end time, brief step description'. For example, "
    "' 90 - 102 seconds, spread margarine on two slices of white bread'."
)
_VIDEOCHAT_T_HIGHLIGHTS = (
    "You are given a video from the {{}} dataset. Please find the highlight contents in the video described by a "
    "sentence query, determining the highlight timestamps and its saliency score on a scale from 1 to 5. "
    "The output format should be like: 'The highlight timestamps are in the {times} seconds. "
    "Their saliency scores are {scores}'. Now I will give you the sentence query: {{}}. "
    "Please return the query-based highlight timestamps and salient scores."
)
VIDEOCHAT_T_HIGHLIGHTS = _VIDEOCHAT_T_HIGHLIGHTS.format(times="52, 54, 56, 58", scores="3.0, 3.0, 3.0, 3.0")
VIDEOCHAT_T_HIGHLIGHT_RANGE = _VIDEOCHAT_T_HIGHLIGHTS.format(times="60 - 80", scores="3.0")
BEST_OPTION = "Best option:("


def videochat_t_frame_times(frame_indices: Sequence[int], fps: float) -> list[float]:
    """Seconds of each frame as VideoChat-T is told them: one decimal, rounded as NumPy rounds.

    NumPy multiplies before it rounds, so that 0.15 s is told as 0.2 and not, as its binary value asks, as 0.1.
    """
    return [float(np.round(np.float64(index) / fps, 1)) for index in frame_indices]


def videochat_t_clip_texts(text: str, num_clips: int, clip_frames: int) -> tuple[str, ...]:
    """What the Q-Former of VideoChat-T is told of each clip.

    text: the message of `frames_message`, alone or in a conversation: read is the last list of times between the last
    `</Video>` and the `[/INST]` after it. Where it holds too few, every clip is one `without timestamps`.
    """
    told = text.split("</Video>")[-1].split("[/INST]")[0]
    times = told.split("at ")[-1].split(" seconds.")[0].split(", ")
    known = len(times) >= num_clips * clip_frames
    texts = []
    for clip in range(num_clips):
        when = ", ".join(times[clip * clip_frames : (clip + 1) * clip_frames])
        sampled = f"sampled at {when} seconds" if known else "without timestamps"
        texts.append(f"The {clip + 1}-th video clip contains {clip_frames} frames {sampled}. ")
    return tuple(texts)


def videochat_t_prompt(question: str, message: str, answer_prefix: str = "") -> str:
    """A question about a video, as it is put to the published model; `BEST_OPTION` starts a multiple-choice answer."""
    asked = _in_turn("[INST]", f"{message}{question}")
    answered = f"[/INST] {answer_prefix}" if answer_prefix else "[/INST]"
    return f"{ANSWER_IN_DETAIL} [INST] <Video><VideoHere></Video> [/INST] {asked}{answered}"


def videochat_t_training_text(message: str, turns: Sequence[tuple[str, str]]) -> str:
    """Questions and answers, as the published model was trained on them: the message beside the video."""
    told = f"[INST] <Video></Video> {message.rstrip()} [/INST]"
    for question, answer in turns:
        told += f" [INST] {question} [/INST] {answer} </s>" if question else f" {answer} </s>"
    return told.strip()


def _in_turn(role: str, text: str) -> str:
    return f"{role} {text} " if text else role
