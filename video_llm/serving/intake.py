"""Reading the body of a request: not more than is allowed, not longer, and not more of all requests than fits."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tvu.video_llm.serving.config import ServeConfig
from tvu.video_llm.serving.refusal import Refusal

if TYPE_CHECKING:
    from starlette.requests import Request

SMALL_BYTES = 65536  # larger bodies are kept on the disk, and understood in a thread


class Intake:
    """Counts the bytes that all requests of one event loop hold. scratch: a folder for what is large."""

    def __init__(self, config: ServeConfig, threads: Executor, scratch: Path) -> None:
        self._config = config
        self._threads = threads
        self._scratch = scratch
        self.held_bytes = 0
        self._parsing = asyncio.Semaphore(2)  # a large one is in memory three times while it is understood

    @asynccontextmanager
    async def received(self, request: "Request") -> AsyncIterator[dict[str, Any]]:
        """The JSON object that a request bears; it is empty and its bytes count no longer when the block ends.

        Raises Refusal: 400, 408, 413, 415, or 503 where all requests hold too much.
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":  # others a page of any site could send here without asking
            raise Refusal(415, "not_json", "the content type has to be application/json", closes=True)
        announced = request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced[:20]) > self._config.body_bytes:
            raise self._too_large()
        held = 0
        try:
            with tempfile.SpooledTemporaryFile(SMALL_BYTES, dir=str(self._scratch)) as body:
                try:
                    async with asyncio.timeout(self._config.body_seconds):
                        async for chunk in request.stream():
                            held += len(chunk)
                            self.held_bytes += len(chunk)
                            self._check(held)
                            body.write(chunk)
                except TimeoutError:
                    raise Refusal(408, "too_slow", "the request took too long to arrive", closes=True) from None
                except OSError as error:
                    raise Refusal(507, "no_space", "there is no room for the request", closes=True) from error
                if held <= SMALL_BYTES:
                    yield _object(body)
                    return
                async with self._parsing:
                    told = await asyncio.get_running_loop().run_in_executor(self._threads, _object, body)
                    yield told
                    told.clear()
        finally:
            self.held_bytes -= held

    def _check(self, size: int) -> None:
        if size > self._config.body_bytes:
            raise self._too_large()
        if self.held_bytes > self._config.held_bytes:
            raise Refusal(503, "busy", "too many large requests at once", retry_after=2, closes=True)

    def _too_large(self) -> Refusal:
        return Refusal(413, "too_large", f"a request has at most {self._config.body_bytes} bytes", closes=True)


def _object(body: IO[bytes]) -> dict[str, Any]:
    try:
        body.seek(0)
        told = json.loads(body.read())
    except (ValueError, RecursionError):
        raise Refusal(400, "not_json", "the request is not JSON") from None
    if not isinstance(told, dict):
        raise Refusal(400, "not_json", "the request is not a JSON object")
    return told
