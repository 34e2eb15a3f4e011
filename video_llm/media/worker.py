"""The reader process: forked by the nursery for one request of `child.py`, and then gone.

It gets the file as an open descriptor, so no name is ever interpreted and no other file can be opened in its place,
and it imports a decoder and numpy, nothing else of weight.
"""

import importlib
import os
import resource
import select
import signal
import threading
import time
import traceback
from collections.abc import Callable

from tvu.video_llm.errors import VideoError
from tvu.video_llm.media.limits import MAX_CHILD_BYTES
from tvu.video_llm.media.wire import Message, read_message, write_message

BEAT_SECONDS = 0.25


class Outbox:
    """Where messages go, from the reader and from the heartbeat."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.Lock()

    def send(self, message: Message) -> None:
        """Write the whole message; blocks while the parent is busy, which is what bounds the memory of both."""
        with self._lock:
            write_message(message, self._write)

    def _write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]


class Progress:
    """Counts what the reader gets done, and tells the parent while the count moves."""

    def __init__(self, outbox: Outbox, fd: int | None) -> None:
        self._outbox = outbox
        self._fd = fd
        self._count = 0
        threading.Thread(target=self._beat, daemon=True).start()

    def tick(self) -> None:
        """One more packet or picture is done."""
        self._count += 1

    def _beat(self) -> None:
        seen = None
        while True:
            time.sleep(BEAT_SECONDS)
            if _parent_is_gone():
                os._exit(0)
            # The file position also moves inside a long library call, such as opening a file with a huge index.
            now = (self._count, os.lseek(self._fd, 0, os.SEEK_CUR) if self._fd is not None else 0)
            if now != seen:
                seen = now
                try:
                    self._outbox.send(Message("alive"))
                except OSError:
                    os._exit(0)


def _parent_is_gone() -> bool:
    readable, _, _ = select.select([0], [], [], 0)
    return bool(readable)  # after the one request, stdin becomes readable only by ending


def _read_exactly(buffer: memoryview) -> None:
    while buffer:
        count = os.readv(0, [buffer])
        if count == 0:
            raise EOFError
        buffer = buffer[count:]


def main(fd: int | None) -> None:
    """Answer one request from stdin on stdout, about the open file `fd` if there is one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    ceiling = MAX_CHILD_BYTES if hard == resource.RLIM_INFINITY else min(MAX_CHILD_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_AS, (ceiling, hard))
    pipe = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # a library that prints must not print into the messages
    outbox = Outbox(pipe)
    try:
        request = read_message(_read_exactly)
        if fd is not None:
            request.fields["fd"] = fd
        answer = _load(request.kind)
        outbox.send(Message("alive"))
        progress = Progress(outbox, request.fields.get("fd"))
        try:
            answer(request, outbox.send, progress.tick)
            outbox.send(Message("done"))
        except VideoError as error:
            outbox.send(Message("error", {"message": error.message, "hint": error.hint}))
        except MemoryError:
            limit = f"more than {MAX_CHILD_BYTES >> 30} GiB"
            outbox.send(
                Message("error", {"message": f"needs {limit} of memory to decode", "hint": "the file is damaged"})
            )
        except BrokenPipeError:
            raise
        except Exception:
            outbox.send(Message("bug", {"traceback": traceback.format_exc()}))
    except (BrokenPipeError, EOFError):
        pass
    os._exit(0)  # without destructors: freeing a damaged file's state is one more chance to crash


Answer = Callable[[Message, Callable[[Message], None], Callable[[], None]], None]


def _load(kind: str) -> Answer:
    """The function that answers requests of this kind; a decoder is imported only when it is asked for."""
    module, function = _ANSWERS[kind]
    answer: Answer = getattr(importlib.import_module(f"tvu.video_llm.media.{module}"), function)
    return answer


_ANSWERS = {
    "survey": ("survey_pyav", "answer_survey"),
    "frames": ("reader_pyav", "answer_frames"),
    "frames by decord": ("reader_decord", "answer_frames"),
    "sound": ("sound_pyav", "answer_sound"),
    "picture survey": ("pictures", "answer_survey"),
    "picture frames": ("pictures", "answer_frames"),
}
