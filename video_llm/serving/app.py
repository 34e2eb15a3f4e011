"""The HTTP server's pages: `/v1/chat/completions`, `/v1/models`, `/v1/moments`, `/health` and `/ready`."""

import asyncio
import contextlib
import hmac
import sys
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response, StreamingResponse

from tvu.video_llm.benchmarks.examinee import Writer
from tvu.video_llm.serving import work
from tvu.video_llm.serving.asked import AskedChat, AskedMoments, read_chat, read_moments
from tvu.video_llm.serving.config import ServeConfig
from tvu.video_llm.serving.desk import Desk
from tvu.video_llm.serving.intake import Intake
from tvu.video_llm.serving.refusal import Refusal
from tvu.video_llm.serving.told import Reply, event_of
from tvu.video_llm.serving.videos import NamedVideo, named_video
from tvu.video_llm.types import VideoModel

T = TypeVar("T")
A = TypeVar("A", AskedChat, AskedMoments)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

OPEN_PATHS = ("/health", "/ready")  # for whoever watches the server: no token, and no work
BEAT_SECONDS = 10.0  # between signs of life in a stream that waits
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Gate:
    """Stands before the app: who may enter, how many are inside, and a line on stderr for each that leaves.

    is_draining: nobody new may enter; those who are inside are served.
    """

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], config: ServeConfig) -> None:
        self._app = app
        self._config = config
        self.inside = 0
        self.is_draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 499  # as others log it: the client went away before there was an answer

        async def noting(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self.inside += 1
        try:
            refusal = self._refusal(scope)
            if refusal is not None:
                await answer_of(refusal)(scope, receive, noting)
            else:
                await self._app(scope, receive, noting)
        finally:
            self.inside -= 1
            took = 1000 * (time.perf_counter() - started)
            client = (scope.get("client") or ("-",))[0]
            path = "".join(c if c.isprintable() and c != " " else "?" for c in scope["path"][:200])
            line = f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {client} {scope['method'][:10]} {path} {status} {took:.1f}ms"
            with contextlib.suppress(OSError, ValueError):  # nobody is left to read it
                print(line, file=sys.stderr)

    def _refusal(self, scope: Scope) -> Refusal | None:
        if scope["path"] in OPEN_PATHS:
            return None
        if self.is_draining:
            return Refusal(503, "shutting_down", "the server is shutting down", retry_after=5, closes=True)
        headers = dict(scope["headers"])
        if self._config.token:
            told = headers.get(b"authorization", b"")
            if not hmac.compare_digest(told, f"Bearer {self._config.token}".encode()):
                return Refusal(401, "invalid_api_key", "the request does not bear the right token", closes=True)
        elif self._config.host in LOOPBACK:
            # A page of another site, whose name is made to mean this machine, would be let in by the browser.
            host = headers.get(b"host", b"").decode("latin-1").lower()
            name = host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
            if name not in LOOPBACK:
                return Refusal(421, "wrong_host", "this server answers to localhost only", closes=True)
        return None


def build_app(models: Sequence[VideoModel], config: ServeConfig, scratch: Path) -> tuple[Gate, list[Desk]]:
    """The app behind its gate, and the desks of its models; the first model answers where none is named.

    scratch: an empty folder for videos that come inside requests. Must be built in a process that ends with the server.
    """
    threads = ThreadPoolExecutor(8, "videos")
    desks = {model.name: Desk(model, config.max_queue) for model in models}
    app = FastAPI(title="tvu", version=version("tvu"), docs_url=None, redoc_url=None, openapi_url=None)
    gate = Gate(app, config)
    pages = _Pages(desks, config, scratch, threads, gate)
    for path, page in (("/health", pages.health), ("/ready", pages.ready), ("/v1/models", pages.models)):
        app.add_api_route(path, page, methods=["GET"], response_model=None)
    app.add_api_route("/v1/models/{name:path}", pages.model, methods=["GET"], response_model=None)
    app.add_api_route("/v1/chat/completions", pages.chat, methods=["POST"], response_model=None)
    app.add_api_route("/v1/moments", pages.moments, methods=["POST"], response_model=None)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(HTTPException, _no_such_page)
    app.add_exception_handler(Exception, _bug)
    return gate, list(desks.values())


def answer_of(refusal: Refusal) -> Response:
    """The answer that tells a refusal."""
    return JSONResponse(refusal.as_json(), refusal.status, dict(refusal.headers))


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return answer_of(error)


def _no_such_page(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        return answer_of(Refusal(405, "wrong_method", "this page does not take that method", closes=True))
    return answer_of(Refusal(error.status_code, "not_found", "there is no such page", closes=True))


def _bug(_: Request, error: Exception) -> Response:
    traceback.print_exception(error, file=sys.stderr)
    return answer_of(Refusal(500, "failed", "the server failed at this request", closes=True))


class _Pages:
    """One function for each page."""

    def __init__(
        self, desks: dict[str, Desk], config: ServeConfig, scratch: Path, threads: Executor, gate: Gate
    ) -> None:
        self._desks, self._config, self._scratch, self._threads, self._gate = desks, config, scratch, threads, gate
        self._intake = Intake(config, threads, scratch)
        self._started = int(time.time())

    async def health(self) -> Response:
        """That the process lives."""
        return JSONResponse({"status": "ok"})

    async def ready(self) -> Response:
        """Whether a request would be taken now, and how many wait."""
        waiting = {name: desk.length for name, desk in self._desks.items()}
        if self._gate.is_draining:
            return JSONResponse({"status": "shutting down", "requests": waiting}, 503)
        return JSONResponse({"status": "ready", "requests": waiting})

    async def models(self) -> Response:
        """The models, in OpenAI's form, and what this server takes."""
        return JSONResponse({"object": "list", "data": [self._card(name) for name in self._desks]})

    async def model(self, name: str) -> Response:
        """One of them."""
        self._desk(name)
        return JSONResponse(self._card(name))

    def _card(self, name: str) -> dict[str, Any]:
        takes = {"video_bytes": self._config.doors.video_bytes, "paths": bool(self._config.doors.roots)}
        writes = isinstance(self._desks[name].model, Writer)
        about = {"version": version("tvu"), "writes": writes, "max_queries": self._config.max_queries, **takes}
        return {"id": name, "object": "model", "created": self._started, "owned_by": "tvu", "tvu": about}

    async def moments(self, request: Request) -> Response:
        """`{"video", "queries", "model"?, "top"?, "start"?, "end"?}` to a row for each query."""
        async with self._asked(request, read_moments) as (asked, video, desk):
            job = desk.submit(partial(work.moments, asked, video))
            rows = await self._result(job, request)
        return JSONResponse({"object": "list", "model": desk.model.name, "data": [row.as_json() for row in rows]})

    async def chat(self, request: Request) -> Response:
        """A chat completion about one video, whole or as a stream of events."""
        async with AsyncExitStack() as stack:
            asked, video, desk = await stack.enter_async_context(self._asked(request, read_chat))
            job = desk.submit(partial(work.chat, asked, video))
            if not asked.streams:
                return JSONResponse((await self._result(job, request)).as_json())
            # The video has to live as long as the stream, which begins after this function has ended.
            return _Stream(self._events(job, asked), job, stack.pop_all())

    @contextlib.asynccontextmanager
    async def _asked(
        self, request: Request, read: Callable[[dict[str, Any], ServeConfig], A]
    ) -> AsyncIterator[tuple[A, NamedVideo, Desk]]:
        """What is asked, of which video, and the desk that it goes to. Raises Refusal."""
        if len(self._desks) == 1:
            self._desk("").check_room()  # before a large request is read for nothing
        with ExitStack() as stack:
            async with self._intake.received(request) as body:
                asked = read(body, self._config)
                desk = self._desk(asked.model)
                named = partial(named_video, asked.video, self._config.doors, self._scratch, stack)
                video = await asyncio.get_running_loop().run_in_executor(self._threads, named)
                del named
                asked = replace(asked, video="")  # the bytes of a video are on the disk now, and may be forgotten
            yield asked, video, desk

    def _desk(self, name: str) -> Desk:
        if not name:
            return next(iter(self._desks.values()))
        if name not in self._desks:
            raise Refusal(404, "model_not_found", f"there is no such model; there is {', '.join(self._desks)}")
        return self._desks[name]

    async def _result(self, job: "Future[T]", request: Request) -> T:
        """What came of a job; where the client goes away before its turn, it is given up. Raises Refusal."""
        answer = asyncio.ensure_future(self._finished(job))
        gone = asyncio.ensure_future(_until_gone(request))
        try:
            await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                raise Refusal(499, "client_gone", "the client went away", closes=True)
            return await answer
        finally:
            for each in (answer, gone):
                each.cancel()

    async def _finished(self, job: "Future[T]") -> T:
        try:
            async with asyncio.timeout(self._config.answer_seconds):
                return await asyncio.wrap_future(job)
        except TimeoutError:
            raise Refusal(504, "took_too_long", "there is no answer in the time that a request has") from None
        except Refusal:
            raise
        except MemoryError:
            raise Refusal(500, "out_of_memory", "out of memory: try a shorter part of the video") from None
        except Exception as error:  # a bug of ours, or of a library: whoever asked learns no more than that
            traceback.print_exception(error, file=sys.stderr)
            raise Refusal(500, "failed", f"the model failed: {type(error).__name__}") from error

    async def _events(self, job: "Future[Reply]", asked: AskedChat) -> AsyncIterator[str]:
        answer = asyncio.ensure_future(self._finished(job))
        try:
            while not (await asyncio.wait((answer,), timeout=BEAT_SECONDS))[0]:
                yield ": working\n\n"  # or whatever stands between would take the silence for an end
            for piece in answer.result().pieces(asked.tells_usage):
                yield piece
        except Refusal as refusal:  # the status was sent long ago
            yield event_of(refusal.as_json())
            yield "data: [DONE]\n\n"
        finally:
            answer.cancel()


class _Stream(StreamingResponse):
    """A stream of events about a job; when it ends, or nobody listens, the job is given up and the stack closed."""

    def __init__(self, events: AsyncIterator[str], job: "Future[Reply]", stack: AsyncExitStack) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"Cache-Control": "no-cache"})
        self._job, self._stack = job, stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._stack:
            try:
                await super().__call__(scope, receive, send)
            finally:
                self._job.cancel()


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
