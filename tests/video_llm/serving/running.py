"""A real `tvu serve` on loopback, for tests."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

COMMAND = Path(sys.executable).with_name("tvu")


@dataclass
class Running:
    """A server process. log: its standard error."""

    process: "subprocess.Popen[bytes]"
    url: str
    log: Path

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, trust_env=False, **{"timeout": 20.0, **options})

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)

    def memory_bytes(self, name: str = "VmRSS") -> int:
        told = Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(re.search(rf"{name}:\s*(\d+) kB", told)[1])


@contextmanager
def running(folder: Path, *options: object) -> Iterator[Running]:
    """A server that reads `folder`, until the block ends."""
    log = folder.parent / f"{folder.name}-{time.monotonic_ns()}.log"
    arguments = [COMMAND, "serve", "--port", "0", "--root", folder, *options]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(each) for each in arguments], stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=os.environ
        )
    try:
        deadline = time.monotonic() + 20
        while not (told := re.search(r"listening: (\S+)\n", log.read_text())):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        yield Running(process, told[1], log)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def asked(video: str, text: str = "when?", **more: Any) -> dict[str, Any]:
    """The body of a chat about a video."""
    parts = [{"type": "text", "text": text}, {"type": "video_url", "video_url": {"url": video}}]
    return {"messages": [{"role": "user", "content": parts}], **more}
