"""Options that several commands share, said once."""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tvu.cli.exit_codes import UsageError
from tvu.temporal.timecode import parse_timecode

if TYPE_CHECKING:
    from tvu.video_llm.pipeline import Report
    from tvu.video_llm.types import Answer, Decoder, Evidence, VideoClip, VideoModel


def parse_seconds(text: str | float) -> float:
    """A time as people write it, in seconds. Raises BadParameter."""
    try:
        return parse_timecode(str(text))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a time; write 83.5, 1:23.5 or 00:01:23,500") from None


Video = Annotated[
    str, typer.Argument(help="A video file, a folder of pictures, or a part of one: 'file.mp4#t=12.5,40'.")
]
_MODELS = (
    "scout, lite, lite:<folder>, scout+lite, scout+lite:<folder>, clip:<open_clip model>/<tag>, "
    "hf:<folder or repository>, http(s)://host/v1#model, or the folder of a saved Video-LLM."
)
Model = Annotated[str, typer.Option("-m", "--model", help=_MODELS)]
ModelOrBest = Annotated[
    str | None,
    typer.Option("-m", "--model", help=_MODELS, show_default="scout+lite where its weights are, else scout"),
]
Start = Annotated[float | None, typer.Option("--start", parser=parse_seconds, metavar="T", help="Look from here on.")]
End = Annotated[float | None, typer.Option("--end", parser=parse_seconds, metavar="T", help="Look up to here.")]
Top = Annotated[int | None, typer.Option("--top", min=1, metavar="N", help="At most N spans; all of them by default.")]
MinScore = Annotated[
    float | None, typer.Option("--min-score", min=0, max=1, metavar="P", help="Spans less likely than P are not told.")
]
EvidenceList = Annotated[
    str, typer.Option("--evidence", metavar="LIST", help="Channels to use: visual,speech,screen-text (default: all).")
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print JSON: one document, or one line each for several questions.")
]
MaxVram = Annotated[
    str | None,
    typer.Option(
        "--max-vram", metavar="SIZE", help="Refuse weights that need more memory, as 24GB (hf:, published models)."
    ),
]
Pull = Annotated[bool, typer.Option("--pull", help="Fetch missing weights first.")]
Offline = Annotated[bool, typer.Option("--offline", envvar="TVU_OFFLINE", help="Never use the network.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite outputs that exist.")]
DecoderName = Annotated[str, typer.Option("--decoder", help="pyav or decord.")]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Neither read nor keep features of this video.")]


def parse_evidence(text: str) -> "tuple[Evidence, ...]":
    """`visual,speech` as channels, in the order they are usually told. Raises UsageError for an unknown one."""
    from tvu.video_llm.types import EVIDENCE

    wanted = {name.strip() for name in text.split(",") if name.strip()} or set(EVIDENCE)
    unknown = sorted(wanted - set(EVIDENCE))
    if unknown:
        raise UsageError(f"unknown evidence {', '.join(unknown)}", hint=f"choose from {', '.join(EVIDENCE)}")
    return tuple(e for e in EVIDENCE if e in wanted)


def limit_memory(size: str | None) -> None:
    """Keep models that are loaded from now on, here and in processes begun here, to `size`. Raises UsageError."""
    if size is None:
        return
    import os

    from tvu.video_llm.runtime import MAX_VRAM, bytes_in
    from tvu.weights.errors import WeightsError

    try:
        bytes_in(size)
    except WeightsError as error:
        raise UsageError(error.message, hint="--max-vram 24GB, for example") from error
    os.environ[MAX_VRAM] = size


def parse_decoder(text: str) -> "Decoder":
    """The reader's name. Raises UsageError for an unknown one."""
    from tvu.video_llm.types import DECODERS

    for name in DECODERS:
        if name == text:
            return name
    raise UsageError(f"unknown decoder {text!r}", hint=f"choose from {', '.join(DECODERS)}")


def check_questions(questions: Sequence[str], hint: str) -> None:
    """Raises UsageError unless there is a question, and every one is text; `hint` shows how to ask one."""
    if not questions or not all(question.strip() for question in questions):
        raise UsageError("there is no question", hint=hint)
    for question in questions:
        if any("\ud800" <= letter <= "\udfff" for letter in question):  # how Python hands on bytes that are no UTF-8
            raise UsageError(f"a question is not text: {question!r}", hint="write it in UTF-8")


