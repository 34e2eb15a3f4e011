"""What a server answers where it does not answer: a status, and an error object as OpenAI's clients read it."""

from collections.abc import Mapping
from typing import Any

from tvu.temporal.errors import TvuError
from tvu.video_llm.errors import PromptTooLong, UnknownModel, VideoError
from tvu.weights.errors import WeightsError


class Refusal(Exception):
    """A request that is not answered. code: a name that never changes its meaning.

    retry_after: seconds, where it helps. closes: the connection is of no more use, as where the rest of a body was
    not read.
    """

    def __init__(
        self, status: int, code: str, message: str, *, retry_after: int | None = None, closes: bool = False
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.retry_after, self.closes = retry_after, closes

    @property
    def headers(self) -> Mapping[str, str]:
        """Of the answer, beside those of every answer."""
        told = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        if self.status == 401:
            told["WWW-Authenticate"] = "Bearer"
        return told | ({"Connection": "close"} if self.closes else {})

    def as_json(self) -> dict[str, Any]:
        """The error object."""
        kind = "server_error" if self.status >= 500 else _KINDS.get(self.status, "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": None, "code": self.code}}


_KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def refusal_of(error: TvuError, hidden: Mapping[str, str]) -> Refusal:
    """The refusal that tells an error of ours. hidden: texts that are ours to know, and what is told in their place."""
    message = f"{error.message}; {error.hint}" if error.hint else error.message
    for ours in sorted(hidden, key=len, reverse=True):
        message = message.replace(ours, hidden[ours])
    match error:
        case VideoError():
            return Refusal(400, "video_unreadable", message)
        case PromptTooLong():
            return Refusal(400, "context_length_exceeded", message)
        case UnknownModel():
            return Refusal(400, "unsupported", message)
        case WeightsError():
            return Refusal(503, "weights_missing", message)
    return Refusal(500, "backend_failed", message)
