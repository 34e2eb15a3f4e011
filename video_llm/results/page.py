"""Rows as a page to look at: one HTML file that needs nothing else but the videos it is about."""

import base64
import hashlib
import html
import io
import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from PIL import Image

from tvu.temporal.sampling import times_evenly
from tvu.video_llm.decode import open_video, read_frames
from tvu.video_llm.errors import OutputError, OutputExists, VideoError
from tvu.video_llm.export import write_text
from tvu.video_llm.media.address import Address, parse_address
from tvu.video_llm.media.survey import shown_name
from tvu.video_llm.results.rows import Row
from tvu.video_llm.types import Grounding, VideoClip

LARGE_PAGE = 20_000_000  # bytes; a page above this says so
THUMBNAIL_HEIGHT, THUMBNAIL_SIDE = 96, 256  # pixels: the height, and the longer side at most
STRIP_FRAMES, MOMENT_FRAMES = 24, 16  # thumbnails of a video at most: evenly over it, and in the middle of its moments
FEWEST_STRIP_FRAMES = 6
ALL_STRIP_FRAMES = 2_400  # of a page with many videos; some 5 kB each


@dataclass(frozen=True)
class _Video:
    """One video, or part of one, as the page's script reads it.

    name: short, told apart from the others. path: as the rows name it.
    url: where the page finds the file; empty where nothing can be played. start, end: seconds, of the time line.
    thumbnails: `(seconds, which of jpegs)` by time. jpegs: base64; a picture that is held is there once.
    trouble: a sentence where there are no thumbnails, else empty.
    """

    name: str
    path: str
    url: str
    start: float
    end: float
    thumbnails: tuple[tuple[float, int], ...] = ()
    jpegs: tuple[str, ...] = ()
    trouble: str = ""


def write_page(rows: Sequence[Row], out: Path, *, force: bool = False, title: str = "") -> None:
    """Write the page about `rows` to `out`; it finds the videos by their place relative to its own.

    Thumbnails are read here, once for each video; one that cannot be read gets a sentence instead.
    Raises OutputExists where `out` is there and `force` is not given, and OutputError where it cannot be written or is
    one of the videos.
    """
    if out.exists() and not force:
        raise OutputExists(f"{out} exists already", hint="add --force to overwrite it")
    if any(_is_same_file(_address(video).path, out) for video in {row.video for row in rows}):
        raise OutputError(f"{out} is one of the videos", hint="name another file")
    write_text(out, _page(rows, out.parent, title))


def _page(rows: Sequence[Row], folder: Path, title: str) -> str:
    css, script, template = (
        resources.files(__package__).joinpath(name).read_text("utf-8") for name in ("page.css", "page.js", "page.html")
    )
    data = _embedded(_for_script(rows, folder))
    size = len(data) + len(css) + len(script) + len(template)
    parts = {
        "policy": "; ".join(
            (
                "default-src 'none'",
                f"script-src '{_hash(script)}'",
                f"style-src '{_hash(css)}'",
                "img-src data:",
                "media-src 'self' file:",
                "base-uri 'none'",
                "form-action 'none'",
            )
        ),
        "title": _in_html(title or "Moments found by tvu"),
        "version": _in_html(version("tvu")),
        "size": f"This page is {size / 1e6:.0f} MB, as it has many videos or questions." if size > LARGE_PAGE else "",
        "css": css,
        "script": script,
        "data": data,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)  # in one go: no text is searched twice


