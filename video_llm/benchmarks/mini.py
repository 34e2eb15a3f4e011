"""`make_mini`: sets that anyone can draw, so that every path of a benchmark can be run and tried without a download."""

import os
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path

from tvu.video_llm.benchmarks.mini_moments import write_chronology, write_moments
from tvu.video_llm.benchmarks.mini_mvbench import write_mvbench
from tvu.video_llm.errors import OutputError, OutputExists

TITLE = "# Mini sets, drawn by tvu\n"
README = f"""{TITLE}
Drawn by `tvu bench make-mini` from seed {{seed}}: no recording, no person, nobody else's picture or sentence. You may
do with them what you like (CC0 1.0).

- `mvbench/`: questions with options, in the layout of MVBench's main release, all its tasks as small drawn riddles.
  Every question comes, under the same order of options, once with each of its options right, so whoever reads only the
  text is exactly at chance.
- `moments/`: what is seen when, in the format of QVHighlights, with queries that happen twice or never, a file of
  variable frame rate and one whose time stamps start late.
- `chronology/`: what happens in which order.

They are for trying the commands and for finding faults. A score on them says little of how good a model is.
"""


def make_mini(folder: Path, seed: int = 0, *, force: bool = False, tasks: Collection[str] | None = None) -> None:
    """Draw the sets into a new folder: whole, or not at all.

    seed: the same seed gives the same questions and the same pictures.
    force: replace an earlier mini set; a folder that is anything else is never replaced.
    tasks: keys of MVBench's tasks to draw (`action_count`, …), all where None.
    Raises OutputExists where the folder is there already, OutputError where it cannot be written, and ValueError for
    an unknown task.
    """
    if os.path.lexists(folder) and not (force and _is_ours(folder)):
        hint = "name a new folder" if force or not _is_ours(folder) else "add --force to draw it anew"
        raise OutputExists(f"{folder} exists already", hint=hint)
    try:
        beside = Path(tempfile.mkdtemp(prefix=".mini-", suffix=".part", dir=folder.absolute().parent))
        try:
            fresh = beside / "fresh"
            write_mvbench(fresh / "mvbench", seed, tasks)
            write_moments(fresh / "moments", seed)
            write_chronology(fresh / "chronology", seed)
            (fresh / "README.md").write_text(README.format(seed=seed), "utf-8")
            if folder.exists():
                folder.rename(beside / "old")
            fresh.rename(folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        words = error.strerror or str(error)
        raise OutputError(f"{folder} cannot be written: {words}", hint="is there room and permission?") from error


def _is_ours(folder: Path) -> bool:
    try:
        return (folder / "README.md").read_text("utf-8").startswith(TITLE)
    except (OSError, UnicodeDecodeError):
        return False
