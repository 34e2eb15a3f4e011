"""What is written on the screen and when: PP-OCR (the models inside rapidocr's wheel) about once a second, finer
where lines come and go.

The detector is the cost, so it runs on coarse samples that changed; between two of them the ends of a line are found
by reading its own
place again, which costs a tenth. Only the frames between two coarse samples are held.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.types import Span
from tvu.video_llm.errors import BackendError
from tvu.video_llm.runtime import onnx_session, opencv
from tvu.video_llm.scout.match import Sentences, Unit, WordCandidate, WordIndex, build_index, letters_alike, score_words
from tvu.video_llm.types import FrameBatch, ScoreCurve

Pixels = NDArray[np.uint8]  # [H, W, 3] RGB
Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels


@dataclass(frozen=True)
class ReadingConfig:
    """How text is read.

    coarse_seconds: about this long between two full readings; the shortest title that is surely seen.
    max_side: the longer side that the detector sees, pixels.
    changed: grey levels by which some part of the picture must differ from the last one read, to be read again.
    min_certainty: of a line, in [0, 1]; below it is texture, not text.
    alike: share of letters that two readings of one line have in common, at least.
    """

    coarse_seconds: float = 1.0
    max_side: int = 320  # read 62 of 62 titles of 12 to 43 pixels as well as 400 did, at 0.7 of the time
    changed: float = 6.0
    min_certainty: float = 0.6
    alike: float = 0.6

    def __post_init__(self) -> None:
        if self.coarse_seconds <= 0 or self.max_side < 32:
            raise ValueError(f"nothing can be read every {self.coarse_seconds} s at {self.max_side} pixels")


@dataclass(frozen=True)
class TextLine:
    """One line in one frame; `certainty` in [0, 1], box as shares of the width and height."""

    text: str
    certainty: float
    box: Box


@dataclass(frozen=True)
class TextTrack:
    """One line while it stays on the screen, or scrolls over it; `box` covers all its places, as shares of width and
    height."""

    text: str
    span: Span
    confidence: float
    box: Box


@dataclass(frozen=True)
class ScreenText:
    """All lines read in a clip, by the time they appear."""

    tracks: tuple[TextTrack, ...]

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """For the cache: `text` uint8 (UTF-8, lines separated by newlines), `spans` float64 `[N, 2]`, `confidence`
        `[N]`, `box` `[N, 4]`."""
        return {
            "text": np.frombuffer("\n".join(t.text for t in self.tracks).encode(), np.uint8),
            "spans": np.array([(t.span.start_seconds, t.span.end_seconds) for t in self.tracks], np.float64).reshape(
                -1, 2
            ),
            "confidence": np.array([t.confidence for t in self.tracks], np.float32),
            "box": np.array([t.box for t in self.tracks], np.float32).reshape(-1, 4),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> "ScreenText":
        """The inverse of `to_arrays`."""
        texts = bytes(arrays["text"]).decode().split("\n") if len(arrays["spans"]) else []
        rows = zip(texts, arrays["spans"].tolist(), arrays["confidence"].tolist(), arrays["box"].tolist(), strict=True)
        return cls(tuple(TextTrack(t, Span(*s), c, tuple(b)) for t, s, c, b in rows))


# --- one frame --------------------


class Reader:
    """PP-OCR detector and recogniser on the CPU. Raises BackendError where rapidocr's models are missing."""

    line_height = 48  # what the recogniser was trained on

    def __init__(self, config: ReadingConfig) -> None:
        self._config = config
        self._detector = onnx_session(_model("*det*.onnx"))
        self._recogniser = onnx_session(_model("*rec*.onnx"))
        characters = self._recogniser.get_modelmeta().custom_metadata_map["character"].splitlines()
        self._characters = ["", *characters, " "]  # class 0 is the blank of connectionist temporal classification

    def read(
        self, pixels: Pixels, known: Sequence[TextLine] = (), known_pixels: Pixels | None = None
    ) -> list[TextLine]:
        """The lines of a picture, top to bottom; those that look as in `known_pixels` are taken from `known` unread."""
        lines = []
        for box in self._find(pixels):
            same = known_pixels is not None and next(
                (k for k in known if _looks_as(pixels, known_pixels, box, k.box)), None
            )
            lines.append(same or self.read_at(pixels, box))
        return [line for line in lines if line.certainty >= self._config.min_certainty and _looks_like_text(line.text)]

    def read_at(self, pixels: Pixels, box: Box) -> TextLine:
        """What is written inside `box` (pixels), however uncertain."""
        cv2 = opencv()
        height, width = pixels.shape[:2]
        left, top, right, bottom = (round(v) for v in box)
        crop = pixels[
            max(0, top) : max(0, top) + max(2, bottom - top), max(0, left) : max(0, left) + max(2, right - left), ::-1
        ]
        shape = min(1600, max(self.line_height, round(self.line_height * crop.shape[1] / crop.shape[0])))
        image = (
            cv2.resize(crop, (shape, self.line_height), interpolation=cv2.INTER_LINEAR).astype(np.float32) / 127.5 - 1
        )
        if shape < 160:  # very short lines are padded with grey, as in training
            image = np.pad(image, ((0, 0), (0, 160 - shape), (0, 0)))
        (scores,) = self._recogniser.run(None, {self._recogniser.get_inputs()[0].name: image.transpose(2, 0, 1)[None]})
        best, sure = scores[0].argmax(axis=1), scores[0].max(axis=1)
        kept = (best != 0) & np.concatenate([[True], best[1:] != best[:-1]])
        text = "".join(self._characters[i] for i in best[kept]).strip()
        certainty = float(sure[kept].mean()) if kept.any() else 0.0
        return TextLine(text, certainty, (left / width, top / height, right / width, bottom / height))

    def _find(self, pixels: Pixels) -> list[Box]:
        """Boxes of lines, in pixels: regions of the detector's map, grown back to the size of the letters, joined
        along a row."""
        cv2 = opencv()
        height, width = pixels.shape[:2]
        scale = min(1.0, self._config.max_side / max(height, width))
        size = [max(32, round(v * scale / 32) * 32) for v in (width, height)]
        image = cv2.resize(pixels[..., ::-1], size).astype(np.float32) / 127.5 - 1
        (maps,) = self._detector.run(None, {self._detector.get_inputs()[0].name: image.transpose(2, 0, 1)[None]})
        likely = maps[0, 0]
        mask = cv2.dilate((likely > 0.3).astype(np.uint8), np.ones((2, 2), np.uint8))
        count, regions, stats, _ = cv2.connectedComponentsWithStats(mask)
        boxes = []
        for label in range(1, count):
            x, y, w, h, _ = stats[label]
            if min(w, h) < 3 or likely[y : y + h, x : x + w][regions[y : y + h, x : x + w] == label].mean() < 0.5:
                continue
            grow = 1.6 * w * h / (2 * (w + h))  # the map shows the shrunken core of a line
            sx, sy = width / size[0], height / size[1]
            box = ((x - grow) * sx, (y - grow) * sy, (x + w + grow) * sx, (y + h + grow) * sy)
            boxes.append((max(0.0, box[0]), max(0.0, box[1]), min(width, box[2]), min(height, box[3])))
        return _rows(boxes)


