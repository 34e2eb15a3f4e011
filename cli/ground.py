"""`tvu ground`: the spans without prose, for programs."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from tvu.cli import options
from tvu.cli.exit_codes import ExitCode


def ground(
    video: options.Video,
    queries: Annotated[
        list[str] | None, typer.Option("-q", "--query", metavar="TEXT", help="What to look for; may be repeated.")
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="FILE.jsonl", help="Write JSON Lines.")] = None,
    model: options.Model = "scout",
    start: options.Start = None,
    end: options.End = None,
    top: options.Top = None,
    min_score: options.MinScore = None,
    evidence: options.EvidenceList = "",
    as_json: options.AsJson = False,
    pull: options.Pull = False,
    offline: options.Offline = False,
    force: options.Force = False,
    no_cache: options.NoCache = False,
    decoder: options.DecoderName = "pyav",
) -> None:
    """Print the spans of each query: start, end, score, evidence and phrase, parted by tabs, or as JSON."""
    queries = queries or []
    options.check_questions(queries, hint='tvu ground VIDEO -q "a dog jumps"')
    options.check_outputs([out], force)
    channels, reader = options.parse_evidence(evidence), options.parse_decoder(decoder)
    choice = options.ModelChoice(model, channels, min_score, pull, offline, not no_cache)

    from tvu.cli.render import answer_json, grounding_row
    from tvu.video_llm.export import write_text
    from tvu.video_llm.pipeline import PipelineConfig, find_moments

    config = PipelineConfig(start, end, top, reader)
    with options.progress() as report:
        clip, answers = find_moments(video, queries, choice.load(report), config)
    lines = [answer_json(answer, clip) for answer in answers]
    if out:
        write_text(out, "".join(f"{line}\n" for line in lines))
    elif as_json:
        print("\n".join(lines))
    else:
        for answer in answers:
            for grounding in answer.groundings:
                print(grounding_row(answer.question, grounding, named=len(queries) > 1))
    for note in {note: None for answer in answers for note in answer.notes}:
        print(f"note: {note}", file=sys.stderr)
    if not any(answer.groundings for answer in answers):
        raise typer.Exit(ExitCode.NOTHING_FOUND)
