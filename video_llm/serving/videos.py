"""From what a request names as its video to a file that may be opened, and to no other.

A name is a `file:` URL, a path, a `data:` URL or, where hosts are allowed, an `http(s)` URL. Paths are taken under the
roots after every symbolic link is followed; who may write into a root may show what the server may read.
"""

import base64
import binascii
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

from tvu.video_llm.serving.config import Doors
from tvu.video_llm.serving.refusal import Refusal

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_FORBIDDEN = "the video is not in a folder that this server may read"


@dataclass(frozen=True)
class NamedVideo:
    """A video that may be opened.

    address: as `open_video` takes it. shown: what it is called in answers: the name as it was told, without its bytes.
    hidden:  what error messages must not tell, and what they tell instead.
    """

    address: str
    shown: str
    hidden: dict[str, str] = field(default_factory=dict)


def named_video(name: str, doors: Doors, scratch: Path, stack: ExitStack) -> NamedVideo:
    """The video that `name` means.

    What came inside the request, or was fetched, is a file in `scratch` until `stack` is closed; nothing else of it is
    held. Raises Refusal: 400 for a name that means nothing, 403 for one that is not allowed, 404, 413, and 502 or 504
    where it cannot be fetched.
    """
    if "\0" in name or not name:
        raise Refusal(400, "bad_video", "the video has no name that a file could have")
    scheme = name[:5].lower()
    if scheme == "data:":
        told, _, fragment = name.rpartition("#t=") if "#t=" in name[-64:] else (name, "", "")
        file = _kept(_decoded(told, doors.video_bytes), scratch, stack)
        shown = told[: min(64, told.find(",") if "," in told else 64)]
        return NamedVideo(_address(file, fragment), shown, {str(file): "the video"})
    if scheme == "file:":
        return _from_url(name, doors)
    if re.match(r"https?://", name, re.IGNORECASE):
        file = _fetched(name, doors, scratch, stack)
        fragment = urlsplit(name).fragment
        address = _address(file, fragment.removeprefix("t=") if fragment.startswith("t=") else "")
        return NamedVideo(address, name, {str(file): "the video"})
    if _SCHEME.match(name):
        raise Refusal(403, "scheme_not_allowed", "a video is a path, or a file: or data: URL")
    return _from_path(name, name, doors)


def _from_url(url: str, doors: Doors) -> NamedVideo:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError as error:
        raise Refusal(400, "bad_video", f"the file: URL cannot be read: {error}") from None
    if host not in ("", "localhost") or parts.query:
        raise Refusal(403, "path_not_allowed", "a file: URL names no host but localhost, and has no query")
    path = unquote(parts.path)
    if "\0" in path or not path:
        raise Refusal(400, "bad_video", "the file: URL names no file")
    return _from_path(path + (f"#{parts.fragment}" if parts.fragment.startswith("t=") else ""), url, doors)


def _from_path(text: str, shown: str, doors: Doors) -> NamedVideo:
    """A path, or `path#t=a,b`; a file whose real name holds `#t=` wins over the part."""
    whole = _inside(text, doors)
    if whole is not None:
        return NamedVideo(str(whole), shown, {str(whole): shown})
    name, mark, fragment = text.rpartition("#t=")
    file = _inside(name, doors) if mark and name else None
    if file is None:
        raise Refusal(404, "video_not_found", "there is no such video")
    return NamedVideo(_address(file, fragment), shown, {str(file): shown})


def _inside(text: str, doors: Doors) -> Path | None:
    """The real file or folder of pictures under one of the roots; None where there is none. Raises Refusal."""
    path = Path(text)
    if not doors.roots or ".." in path.parts:
        raise Refusal(403, "path_not_allowed", _FORBIDDEN)
    known = False
    for root in doors.roots:
        real_root = root.resolve()
        try:
            real = (real_root / path).resolve()  # an absolute path replaces the root here, and is held against it below
            if not real.is_relative_to(real_root):
                continue
            known = True
            if real.is_file() or (real.is_dir() and _keeps_inside(real, real_root)):
                return real
        except (OSError, RuntimeError, ValueError):  # a name too long, a link to itself
            continue
    if not known:
        raise Refusal(403, "path_not_allowed", _FORBIDDEN)
    return None


def _keeps_inside(folder: Path, root: Path) -> bool:
    """Whether no link in the folder leads out of the root: its pictures are opened by name."""
    with os.scandir(folder) as entries:
        return all(not each.is_symlink() or Path(each.path).resolve().is_relative_to(root) for each in entries)


def _address(file: Path, fragment: str) -> str:
    return f"{file}#t={fragment}" if fragment else str(file)


def _decoded(url: str, most: int) -> bytes:
    head, comma, text = url.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise Refusal(400, "bad_video", "a data: URL of a video is data:video/mp4;base64,…")
    if len(text) > most // 3 * 4 + 8:
        raise Refusal(413, "video_too_large", f"a video inside a request has at most {most} bytes")
    try:
        content = base64.b64decode(unquote(text) if "%" in text else text, validate=True)
    except (binascii.Error, ValueError):
        raise Refusal(400, "bad_video", "the data: URL is not base64") from None
    if not content or len(content) > most:
        raise Refusal(413 if content else 400, "video_too_large" if content else "bad_video", "the video is empty")
    return content


def _kept(content: bytes, scratch: Path, stack: ExitStack) -> Path:
    with _new_file(scratch, stack) as out:
        out.write(content)
    return Path(out.name)


@contextmanager
def _new_file(scratch: Path, stack: ExitStack) -> Iterator[IO[bytes]]:
    """A file to write into, which is gone when the stack is closed. Raises Refusal where the disk is full."""
    try:
        with tempfile.NamedTemporaryFile(dir=scratch, delete=False) as out:
            stack.callback(Path(out.name).unlink, missing_ok=True)
            yield out
    except OSError as error:
        raise Refusal(507, "no_space", "there is no room for the video") from error


def _fetched(url: str, doors: Doors, scratch: Path, stack: ExitStack) -> Path:
    """A video of an allowed host. Redirects are not followed: they could lead to a host that is not."""
    try:
        host = urlsplit(url).netloc.lower()
    except ValueError:
        raise Refusal(400, "bad_video", "the URL of the video cannot be read") from None
    if host not in {each.lower() for each in doors.remote_hosts}:
        raise Refusal(403, "remote_not_allowed", "videos of other hosts are not fetched; send the file itself")
    import httpx

    deadline = time.monotonic() + doors.fetch_seconds
    try:
        with (
            _new_file(scratch, stack) as out,
            httpx.stream("GET", url, timeout=10.0, follow_redirects=False, trust_env=False) as answer,
        ):
            if answer.status_code != 200:
                raise Refusal(502, "video_not_fetched", f"{host} answers {answer.status_code}, not the video")
            size = 0
            for chunk in answer.iter_bytes():
                size += len(chunk)
                if size > doors.video_bytes:
                    raise Refusal(413, "video_too_large", f"a video has at most {doors.video_bytes} bytes")
                if time.monotonic() > deadline:
                    raise Refusal(504, "video_not_fetched", f"{host} takes too long")
                out.write(chunk)
            return Path(out.name)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Refusal(502, "video_not_fetched", f"{host} does not send the video: {type(error).__name__}") from error
