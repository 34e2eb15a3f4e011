"""A video of any length: one look where that is enough, else windows, the promising ones found by a search.

Nothing grows with the length of the video but the list of its windows: frames are streamed, features of one window are
in memory, a forward-only encoder carries one state, and what was computed is kept window by window in the cache.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tvu.temporal.types import Span
from tvu.video_llm.decode import clock_of
from tvu.video_llm.pipeline import PipelineConfig, answer_question, ground_queries, weigh_queries
from tvu.video_llm.questions import ANSWERS, EVENTS, Seeking
from tvu.video_llm.sample import SamplingConfig
from tvu.video_llm.types import Answer, Grounding, VideoClip
from tvu.video_llm.windows import Found, merge_windows, ranked, windows_of

if TYPE_CHECKING:
    from tvu.video_llm.video_llm import VideoLLM


def ground_in_windows(clip: VideoClip, queries: Sequence[str], model: "VideoLLM") -> list[list[Grounding]]:
    """The spans of each query in the whole clip, best first, those that are likely enough.

    A clip of one look is grounded as it is. Of a longer one, each window that is worth a look is grounded on its own;
    a score is then the probability of the span times that of the event being in its window, and the spans of all
    windows become one answer (`merge_windows`).
    """
    least = model.config.least_score
    look = sampling_of(clip, model)
    if look is None:
        found = ground_queries(clip.path, queries, model, _of(clip, clip.span))
        return [[each for each in spans if each.score >= least] for spans in found]
    kept: list[list[Found]] = [[] for _ in queries]
    for window, asked in _worth_a_look(clip, queries, model, look, EVENTS):
        told = [queries[number] for number in asked]
        config = _of(clip, window, look)
        for number, spans, there in zip(
            asked,
            ground_queries(clip.path, told, model, config),
            weigh_queries(clip.path, told, model, config),
            strict=True,
        ):
            kept[number] += [Found(g.span, g.score * there, window) for g in spans]
    return [_merged(found, model, look, least) for found in kept]


def answer_in_windows(clip: VideoClip, question: str, model: "VideoLLM") -> Answer:
    """What the model says about the clip, and the spans that it tells.

    Of a clip longer than one look, every window that is worth one is asked. The text is that of the window that most
    likely holds the answer; the spans are those of all, each with its score times the probability that its window does.
    """
    look = sampling_of(clip, model)
    if look is None:
        return answer_question(clip.path, question, model, _of(clip, clip.span))
    best, best_weight = Answer(question, "", (), model.name), -1.0
    kept: list[Found] = []
    for window, _ in _worth_a_look(clip, [question], model, look, ANSWERS):
        config = _of(clip, window, look)
        answer = answer_question(clip.path, question, model, config)
        (weight,) = weigh_queries(clip.path, [question], model, config, ANSWERS)
        kept += [Found(g.span, g.score * weight, window) for g in answer.groundings]
        if weight > best_weight:
            best, best_weight = answer, weight
    return replace(best, groundings=tuple(_merged(kept, model, look, 0.0)))


def sampling_of(clip: VideoClip, model: "VideoLLM") -> SamplingConfig | None:
    """How densely the windows of a clip are looked at; None where the clip is short enough for one look.

    Every window has as many frames as the model takes, at most at its own rate, on one grid for the whole clip.
    """
    seconds = model.config.windows.seconds
    if clip.span.seconds <= seconds:
        return None
    sampling = model.sampling
    most = sampling.fps if sampling.max_frames is None else sampling.max_frames / seconds
    return replace(sampling, fps=min(sampling.fps, most), max_frames=None)


def _worth_a_look(
    clip: VideoClip, queries: Sequence[str], model: "VideoLLM", look: SamplingConfig, seeking: Seeking
) -> Iterator[tuple[Span, list[int]]]:
    """Windows to look at closely, each with the numbers of the queries that it is promising for.

    In the order of the file, so that an encoder that looks back may carry its state; the most promising first where the
    time is limited.
    """
    config = model.config.windows
    windows = windows_of(clip.span, config.seconds, config.overlap, 1 / look.fps)
    everyone = list(range(len(queries)))
    promising = dict.fromkeys(range(len(windows)), everyone)
    if config.budget_seconds is not None or (config.looks is not None and config.looks < len(windows)):
        orders = [ranked(windows, proposed)[: config.looks] for proposed in _proposals(clip, queries, model, seeking)]
        best = {
            i: min(order.index(i) for order in orders if i in order) for i in sorted({i for o in orders for i in o})
        }
        promising = {i: [q for q in everyone if i in orders[q]] for i in best}
        if config.budget_seconds is not None:
            promising = {i: promising[i] for i in sorted(best, key=lambda i: best[i])}
    started = time.perf_counter()
    with model.carrying_time():
        for number, (i, asked) in enumerate(promising.items()):
            is_late = config.budget_seconds is not None and time.perf_counter() - started > config.budget_seconds
            if number and is_late:
                return
            model.report("looking", number / len(promising))
            yield windows[i], asked


def _proposals(
    clip: VideoClip, queries: Sequence[str], model: "VideoLLM", seeking: Seeking
) -> list[list[tuple[Span, float]]]:
    """Where each query may be, by a cheap pass over the whole clip: spans, and how promising they are.

    The model itself looks at a frame in `scan_seconds`, as many at once as it takes and without its fast path, and is
    asked whether and when: its probability of yes times that of the span. Or whoever was made its proposer says.
    """
    if model.proposer is not None:
        return [[(g.span, g.score) for g in found] for found in model.proposer.ground(clip, queries)]
    proposals: list[list[tuple[Span, float]]] = [[] for _ in queries]
    every, sampling = model.config.windows.scan_seconds, model.sampling
    frames = sampling.max_frames or max(1, round(model.config.windows.seconds * sampling.fps))
    windows = windows_of(clip.span, frames * every, 0.0, every)
    has_keys = _has_keys(clip, every)
    with model.carrying_time(), model.skimming():
        for number, window in enumerate(windows):
            model.report("searching", number / len(windows))
            frames = math.ceil(window.seconds / every)
            scan = replace(sampling, fps=1 / every, max_frames=frames, keyframes_only=has_keys)
            config = _of(clip, window, scan)
            found = ground_queries(clip.path, queries, model, config, seeking)
            there = weigh_queries(clip.path, queries, model, config, seeking)
            for known, spans, likely in zip(proposals, found, there, strict=True):
                known += [(g.span, g.score * likely) for g in spans]
    return proposals


def _has_keys(clip: VideoClip, every_seconds: float) -> bool:
    """Whether key frames, which are decoded without any other, are dense enough for a search."""
    clock = clock_of(clip)
    keys = clock.pts_seconds[clock.is_key]
    inside = (keys >= clip.span.start_seconds) & (keys < clip.span.end_seconds)
    return int(np.count_nonzero(inside)) >= clip.span.seconds / every_seconds


def _of(clip: VideoClip, window: Span, sampling: SamplingConfig | None = None) -> PipelineConfig:
    return PipelineConfig(window.start_seconds, window.end_seconds, decoder=clip.decoder, sampling=sampling)


def _merged(found: Sequence[Found], model: "VideoLLM", look: SamplingConfig, least: float) -> list[Grounding]:
    tolerance = max(model.codec.resolution(model.config.windows.seconds), 1 / look.fps)
    spans = merge_windows(found, tolerance, model.config.search.max_iou)
    return [Grounding(span, score, "visual") for span, score in spans if score >= least]
