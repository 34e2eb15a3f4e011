"""The one error a user is meant to read."""


class TvuError(Exception):
    """Something outside our code is wrong: one sentence about what, and a hint at what to do.

    The command line prints both and exits with the code that `tvu.cli.exit_codes` names for the class.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
