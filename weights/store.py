"""Where weights live on disk, and how a folder of them is known to be whole.

`<cache>/weights/<name>/<revision>/` holds the converted files of one checkpoint beside `files.json`, which lists their
sizes, hashes and times of change. A folder appears under that name only by a rename, when everything in it is written.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tvu.weights.errors import WeightsError
from tvu.weights.manifest import Weights

INVENTORY = "files.json"
_PARTIAL = ".partial-"


@dataclass(frozen=True)
class StoredFile:
    """A file of a checkpoint as it was when it was accepted. `path` is relative to the folder."""

    path: str
    bytes: int
    sha256: str
    mtime_ns: int


@dataclass(frozen=True)
class Inventory:
    """What a folder of weights holds and where it came from."""

    name: str
    revision: str
    licence: str
    source: str
    files: tuple[StoredFile, ...]


def cache_root() -> Path:
    """Where tvu keeps everything it can get again: `$TVU_CACHE`, or `~/.cache/tvu`."""
    chosen = os.environ.get("TVU_CACHE")
    return Path(chosen).expanduser().absolute() if chosen else Path.home() / ".cache" / "tvu"


def home_of(weights: Weights) -> Path:
    """The folder of all revisions of `weights`, whose name also holds characters that folder names should not."""
    return cache_root() / "weights" / weights.name.replace(":", "-").replace("/", "-")


def folder_of(weights: Weights) -> Path:
    """Where this revision of `weights` is, or would be."""
    return home_of(weights) / weights.revision


def sha256_of(path: Path) -> str:
    """Hex digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def take_inventory(folder: Path, weights: Weights, source: str) -> Inventory:
    """Write `files.json` for everything in `folder`, after making sure that the disk has it all."""
    files = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != INVENTORY):
        path.chmod(0o644)  # safetensors writes files that only their owner may read
        with path.open("rb") as file:
            os.fsync(file.fileno())  # a rename must not outlive the data it names when the power goes
        stat = path.stat()
        files.append(StoredFile(path.relative_to(folder).as_posix(), stat.st_size, sha256_of(path), stat.st_mtime_ns))
    inventory = Inventory(weights.name, weights.revision, weights.licence, source, tuple(files))
    _write_inventory(folder, inventory)
    return inventory


def _write_inventory(folder: Path, inventory: Inventory) -> None:
    beside = folder / f".{INVENTORY}.{os.getpid()}"
    with beside.open("w") as file:
        json.dump(asdict(inventory), file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(folder / INVENTORY)


def read_inventory(folder: Path) -> Inventory | None:
    """The folder's `files.json`, or None where it is missing or makes no sense."""
    try:
        told: dict[str, Any] = json.loads((folder / INVENTORY).read_text())
        return Inventory(**{**told, "files": tuple(StoredFile(**file) for file in told["files"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def verify(folder: Path, *, every_byte: bool = False) -> dict[str, str]:
    """What is wrong with each file of `folder`; empty where all of it is as it was accepted.

    Sizes and times of change are compared; a file that was touched since is hashed, and so is every file on request.
    A touched file whose bytes are right (a cache that was copied) gets its new time noted, so it is hashed only once.
    """
    inventory = read_inventory(folder)
    if inventory is None:
        return {INVENTORY: "is missing or unreadable"}
    wrong: dict[str, str] = {}
    seen = []
    for file in inventory.files:
        mtime_ns = file.mtime_ns
        try:
            stat = (folder / file.path).stat()
            if stat.st_size != file.bytes:
                wrong[file.path] = f"has {stat.st_size} bytes instead of {file.bytes}"
            elif every_byte or stat.st_mtime_ns != file.mtime_ns:
                mtime_ns = stat.st_mtime_ns
                if sha256_of(folder / file.path) != file.sha256:
                    wrong[file.path] = "has other content than when it was pulled"
        except OSError as error:
            wrong[file.path] = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
        seen.append(StoredFile(file.path, file.bytes, file.sha256, mtime_ns))
    if not wrong and tuple(seen) != inventory.files:
        with contextlib.suppress(OSError):  # a cache that may only be read is hashed again next time
            _write_inventory(folder, Inventory(**{**inventory.__dict__, "files": tuple(seen)}))
    return wrong


def state_of(weights: Weights, *, every_byte: bool = False) -> tuple[str, dict[str, str]]:
    """`missing`, `ready` or `damaged`, and what is wrong with each file of a damaged folder."""
    folder = folder_of(weights)
    try:
        if not folder.is_dir():
            return "missing", {}
    except OSError as error:  # a cache that this user may not enter
        raise WeightsError(
            f"cannot look into {folder}: {error.strerror}", hint="set TVU_CACHE to another folder"
        ) from error
    wrong = verify(folder, every_byte=every_byte)
    return ("damaged" if wrong else "ready"), wrong


def require_whole(weights: Weights, wrong: dict[str, str]) -> None:
    """Raises WeightsError that names the first damaged file, if `state_of` found one."""
    for path, problem in wrong.items():
        hint = f"run: tvu models pull {weights.name} --force"
        raise WeightsError(f"weights of {weights.name} are damaged: {folder_of(weights) / path} {problem}", hint=hint)


@contextlib.contextmanager
def locked(home: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of one checkpoint's folder; `waiting` is told once if another process has it.

    The kernel lets go of the lock when its holder dies, however it dies.
    """
    with (home / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def workshop(home: Path) -> Iterator[Path]:
    """A temporary folder inside `home`, for the holder of its lock: any older one was left by a pull that died."""
    for left in home.glob(f"{_PARTIAL}*"):
        shutil.rmtree(left, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=home))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def install(built: Path, folder: Path, work: Path) -> None:
    """Give the finished folder `built` its final name; what had that name goes into `work`, to be removed with it."""
    if folder.exists():
        folder.rename(work / "replaced")
    built.rename(folder)
