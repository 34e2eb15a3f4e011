"""Where reader processes come from: one process that has imported what they need, and forks one for each request.

Importing numpy and PyAV costs 0.1 s of processor time, which is more than most small files take to survey. The nursery
opens no file itself, so what a reader starts from is clean; a reader that a file crashes or hangs is one fork.
`python -m tvu.video_llm.media.nursery` is the server; `Nursery` is the parent's side. Needs Linux (pidfd).
"""

import contextlib
import importlib
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import NoReturn

from tvu.video_llm.media import worker

PRELOADED = ("survey_pyav", "reader_pyav", "sound_pyav")
_STATUS = struct.Struct("<i")
_USAGE = struct.Struct("<dqi")  # processor seconds, bytes at most, readers alive
_START_SECONDS = 60.0  # to start Python and import, on a busy machine


@dataclass(frozen=True)
class Reader:
    """A forked reader process.

    requests, answers: its standard input and output. status: where the nursery tells how it ended. pidfd: to signal it.
    """

    requests: int
    answers: int
    status: socket.socket
    pidfd: int

    def kill(self) -> None:
        """End it, if it has not ended; all descriptors are closed. It is reaped by the nursery."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        self.status.close()
        for fd in (self.requests, self.answers, self.pidfd):
            os.close(fd)

    def exit_code(self, timeout: float) -> int | None:
        """As `subprocess` has it, minus the signal's number where one ended it; None where it has not ended in time."""
        self.status.settimeout(timeout)
        try:
            told = self.status.recv(_STATUS.size)
        except TimeoutError:
            return None
        return os.waitstatus_to_exitcode(_STATUS.unpack(told)[0]) if len(told) == _STATUS.size else None


@dataclass(frozen=True)
class Usage:
    """What the readers took that have ended: processor seconds of all, and the memory of the largest, bytes."""

    cpu_seconds: float
    most_bytes: int


class Nursery:
    """The server of this process, started with the first reader; it ends when this process does, however that ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._server: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._owner = 0

    def fork(self, fd: int | None) -> Reader:
        """A fresh reader that has the open file `fd`. Raises OSError."""
        return self._forked(fd) or self._forked(fd) or _gone()

    def _forked(self, fd: int | None) -> Reader | None:
        """None where the server died over it."""
        requests_theirs, requests = os.pipe()
        answers, answers_theirs = os.pipe()
        status, status_theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        given = [requests_theirs, answers_theirs, status_theirs.fileno(), *([] if fd is None else [fd])]
        descriptors: list[int] = []
        try:
            try:
                with self._lock:
                    self._send(given)
            finally:  # while we hold these ourselves, the death of the server is no end of the pipe
                status_theirs.close()
                os.close(requests_theirs)
                os.close(answers_theirs)
            status.settimeout(_START_SECONDS)
            with contextlib.suppress(ConnectionError):
                _, descriptors, _, _ = socket.recv_fds(status, 1, 1)
            status.settimeout(None)
        finally:
            if not descriptors:
                status.close()
                os.close(requests)
                os.close(answers)
        return Reader(requests, answers, status, descriptors[0]) if descriptors else None

    def usage(self) -> Usage:
        """What readers took so far; waits until those that were killed are gone. Raises OSError."""
        deadline = time.monotonic() + _START_SECONDS
        while True:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with ours, theirs:
                with self._lock:
                    self._send([theirs.fileno()])
                theirs.close()
                ours.settimeout(_START_SECONDS)
                seconds, most, alive = _USAGE.unpack(ours.recv(_USAGE.size))
            if alive == 0 or time.monotonic() > deadline:
                return Usage(seconds, most)
            time.sleep(0.01)

    def _send(self, given: list[int]) -> None:
        """Hand over the descriptors, to a new server where ours died or is that of the process we were forked from."""
        for attempt in (1, 2):
            if self._line is None or self._owner != os.getpid() or (self._server and self._server.poll() is not None):
                self._start()
            assert self._line is not None
            try:
                socket.send_fds(self._line, [bytes([len(given)])], given)
                return
            except (BrokenPipeError, ConnectionError):
                self._line = None
                if attempt == 2:
                    raise

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # threads it would never use
        with theirs:
            self._server = subprocess.Popen(
                [sys.executable, "-P", "-m", "tvu.video_llm.media.nursery", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=environment,
                start_new_session=True,  # Ctrl-C on the terminal reaches the parent only
            )
        self._line, self._owner = ours, os.getpid()


def _gone() -> NoReturn:
    raise OSError("the nursery of readers does not live")


def serve(line: socket.socket) -> None:
    """Fork a reader for each request until the parent's end of `line` is closed, and tell of each how it ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for module in PRELOADED:
        importlib.import_module(f"tvu.video_llm.media.{module}")
    wake, wake_theirs = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake_theirs, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    readers: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([line.fileno(), wake], [], [])
        if wake in ready:
            os.read(wake, 4096)
            _reap(readers)
        if line.fileno() not in ready:
            continue
        count, descriptors, _, _ = socket.recv_fds(line, 1, 4)
        if not count:
            return
        if len(descriptors) == 1:
            _tell_usage(descriptors[0], len(readers))
            continue
        requests, answers, status_fd, *file = descriptors
        status = socket.socket(fileno=status_fd)
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for other in (line, status, *readers.values()):
                other.close()
            _be_reader(requests, answers, file[0] if file else None)
        readers[pid] = status
        pidfd = os.pidfd_open(pid)
        with contextlib.suppress(OSError):  # the parent is gone: the reader sees that too
            socket.send_fds(status, [b"r"], [pidfd])
        for fd in (pidfd, requests, answers, *file):
            os.close(fd)


def _tell_usage(fd: int, alive: int) -> None:
    told = resource.getrusage(resource.RUSAGE_CHILDREN)
    with socket.socket(fileno=fd) as status, contextlib.suppress(OSError):
        status.send(_USAGE.pack(told.ru_utime + told.ru_stime, told.ru_maxrss * 1024, alive))


def _be_reader(requests: int, answers: int, file: int | None) -> NoReturn:
    os.dup2(requests, 0)
    os.dup2(answers, 1)
    os.close(requests)
    os.close(answers)
    worker.main(file)
    os._exit(0)


def _reap(readers: dict[int, socket.socket]) -> None:
    while readers:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        told = readers.pop(pid)
        with contextlib.suppress(OSError):
            told.send(_STATUS.pack(status))
        told.close()


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
