"""The app, and the only place where errors become sentences and exit codes."""

import errno
import functools
import io
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Annotated, ParamSpec, TypeVar

import typer

from tvu.cli.align import align
from tvu.cli.ask import ask
from tvu.cli.bench import bench
from tvu.cli.caption import caption
from tvu.cli.doctor import doctor
from tvu.cli.exit_codes import ExitCode, exit_code_of
from tvu.cli.find import find
from tvu.cli.frames import frames
from tvu.cli.ground import ground
from tvu.cli.highlights import highlights
from tvu.cli.index import index
from tvu.cli.mcp import mcp
from tvu.cli.models import models
from tvu.cli.probe import probe
from tvu.cli.results import results
from tvu.cli.serve import serve
from tvu.cli.train import train
from tvu.temporal.errors import TvuError

P = ParamSpec("P")
R = TypeVar("R")

DEBUG = "TVU_DEBUG"  # set by --debug; in the environment so that child processes see it too

app = typer.Typer(
    name="tvu",
    help="Ask a video when something happens: spans of seconds, with the evidence, offline.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich takes longer to load than the help takes to read
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def boundary(command: Callable[P, R]) -> Callable[P, R]:
    """`command` with its errors as one sentence and a hint on stderr, and as a named exit code."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            result = command(*args, **kwargs)
            sys.stdout.flush()  # here, so that a closed pipe or a full disk is still an error we can name
            return result
        except typer.Exit:
            raise
        except TvuError as error:
            raise typer.Exit(_explain(error.message, error.hint, exit_code_of(error))) from error
        except KeyboardInterrupt as error:
            raise typer.Exit(_explain("interrupted", "", ExitCode.INTERRUPTED)) from error
        except BrokenPipeError as error:
            raise typer.Exit(ExitCode.CLOSED_PIPE) from error
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            hint = "free some space and run it again" if full else ""
            reason = f"{error.strerror or error}: {error.filename}" if error.filename else str(error.strerror or error)
            raise typer.Exit(_explain(reason, hint, ExitCode.BACKEND_FAILED)) from error
        except MemoryError as error:
            raise typer.Exit(
                _explain("out of memory", "try a shorter part: --start, --end", ExitCode.BACKEND_FAILED)
            ) from error
        except Exception as error:
            hint = "this is a bug in tvu; please report it with the output of the same command and --debug"
            raise typer.Exit(_explain(f"{type(error).__name__}: {error}", hint, ExitCode.BACKEND_FAILED)) from error

    return run


_interrupts: list[int] = []


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Python's own way with Ctrl-C, and a note of it: extensions make errors of their own of a KeyboardInterrupt that
    reaches them, such as safetensors while it loads a file."""
    _interrupts.append(number)
    signal.default_int_handler(number, frame)


def _explain(message: str, hint: str, code: ExitCode) -> ExitCode:
    if _interrupts:
        message, hint, code = "interrupted", "", ExitCode.INTERRUPTED
    if os.environ.get(DEBUG):
        import traceback

        traceback.print_exc()
    try:
        sys.stderr.write(f"tvu: {one_line(message)}\n")
        if hint:
            sys.stderr.write(f"hint: {one_line(hint)}\n")
    except OSError:
        pass  # nobody is left to read it; the exit code still speaks
    return code


def one_line(text: str) -> str:
    """`text` on one line, control characters spelled out: a file name may hold newlines and terminal escapes."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


for command in (ask, ground, caption, highlights, align, find, probe, frames, serve, mcp, train, doctor):
    app.command()(boundary(command))
for group, name in ((index, "index"), (models, "models"), (bench, "bench"), (results, "results")):
    for info in group.registered_commands:
        assert info.callback is not None
        info.callback = boundary(info.callback)
    app.add_typer(group, name=name)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"tvu {version('tvu')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Ask a video when something happens: spans of seconds, with the evidence, offline."""
    if debug:
        os.environ[DEBUG] = "1"


def main() -> None:
    """The `tvu` command."""
    code: object = ExitCode.BACKEND_FAILED
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started us: `>&-`
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file name may hold bytes that are no characters
    if "--debug" in sys.argv:  # a global option, yet people append it to the command that failed
        sys.argv.remove("--debug")
        sys.argv.insert(1, "--debug")
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else whoever started us ignores it
        signal.signal(signal.SIGINT, _interrupt)
    try:
        app()
    except SystemExit as stop:
        code = stop.code
    except KeyboardInterrupt:  # between Python's start and the first command
        code = ExitCode.INTERRUPTED
    try:
        sys.stdout.flush()
    except OSError:  # or the interpreter would complain about the closed pipe on its way out
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if code == ExitCode.INTERRUPTED:
        os._exit(
            ExitCode.INTERRUPTED
        )  # outputs are whole or absent by now; a model still busy in a thread would hold us up
    sys.exit(code if isinstance(code, int) or code is None else ExitCode.BACKEND_FAILED)
