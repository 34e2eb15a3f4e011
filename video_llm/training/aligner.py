"""Train our small aligner:
`python -P -m tvu.video_llm.training.aligner --out FOLDER [--steps N] [--batch N] [--workers N] [--device cuda]`.

An NSVA of two million weights learns on generated videos what to add to the zero-shot scores of lines and seconds: its
cosines over 0.07 plus those scores say which seconds each line is about, and how high a line that is shown nowhere may
score. Most videos are joined pieces with scenes in many words and the spread of real features (`aligner_worlds`), the
others rows of single classes (`aligner_videos`). Classes, names and scenes held out of training measure it now and
then, beside zero-shot alone, and the weights that do best there are kept. The same seed gives the same weights on the
same machine; the same command runs on a CPU (half an hour on two cores) and on a GPU.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from tvu.temporal.alignment.loss import AlignmentSample, collate
from tvu.temporal.alignment.nsva import NsvaAligner, NsvaConfig
from tvu.temporal.alignment.similarity import MASKED, TEMPERATURE
from tvu.video_llm.narration.picture import SHIPPED, LooksInWords, align_seconds, seconds_of
from tvu.video_llm.scout.visual import ClassLogitScorer
from tvu.video_llm.training.aligner_videos import IndexedVideo, IndexedVideos, SceneConfig, class_texts
from tvu.video_llm.training.aligner_worlds import JoinedVideos, draw_pieces, is_asked, is_taught, spoken_lines

SHAKEN = 0.7  # length of the noise on a sentence vector, at most; the vector's own is 1
HELD_OUT = 5  # every so manyth class is never trained on
JOINED = 0.75  # share of the videos that are joined pieces
MEASURED = 250  # steps after which held-out videos are looked at
HELD_VIDEOS = 120  # of them
SECONDS_SEEN = 256  # rows of the table of positions: longer videos are seen in windows
SMALL = NsvaConfig(
    feature_width=384,
    width=192,
    similarity_width=96,
    heads=4,
    encoder_layers=2,
    decoder_layers=2,
    feedforward=512,
    max_frames=SECONDS_SEEN,
    max_texts=1,
)


@dataclass(frozen=True)
class AlignerTraining:
    """How the aligner is trained.

    model: its sizes; feature_width is that of sentence vectors. scenes: what its videos look like. steps: of the
    optimiser, each on `batch` videos. peak_rate: of AdamW, after a warm-up of a twentieth, falling as a cosine.
    alone: weight of finding lines without the zero-shot scores: with them alone, the aligner would be content to add
        how likely each line is. presence: weight of telling lines that are shown from lines that are not.
    """

    model: NsvaConfig = SMALL
    scenes: SceneConfig = field(default_factory=SceneConfig)
    steps: int = 3000
    batch: int = 8
    peak_rate: float = 5e-4
    weight_decay: float = 0.02
    alone: float = 0.5
    presence: float = 0.5
    seed: int = 1

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1:
            raise ValueError(f"{self.steps} steps of {self.batch} videos teach nothing")


def is_held_out(count: int) -> NDArray[np.bool_]:
    """bool `[count]`: the classes that training never sees."""
    return np.asarray(np.arange(count) % HELD_OUT == 3)


@dataclass(frozen=True)
class Lesson:
    """A video as the aligner sees it, and what is needed for the zero-shot scores of any line and any second.

    weights: float32 `[S, K]`, how much each class speaks for each line; evidence: float32 `[T, K]`, how much each
    second speaks for each class.
    """

    sample: AlignmentSample
    weights: Tensor
    evidence: Tensor


def lesson_of(video: IndexedVideo, words: LooksInWords, scorer: ClassLogitScorer, rng: np.random.Generator) -> Lesson:
    """A generated video as a lesson; a second belongs to a line that is shown in most of it.

    The sentence vectors are shaken, so that no class is known by its very words.
    """
    seconds = seconds_of(video.index)
    middles = np.arange(len(seconds)) + 0.5
    positives = np.array([[any(t in span for span in spans) for t in middles] for spans in video.spans])
    shake = rng.standard_normal(video.lines.shape, np.float32) / np.sqrt(video.lines.shape[1])
    shaken = video.lines + rng.uniform(0, SHAKEN) * shake
    shaken /= np.linalg.norm(shaken, axis=1, keepdims=True)
    return Lesson(
        AlignmentSample(
            torch.from_numpy(words.pictures(seconds)),
            torch.from_numpy(words.of_vectors(shaken)),
            torch.from_numpy(positives),
        ),
        torch.from_numpy(np.stack([scorer.weights_of(vector) for vector in shaken]).astype(np.float32)),
        torch.from_numpy(scorer.evidence_of(seconds)),
    )


class _Presence(nn.Module):
    """Whether a line is shown, from its cosines: a smooth maximum against one threshold. It trains and is dropped."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.threshold = nn.Parameter(torch.tensor(5.0))

    def forward(self, logits: Tensor) -> Tensor:
        """`[..., T]` logits to `[...]`."""
        return self.scale * (logits.logsumexp(dim=-1) - self.threshold)


