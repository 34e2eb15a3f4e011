"""What the exit code says, by name. Scripts rely on these: a number never changes its meaning."""

from enum import IntEnum

from tvu.temporal.errors import TvuError
from tvu.video_llm.errors import (
    BenchmarkError,
    InstructionsError,
    OutputExists,
    QueriesError,
    ResultsError,
    ScriptError,
    TrainingError,
    UnknownFormat,
    UnknownModel,
    VideoError,
)
from tvu.weights.errors import WeightsError


class ExitCode(IntEnum):
    """The exit codes of every `tvu` command."""

    ANSWERED = 0
    NOTHING_FOUND = 1
    WRONG_USAGE = 2
    UNREADABLE_INPUT = 3
    WEIGHTS_MISSING = 4
    BACKEND_FAILED = 5
    INTERRUPTED = 130  # 128 + SIGINT, as shells report it
    CLOSED_PIPE = 141  # 128 + SIGPIPE: whoever read our output had enough of it


class UsageError(TvuError):
    """Options that do not make sense together, found after they were parsed; exit code 2."""


def exit_code_of(error: TvuError) -> ExitCode:
    """The code for an error's class; an error of no known class is a failed backend."""
    match error:
        case UsageError() | OutputExists() | UnknownModel() | UnknownFormat() | TrainingError():
            return ExitCode.WRONG_USAGE
        case VideoError() | BenchmarkError() | InstructionsError() | ResultsError() | QueriesError() | ScriptError():
            return ExitCode.UNREADABLE_INPUT
        case WeightsError():
            return ExitCode.WEIGHTS_MISSING
    return ExitCode.BACKEND_FAILED
