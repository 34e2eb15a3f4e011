"""Final Cut Pro 7's XML (xmeml 5), which Premiere, Resolve and others still read."""

from collections.abc import Sequence
from xml.etree import ElementTree as Tree

from tvu.video_llm.results.frame_rates import FrameRate, timecode
from tvu.video_llm.results.one_video import Content, Moment, OneVideo, one_line
from tvu.video_llm.results.xml_text import add, as_content


def fcp7_xml(video: OneVideo) -> Content:
    """Two sequences: the whole video with a marker for each moment, and the moments one after another as clips.

    All times are frames of `video.rate`, `out` the frame after the last. Size and sound are those of the file where it
    can be opened; where not, the sequences have no sound track. A comment tells each row that has no answer.
    """
    root = Tree.Element("xmeml", version="5")
    project = add(root, "project")
    add(project, "name", video.title)
    children = add(project, "children")
    whole = _sequence(video, f"{video.title} (markers)", video.num_frames, "markers")
    _tracks(whole, video, [(None, 0, video.num_frames)], "markers")
    for moment in video.moments:
        start, end = video.frames_of(moment)
        _marker(whole, moment, start, end)
    children.append(whole)
    if video.moments:
        cuts = [(moment, *video.frames_of(moment)) for moment in video.moments]
        clips = _sequence(video, f"{video.title} (moments)", sum(end - start for _, start, end in cuts), "moments")
        _tracks(clips, video, cuts, "moments")
        children.append(clips)
    return as_content(root, "xmeml", video)


def _sequence(video: OneVideo, name: str, num_frames: int, identity: str) -> Tree.Element:
    sequence = Tree.Element("sequence", id=identity)
    add(sequence, "name", name)
    add(sequence, "duration", num_frames)
    _rate(sequence, video.rate)
    _timecode(sequence, video.rate)
    return sequence


def _tracks(
    sequence: Tree.Element, video: OneVideo, cuts: Sequence[tuple[Moment | None, int, int]], identity: str
) -> None:
    """A picture track, and a sound track where there is sound, of `cuts`: frames of the file, laid end to end."""
    media = add(sequence, "media")
    picture = add(media, "video")
    if video.clip is not None:
        _size(add(picture, "format"), video)
    tracks = [("video", add(picture, "track"))]
    if video.clip is not None and video.clip.has_audio:
        tracks.append(("audio", add(add(media, "audio"), "track")))
    for kind, track in tracks:
        at = 0
        for number, (moment, start, end) in enumerate(cuts, 1):
            item = add(track, "clipitem", id=f"{identity}-{kind}-{number}")
            add(item, "name", video.title if moment is None else one_line(moment.question))
            add(item, "duration", video.num_frames)
            _rate(item, video.rate)
            for name, frame in (("start", at), ("end", at + end - start), ("in", start), ("out", end)):
                add(item, name, frame)
            _file(item, video, is_first=identity == "markers" and kind == "video")
            if kind == "audio":
                source = add(item, "sourcetrack")
                add(source, "mediatype", "audio")
                add(source, "trackindex", 1)
            if len(tracks) > 1:
                _links(item, identity, number)
            if moment is not None:
                add(add(item, "comments"), "mastercomment1", moment.evidence)
            at += end - start


def _links(item: Tree.Element, identity: str, number: int) -> None:
    """Picture and sound of a clip move together."""
    for kind in ("video", "audio"):
        link = add(item, "link")
        add(link, "linkclipref", f"{identity}-{kind}-{number}")
        add(link, "mediatype", kind)
        add(link, "trackindex", 1)
        add(link, "clipindex", number)


def _file(item: Tree.Element, video: OneVideo, *, is_first: bool) -> None:
    """The file told in full once; later clips name it by its id."""
    file = add(item, "file", id="file-1")
    if not is_first:
        return
    add(file, "name", one_line(video.path.name))
    add(file, "pathurl", video.url.replace("file:///", "file://localhost/", 1))
    _rate(file, video.rate)
    add(file, "duration", video.num_frames)
    _timecode(file, video.rate)
    media = add(file, "media")
    _size(add(media, "video"), video)
    if video.clip is not None and video.clip.has_audio:
        add(add(media, "audio"), "channelcount", 2)


def _size(parent: Tree.Element, video: OneVideo) -> None:
    if video.clip is not None:
        facts = add(parent, "samplecharacteristics")
        add(facts, "width", video.clip.width)
        add(facts, "height", video.clip.height)


def _marker(parent: Tree.Element, moment: Moment, start: int, end: int) -> None:
    marker = add(parent, "marker")
    add(marker, "comment", moment.evidence)
    add(marker, "name", one_line(moment.question))
    add(marker, "in", start)
    add(marker, "out", end)


def _rate(parent: Tree.Element, rate: FrameRate) -> None:
    told = add(parent, "rate")
    add(told, "timebase", rate.timebase)
    add(told, "ntsc", "TRUE" if rate.is_ntsc else "FALSE")


def _timecode(parent: Tree.Element, rate: FrameRate) -> None:
    drop = bool(rate.dropped_each_minute)
    told = add(parent, "timecode")
    _rate(told, rate)
    add(told, "string", timecode(0, rate, drop=drop))
    add(told, "frame", 0)
    add(told, "displayformat", "DF" if drop else "NDF")
