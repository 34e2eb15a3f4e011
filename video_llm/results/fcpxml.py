"""FCPXML 1.10, of Final Cut Pro; Resolve reads it too."""

from xml.etree import ElementTree as Tree

from tvu.video_llm.results.frame_rates import FrameRate
from tvu.video_llm.results.one_video import Content, Moment, OneVideo, one_line
from tvu.video_llm.results.xml_text import add, as_content

VERSION = "1.10"

Cut = tuple[Moment, int, int]  # a moment with its frames, `[start, end)`


def fcpxml(video: OneVideo) -> Content:
    """An event with two projects, the whole video with a marker at each moment and the moments one after another, and
    the clip itself, with a keyword for each moment's range.

    Times are rational seconds, whole frames of `video.rate`: `1001/30000s`. Size and sound are those of the file where
    it can be opened; where not, the asset has no sound. A comment tells each row that has no answer.
    """
    root = Tree.Element("fcpxml", version=VERSION)
    resources = add(root, "resources")
    size = {} if video.clip is None else {"width": str(video.clip.width), "height": str(video.clip.height)}
    add(resources, "format", id="r1", frameDuration=_time(1, video.rate), **size)
    has_sound = video.clip is not None and video.clip.has_audio
    sound = {"hasAudio": "1", "audioSources": "1", "audioChannels": "2"} if has_sound else {}
    whole = {"name": video.title, "start": "0s", "duration": _time(video.num_frames, video.rate)}
    asset = add(resources, "asset", id="r2", hasVideo="1", format="r1", **whole, **sound)
    add(asset, "media-rep", kind="original-media", src=video.url)

    cuts = [(moment, *video.frames_of(moment)) for moment in video.moments]
    event = add(add(root, "library"), "event", name=video.title)
    browsed = add(event, "asset-clip", ref="r2", **whole)
    for moment, start, end in cuts:
        _range(browsed, "keyword", video.rate, (moment, start, end))
    spine = _project(event, video, "markers", video.num_frames)
    shown = add(spine, "asset-clip", ref="r2", offset="0s", **whole)
    for cut in cuts:
        _range(shown, "marker", video.rate, cut)
    if cuts:
        spine = _project(event, video, "moments", sum(end - start for _, start, end in cuts))
        _laid_out(spine, video.rate, cuts)
    return as_content(root, "fcpxml", video)


def _project(event: Tree.Element, video: OneVideo, name: str, num_frames: int) -> Tree.Element:
    """The spine of a new project whose timeline begins at 0."""
    project = add(event, "project", name=f"{video.title} ({name})")
    told = "DF" if video.rate.dropped_each_minute else "NDF"
    duration = _time(num_frames, video.rate)
    return add(add(project, "sequence", format="r1", duration=duration, tcStart="0s", tcFormat=told), "spine")


def _laid_out(spine: Tree.Element, rate: FrameRate, cuts: list[Cut]) -> None:
    """The cuts end to end."""
    at = 0
    for moment, start, end in cuts:
        times = {"offset": _time(at, rate), "start": _time(start, rate), "duration": _time(end - start, rate)}
        clip = add(spine, "asset-clip", ref="r2", name=one_line(moment.question), **times)
        add(clip, "note", moment.evidence)
        at += end - start


def _range(clip: Tree.Element, tag: str, rate: FrameRate, cut: Cut) -> None:
    """A marker or a keyword over the frames of a cut, in the clip's own time."""
    moment, start, end = cut
    told = {"value": one_line(moment.question), "note": moment.evidence}
    add(clip, tag, start=_time(start, rate), duration=_time(end - start, rate), **told)


def _time(frames: int, rate: FrameRate) -> str:
    """`1001/30000s`, or `0s`: never reduced, so that the denominator stays the rate's."""
    return f"{frames * rate.exact.denominator}/{rate.exact.numerator}s" if frames else "0s"
