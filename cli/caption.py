"""`tvu caption`: what happens in a video and when, in words."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from tvu.cli import options
from tvu.cli.exit_codes import ExitCode


def caption(
    video: options.Video,
    model: options.Model = "lite",
    start: options.Start = None,
    end: options.End = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="FILE", help="Write .srt, .vtt or .json instead of text.")
    ] = None,
    pull: options.Pull = False,
    offline: options.Offline = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    force: options.Force = False,
    no_cache: options.NoCache = False,
    decoder: options.DecoderName = "pyav",
) -> None:
    """Tell what happens in a video, each event with its start and end; printed as it is known.

    A Video-LLM writes sentences. The lite that ships has no language model: it names what its shots show, and what the
    bodies in them do, each with how likely that is.

    Exit code 0: there are captions; 1: there are none; 3: the video cannot be read; 4: weights are missing.
    """
    options.check_outputs([out], force)
    reader = options.parse_decoder(decoder)
    choice = options.ModelChoice(model, options.parse_evidence(""), None, pull, offline, not no_cache)

    from tvu.cli.render import caption_line
    from tvu.video_llm.captions import Captioned, caption_clip, captions_as, captions_json, check_suffix
    from tvu.video_llm.decode import open_video

    if out:
        check_suffix(out)

    def tell(each: Captioned) -> None:
        if not (as_json or out):
            print(caption_line(each), flush=True)

    with options.progress() as report:
        loaded = choice.load(report)
        clip = open_video(video, decoder=reader, start=start, end=end)
        told = caption_clip(loaded, clip, tell)
    if as_json:
        print(captions_json(told, clip, loaded.name))
    if out and told:
        from tvu.video_llm.export import write_text

        write_text(out, captions_as(told, clip, loaded.name, out.suffix.lower()))
        print(f"written: {out}", file=sys.stderr)
    if any(each.score is not None for each in told):
        from tvu.video_llm.lite.naming import NAMES

        print(f"note: {NAMES}", file=sys.stderr)
    if not told:
        print("the model tells no events", file=sys.stderr)
        raise typer.Exit(ExitCode.NOTHING_FOUND)
