"""`tvu align`: when is each line of a text said or shown?"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tvu.cli import options
from tvu.cli.exit_codes import ExitCode, UsageError

if TYPE_CHECKING:
    from tvu.video_llm.narration.align import AlignConfig
    from tvu.video_llm.narration.senses import Senses
    from tvu.video_llm.narration.types import Alignment, Script
    from tvu.video_llm.types import Evidence, VideoClip

SIGNALS: "dict[str, Evidence]" = {"speech": "speech", "picture": "visual", "screen-text": "screen-text"}
STREAM = "-"  # stdin in place of a text, stdout in place of an output


def align(
    video: options.Video,
    narration: Annotated[
        str | None,
        typer.Argument(metavar="[NARRATION]", help="The text: .srt .vtt .ass .txt .json, or - for standard input."),
    ] = None,
    out: Annotated[
        list[Path] | None,
        typer.Option(
            "-o",
            "--out",
            metavar="OUT",
            help="Write .srt .vtt .ass .json .csv .tsv .TextGrid; - for subtitles on standard output. Repeatable.",
        ),
    ] = None,
    transcribe: Annotated[
        bool, typer.Option("--transcribe", help="Without a text: take what is said in the video.")
    ] = False,
    signal: Annotated[
        str, typer.Option("--signal", metavar="LIST", help="Find lines by speech,picture,screen-text (default: all).")
    ] = "",
    order: Annotated[
        str, typer.Option(help="monotone: in the order of the text; free: steps, titles; auto: see which.")
    ] = "auto",
    ignore_times: Annotated[
        bool, typer.Option("--ignore-times", help="Look for every line by itself, whatever times the text has.")
    ] = False,
    no_gate: Annotated[
        bool, typer.Option("--no-gate", help="Retime subtitles that agree with the video already, too.")
    ] = False,
    min_confidence: Annotated[
        float, typer.Option(min=0, max=1, metavar="P", help="Lines less likely than P are not in the video.")
    ] = 0.0,
    language: Annotated[
        str | None, typer.Option(metavar="CODE", help="Spoken, as en or de; others than en with --recogniser.")
    ] = None,
    recogniser: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A faster-whisper model in place of Whisper tiny.en.")
    ] = None,
    show_diff: Annotated[bool, typer.Option("--diff", help="Print what moved, by pieces and by lines.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: one document.")] = False,
    start: options.Start = None,
    end: options.End = None,
    force: options.Force = False,
    pull: options.Pull = False,
    offline: options.Offline = False,
    no_cache: options.NoCache = False,
    decoder: options.DecoderName = "pyav",
) -> None:
    """Say when each line of a text is said or shown, and which lines are not in the video.

    Subtitles are put back in step, and left alone where they are in step. Text without times is looked for line by line
    in what is said, shown and written. A file comes back as it was read, with other times.

    Exit code 0: aligned; 1: no line is in the video; 2: wrong usage; 3: video or text cannot be read; 4: weights are
    missing.
    """
    outputs = out or []
    _check_usage(narration, transcribe, show_diff, as_json, outputs)
    if transcribe:
        unused = {"--signal": signal, "--order": order != "auto", "--ignore-times": ignore_times}
        unused |= {"--no-gate": no_gate, "--min-confidence": min_confidence, "--diff": show_diff}
        _check_unused("--transcribe takes what is said as it is said", unused)
    channels, reader = _signals("speech" if transcribe else signal), options.parse_decoder(decoder)
    if "speech" not in channels:
        _check_unused("without speech nobody listens", {"--language": language, "--recogniser": recogniser})
    files = [path for path in outputs if str(path) != STREAM]
    _check_files(files, force)

    from tvu.cli.main import one_line
    from tvu.video_llm.decode import open_video
    from tvu.video_llm.narration.align import align_script, transcribed

    config = _config(channels, order, ignore_times, no_gate, min_confidence)
    clip = open_video(video, decoder=reader, start=start, end=end)
    script = None if narration is None else _script(narration, clip)
    told, notes = _language(language, script, recogniser)
    with options.progress() as report:
        senses = _senses(channels, told, recogniser, pull, offline, not no_cache, report)
        aligned = (
            transcribed(clip, report, senses) if script is None else align_script(clip, script, config, report, senses)
        )
    notes += [*aligned.notes, *_write(aligned, files, force)]
    _print(aligned, show_diff, as_json, outputs, files)
    sys.stdout.flush()
    for note in notes:
        print(f"note: {one_line(note)}", file=sys.stderr)
    if not aligned.kept and not any(line.span for line in aligned.lines):
        raise typer.Exit(ExitCode.NOTHING_FOUND)


def _check_usage(
    narration: str | None, transcribe: bool, show_diff: bool, as_json: bool, outputs: Sequence[Path]
) -> None:
    if narration is None and not transcribe:
        raise UsageError("there is no text", hint="tvu align VIDEO NARRATION, or --transcribe to take what is said")
    if narration is not None and transcribe:
        raise UsageError("--transcribe makes the text itself", hint="leave the text away, or --transcribe")
    told = [name for name, is_on in (("--diff", show_diff), ("--json", as_json)) if is_on]
    told += [f"-o {path}" for path in outputs if str(path) == STREAM]
    if len(told) > 1:
        raise UsageError(f"{' and '.join(told)} both go to standard output", hint="choose one of them")


def _check_unused(reason: str, given: "dict[str, object]") -> None:
    """Raises UsageError where an option was given that would change nothing."""
    names = [name for name, value in given.items() if value]
    if names:
        raise UsageError(f"{reason}: {', '.join(names)} would change nothing", hint=f"leave away {names[0]}")


def _check_files(files: Sequence[Path], force: bool) -> None:
    """Raises UnknownFormat, OutputExists or OutputError before the work is done."""
    from tvu.video_llm.narration.files import check_suffix

    for path in files:
        check_suffix(path)
    if len({path.absolute() for path in files}) < len(files):
        raise UsageError("an output is named twice", hint="name each once")
    options.check_outputs(files, force)


def _signals(text: str) -> "tuple[Evidence, ...]":
    wanted = {name.strip() for name in text.split(",") if name.strip()} or set(SIGNALS)
    unknown = sorted(wanted - set(SIGNALS))
    if unknown:
        raise UsageError(f"unknown signal {', '.join(unknown)}", hint=f"choose from {', '.join(SIGNALS)}")
    return tuple(evidence for name, evidence in SIGNALS.items() if name in wanted)


def _config(
    signals: "tuple[Evidence, ...]", order: str, ignore_times: bool, no_gate: bool, min_confidence: float
) -> "AlignConfig":
    from tvu.video_llm.narration.align import ORDERS, AlignConfig
    from tvu.video_llm.narration.gate import GateConfig

    for known in ORDERS:
        if known == order:
            return AlignConfig(
                signals,
                known,
                resync=not ignore_times,
                gate=None if no_gate else GateConfig(),
                min_confidence=min_confidence,
            )
    raise UsageError(f"unknown order {order!r}", hint=f"choose from {', '.join(ORDERS)}")


def _script(narration: str, clip: "VideoClip") -> "Script":
    from tvu.video_llm.narration.files import MAX_BYTES, read_script, script_of_bytes

    if narration == STREAM:
        return script_of_bytes(sys.stdin.buffer.read(MAX_BYTES + 1), "standard input", video=clip.path)
    return read_script(Path(narration), clip.path)


def _language(language: str | None, script: "Script | None", recogniser: Path | None) -> tuple[str | None, list[str]]:
    """Which language to listen for, by the option or else by the text; and what to tell of it. Raises UsageError."""
    if recogniser is not None and not recogniser.is_dir():
        raise UsageError(f"{recogniser} is no folder", hint="give the folder of a faster-whisper model")
    hint = "give the folder of a multilingual faster-whisper model: --recogniser DIR"
    if recogniser is None and language not in (None, "en") and len(str(language)) <= 3:
        raise UsageError(f"Whisper tiny.en knows English only, not {language!r}", hint=hint)
    of_text = None if script is None else script.language
    if language is not None or of_text in (None, "en"):
        return language, []
    if recogniser is not None:
        return of_text, []
    return None, [f"the text says that it is in {of_text!r}, and Whisper tiny.en hears English only; {hint}"]


def _senses(
    signals: "Sequence[Evidence]",
    language: str | None,
    recogniser: Path | None,
    pull: bool,
    offline: bool,
    use_cache: bool,
    report: "options.Report",
) -> "Senses":
    """Who listens and looks, missing weights fetched first where `--pull` says so. Raises UsageError."""
    from tvu.video_llm.narration.senses import Senses
    from tvu.video_llm.narration.speech import HearingConfig, recogniser_of

    if pull:
        from tvu.video_llm.load import ALIGN, weights_needed
        from tvu.weights.fetch import pull as fetch

        for weights in weights_needed(ALIGN, signals):
            fetch(weights, offline=offline)
    try:
        hearing = HearingConfig(language, recogniser)
    except ValueError as error:
        raise UsageError(f"{language!r} is no language", hint="write its ISO 639-1 code: en, de, fr") from error
    if recogniser is not None:
        recogniser_of(hearing)  # a mistyped folder is told at once, not when everything else is done
    return Senses(hearing, use_cache=use_cache, report=report)


def _write(aligned: "Alignment", files: Sequence[Path], force: bool) -> list[str]:
    """Every output; returns what they could not say."""
    from tvu.video_llm.narration.files import SILENT, write_alignment

    notes: list[str] = []
    is_empty = not aligned.kept and not any(line.span for line in aligned.lines)
    for path in files:
        if is_empty and path.suffix.lower() in SILENT:
            notes.append(f"{path} was not written: it would be empty")
            continue
        notes += write_alignment(aligned, path, force=force)
        print(f"written: {path}", file=sys.stderr)
    return notes


def _print(
    aligned: "Alignment", show_diff: bool, as_json: bool, outputs: Sequence[Path], files: Sequence[Path]
) -> None:
    """What was asked for on stdout; for people where nothing was, and no file either."""
    if as_json:
        from importlib.metadata import version

        from tvu.video_llm.narration.format_json import our_json

        print(our_json(aligned, version("tvu")), end="")
    elif show_diff:
        from tvu.video_llm.narration.diff import diff, diff_text

        print(diff_text(diff(aligned)))
    elif len(files) < len(outputs):
        from tvu.video_llm.narration.files import told_as

        kind = aligned.script.format
        sys.stdout.buffer.write(told_as(aligned, f".{kind}" if kind in ("srt", "vtt", "ass") else ".srt"))
    elif not files:
        for line in alignment_lines(aligned):
            print(line)


def alignment_lines(aligned: "Alignment") -> list[str]:
    """`3  00:12.0 - 00:15.5   87 %  speech  Stir until smooth.`, one a line of the text.

    The percentage says how sure it is: of a line that is not in the video, that it is not.
    """
    from tvu.cli.main import one_line
    from tvu.temporal.timecode import format_timecode, percent

    names = {evidence: name for name, evidence in SIGNALS.items()}
    signals = [", ".join(names[evidence] for evidence in line.evidence) for line in aligned.lines]
    width, by_width = len(str(len(aligned.lines))), max(map(len, signals), default=0)
    clock = max((len(format_timecode(line.span.end_seconds)) for line in aligned.lines if line.span), default=7)
    told = []
    for line, by, source in zip(aligned.lines, signals, aligned.script.lines, strict=True):
        if line.span is None:
            when, sure = "not in the video".ljust(2 * clock + 3), 1 - line.confidence
        else:
            times = (line.span.start_seconds, line.span.end_seconds)
            when, sure = " - ".join(format_timecode(seconds).rjust(clock) for seconds in times), line.confidence
        text = one_line(" ".join(source.text.split()))
        told.append(f"{line.index + 1:>{width}}  {when}  {percent(sure):>4}  {by:<{by_width}}  {text}".rstrip())
    return told
