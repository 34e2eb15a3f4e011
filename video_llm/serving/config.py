"""What a server lets in, how much of it at once, and for how long."""

from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024


@dataclass(frozen=True)
class Doors:
    """Which videos may be named.

    roots:        folders whose files may be named; none: only videos that come inside the request.
    remote_hosts: hosts that videos may be fetched from, as `example.org` or `example.org:8443`; none: no video is.
    video_bytes:  of one video that comes inside a request or is fetched.
    fetch_seconds: for a video that is fetched, all of it.
    """

    roots: tuple[Path, ...] = ()
    remote_hosts: tuple[str, ...] = ()
    video_bytes: int = 64 * MIB
    fetch_seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.video_bytes < 1 or not self.fetch_seconds > 0:
            raise ValueError(f"a video needs bytes and seconds, not {self.video_bytes} and {self.fetch_seconds}")


@dataclass(frozen=True)
class ServeConfig:
    """How a server is run.

    host, port:      where it listens; port 0 takes any that is free.
    doors:           which videos may be named.
    token:           what a request has to bear; empty: nothing.
    max_queue:       requests that may wait for a model; one more is told to come back (429).
    body_bytes:      of one request, the video inside it included. held_bytes: of all that are being read at once, which
                     are on the disk where they are large.
    body_seconds:    for a client to send all of its request after the first line. head_seconds: for that.
    answer_seconds:  that a request may wait and be worked on.
    grace_seconds:   after SIGTERM, for the requests that were accepted before it.
    max_connections: at once; one more is told to come back (503).
    max_queries:     of one request; max_letters: of one query or question.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    doors: Doors = Doors()
    token: str = ""
    max_queue: int = 64
    body_bytes: int = 96 * MIB
    held_bytes: int = 256 * MIB
    body_seconds: float = 30.0
    head_seconds: float = 10.0
    answer_seconds: float = 600.0
    grace_seconds: float = 30.0
    max_connections: int = 1024
    max_queries: int = 100
    max_letters: int = 4000

    def __post_init__(self) -> None:
        if not 0 <= self.port < 65536:
            raise ValueError(f"port must be 0 to 65535, not {self.port}")
        for name in ("max_queue", "body_bytes", "held_bytes", "max_connections", "max_queries", "max_letters"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("body_seconds", "head_seconds", "answer_seconds", "grace_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")
