"""`tvu mcp`: tools for language models that speak the Model Context Protocol."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from tvu.cli import options
from tvu.cli.exit_codes import UsageError
from tvu.cli.serve import checked_roots


def mcp(
    root: Annotated[
        list[Path] | None,
        typer.Option("--root", metavar="DIR", help="Videos in this folder may be looked at; may be repeated."),
    ] = None,
    model: options.Model = "scout",
    min_score: options.MinScore = None,
    evidence: options.EvidenceList = "",
    pull: options.Pull = False,
    offline: options.Offline = False,
    no_cache: options.NoCache = False,
) -> None:
    """Offer ask, ground, probe and frames as tools on standard input and output, for an MCP client to start.

    Needs the extra `mcp`, and at least one --root.
    """
    if not root:
        raise UsageError("no folder may be looked at", hint="tvu mcp --root DIR, the folder that holds your videos")
    roots = checked_roots(root)
    choice = options.ModelChoice(model, options.parse_evidence(evidence), min_score, pull, offline, not no_cache)
    try:
        from tvu.video_llm.serving.mcp_tools import serve_tools
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("mcp", "mcp_types"):
            raise
        raise UsageError("tvu mcp needs mcp, the protocol's Python SDK", hint="pip install 'tvu[mcp]'") from error
    from tvu.video_llm.pipeline import be_silent
    from tvu.video_llm.serving.config import Doors

    serve_tools(choice.load(be_silent), Doors(roots))
    sys.stderr.flush()
    os._exit(0)  # a model may be busy in its thread with what nobody waits for any more
