"""Aligned lines as tables: CSV, labels of Audacity, and tiers of Praat's TextGrid."""

import csv
import io
from collections.abc import Sequence

from tvu.temporal.types import Span
from tvu.video_llm.narration.types import Alignment

_COLUMNS = ("line", "start_seconds", "end_seconds", "confidence", "evidence", "text")


def csv_table(alignment: Alignment, spans: Sequence[Span | None]) -> str:
    """A header and a row for every line; the times of one that is not in the video are empty.

    Texts are as they were read: `- Hello` is a line of many subtitles, though a spreadsheet takes it for a formula.
    """
    table = io.StringIO(newline="")
    rows = csv.writer(table, lineterminator="\r\n")
    rows.writerow(_COLUMNS)
    for line, aligned, span in zip(alignment.script.lines, alignment.lines, spans, strict=True):
        times = ["", ""] if span is None else [f"{span.start_seconds:.3f}", f"{span.end_seconds:.3f}"]
        evidence = " ".join(aligned.evidence)
        rows.writerow([aligned.index + 1, *times, f"{aligned.confidence:.4f}", evidence, line.text])
    return table.getvalue()


def audacity_labels(cues: Sequence[tuple[Span, str]]) -> str:
    """`start, end, text`, parted by tabs, as Audacity imports labels."""
    return "".join(
        f"{span.start_seconds:.6f}\t{span.end_seconds:.6f}\t{' '.join(text.split())}\n" for span, text in cues
    )


def text_grid(cues: Sequence[tuple[Span, str]], duration_seconds: float) -> str:
    """Interval tiers, as Praat reads them. Intervals of a tier cannot overlap: lines that do lie on several tiers."""
    tiers: list[list[tuple[Span, str]]] = []
    for span, text in sorted(cues, key=lambda cue: cue[0]):
        free = next((tier for tier in tiers if tier[-1][0].end_seconds <= span.start_seconds), None)
        if free is None:
            tiers.append([(span, text)])
        else:
            free.append((span, text))
    end = max([duration_seconds, *(span.end_seconds for span, _ in cues)])
    told = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0",
        f"xmax = {end:.6f}",
        "tiers? <exists>",
        f"size = {max(1, len(tiers))}",
        "item []:",
    ]
    for number, tier in enumerate(tiers or [[]], 1):
        intervals = _gapless(tier, end)
        told += [
            f"    item [{number}]:",
            '        class = "IntervalTier"',
            f'        name = "lines{"" if number == 1 else f" {number}"}"',
            "        xmin = 0",
            f"        xmax = {end:.6f}",
            f"        intervals: size = {len(intervals)}",
        ]
        for at, (first, last, text) in enumerate(intervals, 1):
            told += [
                f"        intervals [{at}]:",
                f"            xmin = {first:.6f}",
                f"            xmax = {last:.6f}",
                f'            text = "{_quoted(text)}"',
            ]
    return "\n".join([*told, ""])


def _gapless(tier: Sequence[tuple[Span, str]], end: float) -> list[tuple[float, float, str]]:
    """The lines with empty intervals between them, from 0 to the end."""
    told: list[tuple[float, float, str]] = []
    reached = 0.0
    for span, text in tier:
        if span.start_seconds > reached:
            told.append((reached, span.start_seconds, ""))
        told.append((max(reached, span.start_seconds), span.end_seconds, text))
        reached = span.end_seconds
    return [*told, (reached, end, "")] if reached < end else told


def _quoted(text: str) -> str:
    return " ".join(text.split()).replace('"', '""')
