"""`tvu serve`: models for other programs, over HTTP."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from tvu.cli import options
from tvu.cli.exit_codes import ExitCode, UsageError

MIB = 1024 * 1024


def serve(
    models: Annotated[
        list[str] | None, typer.Option("-m", "--model", help="As for tvu ask, scout by default; may be repeated.")
    ] = None,
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen at; 0 takes a free one.")] = 8000,
    root: Annotated[
        list[Path] | None,
        typer.Option("--root", metavar="DIR", help="Requests may name videos in this folder; may be repeated."),
    ] = None,
    allow_remote: Annotated[
        list[str] | None,
        typer.Option("--allow-remote", metavar="HOST", help="Fetch videos from this host; may be repeated."),
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", metavar="FILE", help="Requests have to bear the token in this file.")
    ] = None,
    max_queue: Annotated[
        int, typer.Option("--max-queue", min=1, metavar="N", help="Requests that may wait for a model.")
    ] = 64,
    max_video: Annotated[
        int, typer.Option("--max-video", min=1, metavar="MB", help="Size of a video inside a request.")
    ] = 64,
    body_timeout: Annotated[
        float, typer.Option("--body-timeout", min=0.1, metavar="S", help="For a request to arrive.")
    ] = 30.0,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.1, metavar="S", help="For a request to be answered.")
    ] = 600.0,
    grace: Annotated[
        float, typer.Option("--grace", min=0.1, metavar="S", help="After SIGTERM, to answer what was accepted.")
    ] = 30.0,
    min_score: options.MinScore = None,
    evidence: options.EvidenceList = "",
    pull: options.Pull = False,
    offline: options.Offline = False,
    no_cache: options.NoCache = False,
) -> None:
    """Answer over HTTP: /v1/chat/completions in OpenAI's form, /v1/moments, /v1/models, /health, /ready.

    Needs the extra `serve`. SIGTERM lets no new request in and ends when those accepted have their answer.
    """
    channels = options.parse_evidence(evidence)
    roots = checked_roots(root or [])
    token = read_token(token_file) if token_file else ""
    try:
        from tvu.video_llm.serving.server import serve as run
    except ModuleNotFoundError as error:
        if error.name not in ("fastapi", "starlette", "uvicorn", "h11"):
            raise
        raise UsageError(f"tvu serve needs {error.name}", hint="pip install 'tvu[serve]'") from error
    from tvu.video_llm.load import weights_needed
    from tvu.video_llm.pipeline import be_silent
    from tvu.video_llm.serving.config import Doors, ServeConfig
    from tvu.weights.load import require

    loaded = []
    for name in dict.fromkeys(models or ["scout"]):
        choice = options.ModelChoice(name, channels, min_score, pull, offline, not no_cache)
        choice.fetch()
        require(weights_needed(name, channels, for_words=True))  # now, not with the first request
        loaded.append(choice.load(be_silent))
    video_bytes = max_video * MIB
    config = ServeConfig(
        host=host,
        port=port,
        doors=Doors(roots, tuple(allow_remote or ()), video_bytes),
        token=token,
        max_queue=max_queue,
        body_bytes=video_bytes // 3 * 4 + MIB,  # as base64, with the questions
        held_bytes=max(256 * MIB, video_bytes // 3 * 4 + MIB),
        body_seconds=body_timeout,
        answer_seconds=timeout,
        grace_seconds=grace,
    )
    if not token and host not in ("127.0.0.1", "::1", "localhost"):
        print(f"note: whoever reaches {host} may ask; --token-file FILE asks for a token", file=sys.stderr)
    stopped_by = run(loaded, config, lambda address: print(f"listening: {address}", file=sys.stderr, flush=True))
    print("stopped", file=sys.stderr, flush=True)
    # A model may be busy in its thread with what nobody waits for any more; it must not hold us up.
    import signal

    os._exit(ExitCode.INTERRUPTED if stopped_by == signal.SIGINT else ExitCode.ANSWERED)


def checked_roots(folders: list[Path]) -> tuple[Path, ...]:
    """The real folders. Raises UsageError for what is none."""
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"{folder} is not a folder", hint="--root takes the folder that holds your videos")
    return tuple(folder.resolve() for folder in folders)


def read_token(file: Path) -> str:
    """The token in a file, without the line's end. Raises UsageError."""
    try:
        token = file.read_text("ascii").strip()
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{file} cannot be read as a token: {error}", hint="write one line of ASCII into it"
        ) from error
    if not token or any(not letter.isprintable() or letter == " " for letter in token):
        raise UsageError(f"{file} holds no token", hint="write one line without blanks into it")
    return token