def parse_shard(text: str) -> tuple[int, int]:
    """`i/n` as (i, n), i counted from 0. Raises UsageError."""
    told = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if told is None or not int(told[1]) < int(told[2]):
        raise UsageError(f"{text!r} is no shard", hint="write i/n: of four, --shard 0/4 to --shard 3/4")
    return int(told[1]), int(told[2])


def check_outputs(outputs: Sequence[Path | None], force: bool) -> None:
    """Fail before the work, not after it, where an output cannot be written. Raises OutputExists or OutputError."""
    import os

    from tvu.video_llm.errors import OutputError, OutputExists

    for output in outputs:
        if output is None:
            continue
        if output.exists() and not force:
            raise OutputExists(f"{output} exists already", hint="add --force to overwrite it")
        if not output.parent.is_dir():
            raise OutputError(f"{output.parent} is not a folder", hint="make it first")
        if not os.access(output.parent, os.W_OK):
            raise OutputError(f"no permission to write into {output.parent}")


def model_or_best(name: str | None, pull: bool) -> str:
    """The model that was asked for, or the best: `--pull` may get what that lacks."""
    from tvu.video_llm.load import TOGETHER, best_model

    return name or (TOGETHER if pull else best_model())


@dataclass(frozen=True)
class ModelChoice:
    """Which model answers, through which channels, and how it comes by its weights."""

    name: str
    evidence: "tuple[Evidence, ...]"
    min_score: float | None = None
    pull: bool = False
    offline: bool = False
    use_cache: bool = True

    def fetch(self) -> None:
        """Fetch missing weights where `--pull` says so.

        Raises UnknownModel or WeightsError, and UsageError for a model of another machine where `--offline` is told.
        """
        from tvu.video_llm.load import weights_needed
        from tvu.video_llm.remote.address import is_remote, parse_remote

        if self.offline and is_remote(self.name) and not parse_remote(self.name).is_loopback:
            host = parse_remote(self.name).host
            raise UsageError(f"{host} is another machine, and --offline uses no network", hint="leave --offline away")
        needed = weights_needed(self.name, self.evidence, for_words=True)
        if self.pull:
            from tvu.weights.fetch import pull

            for weights in needed:
                pull(weights, offline=self.offline)
            if self.name.startswith("hf:"):
                from tvu.video_llm.hf.checkpoint import find_folder, source_of

                find_folder(source_of(self.name), may_fetch=not self.offline)

    def load(self, report: "Report") -> "VideoModel":
        """The model, its missing weights fetched first where `--pull` says so. Raises UnknownModel or WeightsError."""
        from tvu.video_llm.load import load_model

        self.fetch()
        return load_model(
            self.name,
            evidence=self.evidence,
            min_score=self.min_score,
            use_cache=self.use_cache,
            may_fetch=self.pull and not self.offline,
            report=report,
        )


@contextmanager
def progress() -> "Iterator[Report]":
    """Progress bars on stderr where it is a terminal, silence elsewhere."""
    if not sys.stderr.isatty():
        yield lambda stage, done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<10}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, object] = {}

        def report(stage: str, done: float) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=1.0)
            bars.update(tasks[stage], completed=done)  # type: ignore[arg-type]

        yield report


def cut_spans(clip: "VideoClip", answers: "Sequence[Answer]", folder: Path, force: bool) -> None:
    """Every span as a file in `folder`; what was really written is told on stderr."""
    from tvu.temporal.timecode import format_timecode
    from tvu.video_llm.media.cut import cut

    folder.mkdir(parents=True, exist_ok=True)
    for span in dict.fromkeys(g.span for answer in answers for g in answer.groundings):
        name = f"{clip.path.stem}_{span.start_seconds:09.3f}-{span.end_seconds:09.3f}.mp4"
        done = cut(clip, span, folder / name, force=force)
        bounds = f"{format_timecode(done.start_seconds, 3)} - {format_timecode(done.end_seconds, 3)}"
        print(f"cut: {done.path} ({bounds}, {done.num_frames} frames)", file=sys.stderr)
