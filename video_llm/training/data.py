"""Batches of generated videos and questions: scenes are drawn by processes, looked at on the GPU."""

import math
import os
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, is_dataclass, replace
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from tvu.video_llm.errors import TrainingError
from tvu.video_llm.lite.head import Targets
from tvu.video_llm.lite.inputs import BODY_CHANNELS, GRID, HAND_CHANNELS, SLOW_CHANNELS, STEPS_PER_SECOND, LiteInputs
from tvu.video_llm.lite.judge import offered_on
from tvu.video_llm.lite.model import LiteConfig, Reading
from tvu.video_llm.lite.options import Offered as Offers
from tvu.video_llm.lite.options import Options, offered_by, options_of
from tvu.video_llm.lite.prior import ClassEvidence, Meanings, texts_of, texts_of_classes
from tvu.video_llm.lite.prompt import LiteTokenizer, Sequences, sequences
from tvu.video_llm.minilm import SentenceReader, Sentences
from tvu.video_llm.models.parts import build_codec, build_reductions
from tvu.video_llm.runtime import CORES
from tvu.video_llm.training.bank import Bank
from tvu.video_llm.training.config import DataConfig
from tvu.video_llm.training.feature_videos import FeatureWorld
from tvu.video_llm.training.hand_videos import HandWorld
from tvu.video_llm.training.real import RealVideos, Stretch, draw_stretch
from tvu.video_llm.training.scenes import Scene, Split
from tvu.video_llm.training.skeletons import SkeletonWorld
from tvu.video_llm.training.tasks import WEIGHTS, NothingToAskError, Sample, draw_sample

TRIES = 1000  # scenes that are drawn for one that allows what is wanted
GROUP = 8  # batches that are drawn together and sorted by length, so that little is padding
NAMES_WHAT_IT_ASKS_FOR = frozenset({"moment", "moments", "absent", "presence", "highlights", "counting"})
"""What may be asked of a video that shows another's things as well, of which nothing is told: no question about what
else happens, what comes next or what is longest, which they would change."""
ASKS_FOR_MOMENTS = ("moment", "moments", "absent", "presence", "highlights", "counting")
JUDGED = ("choice", "presence", "counting", "order")  # whose answers the head judges, where they can be listed
NEARLY = 0.9  # as near an option is to an answer that it is


@dataclass(frozen=True)
class Video:
    """One video of a batch: what is true of it, and what each path of `lite` is to see.

    features: a plan of `FeatureWorld` to be rendered as the slow path; bank: an entry whose slow and motion paths are
    taken; motion: an entry whose motion alone is; body, hands: plans of `SkeletonWorld` and `HandWorld`, or landmarks
    `[T', C]` and whether each is there (has_strangers: of nobody in the scene); real: a stretch of a real video, all of
    whose paths are taken and whose questions are asked. Paths of other videos are repeated or cut to this one's length.
    """

    source: str
    scene: Scene
    features: Any = None
    bank: int = -1
    motion: int = -1
    body: Any = None
    hands: Any = None
    has_strangers: bool = False
    real: Stretch | None = None

    @property
    def steps(self) -> int:
        """Quarter seconds."""
        return max(1, round(self.scene.seconds * STEPS_PER_SECOND))

    @property
    def is_mixed(self) -> bool:
        """Whether a body or pictures are seen in it that the scene does not tell of."""
        if self.source in ("skeletons", "hands"):
            return self.features is not None
        return self.has_strangers


@dataclass(frozen=True)
class Batch:
    """Videos, what is asked about them, the sequences to read, what may be answered, which of that is right (int64
    `[S]`, -1 where nothing is offered), and all texts that are to be understood."""

    videos: tuple[Video, ...]
    asked: tuple[tuple[int, Sample], ...]
    sequences: Sequences
    seed: int
    offered: Offers
    right: NDArray[np.int64]
    texts: Sentences | None = None


def offered_in(asked: Sequence[Sample]) -> tuple[Offers, NDArray[np.int64]]:
    """What may be answered to each question that is judged, and which of it is right."""
    each = [_listed(sample) for sample in asked]
    return offered_by([options for options, _ in each]), np.array([right for _, right in each], np.int64)