def _for_script(rows: Sequence[Row], folder: Path) -> dict[str, Any]:
    """What the page's script reads; `page.js` names the fields."""
    rows_of: dict[str, list[Row]] = {}
    for row in rows:
        rows_of.setdefault(row.video, []).append(row)
    strip_frames = min(STRIP_FRAMES, max(FEWEST_STRIP_FRAMES, ALL_STRIP_FRAMES // max(1, len(rows_of))))
    names = _short_names(list(rows_of))
    pool = ThreadPoolExecutor(max(1, min(8, os.cpu_count() or 1)))  # they wait for processes that decode
    try:
        made = [pool.submit(_video, video, names[video], some, folder, strip_frames) for video, some in rows_of.items()]
        videos = [each.result() for each in made]
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C waits for those in hand only
    places = {video: place for place, video in enumerate(rows_of)}
    axes: dict[tuple[float, ...], int] = {}  # the times of curves, once for all the questions that share them
    told = []
    for row in sorted(rows, key=lambda row: places[row.video]):  # stable: the questions stay in their order
        curves = []
        for curve in row.curves:
            times = tuple(round(float(t), 2) for t in curve.times)
            axis = axes.setdefault(times, len(axes))
            scores = [round(float(s), 3) for s in curve.scores]
            curves.append({"evidence": curve.evidence, "axis": axis, "scores": scores})
        told.append(
            {
                "video": places[row.video],
                "question": row.question,
                "answer": row.answer,
                "error": row.error,
                "notes": row.notes,
                "model": row.model,
                "seconds": round(row.timing.total_s, 1),
                "moments": [_moment(row, grounding) for grounding in row.groundings],
                "curves": curves,
            }
        )
    return {"videos": [asdict(video) for video in videos], "axes": list(axes), "rows": told}


def _moment(row: Row, grounding: Grounding) -> dict[str, Any]:
    """A grounding, with a name under which the browser keeps what was decided about it, also on a page made anew."""
    start, end = round(grounding.span.start_seconds, 3), round(grounding.span.end_seconds, 3)
    place = str(_address(row.video).path.absolute())
    name = json.dumps([place, row.question, start, end, grounding.evidence])
    return {
        "id": hashlib.sha256(name.encode()).hexdigest()[:16],
        "start": start,
        "end": end,
        "score": round(grounding.score, 4),
        "evidence": grounding.evidence,
        "phrase": grounding.phrase,
    }


def _video(video: str, name: str, rows: Sequence[Row], folder: Path, strip_frames: int) -> _Video:
    if all(row.error for row in rows):  # its rows say why; opening it again would take as long to fail
        return _Video(name, video, "", *_span_told(_address(video), rows))
    groundings = sorted((g for row in rows for g in row.groundings), key=lambda g: -g.score)
    try:
        clip = open_video(video)
    except VideoError as error:
        url, trouble = _url(_address(video).path, folder), f"No thumbnails: {error.message}."
        return _Video(name, video, url, *_span_told(_address(video), rows), trouble=trouble)
    url = "" if clip.path.is_dir() else _url(clip.path, folder)
    start, end = clip.span.start_seconds, clip.span.end_seconds
    middles = [(g.span.start_seconds + g.span.end_seconds) / 2 for g in groundings]
    try:
        thumbnails, jpegs = _thumbnails(clip, strip_frames, list(dict.fromkeys(middles))[:MOMENT_FRAMES])
    except VideoError as error:
        return _Video(name, video, url, start, end, trouble=f"No thumbnails: {error.message}.")
    return _Video(name, video, url, start, end, thumbnails, jpegs)


def _span_told(address: Address, rows: Sequence[Row]) -> tuple[float, float]:
    """Start and end of a video that cannot be read now, by what the rows say of it."""
    ends = [row.duration_seconds for row in rows if row.duration_seconds]
    ends += [g.span.end_seconds for row in rows for g in row.groundings]
    start = address.start_seconds or 0.0
    return start, max(address.end_seconds or max(ends, default=0.0), start + 1.0)


def _thumbnails(
    clip: VideoClip, strip_frames: int, moments: Sequence[float]
) -> tuple[tuple[tuple[float, int], ...], tuple[str, ...]]:
    """`(seconds, which picture)` and the pictures, as base64 of JPEGs. Raises VideoError."""
    count = min(strip_frames, max(1, clip.num_frames))
    times = np.unique(np.concatenate([times_evenly(clip.span, count), np.array(moments, np.float64)]))
    side = min(THUMBNAIL_SIDE, -(-THUMBNAIL_HEIGHT * max(clip.height, clip.width) // clip.height))
    jpegs: dict[float, str] = {}  # by when the frame appears
    shown: list[float] = []
    for batch in read_frames(clip, times, max_side=side):
        for pixels, appears in zip(batch.pixels[0], batch.pts_seconds[0].tolist(), strict=True):
            shown.append(appears)
            if appears not in jpegs:
                jpegs[appears] = _jpeg(pixels.transpose(1, 2, 0))
    places = {appears: place for place, appears in enumerate(jpegs)}
    thumbnails = tuple((round(t, 3), places[appears]) for t, appears in zip(times.tolist(), shown, strict=True))
    return thumbnails, tuple(jpegs.values())


def _jpeg(pixels: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "JPEG", quality=72, optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii")


def _address(video: str) -> Address:
    """The address, or the whole text as a path where its part cannot be read."""
    try:
        return parse_address(video)
    except VideoError:
        return Address(Path(video))


def _short_names(videos: Sequence[str]) -> dict[str, str]:
    """Each video by its name, with as many of its folders as tell it from the others."""
    names: dict[str, str] = {}
    left, depth = list(videos), 1
    while left:
        ends = {video: Path(*Path(video).parts[-depth:]) for video in left}
        seen = Counter(ends.values())
        is_whole = {video: depth >= len(Path(video).parts) for video in left}
        names |= {video: shown_name(end) for video, end in ends.items() if seen[end] == 1 or is_whole[video]}
        left, depth = [video for video in left if video not in names], depth + 1
    return names


def _url(video: Path, folder: Path) -> str:
    """Of the video, for a page in `folder`: relative, so that both may move together; a file URL on another drive.

    Percent-encoded as bytes, so a name that is no UTF-8, or holds `#`, `?`, `%` or `:`, is found too.
    """
    try:
        relative = os.path.relpath(video, folder)
    except ValueError:
        return video.absolute().as_uri()
    return quote(os.fsencode(relative.replace(os.sep, "/")), safe="/")


def _is_same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except (OSError, ValueError):  # one of them is not there, or has a name that nothing can have
        return False


def _embedded(told: dict[str, Any]) -> str:
    """JSON in ASCII that a script element may hold: no text in it ends the element or starts a comment."""
    text = json.dumps(told, allow_nan=False, separators=(",", ":"))  # U+2028 and lone surrogates are escaped too
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _in_html(text: str) -> str:
    return html.escape(text.encode("utf-8", "replace").decode("utf-8"))


def _hash(text: str) -> str:
    """As a content security policy names an inline script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