def _say_nothing(model: NsvaAligner, step: int) -> None:
    return


def train(
    config: AlignerTraining,
    lessons: Iterator[Lesson],
    device: str = "cpu",
    look: Callable[[NsvaAligner, int], None] = _say_nothing,
) -> NsvaAligner:
    """The aligner after `config.steps` steps, in evaluation mode, on the CPU. Prints the loss now and then.

    look: shown a copy of the model, in evaluation mode on the CPU, and how many steps it has made, every `MEASURED`
        steps and at the end.
    """
    torch.manual_seed(config.seed)
    model = _near_zero_shot(NsvaAligner(config.model)).to(device).train()
    presence = _Presence().to(device)
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1] + list(presence.parameters())
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=config.peak_rate,
    )
    warm = max(1, config.steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: min((step + 1) / warm, 0.5 * (1 + np.cos(np.pi * min(1.0, step / config.steps))) + 0.01),
    )
    started, running = time.perf_counter(), 0.0
    for step in range(config.steps):
        loss = _loss(model, presence, [next(lessons) for _ in range(config.batch)], config, device)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        running = loss.item() if step == 0 else 0.98 * running + 0.02 * loss.item()
        if step % 50 == 49 or step == config.steps - 1:
            print(f"step {step + 1:5d}  loss {running:.3f}  {time.perf_counter() - started:.0f} s", flush=True)
        if (step + 1) % MEASURED == 0 or step == config.steps - 1:
            look(deepcopy(model).cpu().eval(), step + 1)
    return model.cpu().eval()


def _loss(
    model: NsvaAligner, presence: _Presence, lessons: Sequence[Lesson], config: AlignerTraining, device: str
) -> Tensor:
    """Lines find their seconds among those of all videos of the batch, and those that have none are told apart."""
    batch = collate([lesson.sample for lesson in lessons])
    video, text, positives = (t.to(device) for t in (batch.video, batch.text, batch.positives))
    video_padding, text_padding = batch.video_padding.to(device), batch.text_padding.to(device)
    weights = pad_sequence([lesson.weights for lesson in lessons], batch_first=True).to(device)  # [B, S, K]
    evidence = pad_sequence([lesson.evidence for lesson in lessons], batch_first=True).to(device)  # [B, T, K]
    zero_shot = weights.flatten(0, 1) @ evidence.flatten(0, 1).T  # [B * S, B * T]
    vectors = model(video, text, video_padding, text_padding, ordered=False)
    own_logits = vectors.cosine_across_batch() / TEMPERATURE
    alone, logits = ((own_logits + more).masked_fill(video_padding.flatten(), MASKED) for more in (0.0, zero_shot))
    targets = torch.block_diag(*positives).bool()
    has_any = targets.any(dim=-1)
    found = _missed(logits, targets) + config.alone * _missed(alone, targets)
    own = torch.block_diag(*torch.ones_like(positives)).bool() & ~video_padding.flatten()
    told = presence(logits[-1].masked_fill(~own, MASKED))
    real = ~text_padding.flatten()
    shown = F.binary_cross_entropy_with_logits(told[real], has_any[real].float())
    return found[:, has_any].mean() + config.presence * shown