def _listed(sample: Sample) -> tuple[Options | None, int]:
    options = options_of(sample.question) if sample.kind in JUDGED else None
    if options is None:
        return None, -1
    if sample.correct is not None:
        return (options, sample.correct) if len(options.options) == len(sample.choices) else (None, -1)
    near = [
        SequenceMatcher(None, _plain(sample.answer), _plain(each), autojunk=False).ratio() for each in options.options
    ]
    best = int(np.argmax(near))
    return (options, best) if near[best] >= NEARLY else (None, -1)


def _plain(text: str) -> str:
    return text.lower().strip(" .")


def visual_counts(config: LiteConfig, most: int) -> list[int]:
    """How many visual tokens a video of 0 .. most steps becomes: `counts[steps]`."""
    from tvu.temporal.compress import compress_tokens
    from tvu.temporal.types import VisualTokens

    reductions, _ = build_reductions(list(config.reductions), config.merged)
    lengths = torch.arange(1, most + 1)
    counts = [0]
    with torch.no_grad():
        for some in lengths.split(32):
            features = torch.randn(len(some), int(some.max()), 1, config.merged)
            spans = torch.arange(features.shape[1] + 1, dtype=torch.float64)
            spans = torch.stack([spans[:-1], spans[1:]], -1).expand(len(some), -1, -1)
            tokens = VisualTokens.from_frames(features, spans, (1, 1), some)
            counts += compress_tokens(tokens, *reductions.steps).flatten().lengths.tolist()
    return counts


