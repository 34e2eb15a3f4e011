"""Rows that several tests write, with texts that are awkward in each of the formats."""

from tvu.temporal.types import Span
from tvu.video_llm.results.one_video import Content, OneVideo, by_video
from tvu.video_llm.results.rows import Row
from tvu.video_llm.types import Grounding

AWKWARD = 'a <b> & "c", d; e --> f | g\n\nh'
FPS = 30000 / 1001


def row(video="a b.mp4", question="when?", *spans, fps=FPS, duration=600.0, **more) -> Row:
    """A row of moments, best first: the first has probability 0.9, each next one 0.1 less."""
    groundings = tuple(
        Grounding(Span(*span), 0.9 - 0.1 * number, "visual", "looks like: bus") for number, span in enumerate(spans)
    )
    return Row(video, question, duration, "An answer.", groundings, "scout", fps=fps, **more)


def awkward() -> Row:
    """One moment, every text of which has what some format takes for its own."""
    groundings = (Grounding(Span(1.5, 4), 0.873, "speech", AWKWARD),)
    return Row("ä <&> #1, “x”.mp4", AWKWARD, 60.0, AWKWARD, groundings, notes=("no sound",), fps=25.0)


def failed(video="a b.mp4", question="when?", error="the decoder -- failed") -> Row:
    """A row with no answer."""
    return Row(video, question, error=error)


def about(*rows: Row) -> OneVideo:
    """The one video that the rows are about."""
    (video,) = by_video(rows)
    return video


def text(content: Content) -> str:
    """What a file will hold."""
    return content.data.decode("utf-8")
