"""Errors about the user's input, the user's output, and the machinery between them."""

from tvu.temporal.errors import TvuError


class VideoError(TvuError):
    """The file cannot be read as a video; exit code 3."""


class BenchmarkError(TvuError):
    """Data of a benchmark, or predictions for it, are missing or not in their format; exit code 3."""


class QueriesError(TvuError):
    """A file of queries is missing or not in its format; exit code 3."""


class ScriptError(TvuError):
    """A text to be aligned is missing, is no text, or is not in its format; exit code 3."""


class InstructionsError(TvuError):
    """A set of training data is missing, or not in a format that is known; exit code 3."""


class TrainingError(TvuError):
    """A config that cannot be trained by, or a run that cannot go on; exit code 2."""


class ResultsError(TvuError):
    """A file of results, or of labels made of them, cannot be read or is not in its format; exit code 3."""


class OutputError(TvuError):
    """An output cannot be written: no permission, no room on the disk, no such folder; exit code 5."""


class OutputExists(OutputError):
    """The output is there already and `--force` was not given; exit code 2."""


class BackendError(TvuError):
    """A decoder, model runtime or ffmpeg failed on input that looked right; exit code 5."""


class UnknownModel(TvuError):
    """No model has that name; exit code 2."""


class UnknownFormat(TvuError):
    """No format of results has that name, or that suffix; exit code 2."""


class PromptTooLong(TvuError):
    """The prompt and its answer do not fit into what the language model can hold; exit code 2."""