class Scenes(IterableDataset[Batch]):
    """An endless stream of batches, the same for the same seed and number of workers.

    bank: whose entries composed videos are; None where there are none. Processes get its scenes, not its features.
    real: videos of the user's instruction sets; None where there are none.
    """

    def __init__(
        self,
        data: DataConfig,
        model: LiteConfig,
        tokenizer_json: Path,
        lite0: Path,
        bank: Bank | None,
        *,
        real: RealVideos | None = None,
        videos: int,
        split: Split,
        seed: Sequence[int],
    ) -> None:
        self.data, self.model, self.videos, self.split, self.seed = data, model, videos, split, tuple(seed)
        self._tokenizer_json, self._lite0 = tokenizer_json, lite0
        self._bank_scenes = () if bank is None else bank.scenes
        self._bank_bodies = () if bank is None else bank.bodies
        self._real = () if real is None else real.videos
        self._codec = build_codec(model.codec)
        self._counts = visual_counts(model, math.ceil(data.longest * STEPS_PER_SECOND))

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        if worker is not None:
            torch.set_num_threads(1)
            os.environ[CORES] = "1"  # for ONNX Runtime
        tokenizer = LiteTokenizer(self._tokenizer_json, self._codec, self.model.known_tokens)
        features = FeatureWorld(self._lite0, self.split)
        people = SkeletonWorld(self.split), HandWorld(self.split)
        reader = SentenceReader(None) if self.model.has_prior else None
        number = 0
        while True:
            rng = np.random.default_rng((*self.seed, 0 if worker is None else worker.id, number))
            number += 1
            drawn = [self._draw(rng, features, *people) for _ in range(GROUP * self.videos)]
            shown = _with_landmarks([video for video, _ in drawn], *people)
            order = sorted(range(len(drawn)), key=lambda i: shown[i].steps)
            for first in rng.permutation(GROUP) * self.videos:
                some = order[first : first + self.videos]
                videos = tuple(shown[i] for i in some)
                asked = tuple((v, sample) for v, i in enumerate(some) for sample in drawn[i][1])
                counts = [self._counts[video.steps] for video in videos]
                told = sequences(tokenizer, [(v, s.question, s.answer) for v, s in asked], counts)
                samples = [sample for _, sample in asked]
                offered, right = offered_in(samples)
                texts = texts_of([sample.question for sample in samples], told.clauses, offered)
                understood = None if reader is None else reader.ids(texts)
                yield Batch(videos, asked, told, int(rng.integers(2**31)), offered, right, understood)

    def _asked(self, rng: np.random.Generator, video: Video) -> Sequence[Sample]:
        """What is asked of a video; nothing where it allows none of the kinds that are wanted."""
        if video.real is not None:
            return video.real.asked
        kinds = dict(self.data.kinds or WEIGHTS)
        if video.is_mixed:
            kinds = {kind: weight for kind, weight in kinds.items() if kind in NAMES_WHAT_IT_ASKS_FOR}
        try:
            return [draw_sample(rng, video.scene, self._codec, self.split, kinds) for _ in range(self.data.questions)]
        except NothingToAskError:
            return ()

    def _draw(
        self, rng: np.random.Generator, features: FeatureWorld, skeletons: SkeletonWorld, hands: HandWorld
    ) -> tuple[Video, Sequence[Sample]]:
        """A video and what is asked of it. Raises TrainingError where hardly any allows what is wanted."""
        names = [name for name, weight in self.data.weights.items() if weight > 0]
        weights = np.array([self.data.weights[name] for name in names], np.float64)
        for _ in range(TRIES):
            source = names[int(rng.choice(len(names), p=weights / weights.sum()))]
            video = self._real_video(rng) if source == "real" else self._of(source, rng, features, skeletons, hands)
            if video is not None and video.scene.seconds <= self.data.longest:
                asked = self._asked(rng, video)
                if asked:
                    return video, asked
        wanted = ", ".join(self.data.kinds or WEIGHTS)
        raise TrainingError(
            f"of {TRIES} scenes of {', '.join(names)} none of up to {self.data.longest:g} s allows {wanted}",
            hint="data.kinds, data.longest and data.weights say what is wanted",
        )

    def _real_video(self, rng: np.random.Generator) -> Video | None:
        stretch = draw_stretch(rng, self._real, self._codec, self.data.longest, self.data.questions)
        return None if stretch is None else Video("real", Scene(stretch.steps / STEPS_PER_SECOND, ()), real=stretch)

    def _of(
        self,
        source: str,
        rng: np.random.Generator,
        features: FeatureWorld,
        skeletons: SkeletonWorld,
        hands: HandWorld,
    ) -> Video:
        entries = len(self._bank_scenes)
        other = int(rng.integers(entries)) if entries and rng.random() < self.data.distract else -1
        if source == "composed" and entries:
            entry = int(rng.integers(entries))
            body = self._bank_bodies[entry]
            is_strange = body is None and rng.random() < self.data.distract / 2
            body = skeletons.draw(rng) if is_strange else body
            return Video(source, self._bank_scenes[entry], bank=entry, body=body, has_strangers=is_strange)
        if source == "skeletons":
            plan = skeletons.draw(rng)
            behind = features.draw(rng) if rng.random() < max(self.data.distract, 0.5) else None
            return Video(source, plan.scene, features=behind, motion=other, body=plan)
        if source == "hands":
            held = hands.draw(rng)
            behind = features.draw(rng) if rng.random() < max(self.data.distract, 0.5) else None
            return Video(source, held.scene, features=behind, motion=other, hands=held)
        body = skeletons.draw(rng) if rng.random() < self.data.distract / 2 else None
        near = hands.draw(rng) if body is None and rng.random() < self.data.distract / 4 else None
        seen = features.draw(rng)
        strange = body is not None or near is not None
        return Video("features", seen.scene, features=seen, motion=other, body=body, hands=near, has_strangers=strange)


def _with_landmarks(videos: Sequence[Video], skeletons: SkeletonWorld, near: HandWorld) -> list[Video]:
    """Plans of skeletons and hands as landmarks, all of them at once; a body has hands of its own."""
    done = list(videos)
    moving = [v for v, video in enumerate(videos) if video.body is not None]
    if moving:
        plans = [videos[v].body for v in moving]
        body, has_body, hands, has_hands = skeletons.render_with_hands(plans)
        for row, (v, plan) in enumerate(zip(moving, plans, strict=True)):
            at = row, slice(0, plan.num_steps)
            its = (body[at].copy(), has_body[at].copy()), (hands[at].copy(), has_hands[at].copy())
            done[v] = replace(videos[v], body=its[0], hands=its[1])
    alone = [v for v, video in enumerate(videos) if video.body is None and video.hands is not None]
    if alone:
        plans = [videos[v].hands for v in alone]
        hands, has_hands = near.render(plans)
        for row, (v, plan) in enumerate(zip(alone, plans, strict=True)):
            at = row, slice(0, plan.num_steps)
            done[v] = replace(videos[v], hands=(hands[at].copy(), has_hands[at].copy()))
    return done


