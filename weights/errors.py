"""Errors about model weights."""

from tvu.temporal.errors import TvuError


class WeightsError(TvuError):
    """Weights are missing, damaged or of an unknown name; exit code 4."""
