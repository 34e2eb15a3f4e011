"""One entry of the feature store on the disk: a folder of `.npy` arrays and one `entry.json` that says what they are.

An entry is written beside its place and renamed, so there is never half of one under its name, whenever a writer is
killed. It is removed the same way, by a rename first; who has opened one goes on reading it, as its files live until
the last mapping of them is gone.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

ABOUT = "entry.json"
WRITING, REMOVING = ".writing-", ".removing-"
_OURS = ("arrays", "files", "seal")  # keys of entry.json that are not the caller's fields


@dataclass(frozen=True)
class CacheEntry:
    """What one channel keeps of one video.

    arrays: by name, of any numeric type. fields: JSON values.
    """

    arrays: Mapping[str, NDArray[Any]]
    fields: Mapping[str, Any]


def write_entry(folder: Path, entry: CacheEntry) -> int:
    """Write `entry` as `folder`; returns its bytes, 0 where another process was first with the same key.

    Its bytes are on the disk before it has its name, so a loss of power leaves no empty files under it either.
    Raises OSError where it cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=WRITING, dir=folder.parent))
    lock = os.open(beside, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # a file system without locks: then what is swept away is told by its age alone
            fcntl.flock(lock, fcntl.LOCK_EX)
        files: dict[str, tuple[int, str]] = {}
        for name, array in entry.arrays.items():
            path = beside / f"{name}.npy"
            with path.open("wb+") as file:
                np.save(file, array, allow_pickle=False)
                _sync(file)
                files[name] = file.tell(), hash_of(file)
        about = {**entry.fields, "arrays": sorted(entry.arrays), "files": files}
        with (beside / ABOUT).open("wb") as file:
            file.write(json.dumps({**about, "seal": _seal(about)}).encode())
            _sync(file)
            size = file.tell() + sum(count for count, _ in files.values())
        os.fsync(lock)
        try:
            os.rename(beside, folder)  # noqa: PTH104  Path.rename has the same semantics, os says it plainly
        except OSError as error:
            # Another was first: its entry is as good. Whether it is still there may not be asked: it may be evicted.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            return 0
        return size
    finally:
        os.close(lock)
        shutil.rmtree(beside, ignore_errors=True)


def read_entry(folder: Path, *, every_byte: bool = False) -> CacheEntry | None:
    """The entry, its arrays memory-mapped; None where there is none, or where it goes away while it is being opened.

    Sizes are checked, and what `entry.json` says by its own hash; with `every_byte` all arrays are held against theirs.
    Everything is opened within one and the same folder, so two entries of one name are never mixed.
    Raises ValueError where it is damaged, and OSError where it cannot be read.
    """
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    except NotADirectoryError as error:
        raise ValueError(f"{folder} is not a folder") from error
    try:
        with suppress(OSError):  # a store that may only be read
            os.utime(fd)  # when it was used last, for those who make room
        about = _about(fd)
        files: dict[str, list[Any]] = about.get("files", {})
        names = about["arrays"]
        if files and sorted(files) != names:
            raise ValueError("arrays are missing")
        found = os.listdir(fd)  # noqa: PTH208  of the open folder, wherever it is by now
        there = sorted(name.removesuffix(".npy") for name in found if name.endswith(".npy"))
        if there != names:
            raise ValueError("arrays are missing")
        arrays = {name: _mapped(fd, name, files.get(name), every_byte) for name in names}
        return CacheEntry(arrays, {name: value for name, value in about.items() if name not in _OURS})
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError) as error:
        if os.fstat(fd).st_nlink == 0 or not _is_at(folder, fd):
            return None  # somebody made room meanwhile
        raise ValueError(f"{folder}: {error}") from error
    finally:
        os.close(fd)


def is_sealed(folder: Path) -> bool:
    """Whether an entry carries hashes; those of early versions do not."""
    try:
        return "seal" in json.loads((folder / ABOUT).read_text("utf-8"))
    except (OSError, ValueError):
        return False


def remove_entry(folder: Path) -> bool:
    """Take an entry away, in one step for who looks for it; False where it was gone already."""
    try:
        aside = Path(tempfile.mkdtemp(prefix=REMOVING, dir=folder.parent))
        os.rename(folder, aside / "entry")  # noqa: PTH104
    except OSError:
        return False
    finally:
        with suppress(OSError, UnboundLocalError):
            shutil.rmtree(aside, ignore_errors=True)
    return True


def hash_of(file: Any) -> str:
    """Of everything in an open file."""
    file.seek(0)
    return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _about(fd: int) -> dict[str, Any]:
    with _opened(fd, ABOUT) as file:
        about = json.loads(file.read())
    if "seal" in about and about.pop("seal") != _seal(about):
        raise ValueError(f"{ABOUT} is damaged")
    return dict(about)


def _mapped(fd: int, name: str, told: list[Any] | None, every_byte: bool) -> NDArray[Any]:
    """The array of a `.npy` file, not read but mapped; told: its bytes and hash, None where nobody wrote them down."""
    with _opened(fd, f"{name}.npy") as file:
        if told is not None and os.fstat(file.fileno()).st_size != told[0]:
            raise ValueError(f"{name} has another size")
        if told is not None and every_byte and hash_of(file) != told[1]:
            raise ValueError(f"{name} has other bytes")
        file.seek(0)
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        elif version == (2, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
        else:
            raise ValueError(f"{name} is of version {version}")
        if dtype.hasobject:
            raise ValueError(f"{name} holds no numbers")
        return np.memmap(file, dtype, "r", file.tell(), shape, "F" if fortran else "C")


def _opened(fd: int, name: str) -> BinaryIO:
    return open(name, "rb", opener=lambda path, flags: os.open(path, flags, dir_fd=fd))


def _is_at(folder: Path, fd: int) -> bool:
    try:
        return os.path.samestat(folder.stat(), os.fstat(fd))
    except OSError:
        return False


def _seal(about: Mapping[str, Any]) -> str:
    text = json.dumps(about, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
