"""Runs a reader in a process of its own: a decoder that crashes or hangs on a file costs that file and nothing else."""

import os
import select
import signal
import time
from collections.abc import Iterator

from tvu.video_llm.errors import VideoError
from tvu.video_llm.media.nursery import Nursery, Reader
from tvu.video_llm.media.wire import Message, read_message, write_message

START_SECONDS = 60.0  # to start Python and load the libraries, on a busy machine
SCAN_SECONDS = 60.0  # for readers that scan a whole file in one call and cannot tell how far they are
NURSERY = Nursery()
STALL_SECONDS = 4.0  # without a packet, a picture or a byte read: the file has the decoder going round in circles


def run_reader(name: str, request: Message, fd: int | None = None, *, scans: bool = False) -> Iterator[Message]:
    """What a fresh reader process answers to `request`, message by message; `name` is the file's, for errors.

    The process ends when the generator is closed or collected, and by itself when its parent dies. It ignores Ctrl-C,
    which is the parent's to handle. `fd`, an open file, is inherited under its own number;
    `scans` readers may be silent for SCAN_SECONDS.
    Raises VideoError where the file cannot be read, or crashes or stalls the decoder.
    """
    reader = NURSERY.fork(fd)
    inbox = _Inbox(reader.answers, SCAN_SECONDS if scans else STALL_SECONDS)
    try:
        try:
            # The pipe is left open: its end tells the child that the parent is gone.
            write_message(request, lambda data: _write_all(reader.requests, data))
            while True:
                message = inbox.next_message()
                if message.kind == "error":
                    raise VideoError(f"{name} {message.fields['message']}", hint=message.fields["hint"])
                if message.kind == "bug":
                    raise ValueError(f"the reader process failed on {name}:\n{message.fields['traceback']}")
                if message.kind == "done":
                    return
                if message.kind != "alive":
                    yield message
        except TimeoutError as error:
            raise VideoError(
                f"{name} stalls the decoder", hint="the file is damaged, or its disk does not answer"
            ) from error
        except (EOFError, BrokenPipeError) as error:
            raise VideoError(f"{name} {_epitaph(reader)}", hint="the file is damaged") from error
    finally:
        reader.kill()


def _write_all(fd: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _epitaph(reader: Reader) -> str:
    """How the child died, as the end of a sentence."""
    code = reader.exit_code(timeout=1.0)
    if code is None:
        return "made the decoder close its pipe"
    if code < 0:
        return f"crashes the decoder ({signal.Signals(-code).name})"
    return f"made the decoder exit with code {code}"


class _Inbox:
    """Reads messages from a pipe, and gives up when nothing at all comes for too long."""

    def __init__(self, fd: int, patience: float) -> None:
        self._fd = fd
        self._patience_once_started = patience
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN | select.POLLHUP)
        self._patience = START_SECONDS

    def next_message(self) -> Message:
        message = read_message(self._read_into)
        self._patience = self._patience_once_started
        return message

    def _read_into(self, buffer: memoryview) -> None:
        while buffer:
            deadline = time.monotonic() + self._patience
            while not self._poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                if time.monotonic() >= deadline:
                    raise TimeoutError
            count = os.readv(self._fd, [buffer])
            if count == 0:
                raise EOFError
            buffer = buffer[count:]
