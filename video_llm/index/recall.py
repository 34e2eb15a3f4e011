"""How good the search is: `python -P -m tvu.video_llm.index.recall NEEDLES_DIR`.

NEEDLES_DIR holds `*_gt.json` and the videos they name. Two folders are searched: the videos as they are, and every
segment of them as a video of its own (`file.mp4#t=a,b`), among which the right ones are rarer. A right video is one
that shows the clip that the question is about. The same questions are answered by `scout` in full about every video,
which is what the search stands for: the best video is then the one with the likeliest span.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tvu.video_llm.index.build import Indexer
from tvu.video_llm.index.find import indexed_among
from tvu.video_llm.index.ledger import Item
from tvu.video_llm.index.models import feature_store
from tvu.video_llm.index.search import Searcher
from tvu.video_llm.load import load_model
from tvu.video_llm.scout.model import Scout

SHOWN = 5


@dataclass(frozen=True)
class Recall:
    """Shares of the questions whose best video is a right one, that have a right one among the best five, and whose
    best video by scout in full is among the five; `scout_first` is the first of these of scout in full, `chance` of a
    random order."""

    questions: int
    videos: int
    first: float
    in_five: float
    kept: float
    scout_first: float
    scout_in_five: float
    chance: float


def measure(folder: Path, scout: Scout, *, segments: bool) -> Recall:
    """Index what the ground truth names, and ask each of its questions once."""
    shown: dict[str, set[str]] = {}  # by address: the clips that it shows
    questions: dict[str, str] = {}  # the clip that each is about
    for truth in sorted(folder.glob("*_gt.json")):
        for video in json.loads(truth.read_text("utf-8"))["videos"]:
            path = str(folder / video["file"])
            if segments:
                shown |= {f"{path}#t={s['start']},{s['end']}": {s["clip"]} for s in video["segments"]}
            else:
                shown[path] = {s["clip"] for s in video["segments"]}
            questions |= {q["query"]: q["clip"] for q in video["queries"]}
    store = feature_store()
    for outcome in Indexer(scout, store).run(shown):
        if outcome.error:
            raise SystemExit(f"{outcome.address}: {outcome.error}")
    searcher = Searcher(scout, store)
    known, _ = indexed_among(shown, searcher.space, scout, store)
    clips: dict[int, set[str]] = defaultdict(set)  # copies of a part are one item
    for address, item in known:
        clips[item.id] |= shown[address]
    items = {item.id: item for _, item in known}
    in_full = _ranked_in_full(scout, items, list(questions))
    counts = dict.fromkeys(("first", "in_five", "kept", "scout_first", "scout_in_five", "chance"), 0.0)
    for question, clip in questions.items():
        hits = [hit.item.id for hit in searcher.search(list(items.values()), question).hits]
        full = in_full[question]
        counts["first"] += clip in clips[hits[0]]
        counts["in_five"] += any(clip in clips[number] for number in hits[:SHOWN])
        counts["kept"] += full[0] in hits[:SHOWN]
        counts["scout_first"] += clip in clips[full[0]]
        counts["scout_in_five"] += any(clip in clips[number] for number in full[:SHOWN])
        counts["chance"] += sum(clip in own for own in clips.values()) / len(items)
    shares = {name: count / len(questions) for name, count in counts.items()}
    return Recall(len(questions), len(items), **shares)


def _ranked_in_full(scout: Scout, items: Mapping[int, Item], questions: Sequence[str]) -> dict[str, list[int]]:
    """The videos by their likeliest span, for every question."""
    scored: dict[str, list[tuple[float, int]]] = {question: [] for question in questions}
    for number, item in items.items():
        for question, found in zip(questions, scout.ground(item.clip, questions), strict=True):
            scored[question].append((-found[0].score if found else 0.0, number))
    return {question: [number for _, number in sorted(pairs)] for question, pairs in scored.items()}


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description="How often the search puts a right video among the best five.")
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder.absolute()
    scout = load_model("scout", evidence=("visual",), min_score=0.0)
    assert isinstance(scout, Scout)
    for segments in (False, True):
        found = measure(folder, scout, segments=segments)
        print(f"{found.videos} {'segments' if segments else 'videos'}, {found.questions} questions")
        print(f"  search: best is right {found.first:.1%} (chance {found.chance:.1%}), in five {found.in_five:.1%}")
        print(f"  scout in full: best is right {found.scout_first:.1%}, in five {found.scout_in_five:.1%}")
        print(f"  the best of scout in full is among the five of the search: {found.kept:.1%}")


if __name__ == "__main__":
    main()
