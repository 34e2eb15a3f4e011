"""Running the server: it listens until a signal, lets no new request in then, and ends when the last has its answer."""

import asyncio
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from tvu.video_llm.errors import BackendError
from tvu.video_llm.serving.app import Gate, build_app
from tvu.video_llm.serving.config import ServeConfig
from tvu.video_llm.serving.desk import Desk
from tvu.video_llm.serving.refusal import Refusal
from tvu.video_llm.types import VideoModel

CLOSE_SECONDS = 2  # for connections to be closed once nobody is inside


def protocol_with(head_seconds: float) -> type[H11Protocol]:
    """HTTP as uvicorn speaks it, which hangs up on a client that takes longer than this for the head of a request."""

    class Impatient(H11Protocol):
        _hang_up: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._hang_up = self.loop.call_later(head_seconds, transport.close)

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.their_state is not h11.IDLE:
                self._stop_waiting()
            elif self._hang_up is None:  # the beginning of another request on the same connection
                self._hang_up = self.loop.call_later(head_seconds, self.transport.close)

        def _stop_waiting(self) -> None:
            if self._hang_up is not None:
                self._hang_up.cancel()
                self._hang_up = None

    return Impatient


class Server(uvicorn.Server):
    """Ends in order: see `serve`. stopped_by: the signal that it was told to end by, if it was."""

    stopped_by: int | None = None

    def __init__(self, config: uvicorn.Config, gate: Gate, desks: Sequence[Desk], grace_seconds: float) -> None:
        super().__init__(config)
        self._gate, self._desks, self._grace_seconds = gate, desks, grace_seconds
        self._deadline = float("inf")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal closes the gate; a second interrupt ends at once."""
        if self.stopped_by is not None and sig == signal.SIGINT:
            self.should_exit = self.force_exit = True
            return
        self.stopped_by = self.stopped_by or sig
        self._gate.is_draining = True
        self._deadline = min(self._deadline, time.monotonic() + self._grace_seconds)

    async def on_tick(self, counter: int) -> bool:
        """Whether it is over; called ten times a second."""
        if self._gate.is_draining and not self.should_exit:
            if time.monotonic() > self._deadline:
                for desk in self._desks:
                    desk.abandon(Refusal(503, "shutting_down", "the server had to end before this was answered"))
                await asyncio.sleep(0.2)  # for the answers that say so
                self.should_exit = True
            elif self._gate.inside == 0:
                self.should_exit = True
        return await super().on_tick(counter)


def serve(models: Sequence[VideoModel], config: ServeConfig, started: Callable[[str], None]) -> int | None:
    """Serve until SIGTERM or SIGINT; the signal that ended it, None where something else did.

    started: told the address that is listened at. After the signal, requests that were accepted are answered and new
    ones are told to go elsewhere (503), for `grace_seconds` at most. Threads of models may be busy still when this
    returns: end the process without waiting for them. Raises BackendError where the address cannot be listened at.
    """
    with tempfile.TemporaryDirectory(prefix="tvu-serve-", ignore_cleanup_errors=True) as scratch:
        gate, desks = build_app(models, config, Path(scratch))
        settings: dict[str, Any] = {
            "http": protocol_with(config.head_seconds),
            "ws": "none",
            "lifespan": "off",
            "log_config": None,
            "log_level": "critical",
            "access_log": False,
            "server_header": False,
            "limit_concurrency": config.max_connections,
            "timeout_keep_alive": 15,
            "timeout_graceful_shutdown": CLOSE_SECONDS,
        }
        told = uvicorn.Config(gate, host=config.host, port=config.port, **settings)
        server = Server(told, gate, desks, config.grace_seconds)
        listener = _listen(config)
        with listener:
            host, port = listener.getsockname()[:2]
            started(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
            server.run(sockets=[listener])
    sys.stderr.flush()
    return server.stopped_by


def _listen(config: ServeConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        # The protocol is named as asyncio looks for it: without, head and body of an answer wait 40 ms for each other.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((config.host, config.port))
        listener.listen(1024)
        listener.setblocking(False)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BackendError(
            f"cannot listen at {config.host} port {config.port}: {reason}", hint="choose another with --port"
        ) from error
    return listener