def _missed(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of each row with any of its targets; both `[..., N]`."""
    return logits.logsumexp(dim=-1) - logits.masked_fill(~targets, MASKED).logsumexp(dim=-1)


def _near_zero_shot(model: NsvaAligner) -> NsvaAligner:
    """Begin where pictures and lines are projected alike, so that what means the same is close from the start."""
    first, second = model.get_parameter("visual_proj.0.weight"), model.v_sim_proj.weight
    with torch.no_grad():
        nn.init.orthogonal_(first)
        model.get_parameter("text_proj.0.weight").copy_(first)
        nn.init.orthogonal_(second)
        model.t_sim_proj.weight.copy_(second)
    return model


class VideoSource(Protocol):
    """What draws videos with lines about them."""

    def draw(self, rng: np.random.Generator) -> IndexedVideo:
        """The next video of this generator."""
        ...


@dataclass(frozen=True)
class Mixed:
    """Draws from `often` with the probability `share`, else from `seldom`."""

    often: VideoSource
    seldom: VideoSource
    share: float

    def draw(self, rng: np.random.Generator) -> IndexedVideo:
        """The next video of this generator."""
        return (self.often if rng.random() < self.share else self.seldom).draw(rng)


class Lessons(IterableDataset[Lesson]):
    """Lessons without end. Workers, where a loader has them, each draw their own."""

    def __init__(self, source: VideoSource, words: LooksInWords, scorer: ClassLogitScorer, seed: int) -> None:
        self._source, self._words, self._scorer, self._seed = source, words, scorer, seed

    def __iter__(self) -> Iterator[Lesson]:
        worker = get_worker_info()
        rng = np.random.default_rng([self._seed, 0 if worker is None else worker.id])
        while True:
            yield lesson_of(self._source.draw(rng), self._words, self._scorer, rng)


@dataclass(frozen=True)
class Measured:
    """recall: share of shown lines whose best second is one of theirs; auroc: chance that a shown line scores above
    one that is not; both of held-out classes."""

    recall: float
    auroc: float


def measure(model: NsvaAligner | None, lessons: Sequence[Lesson]) -> Measured:
    """The aligner on generated videos, or zero-shot without one."""
    hits, shown, absent = [], [], []
    for lesson in lessons:
        logits = (lesson.weights @ lesson.evidence.T).double().numpy()
        if model is not None:
            logits = logits + align_seconds(model, lesson.sample.video.numpy(), lesson.sample.text.numpy())
        for row, positive in zip(logits, lesson.sample.positives.numpy(), strict=True):
            if positive.any():
                hits.append(bool(positive[row.argmax()]))
                shown.append(row.max())
            else:
                absent.append(row.max())
    above = np.array(shown)[:, None] - np.array(absent)[None]
    return Measured(float(np.mean(hits)), float(((above > 0) + 0.5 * (above == 0)).mean()))


def save(model: NsvaAligner, path: Path) -> None:
    """The weights in float16 beside their sizes; the table of video positions is left out, being fixed."""
    from safetensors.torch import save_file

    tensors = {
        name: tensor.half().contiguous() for name, tensor in model.state_dict().items() if name != "visual_pos_enc.pe"
    }
    save_file(tensors, path, metadata={"config": json.dumps(asdict(model.config))})


def main() -> None:
    """Train, measure on held-out classes, and write the weights."""
    from tvu.video_llm.encode import Lite0Encoder
    from tvu.video_llm.scout.visual import class_glosses, usual_features
    from tvu.video_llm.sentence import SentenceEncoder
    from tvu.weights.load import located

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder that takes the weights")
    parser.add_argument("--steps", type=int, default=AlignerTraining.steps)
    parser.add_argument("--batch", type=int, default=AlignerTraining.batch, help="videos of a step")
    parser.add_argument("--pieces", type=int, default=900, help="rendered pieces that videos are joined of")
    parser.add_argument("--workers", type=int, default=0, help="processes that draw videos; weights depend on it")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    config = AlignerTraining(steps=options.steps, batch=options.batch)
    encoder, sentences = Lite0Encoder(), SentenceEncoder()
    lite0 = located(encoder.weights_name)
    usual = usual_features(lite0)
    words = LooksInWords(encoder, sentences, usual)
    scorer = ClassLogitScorer(encoder, sentences, usual)
    texts = class_texts(encoder.class_names, class_glosses(), sentences)
    held_out = is_held_out(len(encoder.class_names))
    of_classes = [
        IndexedVideos(encoder.classifier, texts, np.flatnonzero(chosen).astype(np.int64), config.scenes)
        for chosen in (~held_out, held_out)
    ]
    taught = JoinedVideos(
        draw_pieces(lite0, "train", options.pieces, seed=7),
        spoken_lines("train", is_taught, sentences, seed=7),
        encoder.classifier,
    )
    asked = JoinedVideos(
        draw_pieces(lite0, "held-out", max(1, options.pieces // 4), seed=5),
        spoken_lines("held-out", is_asked, sentences, seed=5),
        encoder.classifier,
    )
    held = {
        name: [next(tests) for _ in range(HELD_VIDEOS)]
        for name, tests in (
            ("joined", iter(Lessons(asked, words, scorer, config.seed + 1))),
            ("classes", iter(Lessons(of_classes[1], words, scorer, config.seed + 1))),
        )
    }
    options.out.mkdir(parents=True, exist_ok=True)
    best = -np.inf

    def look(model: NsvaAligner | None, step: int) -> None:
        nonlocal best
        found = {name: measure(model, lessons) for name, lessons in held.items()}
        told = "   ".join(f"{name} R@1 {100 * m.recall:.1f} % AUROC {100 * m.auroc:.1f}" for name, m in found.items())
        print(f"held out, {f'{step} steps' if model else 'zero-shot alone':16} {told}", flush=True)
        goodness = sum(m.recall + m.auroc for m in found.values())
        if model is not None and goodness > best:
            best = goodness
            save(model, options.out / SHIPPED)

    look(None, 0)
    source = Mixed(taught, of_classes[0], JOINED)
    loader = DataLoader(Lessons(source, words, scorer, config.seed), batch_size=None, num_workers=options.workers)
    train(config, iter(loader), options.device, look)
    print(options.out / SHIPPED, (options.out / SHIPPED).stat().st_size, "bytes")


if __name__ == "__main__":
    main()
