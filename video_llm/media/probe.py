"""What a file is, and what is odd about it: the things that make other programs show the wrong frame for a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tvu.temporal.timecode import format_timecode
from tvu.video_llm.decode import facts_of, open_video
from tvu.video_llm.media.facts import AudioFacts, MediaFacts
from tvu.video_llm.media.outline import ends_early, has_cues, movie_seconds
from tvu.video_llm.types import VideoClip

SOON_SECONDS = 0.1  # B-frames delay a stream by up to this much: no late start
UNEVEN_SECONDS = 2e-3  # containers that keep milliseconds make even frames uneven by one


@dataclass(frozen=True)
class Oddity:
    """One thing to know: a name that never changes its meaning, and a line on what follows from it."""

    name: str
    detail: str


@dataclass(frozen=True)
class AudioTrack:
    """The sound that would be listened to. seconds: file seconds from its first to its last packet."""

    codec: str
    rate: int
    channels: int
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True)
class ProbeReport:
    """A file as tvu reads it.

    width, height: as displayed; fps: the mean by the clock; duration_seconds: until the last picture ends.
    size_bytes: None for a folder of pictures.
    """

    path: Path
    container: str
    size_bytes: int | None
    codec: str
    pixel_format: str
    width: int
    height: int
    fps: float
    num_frames: int
    num_key_frames: int
    duration_seconds: float
    audio: AudioTrack | None
    oddities: tuple[Oddity, ...]


def probe(address: str | Path) -> ProbeReport:
    """Survey a file without decoding more than its first picture. Raises VideoError if it cannot be read."""
    clip = open_video(address)
    facts = facts_of(clip)
    return ProbeReport(
        path=clip.path,
        container=facts.container,
        size_bytes=None if clip.path.is_dir() else clip.path.stat().st_size,
        codec=facts.codec,
        pixel_format=facts.pixel_format,
        width=clip.width,
        height=clip.height,
        fps=clip.fps,
        num_frames=clip.num_frames,
        num_key_frames=int(facts.clock.is_key.sum()),
        duration_seconds=clip.duration_seconds,
        audio=_audio_track(facts.audio) if facts.audio else None,
        oddities=tuple(_oddities(clip, facts)),
    )


def _audio_track(audio: AudioFacts) -> AudioTrack:
    start = max(0.0, float(audio.starts[0]))  # encoders start a little early, cuts are hidden up to zero
    return AudioTrack(audio.codec, audio.rate, audio.channels, start, float(audio.ends.max()))


def _oddities(clip: VideoClip, facts: MediaFacts) -> Iterator[Oddity]:
    yield from _odd_times(facts)
    yield from _odd_claims(facts)
    yield from _odd_pictures(clip, facts)
    if facts.audio:
        for gap in facts.audio.gaps:
            bounds = f"{format_timecode(gap.start_seconds, 3)} to {format_timecode(gap.end_seconds, 3)}"
            yield Oddity("audio-gap", f"no sound from {bounds}; decoded end to end, later sound comes too early")


def _odd_times(facts: MediaFacts) -> Iterator[Oddity]:
    clock = facts.clock
    pts = clock.pts_seconds
    gaps = np.diff(pts)
    if len(gaps) and np.ptp(gaps) > UNEVEN_SECONDS:
        even = pts[0] + np.arange(len(pts)) / clock.mean_fps
        drift = abs(even - pts).max()
        apart = f"{gaps.min() * 1e3:.0f} to {gaps.max() * 1e3:.0f} ms apart"
        yield Oddity("variable-rate", f"frames are {apart}; index / average rate is off by up to {drift:.2f} s")
    is_edited = clock.num_hidden > 0 and facts.container.startswith("mov")
    if is_edited:
        yield Oddity(
            "edit-list", f"{clock.num_hidden} stored frames are hidden; a reader that counts them shows the wrong one"
        )
    if clock.start_seconds > SOON_SECONDS:
        yield Oddity("late-start", f"the file's own times begin at {clock.start_seconds:.3f} s; tvu counts from there")
    if pts[0] > SOON_SECONDS:
        yield Oddity(
            "late-picture", f"the first picture appears at {format_timecode(pts[0], 3)}, after the file's start"
        )
    if clock.is_counted:
        yield Oddity("missing-timestamps", "the file stores no times; frames are counted at the rate in its header")
    if not clock.is_key[0] and not is_edited:  # before an edit list's start there is one
        yield Oddity("starts-without-keyframe", "the first pictures may be broken or missing until a key frame comes")


def _odd_claims(facts: MediaFacts) -> Iterator[Oddity]:
    clock = facts.clock
    pts = clock.pts_seconds
    stored, claimed = len(pts) + clock.num_hidden, facts.num_frames_from_header
    if claimed is not None and claimed != stored:
        yield Oddity("wrong-header-count", f"the header counts {claimed} frames, the file holds {stored}")
    is_movie = facts.container.startswith("mov") and facts.path.is_file()
    promised = movie_seconds(facts.path) if is_movie else facts.duration_seconds_from_header
    sound_end = facts.audio.ends.max() if facts.audio else 0.0
    lengths = (clock.duration_seconds, clock.duration_seconds - pts[0], sound_end)  # headers mean any of these
    if promised is not None and min(abs(promised - length) for length in lengths) > max(0.5, 0.02 * lengths[0]):
        length = f"the pictures end at {clock.duration_seconds:.3f} s"
        yield Oddity("wrong-header-duration", f"the header promises {promised:.3f} s, {length}")
    if facts.path.is_file():
        if ends_early(facts.path, facts.container):
            yield Oddity("truncated", "the file ends before its own structure does; what was behind is lost")
        if facts.container.startswith("matroska") and not has_cues(facts.path):
            yield Oddity(
                "no-index", "the file does not say where its key frames are; jumping reads all that lies between"
            )


def _odd_pictures(clip: VideoClip, facts: MediaFacts) -> Iterator[Oddity]:
    geometry = facts.geometry
    if geometry.rotation_degrees or geometry.is_mirrored:
        turn = f"turned by {geometry.rotation_degrees} degrees" + (" and mirrored" if geometry.is_mirrored else "")
        stored = f"{facts.stored_width}x{facts.stored_height}"
        yield Oddity("rotation", f"stored as {stored}, {turn} on display; a reader that ignores it sees it sideways")
    if abs(facts.sample_aspect - 1) > 1e-3:
        stored = f"{facts.stored_width}x{facts.stored_height}"
        shape = f"{facts.sample_aspect:.3f} as wide as high"
        yield Oddity(
            "sample-aspect-ratio", f"stored as {stored} with pixels {shape}, shown as {clip.width}x{clip.height}"
        )
    if facts.is_hdr:
        yield Oddity("hdr", "high dynamic range; readers that ignore it see pale colours")
    if facts.bit_depth > 8:
        yield Oddity(f"{facts.bit_depth}-bit", f"{facts.bit_depth} bits a channel, reduced to 8 when read")
    if facts.is_interlaced:
        yield Oddity("interlaced", "each picture holds two moments; moving edges look like combs")
    num_videos = facts.num_video_tracks - facts.num_covers
    if num_videos > 1:
        yield Oddity("several-video-tracks", f"{num_videos} video tracks; the best one is read")
    if facts.num_covers:
        yield Oddity("attached-picture", "there is cover art, which some readers take for the video")
