"""A server in OpenAI's form that answers what a test tells it to, and keeps what it was asked."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, dict[str, Any] | bytes, dict[str, str]]


@dataclass
class Stub:
    """replies: one after the other, the last again and again; or what makes one of a request's body."""

    replies: "list[Reply] | Callable[[dict[str, Any]], Reply]"
    models: Any = field(default_factory=lambda: {"data": [{"id": "qwen", "owned_by": "vllm"}]})
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    def next_reply(self, body: dict[str, Any]) -> Reply:
        if callable(self.replies):
            return self.replies(body)
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


def completion(text: str, tokens: "list[tuple[str, float]] | None" = None, finish: str = "stop") -> Reply:
    """A chat completion, with the log probabilities of its tokens where they are given."""
    choice: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    if tokens:
        choice["logprobs"] = {"content": [{"token": token, "logprob": logprob} for token, logprob in tokens]}
    return 200, {"choices": [choice], "usage": {"prompt_tokens": 1000, "completion_tokens": 20}}, {}


def error(status: int, message: str = "no", **headers: str) -> Reply:
    return status, {"error": {"message": message, "type": "x", "code": None}}, headers


@contextmanager
def serving(stub: Stub) -> Iterator[Stub]:
    """The stub on loopback, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            told = stub.models if self.path == "/v1/models" else None
            self._send((200, told, {}) if told is not None else error(404, "Not Found"))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            stub.bodies.append(body)
            stub.headers.append(dict(self.headers))
            self._send(stub.next_reply(body))

        def _send(self, reply: Reply) -> None:
            status, told, headers = reply
            content = told if isinstance(told, bytes) else json.dumps(told).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stub.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