def _model(pattern: str) -> Path:
    from importlib.util import find_spec

    spec = find_spec("rapidocr")
    folder = Path(spec.origin).parent / "models" if spec and spec.origin else Path()
    found = sorted(folder.glob(pattern))
    if not found:
        raise BackendError(f"rapidocr's {pattern} is not installed", hint="pip install --force-reinstall rapidocr")
    return found[-1]


def _rows(boxes: Sequence[Box]) -> list[Box]:
    """Boxes side by side on one row, closer than their height, as one; top to bottom."""
    rows: list[Box] = []
    for box in sorted(boxes, key=lambda b: b[0]):
        for i, row in enumerate(rows):
            height = min(box[3] - box[1], row[3] - row[1])
            level = min(box[3], row[3]) - max(box[1], row[1])
            alike = height > 0.6 * max(box[3] - box[1], row[3] - row[1])
            if alike and level > 0.6 * height and box[0] - row[2] < 1.2 * height:
                rows[i] = (min(row[0], box[0]), min(row[1], box[1]), max(row[2], box[2]), max(row[3], box[3]))
                break
        else:
            rows.append(box)
    return sorted(rows, key=lambda b: b[1])


def _looks_as(pixels: Pixels, known_pixels: Pixels, box: Box, known: Box) -> bool:
    """Whether `box` (pixels) is the place of a known line (shares) and the letters there have not changed, whatever
    moves behind them."""
    height, width = pixels.shape[:2]
    place = (known[0] * width, known[1] * height, known[2] * width, known[3] * height)
    if pixels.shape != known_pixels.shape or max(abs(a - b) for a, b in zip(box, place, strict=True)) > 6:
        return False
    left, top, right, bottom = (round(v) for v in place)
    a, b = (p[max(0, top) : bottom, max(0, left) : right, 1].astype(np.float32).ravel() for p in (pixels, known_pixels))
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b) > 0.95 * float(np.sqrt((a @ a) * (b @ b)) + 1e-6)


def _looks_like_text(text: str) -> bool:
    return sum(c.isalnum() for c in text) >= 2


@cache
def _reader(config: ReadingConfig) -> Reader:
    return Reader(config)


# --- lines over time --------------------


