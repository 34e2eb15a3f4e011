"""`tvu bench speed`, `temporal` and `kernels`: how fast tvu is, measured here."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from tvu.cli import options
from tvu.cli.exit_codes import UsageError


def speed(
    video: Annotated[Path | None, typer.Argument(help="A video with sound, looped to 60 s of 720p.")] = None,
    seconds: Annotated[int, typer.Option(min=10, help="Length of the file that decoding is measured on.")] = 600,
    model: options.Model = "scout",
    model_size: Annotated[
        str | None, typer.Option("--model-size", help="135m (CPU) or 7b (CUDA): a Video-LLM of this size instead.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Time a first and a second question, and sampling beside ffmpeg decoding the same file to nothing."""
    if model_size is not None:
        _model_speed(model_size, as_json)
        return
    if video is None:
        raise UsageError("there is no video to measure on", hint="tvu bench speed VIDEO, or --model-size 135m")
    from dataclasses import asdict

    from tvu.video_llm.media.speed import measure_decoding, table
    from tvu.video_llm.speed import measure_questions

    questions = measure_questions(video, model)
    if not as_json:
        for row in questions:
            bar = f"  (bar {row.bar_seconds:.2f})" if row.bar_seconds is not None else ""
            print(f"{row.seconds:8.2f} s  {row.what}{bar}", flush=True)
        print()
    decoding = measure_decoding(seconds)
    if as_json:
        print(json.dumps({"questions": [asdict(r) for r in questions], "decoding": [asdict(r) for r in decoding]}))
    else:
        print(table(decoding))


def _model_speed(size: str, as_json: bool) -> None:
    """Figures of a Video-LLM, beside transformers in the same run."""
    from dataclasses import asdict
    from itertools import chain

    from tvu.video_llm.errors import BackendError
    from tvu.video_llm.runtime import brisk_threads, cuda_devices

    if size not in ("135m", "7b"):
        raise UsageError(f"there is no model of size {size!r} to measure", hint="--model-size 135m or 7b")
    if size == "7b" and not cuda_devices():
        raise BackendError("this machine has no CUDA device to run 7b on", hint="--model-size 135m needs none")
    brisk_threads()
    from tvu.video_llm import model_speed

    figures = (
        model_speed.measure_large()
        if size == "7b"
        else chain(model_speed.measure_small(), model_speed.measure_first_token())
    )
    if as_json:
        print(json.dumps([asdict(figure) for figure in figures]))
        return
    for line in model_speed.table(figures):
        print(line, flush=True)


def temporal(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Time the temporal modules on the CPU: about a minute on two cores."""
    from dataclasses import asdict

    from tvu.video_llm.runtime import quiet_threads

    quiet_threads()  # before torch loads: threads that spin at small layers measure whoever else is busy

    from tvu.temporal.encoders import speed as encoders
    from tvu.temporal.scan import mamba1_speed
    from tvu.temporal.scan import speed as scan
    from tvu.temporal.speed import Timing
    from tvu.temporal.squeezetime import speed as squeezetime

    parts: dict[str, Callable[[], list[Timing]]] = {
        "SqueezeTime beside torchvision's video networks": squeezetime.measure,
        "the Mamba-2 scan in chunks beside its definition": scan.measure,
        "the Mamba-1 scan in chunks beside its definition": mamba1_speed.measure,
        "temporal encoders": encoders.measure,
    }
    document = {}
    for title, measure in parts.items():
        timings = measure()
        document[title] = [asdict(timing) for timing in timings]
        if as_json:
            continue
        print(f"{title}, {timings[0].size}")
        for timing in timings:
            ratio = "" if timing.ratio is None else f"  {timing.ratio:8.2f} x as fast"
            print(f"{timing.seconds * 1e3:12.1f} ms{ratio}  {timing.what}")
        print(flush=True)
    if as_json:
        print(json.dumps(document))


def kernels(
    frames: Annotated[list[int] | None, typer.Option(help="Frames of the video, a multiple of 4.")] = None,
    op: Annotated[
        list[str] | None,
        typer.Option(
            help="Only these: names as printed, whole or up to a comma; `storm` and `decoder`, the last two parts."
        ),
    ] = None,
    compiled: Annotated[bool, typer.Option("--compile/--no-compile", help="Run torch.compile beside.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON Lines.")] = False,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write the same lines to this file too.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Time the fused operations on a CUDA device, each after it was held against its plain twin."""
    from dataclasses import asdict
    from itertools import chain

    from tvu.video_llm.errors import BackendError
    from tvu.video_llm.export import write_text
    from tvu.video_llm.runtime import cuda_devices

    if not cuda_devices():
        raise BackendError("this machine has no CUDA device to time kernels on", hint="tvu bench temporal needs none")
    if out is not None and out.exists() and not force:
        raise UsageError(f"{out} is there already", hint="--force overwrites it")
    from tvu.kernels import bench, decoder_speed
    from tvu.temporal.encoders import storm_speed

    sizes, wanted = frames or bench.SIZES, tuple(op or ())
    unknown = set(wanted) - {"storm", "decoder"} - bench.names()
    if unknown:
        raise UsageError(
            f"there is no operation {sorted(unknown)[0]!r}", hint=f"one of {', '.join(sorted(bench.names()))}"
        )
    operations = bench.measure(sizes, compiled=compiled, only=wanted)
    encoder = storm_speed.measure(sizes) if not wanted or "storm" in wanted else ()
    decoder = decoder_speed.measure() if not wanted or "decoder" in wanted else ()
    lines = []
    row: Any
    for row in chain(operations, encoder, decoder):
        lines.append(json.dumps({"part": _PARTS[type(row).__module__.split(".")[-1]], **asdict(row)}))
        print(lines[-1] if as_json else _told(row), flush=True)
        if out is not None:  # whole after every row: whoever stops a long run keeps what it had
            write_text(out, "".join(f"{line}\n" for line in lines))


_PARTS = {"bench": "operation", "storm_speed": "storm", "decoder_speed": "decoder"}


def _told(row: Any) -> str:
    """One line of `tvu bench kernels`."""
    part = _PARTS[type(row).__module__.split(".")[-1]]
    if part == "decoder":
        told = f"{row.microseconds:9.1f} us  {row.of_ceiling:4.0%} of the read ceiling"
        return f"one token of a 7B model: {row.op:36} {told}"
    if part == "storm":
        eager = "out of memory"
        if row.eager_seconds is not None:
            eager = f"{row.eager_seconds * 1e3:.1f} ms, {row.eager_peak_bytes / 2**30:.1f} GiB"
            eager += f"  {row.eager_seconds / row.seconds:.2f} x"
        ours = f"{row.seconds * 1e3:.1f} ms, {row.peak_bytes / 2**30:.1f} GiB"
        return f"STORM, {row.frames} frames, {row.what:20} tvu {ours}  eager {eager}"
    times = "  ".join(f"{name} {time:.4f}" for name, time in row.milliseconds.items())
    shares = f"{row.bytes_moved / 1e6:.1f} MB, {row.of_ceiling:4.0%} of the {row.bound} ceiling"
    ratio = f", {row.ratio:.2f} x the best other" if len(row.milliseconds) > 1 else ""
    reasons = "".join(f"\n    {name} not run: {why}" for name, why in row.not_run.items())
    return f"{row.op:34} {row.shape!s:26} {row.dtype} {times} ms  {shares}{ratio}{reasons}"
