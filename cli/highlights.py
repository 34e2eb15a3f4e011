"""`tvu highlights`: which moments of a video show something best."""

import sys
from typing import Annotated

import typer

from tvu.cli import options
from tvu.cli.exit_codes import ExitCode


def highlights(
    video: options.Video,
    topic: Annotated[str, typer.Argument(metavar="TEXT", help="What is worth seeing, in your own words.")],
    model: options.ModelOrBest = None,
    start: options.Start = None,
    end: options.End = None,
    top: options.Top = None,
    min_score: options.MinScore = None,
    evidence: options.EvidenceList = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document, with the curve.")] = False,
    pull: options.Pull = False,
    offline: options.Offline = False,
    no_cache: options.NoCache = False,
    decoder: options.DecoderName = "pyav",
) -> None:
    """Name the moments of a video that show something best, best first; with --json the curve of every moment as well.

    Exit code 0: there are some; 1: there are none; 3: the video cannot be read; 4: weights are missing.
    """
    options.check_questions([topic], hint='tvu highlights VIDEO "a goal"')
    channels, reader = options.parse_evidence(evidence), options.parse_decoder(decoder)
    model = options.model_or_best(model, pull)
    choice = options.ModelChoice(model, channels, min_score, pull, offline, not no_cache)

    from dataclasses import replace

    from tvu.cli.render import answer_text
    from tvu.video_llm.captions import find_highlights
    from tvu.video_llm.decode import open_video
    from tvu.video_llm.results.rows import Row

    with options.progress() as report:
        loaded = choice.load(report)
        clip = open_video(video, decoder=reader, start=start, end=end)
        found = find_highlights(loaded, clip, topic)
    found = replace(found, groundings=found.groundings[:top])
    print(replace(Row.of(found, clip, curves=True), fps=None).line() if as_json else answer_text(found))
    for note in found.notes:
        print(f"note: {note}", file=sys.stderr)
    if not found.groundings:
        raise typer.Exit(ExitCode.NOTHING_FOUND)