@dataclass
class _Open:
    """A line that is on the screen now."""

    readings: list[TextLine]
    picture: Pixels  # where it was last read
    start: float
    last_seen: float
    moves: bool = False


def read_screen_text(batches: Iterable[FrameBatch], config: ReadingConfig | None = None) -> ScreenText:
    """Every line of text in frames that come in order of time, with when it appears and goes, to half the distance of
    two frames.

    Raises BackendError where the models are missing or fail.
    """
    config = config or ReadingConfig()
    reader = _reader(config)
    open_lines: list[_Open] = []
    done: list[TextTrack] = []
    between: list[tuple[float, Pixels]] = []  # frames since the last coarse sample
    previous: tuple[float, Pixels] | None = None
    lines: list[TextLine] = []
    now = 0.0
    step = 0.25
    for now, pixels, is_last in _frames(batches):
        if previous is not None and now - previous[0] < config.coarse_seconds - 0.1 and not is_last:
            between.append((now, pixels))
            continue
        if previous is not None:
            step = (now - previous[0]) / (len(between) + 1)
        if previous is None or not _same_picture(previous[1], pixels, config.changed):
            lines = reader.read(pixels, lines, previous[1] if previous else None)
        frames = [*between, (now, pixels)]
        open_lines, closed = _step(reader, config, open_lines, lines, previous, frames)
        done += closed
        previous, between = (now, pixels), []
    if previous is not None:
        done += [_track(line, now + step / 2) for line in open_lines]
    return ScreenText(tuple(sorted(_cleaned(done), key=lambda t: t.span)))


def _frames(batches: Iterable[FrameBatch]) -> Iterator[tuple[float, Pixels, bool]]:
    """Seconds, picture, and whether it is the last one."""
    held: tuple[float, Pixels] | None = None
    for batch in batches:
        for seconds, picture in zip(batch.pts_seconds[0], batch.pixels[0], strict=True):
            if held is not None:
                yield *held, False
            held = float(seconds), np.ascontiguousarray(picture.transpose(1, 2, 0))
    if held is not None:
        yield *held, True


