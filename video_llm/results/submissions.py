"""What the published scripts of two benchmarks read."""

import json
from collections.abc import Sequence

from tvu.video_llm.results.one_video import Content, one_line, path_of
from tvu.video_llm.results.rows import Row
from tvu.video_llm.results.tables import as_line

_NUMBERED = "queries are numbered by their order, from 0, as rows hold no ids: keep the order of the annotations"


def qvhighlights(rows: Sequence[Row]) -> Content:
    """QVHighlights: `{"qid", "query", "vid", "pred_relevant_windows": [[start, end, score], …]}` a line, no saliency.

    A row that failed is left out, as its script scores the queries that are there; one that found nothing has no
    windows. Both are told in the notes, and so is what a `qid` is here.
    """
    lines, notes = [], [f"qid: {_NUMBERED}"]
    for number, row in enumerate(rows):
        if row.error:
            notes.append(f"query {number} is left out: {one_line(row.error)}")
            continue
        windows = [[m["start_seconds"], m["end_seconds"], m["score"]] for m in row.as_json()["groundings"]]
        named = {"qid": number, "query": row.question, "vid": path_of(row.video).stem}
        lines.append(as_line({**named, "pred_relevant_windows": windows}))
    return Content(b"".join(lines), tuple(notes))


def charades(rows: Sequence[Row]) -> Content:
    """Charades-STA in TimeChat's form, one object: `{"0": {"timestamp": [[start, end], …], "query", "vid"}, …}`.

    The key is the number of the query in the annotations, and the script wants all of them: a row that failed or found
    nothing has no times, which counts as a miss.
    """
    told, notes = {}, [f"ids: {_NUMBERED}"]
    for number, row in enumerate(rows):
        if row.error:
            notes.append(f"query {number} counts as a miss: {one_line(row.error)}")
        spans = [[m["start_seconds"], m["end_seconds"]] for m in row.as_json()["groundings"]]
        told[str(number)] = {"timestamp": spans, "query": row.question, "vid": path_of(row.video).name}
    return Content(json.dumps(told, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n", tuple(notes))
