"""What moved: every line's old time beside its new one, and the pieces of the file that moved alike."""

from collections.abc import Sequence
from dataclasses import dataclass

from tvu.temporal.timecode import format_timecode
from tvu.video_llm.narration.types import Alignment, Line

LOOSE_SECONDS = 0.06  # within a piece: what formats with centiseconds, or frames of 25 a second, round away
STILL_SECONDS = 0.02  # a line that moved less stayed where it was
MOST_STRETCH = 0.15  # of a piece; more is a jump between two of them


@dataclass(frozen=True)
class Move:
    """One line. old, new: start and end, seconds; None where there is none."""

    index: int
    text: str
    old: tuple[float, float] | None
    new: tuple[float, float] | None

    @property
    def shift_seconds(self) -> float | None:
        """By how much its start moved; None where it had none, or has none now."""
        return None if self.old is None or self.new is None else self.new[0] - self.old[0]


@dataclass(frozen=True)
class Piece:
    """Lines that follow each other in the file and moved alike: `new = offset_seconds + rate * old`.

    first, last: index of its first and last line. start_seconds, end_seconds: what they span on the old clock.
    """

    first: int
    last: int
    lines: int
    start_seconds: float
    end_seconds: float
    offset_seconds: float
    rate: float = 1.0

    def shift_at(self, seconds: float) -> float:
        """By how much a line at that old time moved."""
        return self.offset_seconds + (self.rate - 1.0) * seconds


@dataclass(frozen=True)
class Diff:
    """moves: one a line. pieces: in the order of the file; lines without an old or a new time are in none."""

    moves: tuple[Move, ...]
    pieces: tuple[Piece, ...]

    @property
    def lost(self) -> int:
        """How many lines had a time and have none now."""
        return sum(move.old is not None and move.new is None for move in self.moves)


def diff(alignment: Alignment) -> Diff:
    """What the alignment changed about the times of its file."""
    moves = []
    for line, aligned in zip(alignment.script.lines, alignment.lines, strict=True):
        old = _times(line)
        span = aligned.span
        new = old if alignment.kept else None if span is None else (span.start_seconds, span.end_seconds)
        moves.append(Move(aligned.index, " ".join(line.text.split()), old, new))
    return Diff(tuple(moves), tuple(_pieces([move for move in moves if move.shift_seconds is not None])))


def diff_text(told: Diff) -> str:
    """For people: the pieces, then every line."""
    rows = [f"{_old(piece)}  {_shift(piece)}  {_lines(piece.lines)}" for piece in told.pieces]
    if told.lost:
        rows.append(f"not in the video: {_lines(told.lost)}")
    rows += [""] if rows else []
    width = len(str(len(told.moves)))
    for move in told.moves:
        shift = move.shift_seconds
        by = "" if shift is None else "=" if abs(shift) < STILL_SECONDS else f"{shift:+.3f}"
        rows.append(
            f"{move.index + 1:>{width}}  {_clock(move.old)} -> {_clock(move.new)}  {by:>9}  {move.text}".rstrip()
        )
    return "\n".join(rows)


def _lines(count: int) -> str:
    return "1 line" if count == 1 else f"{count} lines"


def _old(piece: Piece) -> str:
    return f"{format_timecode(piece.start_seconds)} - {format_timecode(piece.end_seconds)}"


def _shift(piece: Piece) -> str:
    """At both ends, where the piece is stretched."""
    first, last = piece.shift_at(piece.start_seconds), piece.shift_at(piece.end_seconds)
    if abs(first) < STILL_SECONDS and abs(last) < STILL_SECONDS:
        return "as it was"
    if abs(last - first) < LOOSE_SECONDS:
        return f"{first:+.3f} s"
    return f"{first:+.3f} s to {last:+.3f} s, {piece.rate:.5f} times as long"


def _clock(times: tuple[float, float] | None) -> str:
    return f"{'-':>9}" if times is None else f"{format_timecode(times[0], 3):>9}"


def _times(line: Line) -> tuple[float, float] | None:
    if line.start_seconds is None:
        return None
    return line.start_seconds, line.start_seconds if line.end_seconds is None else line.end_seconds


def _pieces(moves: Sequence[Move]) -> list[Piece]:
    """Runs of lines, as long as they can be, that one offset and one rate explain."""
    pieces = []
    begin = 0
    while begin < len(moves):
        run = [_point(moves[begin])]
        low, high = -MOST_STRETCH, MOST_STRETCH  # of rate - 1, that explain the run so far
        end = begin + 1
        while end < len(moves):
            old, shift = _point(moves[end])
            later, more = old - run[0][0], shift - run[0][1]
            if later <= 0:
                if abs(more) > LOOSE_SECONDS:
                    break
            else:
                fits = max(low, (more - LOOSE_SECONDS) / later), min(high, (more + LOOSE_SECONDS) / later)
                if fits[0] > fits[1]:
                    break
                low, high = fits
            run.append((old, shift))
            end += 1
        pieces.append(_piece(moves[begin:end], run, 0.0 if low <= 0 <= high else (low + high) / 2))
        begin = end
    return pieces


def _piece(moves: Sequence[Move], run: Sequence[tuple[float, float]], slope: float) -> Piece:
    olds = [old for old, _ in run]
    offset = sum(shift - slope * old for old, shift in run) / len(run)
    return Piece(moves[0].index, moves[-1].index, len(run), min(olds), max(olds), offset, 1.0 + slope)


def _point(move: Move) -> tuple[float, float]:
    assert move.old is not None and move.new is not None
    return move.old[0], move.new[0] - move.old[0]