def loader(scenes: Scenes, workers: int) -> Iterator[Batch]:
    """`scenes` by so many processes; 0: here."""
    if workers == 0:
        return iter(scenes)
    return iter(DataLoader(scenes, batch_size=None, num_workers=workers, prefetch_factor=4, persistent_workers=True))


@dataclass
class Looker:
    """From the plans of a batch to what `lite` sees, on one device."""

    config: LiteConfig
    device: torch.device
    features: FeatureWorld
    bank: Bank | None = None
    real: RealVideos | None = None
    generator: torch.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.generator = torch.Generator(self.device)
        self.evidence: ClassEvidence | None = None
        self.meanings: Meanings | None = None
        if self.config.has_prior:
            lite0 = self.features.folder
            self.evidence = ClassEvidence.load(lite0).to(self.device)
            self.meanings = Meanings(SentenceReader(self.device), texts_of_classes(lite0), self.device)

    def inputs(self, batch: Batch) -> LiteInputs:
        """What is seen; the same for the same batch."""
        self.generator.manual_seed(batch.seed)
        videos, device = batch.videos, self.device
        size, steps = len(videos), max(video.steps for video in videos)
        motion_channels = self.config.motion_config.num_channels
        slow = torch.zeros(size, steps, GRID[0] * GRID[1], SLOW_CHANNELS, dtype=torch.float16, device=device)
        motion = torch.zeros(size, steps, motion_channels, dtype=torch.float16, device=device)
        has_slow, has_motion = torch.zeros(2, size, steps, dtype=torch.bool, device=device)
        body, hands = (np.zeros((size, steps, channels), np.float32) for channels in (BODY_CHANNELS, HAND_CHANNELS))
        has_body, has_hands = np.zeros((2, size, steps), np.bool_)

        drawn = [b for b, video in enumerate(videos) if video.features is not None]
        if drawn:
            seen = self.features.render([videos[b].features for b in drawn], device, self.generator).to(slow.dtype)
            place = np.full((size, steps), -1)  # of each step among all that were drawn
            for row, b in enumerate(drawn):
                there = max(1, min(round(videos[b].features.scene.seconds * STEPS_PER_SECOND), seen.shape[1]))
                place[b, : videos[b].steps] = row * seen.shape[1] + np.arange(videos[b].steps) % there
            self._fill(slow, has_slow, seen.flatten(0, 1), place)
        if self.bank is not None:
            looks, moves = np.full((2, size, steps), -1)
            for b, video in enumerate(videos):
                if video.bank >= 0:
                    looks[b, : video.steps] = moves[b, : video.steps] = self.bank.places(video.bank, video.steps)
                elif video.motion >= 0:
                    moves[b, : video.steps] = self.bank.places(video.motion, video.steps)
            self._fill(slow, has_slow, self.bank.slow, looks)
            self._fill(motion, has_motion, self.bank.motion, moves)
        for b, video in enumerate(videos):
            if video.real is not None and self.real is not None:
                real = self.real.entry(video.real)
                slow[b, : video.steps] = torch.from_numpy(np.array(real.slow)).to(device)
                motion[b, : video.steps] = torch.from_numpy(np.array(real.motion)).to(device)
                has_slow[b, : video.steps] = has_motion[b, : video.steps] = True
                body[b, : video.steps], has_body[b, : video.steps] = real.body, real.has_body
                hands[b, : video.steps], has_hands[b, : video.steps] = real.hands, real.has_hands
            for told, path, has in ((video.body, body, has_body), (video.hands, hands, has_hands)):
                if told is not None:
                    landmarks, there_ = told
                    place_ = np.arange(video.steps) % len(landmarks)
                    path[b, : video.steps], has[b, : video.steps] = landmarks[place_], there_[place_]
        lengths = torch.tensor([video.steps for video in videos], device=device)
        bodies, near = (torch.from_numpy(path).to(device).half() for path in (body, hands))
        is_body, is_hand = (torch.from_numpy(has).to(device) for has in (has_body, has_hands))
        return LiteInputs(slow, motion, bodies, near, has_slow, has_motion, is_body, is_hand, lengths)

    def _fill(self, path: Tensor, has: Tensor, found: Tensor, place: NDArray[np.int64]) -> None:
        """Rows of `found` into a path `[B, T, ...]` where `place` `[B, T]` names one; -1 leaves a step as it is."""
        where = self._moved(place)
        is_told = where >= 0
        path[is_told] = found[where[is_told]].to(path.dtype)
        has |= is_told

    def reading(self, batch: Batch) -> Reading:
        """The sequences on the device."""
        told, texts = batch.sequences, batch.texts
        arrays = (told.ids, told.is_visual, told.video, told.answers, told.last_asked, told.clause_of)
        ids, is_visual, video, answers, last_asked, clause_of = (self._moved(array) for array in arrays)
        meaning = None
        if texts is not None and self.meanings is not None:
            meaning = self.meanings.of(self._moved(texts.ids), self._moved(texts.is_word))
        offered = offered_on(batch.offered, self.device)
        return Reading(ids, is_visual, video, answers, last_asked, clause_of, meaning, offered)

    def targets(self, batch: Batch) -> Targets:
        """What is true."""
        samples = [sample for _, sample in batch.asked]
        most = max(1, *(len(sample.spans) for sample in samples))
        spans, is_event = np.zeros((len(samples), most, 2), np.float32), np.zeros((len(samples), most), np.bool_)
        present = np.full(len(samples), np.nan, np.float32)
        asked = np.zeros(len(samples), np.bool_)
        for row, sample in enumerate(samples):
            if sample.kind not in ASKS_FOR_MOMENTS:
                continue
            asked[row] = True
            is_present = bool(sample.spans) if sample.kind == "counting" else sample.is_present
            if is_present is not None:
                present[row] = float(is_present)
            if sample.is_present is not False:
                for e, span in enumerate(sample.spans):
                    spans[row, e] = span.start_seconds, span.end_seconds
                    is_event[row, e] = True
        return Targets(*map(self._moved, (spans, is_event, present, asked, batch.right)))

    def _moved(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self.device, non_blocking=True)


