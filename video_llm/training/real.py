"""Real videos to train on: published instruction sets with the user's files, looked at once before training."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tvu.temporal.squeezetime.network import SqueezeTime
from tvu.temporal.time_tokens.codec import TimeCodec
from tvu.temporal.time_tokens.lita import STAMP
from tvu.temporal.types import Span
from tvu.video_llm.benchmarks.video_files import find_video
from tvu.video_llm.cache import CacheConfig, CacheEntry, FeatureCache
from tvu.video_llm.decode import open_video
from tvu.video_llm.errors import TrainingError, VideoError
from tvu.video_llm.lite.inputs import STEPS_PER_SECOND
from tvu.video_llm.lite.see import Cells, LiteSeen, see, seen_key, steps_of
from tvu.video_llm.training.instruction_sets import Instruction, read_instructions
from tvu.video_llm.training.tasks import Kind, Sample

Notice = Callable[[str], None]


@dataclass(frozen=True)
class RealVideo:
    """A file, or a part of one, and what is asked about it.

    key: of what `lite` sees of it, in the cache of the run; steps: quarter seconds.
    """

    path: Path
    key: str
    steps: int
    instructions: tuple[Instruction, ...]

    @property
    def seconds(self) -> float:
        """As long as its steps are."""
        return self.steps / STEPS_PER_SECOND


@dataclass(frozen=True)
class Stretch:
    """What one batch sees of a real video: `steps` steps from number `first` on, and what is asked about them."""

    video: int
    first: int
    steps: int
    asked: tuple[Sample, ...]


class RealVideos:
    """Every video of some instruction sets, as `lite` sees them; what was seen lies in files, not in memory."""

    def __init__(self, videos: Sequence[RealVideo], cache: FeatureCache) -> None:
        self.videos = tuple(videos)
        self._cache = cache

    def entry(self, stretch: Stretch) -> LiteSeen:
        """What is seen of a stretch.

        Raises TrainingError where the files are gone.
        """
        video = self.videos[stretch.video]
        found = self._cache.load(video.key)
        if found is None:
            raise TrainingError(f"what was seen of {video.path.name} is gone", hint="start the run again")
        return LiteSeen.from_arrays(dict(found.arrays)).between(stretch.first, stretch.first + stretch.steps)


def look_at_real(
    sets: Sequence[Mapping[str, str]],
    folder: Path,
    cells: Cells,
    motion: SqueezeTime,
    people: Callable[[], tuple[Any, Any]],
    tell: Notice,
    share: tuple[int, int] = (0, 1),
) -> RealVideos:
    """Reads instruction sets and looks at each of their videos once; what was seen is kept in `folder`.

    sets: `{"path": the file, "videos": the folder}` each. people: makes what follows bodies and hands through one
    video, or None of each.
    share: (rank, size) of the processes that each take some of the videos.
    Files that are missing or cannot be read are told and left out. Raises TrainingError where nothing is left, and
    InstructionsError for a set that is none.
    """
    cache = FeatureCache(folder, CacheConfig(None))
    makers = (cells.name, f"motion@{state_digest(motion)}", "bodies, hands")
    asked: dict[tuple[Path, Span | None], list[Instruction]] = {}
    for told in sets:
        unknown = {"path", "videos"} ^ set(told)
        if unknown:
            raise TrainingError(f"a set of data.real has a path and videos: {', '.join(sorted(unknown))}?")
        read = read_instructions(Path(told["path"]))
        for reason in read.left_out[:3]:
            tell(f"{Path(told['path']).name}: {reason}")
        for each in read.instructions:
            path = find_video(Path(told["videos"]), each.video, (".", "videos"))
            asked.setdefault((path, each.part), []).append(each)
    videos = []
    for number, ((path, part), instructions) in enumerate(asked.items()):
        if number % share[1] != share[0]:
            continue
        try:
            start, end = (None, None) if part is None else (part.start_seconds, part.end_seconds)
            clip = open_video(path, start=start, end=end)
            key = seen_key(clip, cache.content_of(path), makers)
            if cache.load(key) is None:
                seen = see(clip, cells, motion, *people())
                cache.store(key, CacheEntry(seen.to_arrays(), {}))
        except VideoError as error:
            tell(f"left out: {error.message}")
            continue
        if cache.trouble:
            raise TrainingError(cache.trouble, hint="give another `out`")
        videos.append(RealVideo(path, key, steps_of(clip), tuple(instructions)))
    if not videos:
        raise TrainingError("no video of data.real can be read", hint="`videos` is the folder that holds them")
    return RealVideos(videos, cache)


def state_digest(network: torch.nn.Module) -> str:
    """Twelve hex digits of the weights of a network."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def draw_stretch(
    rng: np.random.Generator, videos: Sequence[RealVideo], codec: TimeCodec, longest: float, questions: int
) -> Stretch | None:
    """One video, or as much of a long one as is looked at at once, and up to `questions` of what is asked about it.

    A stretch of a long video holds every time that its first question is about. None where that cannot be: a question
    about more than `longest` seconds, or one without times about a longer video.
    """
    number = int(rng.integers(len(videos)))
    video = videos[number]
    order = rng.permutation(len(video.instructions))
    most = int(longest * STEPS_PER_SECOND)
    first, steps = 0, video.steps
    if steps > most:
        times = _times(video.instructions[order[0]])
        steps = most
        earliest = max(0, int(np.ceil(max(times, default=np.inf) * STEPS_PER_SECOND)) - most) if times else 0
        latest = min(video.steps - most, int(min(times, default=0.0) * STEPS_PER_SECOND))
        if not times or earliest > latest:
            return None
        first = int(rng.integers(earliest, latest + 1))
    window = Span(first / STEPS_PER_SECOND, (first + steps) / STEPS_PER_SECOND)
    asked = []
    for each in order:
        sample = as_sample(video.instructions[each], window, codec, is_whole=steps == video.steps)
        if sample is not None:
            asked.append(sample)
        if len(asked) == questions:
            break
    return Stretch(number, first, steps, tuple(asked)) if asked else None


def as_sample(instruction: Instruction, window: Span, codec: TimeCodec, *, is_whole: bool) -> Sample | None:
    """An instruction about `window` of its video, times counted from there and written by the codec.

    One span, or spans that are every occurrence of what is asked for, are what the head is to find. None where times
    are outside, or where a part of the video does not allow the answer: that something is absent, or has no time.
    """
    times = _times(instruction)
    is_inside = all(window.start_seconds <= time <= window.end_seconds for time in times)
    if not is_whole and (not times or not is_inside):
        return None
    start, seconds = window.start_seconds, window.seconds
    moved = replace(
        instruction, answer=STAMP.sub(lambda stamp: f"<{max(0.0, float(stamp[1]) - start):g}>", instruction.answer)
    )
    spans = tuple(
        Span(max(0.0, span.start_seconds - start), min(seconds, span.end_seconds - start))
        for span in instruction.spans
        if min(seconds, span.end_seconds - start) > max(0.0, span.start_seconds - start)
    )
    if instruction.spans and not spans:
        return None
    kind: Kind = "caption"
    is_present = instruction.is_present
    if is_present is None and len(spans) == 1:
        is_present = True
    if is_present is not None:
        kind = "absent" if not is_present else "moment" if len(spans) == 1 else "moments"
    return Sample(kind, instruction.question, moved.target(codec, seconds), spans, is_present)


def _times(instruction: Instruction) -> list[float]:
    told = [float(stamp) for stamp in STAMP.findall(instruction.answer)]
    return [*told, *(time for span in instruction.spans for time in (span.start_seconds, span.end_seconds))]
