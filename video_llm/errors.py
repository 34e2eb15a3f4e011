"""Errors about the user's input and about the machinery that reads it."""

from tvu.temporal.errors import TvuError


class VideoError(TvuError):
    """The file cannot be read as a video; exit code 3."""


class OutputError(TvuError):
    """An output file cannot be written or would be overwritten; exit code 2."""


class BackendError(TvuError):
    """A decoder, model runtime or ffmpeg failed on input that looked right; exit code 5."""
