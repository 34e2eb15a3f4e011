"""`tvu results`: what was found, in the formats of other programs, and what was corrected there, back as labels."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tvu.cli import options
from tvu.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from tvu.video_llm.results.rows import Row

results = typer.Typer(
    help="Results as subtitles, tables and time lines, and corrected ones as labels.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@results.command()
def formats() -> None:
    """Which formats there are: the name, the suffixes that stand for it, and what it is."""
    from tvu.video_llm.results.formats import FORMATS

    for name, each in FORMATS.items():
        print(f"{name:<13} {' '.join(each.suffixes) or '-':<20} {each.title}")


@results.command()
def convert(
    rows: Annotated[Path, typer.Argument(metavar="ROWS.jsonl", help="What `tvu ground -o` wrote.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="OUT", help="The file, or a folder for one a video.")],
    format: Annotated[
        str | None,
        typer.Option("--format", metavar="F", help="See `tvu results formats`; by the suffix of OUT if not given."),
    ] = None,
    min_score: options.MinScore = None,
    top: options.Top = None,
    force: options.Force = False,
) -> None:
    """Write results in another format. Formats about one video become a folder with a file for each of several.

    `--top` keeps the N best spans of each query about each video.
    """
    from tvu.video_llm.results.formats import format_of, write_results
    from tvu.video_llm.results.tables import read_rows

    format_of(out, format)  # a wrong name is told before a long file is read
    kept = [_fewer(row, min_score, top) for row in read_rows(rows)]
    written = write_results(kept, out, format, force=force)
    for note in written.notes:
        print(f"note: {note}", file=sys.stderr)
    for file in written.files:
        print(file)
    if written.num_errors:
        print(f"{written.num_errors} of {len(kept)} rows have no answer, only an error", file=sys.stderr)
    if not written.num_moments:
        raise typer.Exit(ExitCode.NOTHING_FOUND)


@results.command("import")
def import_labels(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A corrected .csv, .otio or .jsonl.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="LABELS.jsonl", help="Write the labels, a line each.")],
    force: options.Force = False,
) -> None:
    """Read results that were corrected by hand, and write them as labels."""
    from tvu.video_llm.export import written_beside
    from tvu.video_llm.results.labels import read_labels

    options.check_outputs([out], force)
    labels = read_labels(file)
    with written_beside(out) as beside:
        beside.write_bytes(b"".join(label.line() for label in labels))
    accepted, rejected = (sum(label.is_accepted is verdict for label in labels) for verdict in (True, False))
    print(f"{len(labels)} labels: {accepted} accepted, {rejected} rejected", file=sys.stderr)
    if not labels:
        raise typer.Exit(ExitCode.NOTHING_FOUND)


def _fewer(row: "Row", min_score: float | None, top: int | None) -> "Row":
    """The row with the best of its spans."""
    from dataclasses import replace

    kept = tuple(g for g in row.groundings if min_score is None or g.score >= min_score)
    return replace(row, groundings=kept[:top])


@results.command()
def merge(
    ledgers: Annotated[list[Path], typer.Argument(metavar="ROWS.jsonl...", help="What several machines wrote.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FILE.jsonl", help="All of it as one.")],
    force: options.Force = False,
) -> None:
    """Put the results of shards, or of several machines, together: each video and query once, in their order."""
    from tvu.video_llm.batch.ledger import merged
    from tvu.video_llm.export import write_text
    from tvu.video_llm.results.read import rows_in

    options.check_outputs([out], force)
    rows = merged((path, rows_in(path)) for path in ledgers)
    write_text(out, "".join(f"{row.line()}\n" for row in rows))
    print(f"{len(rows)} rows of {len({row.video for row in rows})} videos", file=sys.stderr)
