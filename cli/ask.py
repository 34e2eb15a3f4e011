"""`tvu ask`: when does it happen in this video?"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from tvu.cli import options
from tvu.cli.exit_codes import ExitCode, UsageError


def ask(
    video: options.Video,
    question: Annotated[str | None, typer.Argument(help="What to look for, in your own words.")] = None,
    more: Annotated[
        list[str] | None, typer.Option("-q", "--question", metavar="TEXT", help="Another question, same decode.")
    ] = None,
    model: options.ModelOrBest = None,
    start: options.Start = None,
    end: options.End = None,
    top: options.Top = None,
    min_score: options.MinScore = None,
    evidence: options.EvidenceList = "",
    max_vram: options.MaxVram = None,
    as_json: options.AsJson = False,
    clip_dir: Annotated[
        Path | None, typer.Option("--clip", metavar="DIR", help="Cut every span into this folder, to the frame.")
    ] = None,
    timeline: Annotated[
        Path | None, typer.Option("--timeline", metavar="FILE.png", help="Draw thumbnails, score curves and spans.")
    ] = None,
    pull: options.Pull = False,
    offline: options.Offline = False,
    force: options.Force = False,
    no_cache: options.NoCache = False,
    decoder: options.DecoderName = "pyav",
) -> None:
    """Say when something happens in a video, with the evidence.

    Exit code 0: answered; 1: nothing found; 2: wrong usage; 3: the video cannot be read; 4: weights are missing.
    """
    questions = [q for q in [question, *(more or [])] if q is not None]
    options.check_questions(questions, hint='tvu ask VIDEO "when does the dog jump?"')
    if timeline and len(questions) > 1:
        raise UsageError("--timeline draws one question", hint="ask one question at a time")
    options.check_outputs([timeline], force)
    channels, reader = options.parse_evidence(evidence), options.parse_decoder(decoder)
    options.limit_memory(max_vram)
    model = options.model_or_best(model, pull)
    choice = options.ModelChoice(model, channels, min_score, pull, offline, not no_cache)

    from tvu.cli.render import answer_json, answer_text
    from tvu.video_llm.pipeline import PipelineConfig, answer_questions

    config = PipelineConfig(start, end, top, reader)
    with options.progress() as report:
        clip, answers = answer_questions(video, questions, choice.load(report), config)
    for answer in answers:
        print(answer_json(answer, clip) if as_json else answer_text(answer))
        for note in answer.notes:
            print(f"note: {note}", file=sys.stderr)
    sys.stdout.flush()  # the answer is out before pictures and cuts are made of it
    if timeline:
        from tvu.video_llm.timeline import draw_timeline

        draw_timeline(clip, answers[0], timeline)
        print(f"drawn: {timeline}", file=sys.stderr)
    if clip_dir:
        options.cut_spans(clip, answers, clip_dir, force)
    if not any(answer.groundings or (answer.is_in_words and answer.text) for answer in answers):
        raise typer.Exit(ExitCode.NOTHING_FOUND)
