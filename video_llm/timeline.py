"""One answer as a picture: thumbnails, the score of each channel over time, and the spans."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from tvu.temporal.sampling import times_evenly
from tvu.temporal.timecode import format_timecode, percent
from tvu.video_llm.decode import read_frames
from tvu.video_llm.export import written_beside
from tvu.video_llm.types import Answer, Evidence, VideoClip

WIDTH, MARGIN, GAP = 1200, 24, 10
STRIP_HEIGHT, SLOT_WIDTH, CURVE_HEIGHT, NUM_SPANS_NAMED = 90, 72, 150, 6
INK, FAINT, PAPER = "#1b1b1b", "#9a9a9a", "#ffffff"
COLOURS: dict[Evidence, str] = {"visual": "#0b6fb8", "speech": "#b2460a", "screen-text": "#3c7a1e"}  # 4.5:1 on white


def draw_timeline(clip: VideoClip, answer: Answer, out: Path) -> None:
    """Write the picture as PNG to `out`. Raises OutputError if it cannot be written."""
    small, large = ImageFont.load_default(13), ImageFont.load_default(18)
    inner = WIDTH - 2 * MARGIN
    told = answer.groundings[:NUM_SPANS_NAMED]
    strip_top = MARGIN + 34
    curve_top = strip_top + STRIP_HEIGHT + GAP
    axis = curve_top + CURVE_HEIGHT
    height = axis + 30 + 20 * max(1, len(told)) + MARGIN
    picture = Image.new("RGB", (WIDTH, height), PAPER)
    draw = ImageDraw.Draw(picture, "RGBA")

    def x_of(seconds: float) -> float:
        return MARGIN + inner * (seconds - clip.span.start_seconds) / clip.span.seconds

    def y_of(score: float) -> float:
        return axis - CURVE_HEIGHT * score

    draw.text((MARGIN, MARGIN - 6), _shorten(answer.question, large, inner), INK, font=large)
    legend_end = WIDTH - MARGIN
    for evidence in reversed(dict.fromkeys(curve.evidence for curve in answer.curves)):  # one may have several curves
        draw.text((legend_end, 6), evidence, COLOURS[evidence], font=small, anchor="ra")
        legend_end -= round(small.getlength(evidence)) + 14
    _paste_strip(picture, clip, strip_top, inner)
    for score in (0.0, 0.5, 1.0):
        draw.line([(MARGIN, y_of(score)), (WIDTH - MARGIN, y_of(score))], fill="#dddddd")
        draw.text((2, y_of(score) - 7), f"{score:.1f}", FAINT, font=small)
    for grounding in told:
        left, right = x_of(grounding.span.start_seconds), x_of(grounding.span.end_seconds)
        band = COLOURS[grounding.evidence] + "30"
        draw.rectangle([left, strip_top - 5, right, axis], fill=band, outline=COLOURS[grounding.evidence])
    for curve in answer.curves:
        points = [(x_of(t), y_of(float(s))) for t, s in zip(curve.times, curve.scores, strict=True)]
        if len(points) > 1:
            draw.line(points, fill=COLOURS[curve.evidence], width=2)
    for tick in np.linspace(clip.span.start_seconds, clip.span.end_seconds, 9):
        draw.line([(x_of(tick), axis), (x_of(tick), axis + 5)], fill=INK)
        label = format_timecode(float(tick))
        middle = min(max(x_of(tick), MARGIN + 22), WIDTH - MARGIN - 22)
        draw.text((middle, axis + 8), label, INK, font=small, anchor="ma")
    for row, grounding in enumerate(told):
        top = axis + 32 + 20 * row
        draw.rectangle([MARGIN, top + 2, MARGIN + 12, top + 14], fill=COLOURS[grounding.evidence])
        line = (
            f"{format_timecode(grounding.span.start_seconds)} - {format_timecode(grounding.span.end_seconds)}   "
            f"{percent(grounding.score)}   {grounding.evidence}   {grounding.phrase}"
        )
        draw.text((MARGIN + 20, top), _shorten(line, small, inner - 20), INK, font=small)
    if not told:
        draw.text((MARGIN, axis + 32), "nothing found", INK, font=small)
    with written_beside(out) as beside:
        picture.save(beside, "PNG")


def _paste_strip(picture: Image.Image, clip: VideoClip, top: int, inner: int) -> None:
    """Evenly spaced frames, each over the time that it shows; wide ones lose their sides, so that more of them fit."""
    count = round(inner / SLOT_WIDTH)
    size = round(inner / count) - 2, STRIP_HEIGHT
    batches = read_frames(clip, times_evenly(clip.span, count), max_side=3 * STRIP_HEIGHT)
    for i, pixels in enumerate(frame for batch in batches for frame in batch.pixels[0]):
        frame = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
        picture.paste(ImageOps.fit(frame, size), (MARGIN + round(i * inner / count) + 1, top))


def _shorten(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> str:
    text = " ".join(text.split())
    while text and font.getlength(text) > width:
        text = text[:-2].rstrip() + "…" if text.endswith("…") else text[:-1] + "…"
    return text
