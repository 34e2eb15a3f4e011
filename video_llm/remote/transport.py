"""Asking a server over HTTP: what may pass is tried again, what will not is one sentence."""

import os
import random
import re
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

import httpx

from tvu.video_llm.errors import BackendError, UnknownModel
from tvu.video_llm.remote.address import KEY, RemoteConfig

PASSING = (429, 500, 502, 503, 504)  # what a server answers that may well answer later
CONNECT_SECONDS = 10.0
FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0  # seconds between tries; a server may ask for more than ours, up to the longest
_LETTERS = 300  # of what a server says about its error


class ServerSaid(BackendError):
    """The server answered, and not with what was asked for."""

    def __init__(self, message: str, status: int, reason: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status, self.reason = status, reason


class Transport:
    """A server's `/v1`. pause: sleeps so many seconds between tries."""

    def __init__(self, config: RemoteConfig, pause: Callable[[float], object] = time.sleep) -> None:
        self._config = config
        self._pause = pause

    @cached_property
    def _client(self) -> httpx.Client:
        key = os.environ.get(KEY, "").strip()
        if not key.isascii() or not key.isprintable():
            raise BackendError(f"{KEY} holds what no key may hold", hint="a key is one line of ASCII")
        return httpx.Client(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(self._config.timeout, connect=CONNECT_SECONDS),
            follow_redirects=False,  # or the key would go along
            trust_env=not self._config.is_loopback,  # no proxy knows our own machine
        )

    def get(self, page: str) -> dict[str, Any]:
        """The JSON object of a page. Raises as `post`."""
        return self._asked("GET", page, None)

    def post(self, page: str, body: dict[str, Any]) -> dict[str, Any]:
        """The JSON object that the server answers.

        Raises ServerSaid where it answers something else, BackendError where it does not answer.
        """
        return self._asked("POST", page, body)

    def _asked(self, method: str, page: str, body: dict[str, Any] | None) -> dict[str, Any]:
        for attempt in range(self._config.retries + 1):
            is_last = attempt == self._config.retries
            try:
                answer = self._client.request(method, f"{self._config.base}/{page}", json=body)
            except httpx.ConnectTimeout as error:
                if is_last:
                    raise self._silent("does not answer", "is it running, and is the address right?") from error
                wait = _delay(attempt)
            except httpx.TimeoutException as error:  # it works still: asking again would only add to that
                raise self._silent(
                    f"gave no answer within {self._config.timeout:g} s", "wait longer: ?timeout=SECONDS before the #"
                ) from error
            except httpx.TransportError as error:
                if is_last:
                    raise self._silent(
                        f"cannot be reached: {_line(str(error)) or type(error).__name__}",
                        "is it running, and is the address right?",
                    ) from error
                wait = _delay(attempt)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise self._silent(f"cannot be asked: {_line(str(error))}", "write http(s)://host:port/v1") from error
            else:
                if answer.status_code not in PASSING or is_last:
                    return self._object(answer)
                wait = max(_delay(attempt), _retry_after(answer))
            self._pause(wait)
        raise AssertionError("the last try returns or raises")

    def _object(self, answer: httpx.Response) -> dict[str, Any]:
        status = answer.status_code
        if status == 200:
            try:
                told = answer.json()
            except ValueError:
                told = None
            if isinstance(told, dict):
                return told
            raise ServerSaid(
                f"the server at {self._config.host} does not answer in JSON",
                status,
                "",
                hint="does its URL end in /v1?",
            )
        reason = self._reason(answer)
        message = f"the server at {self._config.host} answers {status}" + (f": {reason}" if reason else "")
        match status:
            case 401 | 403 if "Authorization" in self._client.headers:
                hint = f"is the key in {KEY} the right one?"
            case 401:
                hint = f"put its key into the environment as {KEY}"
            case 404:
                hint = "does its URL end in /v1, and does it have this model?"
            case 413:
                hint = "send less: ?frames=N or ?side=PIXELS before the #"
            case _ if status in PASSING:
                hint = "it was asked again, and is busy or broken still"
            case _:
                hint = ""
        raise ServerSaid(message, status, reason, hint=hint)

    def _reason(self, answer: httpx.Response) -> str:
        """What the server says of its error, in one line, and without our key should it repeat it."""
        try:
            told = answer.json()
            error = told.get("error", told) if isinstance(told, dict) else told
            said = error.get("message", error.get("detail", "")) if isinstance(error, dict) else error
        except ValueError:
            said = answer.text if "html" not in answer.headers.get("content-type", "") else ""
        reason = _line(str(said))
        key = self._client.headers.get("Authorization", "").removeprefix("Bearer ")
        return reason.replace(key, "…") if key else reason

    def _silent(self, what: str, hint: str) -> BackendError:
        return BackendError(f"the server at {self._config.host} {what}", hint=hint)


def check_model(error: ServerSaid, name: str) -> None:
    """Raises UnknownModel where the server says that it has no such model."""
    if error.status == 404 and "model" in error.reason.lower():
        raise UnknownModel(f"no model of {name.partition('#')[0]} has that name: {error.reason}") from error


def _delay(attempt: int) -> float:
    """Twice as long each time, and never the same for two clients that were turned away together."""
    return min(LONGEST_DELAY, FIRST_DELAY * 2**attempt) * random.uniform(0.5, 1.0)


def _retry_after(answer: httpx.Response) -> float:
    told = answer.headers.get("retry-after", "")
    return min(LONGEST_DELAY, float(told)) if re.fullmatch(r"\d{1,9}", told) else 0.0


def _line(text: str) -> str:
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())[:_LETTERS]