def _same_picture(a: Pixels, b: Pixels, changed: float) -> bool:
    """Whether no 8x8 block differs by more than `changed` grey levels on average: coding noise passes, a letter does
    not."""
    if a.shape != b.shape:
        return False
    height, width = (n // 8 * 8 for n in a.shape[:2])
    if not height or not width:
        return False
    difference = np.abs(a[:height, :width, 1].astype(np.int16) - b[:height, :width, 1])
    return float(difference.reshape(height // 8, 8, width // 8, 8).mean(axis=(1, 3)).max()) <= changed


def _step(
    reader: Reader,
    config: ReadingConfig,
    open_lines: list[_Open],
    lines: Sequence[TextLine],
    previous: tuple[float, Pixels] | None,
    frames: Sequence[tuple[float, Pixels]],
) -> tuple[list[_Open], list[TextTrack]]:
    """Carry the open lines over to the newest of `frames`; returns those still open and those that have ended."""
    now, picture = frames[-1]
    still: list[_Open] = []
    closed: list[TextTrack] = []
    free = set(range(len(lines)))
    for line in open_lines:
        match = max(free, key=lambda i: _continues(line, lines[i], config), default=None)
        if match is not None and _continues(line, lines[match], config) > 0:
            free.remove(match)
            line.moves |= _has_moved(line.readings[-1].box, lines[match].box)
            line.readings.append(lines[match])
        elif line.moves:
            closed.append(_track(line, (line.last_seen + now) / 2))
            continue
        elif not _still_reads(reader, config, picture, line):
            gone = _first(reader, config, frames, line, reads=False)
            before = frames[gone - 1][0] if gone else line.last_seen
            closed.append(_track(line, (before + frames[gone][0]) / 2))
            continue
        line.picture, line.last_seen = picture, now
        still.append(line)
    for i in sorted(free):
        new = _Open([lines[i]], picture, now, now)
        come = _first(reader, config, frames, new, reads=True)
        earlier = frames[come - 1] if come else previous
        new.start = (earlier[0] + frames[come][0]) / 2 if earlier else 0.0
        still.append(new)
    return still, closed


def _has_moved(before: Box, after: Box) -> bool:
    """Whether both ends of a line moved sideways; an end at the border of the picture may be cut off and tells
    nothing."""
    left = abs(after[0] - before[0]) > 0.05 or max(before[0], after[0]) < 0.02
    right = abs(after[2] - before[2]) > 0.05 or min(before[2], after[2]) > 0.98
    return left and right and max(abs(after[0] - before[0]), abs(after[2] - before[2])) > 0.05


def _first(
    reader: Reader, config: ReadingConfig, frames: Sequence[tuple[float, Pixels]], line: _Open, *, reads: bool
) -> int:
    """Index of the first frame where the line reads (or no longer does), which holds at the last one; by bisection."""
    low, high = 0, len(frames) - 1
    while low < high:
        middle = (low + high) // 2
        if _still_reads(reader, config, frames[middle][1], line) == reads:
            high = middle
        else:
            low = middle + 1
    return low


def _continues(line: _Open, reading: TextLine, config: ReadingConfig) -> float:
    """How well a reading carries an open line on; 0 if it does not. Scrolling lines keep their row and share a piece
    of text."""
    last = line.readings[-1]
    height = max(last.box[3] - last.box[1], reading.box[3] - reading.box[1])
    if min(last.box[3], reading.box[3]) - max(last.box[1], reading.box[1]) < 0.5 * height:
        return 0.0
    a, b = _letters(last.text), _letters(reading.text)
    alike = letters_alike(a, b)
    if alike >= config.alike and min(last.box[2], reading.box[2]) > max(last.box[0], reading.box[0]):
        return alike
    shared = SequenceMatcher(None, a, b, autojunk=False).find_longest_match().size
    return 0.5 * shared / max(1, min(len(a), len(b))) if shared >= max(3, 0.5 * min(len(a), len(b))) else 0.0


def _still_reads(reader: Reader, config: ReadingConfig, picture: Pixels, line: _Open) -> bool:
    """Whether the text of a line can be read at its place in another picture."""
    height, width = picture.shape[:2]
    left, top, right, bottom = line.readings[-1].box
    place = left * width, top * height, right * width, bottom * height
    if _looks_as(picture, line.picture, place, line.readings[-1].box):
        return True
    found = reader.read_at(picture, place)
    return letters_alike(_letters(found.text), _letters(line.readings[-1].text)) >= config.alike


def _letters(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalnum())


def _track(line: _Open, end: float) -> TextTrack:
    boxes = np.array([r.box for r in line.readings])
    box = (*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist())
    text = _stitched([r.text for r in line.readings]) if line.moves else _agreed(line.readings)
    confidence = float(np.mean([r.certainty for r in line.readings]))
    return TextTrack(text, Span(line.start, max(end, line.start + 1e-3)), confidence, box)


def _agreed(readings: Sequence[TextLine]) -> str:
    """The reading that has the most certainty behind it."""
    votes: dict[str, float] = {}
    for reading in readings:
        votes[reading.text] = votes.get(reading.text, 0.0) + reading.certainty**4
    return max(votes, key=lambda text: votes[text])


def _stitched(texts: Sequence[str]) -> str:
    """One text from successive glimpses of a scrolling line: each adds what follows the piece it shares with the
    whole so far."""
    whole = texts[0]
    for text in texts[1:]:
        match = SequenceMatcher(None, whole, text, autojunk=False).find_longest_match()
        if match.size >= 3 and len(text) - match.b > len(whole) - match.a:
            whole = whole[: match.a] + text[match.b :]
    return whole


def _cleaned(tracks: Sequence[TextTrack]) -> list[TextTrack]:
    """Without what was read once and doubtfully: moving texture makes letters for a moment."""
    return [replace(t, text=" ".join(t.text.split())) for t in tracks if t.confidence >= 0.75 or t.span.seconds > 1.5]


# --- units --------------------


def units_of(screen_text: ScreenText) -> list[Unit]:
    """What may answer a question: every line, and lines that come and go together, as one."""
    tracks = screen_text.tracks
    units = [Unit(t.text, t.span, certainty=t.confidence) for t in tracks]
    for i, a in enumerate(tracks):
        block = [a] + [
            b
            for b in tracks[i + 1 :]
            if abs(b.span.start_seconds - a.span.start_seconds) < 0.5
            and abs(b.span.end_seconds - a.span.end_seconds) < 0.5
        ]
        if len(block) > 1:
            block.sort(key=lambda t: t.box[1])
            span = Span(min(t.span.start_seconds for t in block), max(t.span.end_seconds for t in block))
            units.append(
                Unit(" ".join(t.text for t in block), span, is_joined=True, certainty=min(t.confidence for t in block))
            )
    return units


@lru_cache(maxsize=8)
def index_screen_text(screen_text: ScreenText, sentences: Sentences) -> WordIndex:
    """The lines with their meanings; kept for the next question about the same text."""
    return build_index("screen-text", units_of(screen_text), sentences)


def score_screen_text(
    screen_text: ScreenText, query: str, sentences: Sentences
) -> tuple[list[WordCandidate], ScoreCurve]:
    """What was written that answers `query`, most probable first, and the curve of that probability over time."""
    return score_words(index_screen_text(screen_text, sentences), query, sentences)