@dataclass(frozen=True)
class Prepared:
    """A batch on the device."""

    inputs: LiteInputs
    reading: Reading
    targets: Targets

    def record_stream(self, stream: torch.cuda.Stream) -> None:
        """The memory of its tensors is not given to others before `stream` is through with them."""
        for part in (self.inputs, self.reading, self.targets):
            for each in _tensors(part):
                each.record_stream(stream)


def _tensors(part: Any) -> Iterator[Tensor]:
    for each in vars(part).values():
        if isinstance(each, Tensor):
            yield each
        elif is_dataclass(each):
            yield from _tensors(each)


def prepared(batches: Iterator[Batch], looker: Looker) -> Generator[Prepared, None, None]:
    """Batches on the device of `looker`; while one is trained on, a thread prepares the next, on a GPU in a stream of
    its own. To be closed."""
    device = looker.device
    side = torch.cuda.Stream(device) if device.type == "cuda" else None
    if side is not None:
        side.wait_stream(torch.cuda.current_stream(device))  # what the looker takes from is complete by then

    def prepare() -> tuple[Prepared, Any]:
        batch = next(batches)
        if side is None:
            return Prepared(looker.inputs(batch), looker.reading(batch), looker.targets(batch)), None
        with torch.cuda.device(device), torch.cuda.stream(side):
            ready = Prepared(looker.inputs(batch), looker.reading(batch), looker.targets(batch))
            return ready, side.record_event()

    thread = ThreadPoolExecutor(1, "prepare")
    following = thread.submit(prepare)
    try:
        while True:
            ready, is_there = following.result()
            following = thread.submit(prepare)
            if is_there is not None:
                here = torch.cuda.current_stream(device)
                here.wait_event(is_there)
                ready.record_stream(here)
            yield ready
    finally:
        thread.shutdown(cancel_futures=True)
