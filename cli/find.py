"""`tvu find`: in which of these videos, and when?"""

import json
import sys
from typing import Annotated

import typer

from tvu.cli import options
from tvu.cli.exit_codes import ExitCode


def find(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="A folder of videos, a pattern, or a list (.txt).")],
    query: Annotated[str, typer.Argument(help="What to look for, in your own words.")],
    top: Annotated[int, typer.Option("--top", min=1, metavar="N", help="At most N moments.")] = 5,
    build: Annotated[bool, typer.Option("--build", help="Index what is not indexed first.")] = False,
    model: options.Model = "scout",
    min_score: options.MinScore = None,
    evidence: options.EvidenceList = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON Lines: one moment a line.")] = False,
    pull: options.Pull = False,
    offline: options.Offline = False,
    decoder: options.DecoderName = "pyav",
) -> None:
    """Find moments in a folder that is indexed: a search over all of its videos, then a close look at the best.

    Exit code 0: found; 1: nothing found; 2: wrong usage; 3: no video is indexed; 4: weights are missing.
    """
    options.check_questions([query], hint='tvu find FOLDER "a dog jumps"')
    choice = options.ModelChoice(model, options.parse_evidence(evidence), min_score, pull, offline)
    reader = options.parse_decoder(decoder)

    from tvu.cli.index import build_progress, index_all, models_of
    from tvu.cli.main import one_line
    from tvu.cli.render import grounding_lines
    from tvu.video_llm.batch.sources import videos_in
    from tvu.video_llm.index.find import FindConfig, find_moments_in

    addresses = videos_in([folder]).addresses
    if build:
        with build_progress(len(addresses)) as (report, tell):
            scout, other = models_of(choice, report)
            index_all(scout, other, reader, addresses, tell)
    with options.progress() as report:
        scout, other = models_of(choice, report)
        assert scout.cache is not None  # as it was told to have one
        config = FindConfig(top, reader)
        found = find_moments_in(addresses, query, other or scout, scout, scout.cache, config, report)
    for moment in found.moments:
        if as_json:
            print(json.dumps(moment.as_json(), ensure_ascii=False, allow_nan=False))
        else:
            (line,) = grounding_lines(moment.row.groundings)
            print(f"{moment.rank:>2}  {line}  {one_line(moment.row.video)}")
    sys.stdout.flush()
    if not found.moments and not as_json:
        print(f"Nothing in {found.searched} videos seems to be that.")
    for address, error in found.failed:
        print(f"note: {one_line(f'{address} could not be looked at: {error}')}", file=sys.stderr)
    for note in found.notes:
        print(f"note: {one_line(note)}", file=sys.stderr)
    if found.unindexed:
        some = one_line(", ".join(found.unindexed[:3])) + (", ..." if len(found.unindexed) > 3 else "")
        print(f"note: {len(found.unindexed)} videos are not indexed and were not searched: {some}", file=sys.stderr)
        print(f"hint: tvu index build {one_line(folder)}, or add --build", file=sys.stderr)
    if not found.moments:
        raise typer.Exit(ExitCode.NOTHING_FOUND)
