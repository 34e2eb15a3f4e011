"""What a run or a file of predictions comes to, as text for people and as JSON for programs."""

import json
from collections.abc import Mapping, Sequence

from tvu.video_llm.benchmarks.types import Json, Summary, Table

Cell = str | float | int | None


def summary_json(benchmark: str, summary: Summary) -> str:
    """One flat object: every metric under its own name, `benchmark`, and `notes`, a list."""
    told: dict[str, Json] = {"benchmark": benchmark, **summary.numbers, "notes": list(summary.notes)}
    return _writable(json.dumps(told, ensure_ascii=False))


def summary_text(summary: Summary) -> str:
    """The tables, the numbers that are of no group (`GROUP/…`) and no details, and the notes."""
    blocks = [table_text(table) for table in summary.tables]
    plain = {
        name: value
        for name, value in summary.numbers.items()
        if "/" not in (metric := name.removeprefix("all/")) and metric not in summary.details
    }
    if plain:
        blocks.append("\n".join(_numbers(plain)))
    if summary.notes:
        blocks.append("\n".join(f"note: {note}" for note in summary.notes))
    return _writable("\n\n".join(blocks))


def table_text(table: Table) -> str:
    """A title and aligned columns: texts to the left, numbers to the right with two decimals, `-` where there is none.

    A column of numbers that are all smaller than 1 has four decimals.
    """
    columns = [[name, *cells] for name, cells in zip(table.columns, _columns(table), strict=True)]
    are_text = [any(isinstance(row[i], str) for row in table.rows) for i in range(len(table.columns))]
    widths = [max(map(len, column)) for column in columns]
    lines = [table.title]
    for cells in zip(*columns, strict=True):
        placed = [
            cell.ljust(width) if is_text else cell.rjust(width)
            for cell, width, is_text in zip(cells, widths, are_text, strict=True)
        ]
        lines.append(f"  {'  '.join(placed)}".rstrip())
    return "\n".join(lines)


def _writable(text: str) -> str:
    """With half a surrogate pair, which names may hold, as the escape that JSON has for it."""
    return text.encode("utf-8", "backslashreplace").decode()


def _columns(table: Table) -> list[list[str]]:
    columns = []
    for i in range(len(table.columns)):
        cells = [row[i] for row in table.rows]
        floats = [abs(cell) for cell in cells if isinstance(cell, float)]
        decimals = 4 if floats and 0 < max(floats) < 1 else 2
        columns.append([_cell(cell, decimals) for cell in cells])
    return columns


def _numbers(numbers: Mapping[str, float | int | None]) -> Sequence[str]:
    width = max(map(len, numbers))
    told = {
        name: _cell(value, 4 if isinstance(value, float) and 0 < abs(value) < 1 else 2)
        for name, value in numbers.items()
    }
    return [f"{name:<{width}}  {value:>8}" for name, value in told.items()]


def _cell(value: Cell, decimals: int) -> str:
    if value is None:
        return "-"
    return f"{value:.{decimals}f}" if isinstance(value, float) else str(value)
