"""`http(s)://host/v1?option=value#model`: a server, the model there, and how it is asked, in one word."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args
from urllib.parse import parse_qsl, urlsplit

from tvu.video_llm.errors import UnknownModel

Send = Literal["auto", "frames", "video", "path"]
SENDS: tuple[Send, ...] = get_args(Send)
KEY = "TVU_API_KEY"  # in the environment: the key of the server; never part of the name, which is told and kept
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class RemoteConfig:
    """A model of a server, and how it is asked.

    base:    the URL up to and with `/v1`. model: its name there; empty for the only one that the server has.
    send:    what of a video is sent: `frames` as JPEG with their times; `video`, the file itself; `path`, its name, to
             a server that reads the same disk; `auto`: the file to a server of tvu, frames to any other.
    fps, frames, side: looks a second, at most so many of them, and their longer side in pixels.
    timeout: seconds to wait for an answer. retries: of what may pass, as a busy server. parallel: queries at once.
    tokens:  that an answer may have.
    price:   of a million tokens read, and of a million written, in any currency; None where no cost is to be told.
    """

    base: str
    model: str = ""
    send: Send = "auto"
    fps: float = 1.0
    frames: int = 32
    side: int = 512
    timeout: float = 300.0
    retries: int = 3
    parallel: int = 4
    tokens: int = 512
    price: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not (self.fps > 0 and self.timeout > 0 and self.retries >= 0):
            raise ValueError("fps and timeout must be positive, retries not negative")
        if min(self.frames, self.side, self.parallel, self.tokens) < 1:
            raise ValueError("frames, side, parallel and tokens must be at least 1")
        if self.price is not None and not min(self.price) >= 0:
            raise ValueError("a price is not negative")

    @property
    def host(self) -> str:
        """The host and port, as errors tell them."""
        return urlsplit(self.base).netloc

    @property
    def is_loopback(self) -> bool:
        return urlsplit(self.base).hostname in LOOPBACK


def is_remote(name: str) -> bool:
    """Whether a model's name means a server."""
    return name.lower().startswith(("http://", "https://"))


def _price(text: str) -> tuple[float, float]:
    read, written = text.split(",")
    return float(read), float(written)


def _send(text: str) -> Send:
    return next(each for each in SENDS if each == text)


_OPTIONS: Mapping[str, Callable[[str], Any]] = {
    "send": _send,
    "fps": float,
    "frames": int,
    "side": int,
    "timeout": float,
    "retries": int,
    "parallel": int,
    "tokens": int,
    "price": _price,
}


def parse_remote(name: str) -> RemoteConfig:
    """The server and model of a name. Raises UnknownModel."""
    form = "write http(s)://host:port/v1#model"
    try:
        parts = urlsplit(name)
        is_right = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        raise UnknownModel("the URL of the model cannot be read", hint=form) from None
    if not is_right:
        raise UnknownModel("the URL of the model names no host", hint=form)
    if parts.username is not None or parts.password is not None:
        raise UnknownModel("a key does not belong into a model's name", hint=f"put it into the environment as {KEY}")
    config = RemoteConfig(f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}", parts.fragment)
    for option, text in parse_qsl(parts.query, keep_blank_values=True):
        if option not in _OPTIONS:
            raise UnknownModel(f"no option of a server is called {option!r}", hint=", ".join(_OPTIONS))
        try:
            config = replace(config, **{option: _OPTIONS[option](text)})
        except (ValueError, StopIteration):
            takes = f"one of {', '.join(SENDS)}" if option == "send" else "a number, two with a comma for price"
            raise UnknownModel(f"{option}={text} makes no sense", hint=f"it takes {takes}") from None
    return config
