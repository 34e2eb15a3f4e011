"""Draws the torture set: small videos whose frames carry their own number, in every shape that makes readers lie
about time.

A frame shows its number as a 4x4 grid of black and white cells: eight bits, then the same eight bits scrambled and in
the other order, so that a picture that is turned, torn or blended from two frames reads as -1 and not as some other
number. The truth about times comes from what was written here, never from reading a file back.
"""

import io
import itertools
import struct
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray
from PIL import Image

BLACK, WHITE = 25, 230
SCRAMBLE = np.array([0, 0, 0, 0, 1, 1, 1, 1], dtype=bool)  # no quarter turn of a legible picture is legible
ILLEGIBLE = -1


@dataclass(frozen=True)
class Numbered:
    """A readable file and the truth about it.

    numbers: int64 `[N]`, what each displayable frame shows, in display order.
    times: float64 `[N]`, when it appears, file seconds.
    end_seconds: when the last one ends.
    """

    path: Path
    numbers: NDArray[np.int64]
    times: NDArray[np.float64]
    end_seconds: float

    def __post_init__(self) -> None:
        assert self.numbers.shape == self.times.shape and (np.diff(self.times) > 0).all()

    def number_at(self, seconds: float) -> int:
        """The number on the screen at `seconds`."""
        return int(self.numbers[max(0, int(np.searchsorted(self.times, seconds + 1e-6, side="right")) - 1)])

    def shown_within(self, start: float, end: float) -> list[int]:
        """The numbers of the frames that appear in `[start, end)`."""
        return [int(n) for n, t in zip(self.numbers, self.times, strict=True) if start - 1e-6 <= t < end - 1e-6]


def draw(number: int, width: int, height: int) -> NDArray[np.uint8]:
    """The picture of a number from 0 to 255, uint8 `[H, W]`."""
    bits = (number >> np.arange(8)) & 1 == 1
    cells = np.concatenate([bits, (~bits ^ SCRAMBLE)[::-1]]).reshape(4, 4)
    rows, columns = np.arange(height) * 4 // height, np.arange(width) * 4 // width
    return np.where(cells[np.ix_(rows, columns)], WHITE, BLACK).astype(np.uint8)


def read_number(pixels: NDArray[np.uint8]) -> int:
    """The number that a picture `[3, H, W]` or `[H, W]` shows, or ILLEGIBLE."""
    grey = pixels.mean(axis=0) if pixels.ndim == 3 else pixels.astype(float)
    height, width = grey.shape

    def middles(size: int) -> list[slice]:
        edges = [-(-size * i // 4) for i in range(5)]
        return [slice(a + (b - a) // 4, b - (b - a) // 4) for a, b in itertools.pairwise(edges)]

    cells = np.array([[grey[row, column].mean() for column in middles(width)] for row in middles(height)]).ravel()
    bits, again = cells[:8] > 127, cells[15:7:-1] > 127
    legible = (abs(cells - 127) > 30).all() and (again == (~bits ^ SCRAMBLE)).all()
    return int((bits * (1 << np.arange(8))).sum()) if legible else ILLEGIBLE


def ffmpeg(*arguments: str | Path, stdin: bytes = b"") -> bytes:
    """Runs the ffmpeg that comes with imageio-ffmpeg and returns what it wrote to stdout."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error", "-y", *map(str, arguments)]
    done = subprocess.run(command, input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stderr.decode()}"
    return done.stdout


X264 = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-threads", "1")
FLAT = ("-flags", "+bitexact", "-fflags", "+bitexact")


def encode(
    path: Path,
    *codec: str,
    num_frames: int = 200,
    fps: Fraction = Fraction(25),
    size: tuple[int, int] = (128, 96),
    sound: Sequence[str] = (),
    turn: int = 0,
    to_pipe: bool = False,
) -> Numbered:
    """Frames 0, 1, 2, … at a constant rate.

    sound: the audio codec's arguments, for a tone; turn: quarter turns of the picture before it is encoded.
    """
    width, height = size
    pictures = [np.rot90(draw(number, width, height), turn) for number in range(num_frames)]
    stored_height, stored_width = pictures[0].shape
    raw = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{stored_width}x{stored_height}", "-r", str(fps), "-i", "-"]
    seconds = float(num_frames / fps)
    tone = ["-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=48000:duration={seconds}", *sound] if sound else []
    written = ffmpeg(
        *raw, *tone, *codec, *FLAT, "-" if to_pipe else path, stdin=b"".join(p.tobytes() for p in pictures)
    )
    if to_pipe:
        path.write_bytes(written)
    return Numbered(path, np.arange(num_frames), np.array([float(i / fps) for i in range(num_frames)]), seconds)


def remux(source: Numbered, path: Path, *output: str, before: Sequence[str] = ()) -> Numbered:
    """The same packets in another file; the truth is unchanged."""
    ffmpeg(*before, "-i", source.path, "-map", "0", "-c", "copy", *output, *FLAT, path)
    return Numbered(path, source.numbers, source.times, source.end_seconds)


def encode_variable(path: Path, milliseconds: Sequence[int], codec: str, **options: str) -> Numbered:
    """Frames with the given presentation times, written by PyAV."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.thread_count = 1
        for number, time in enumerate(milliseconds):
            picture = np.repeat(draw(number, 128, 96)[:, :, None], 3, axis=2)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return Numbered(path, np.arange(len(milliseconds)), np.array(milliseconds) / 1000, milliseconds[-1] / 1000 + 0.04)


def uneven_milliseconds(num_frames: int = 150) -> list[int]:
    """Presentation times like a screen recording's: bursts at 60 a second, stretches at 10, one held for 2 s."""
    rng = np.random.default_rng(7)
    gaps = rng.choice([17, 17, 33, 40, 100], size=num_frames - 1)
    gaps[60], gaps[61:90] = 2000, 17
    return [0, *np.cumsum(gaps).tolist()]


# Readable files, one function each. `folder` is empty and the function's own.

Recipe = Callable[[Path], Numbered]
READABLE: dict[str, Recipe] = {}


def readable(name: str) -> Callable[[Recipe], Recipe]:
    def register(recipe: Recipe) -> Recipe:
        READABLE[name] = recipe
        return recipe

    return register


NTSC = Fraction(30000, 1001)
LONG_GOP = (*X264, "-g", "250", "-bf", "3", "-b_strategy", "0", "-sc_threshold", "0")
SHORT_GOP = (*X264, "-g", "50", "-bf", "2", "-b_strategy", "0", "-sc_threshold", "0")


@readable("h264 long GOP with B-frames")
def _(folder: Path) -> Numbered:
    return encode(folder / "h264.mp4", *LONG_GOP, fps=NTSC, num_frames=240, sound=("-c:a", "aac"))


@readable("hevc 10-bit")
def _(folder: Path) -> Numbered:
    hevc = ("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le")
    tuned = "log-level=error:pools=1:frame-threads=1:bframes=3:b-adapt=0:keyint=60:min-keyint=60"
    return encode(folder / "hevc.mp4", *hevc, "-x265-params", tuned, "-tag:v", "hvc1", num_frames=150)


@readable("vp9 webm with hidden frames")
def _(folder: Path) -> Numbered:
    vp9 = ("-c:v", "libvpx-vp9", "-deadline", "good", "-cpu-used", "5", "-auto-alt-ref", "1", "-lag-in-frames", "12")
    return encode(folder / "vp9.webm", *vp9, "-g", "64", "-b:v", "200k", num_frames=150, sound=("-c:a", "libopus"))


@readable("av1")
def _(folder: Path) -> Numbered:
    av1 = (
        "-c:v",
        "libsvtav1",
        "-preset",
        "10",
        "-crf",
        "15",
        "-svtav1-params",
        "lp=1:keyint=64",
        "-pix_fmt",
        "yuv420p",
    )
    return encode(folder / "av1.mp4", *av1, num_frames=150)


@readable("variable rate mp4")
def _(folder: Path) -> Numbered:
    return encode_variable(
        folder / "variable.mp4", uneven_milliseconds(), "libx264", preset="veryfast", bf="3", g="250"
    )


@readable("variable rate mkv")
def _(folder: Path) -> Numbered:
    written = encode_variable(folder / "variable.mp4", uneven_milliseconds(), "libx264", preset="veryfast", g="40")
    return remux(written, folder / "variable.mkv")


def _without_start(source: Numbered, path: Path, first: int, seconds: float) -> Numbered:
    times = source.times[first:] - seconds
    return Numbered(path, source.numbers[first:], times, source.end_seconds - seconds)


@readable("cut with an edit list")
def _(folder: Path) -> Numbered:
    """From frame 82 on: stored from the key frame 50, the first 32 pictures hidden by the edit list."""
    source = encode(folder / "source.mp4", *SHORT_GOP)
    ffmpeg("-ss", "3.28", "-i", source.path, "-c", "copy", folder / "cut.mp4")
    return _without_start(source, folder / "cut.mp4", 82, 3.28)


@readable("cut with an edit list and sound")
def _(folder: Path) -> Numbered:
    """Cut inside frame 82, which is then not shown: the first picture comes 0.02 s after the sound."""
    source = encode(folder / "source.mp4", *SHORT_GOP, sound=("-c:a", "aac"))
    ffmpeg("-ss", "3.3", "-i", source.path, "-c", "copy", folder / "cut.mp4")
    return _without_start(source, folder / "cut.mp4", 83, 3.3)


@readable("MPEG-TS starting late")
def _(folder: Path) -> Numbered:
    source = encode(folder / "source.mp4", *LONG_GOP)
    return remux(source, folder / "late.ts", "-output_ts_offset", "8.7", "-muxdelay", "0")


@readable("MPEG-TS with short GOPs")
def _(folder: Path) -> Numbered:
    source = encode(folder / "source.mp4", *SHORT_GOP)
    return remux(source, folder / "late.ts", "-output_ts_offset", "26000.5")


def _rotated(folder: Path, degrees: int) -> Numbered:
    source = encode(folder / "upright.mp4", *SHORT_GOP, num_frames=120, turn=-degrees // 90)
    return remux(source, folder / "rotated.mp4", before=("-display_rotation", str(degrees)))


for _degrees in (90, 180, 270):
    READABLE[f"rotated by {_degrees}"] = lambda folder, degrees=_degrees: _rotated(folder, degrees)


@readable("odd size")
def _(folder: Path) -> Numbered:
    return encode(folder / "odd.mp4", *SHORT_GOP, "-pix_fmt", "yuv444p", "-crf", "10", size=(33, 17))


@readable("odd size vp9")
def _(folder: Path) -> Numbered:
    vp9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-crf", "10", "-pix_fmt", "yuv420p")
    return encode(folder / "odd.webm", *vp9, size=(65, 35), num_frames=100)


@readable("tiny size")
def _(folder: Path) -> Numbered:
    return encode(folder / "tiny.mp4", *SHORT_GOP, "-crf", "5", size=(16, 16))


@readable("a pixel a cell")
def _(folder: Path) -> Numbered:
    return encode(folder / "pixels.mkv", "-c:v", "ffv1", "-threads", "1", size=(4, 4))


@readable("one frame")
def _(folder: Path) -> Numbered:
    return encode(folder / "one.mp4", *X264, num_frames=1)


@readable("one picture")
def _(folder: Path) -> Numbered:
    Image.fromarray(draw(77, 128, 96)).save(folder / "one.png")
    return Numbered(folder / "one.png", np.array([77]), np.array([0.0]), 1.0)  # a single picture is shown for a second


@readable("gif")
def _(folder: Path) -> Numbered:
    """Pillow's GIF, delays uneven and in hundredths of a second."""
    pictures = [Image.fromarray(draw(number, 64, 48)) for number in range(60)]
    delays = np.random.default_rng(3).choice([40, 70, 100, 350], size=60)
    pictures[0].save(folder / "moving.gif", save_all=True, append_images=pictures[1:], duration=delays.tolist(), loop=0)
    ends = np.cumsum(delays) / 1000
    return Numbered(folder / "moving.gif", np.arange(60), np.array([0.0, *ends[:-1]]), float(ends[-1]))


@readable("mkv without an index")
def _(folder: Path) -> Numbered:
    return encode(folder / "pipe.mkv", *SHORT_GOP, "-f", "matroska", sound=("-c:a", "aac"), to_pipe=True)


@readable("fragmented mp4")
def _(folder: Path) -> Numbered:
    return encode(folder / "fragments.mp4", *SHORT_GOP, "-movflags", "frag_keyframe+empty_moov+default_base_moof")


@readable("mp4 with the picture 2 s after the sound")
def _(folder: Path) -> Numbered:
    return _after_sound(folder, folder / "after.mp4", "aac")


@readable("mkv with the picture 2 s after the sound")
def _(folder: Path) -> Numbered:
    return _after_sound(folder, folder / "after.mkv", "flac")


def _after_sound(folder: Path, path: Path, codec: str) -> Numbered:
    source = encode(folder / "source.mp4", *SHORT_GOP, num_frames=120)
    tone = ("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=6.8")
    ffmpeg("-itsoffset", "2", "-i", source.path, *tone, "-c:v", "copy", "-c:a", codec, path)
    return Numbered(path, source.numbers, source.times + 2, source.end_seconds + 2)


@readable("avi mpeg4 with B-frames")
def _(folder: Path) -> Numbered:
    """AVI stores decode times only: with B-frames the first picture comes a frame late, and so would its sound."""
    made = encode(folder / "old.avi", "-c:v", "mpeg4", "-q:v", "3", "-bf", "2", "-g", "40", "-threads", "1")
    return Numbered(made.path, made.numbers, made.times + 0.04, made.end_seconds + 0.04)


@readable("mjpeg mov")
def _(folder: Path) -> Numbered:
    mjpeg = ("-c:v", "mjpeg", "-q:v", "4", "-pix_fmt", "yuvj420p", "-threads", "1")
    return encode(folder / "camera.mov", *mjpeg, fps=Fraction(15), num_frames=90, sound=("-c:a", "pcm_s16le"))


@readable("interlaced mpeg2 program stream")
def _(folder: Path) -> Numbered:
    mpeg2 = ("-c:v", "mpeg2video", "-q:v", "3", "-bf", "2", "-g", "15", "-flags", "+ilme+ildct", "-threads", "1")
    return encode(folder / "disc.mpg", *mpeg2, num_frames=120)


@readable("flv")
def _(folder: Path) -> Numbered:
    return encode(folder / "flash.flv", *SHORT_GOP, num_frames=120)


NASTY_NAMES = (
    "two words.mp4",
    'it\'s "quoted" `here`.mp4',
    "new\nline.mp4",
    "søren 東京 🎬.mp4",
    "-leading.mp4",
    "--help",
    "http:..example.com.mp4",
    "concat:a|b.mp4",
    "part#t=1,2.mp4",
    "frame%03d.mp4",
    "$(touch pwned); & * ? [a] {b}.mp4",
    "back\\slash.mp4",
)


def nasty_names(folder: Path) -> list[Numbered]:
    """The same small clip under names that shells, ffmpeg and URL parsers trip over."""
    plain = encode(folder / "plain.mp4", *SHORT_GOP, num_frames=75, size=(64, 48))
    content = plain.path.read_bytes()
    files = []
    for name in NASTY_NAMES:
        path = folder / name
        path.write_bytes(content)
        files.append(Numbered(path, plain.numbers, plain.times, plain.end_seconds))
    return files


def folder_of_pictures(folder: Path, num_pictures: int = 30) -> list[Path]:
    """PNG and JPEG pictures, in the order of their numbers only where numbers in names are read as numbers."""
    paths = [folder / f"shot {number}.{'png' if number % 2 else 'jpg'}" for number in range(num_pictures)]
    for number, path in enumerate(paths):
        Image.fromarray(draw(number, 96, 64)).convert("RGB").save(path)
    return paths


def cut_short(folder: Path) -> dict[str, Numbered]:
    """Files that end in the middle, and the truth about the whole file that each was: only a part of it is left."""
    mp4 = encode(folder / "whole.mp4", *SHORT_GOP, "-movflags", "+faststart", sound=("-c:a", "aac"))
    mkv = remux(mp4, folder / "whole.mkv")
    ts = remux(encode(folder / "silent.mp4", *SHORT_GOP), folder / "whole.ts")
    vp9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "50")
    webm = encode(folder / "whole.webm", *vp9)
    avi = encode(folder / "whole.avi", "-c:v", "mpeg4", "-q:v", "3", "-g", "40", "-threads", "1")
    files = {}
    for whole, kept in itertools.product((mp4, mkv, ts, webm, avi), (0.3, 0.6, 0.95)):
        content = whole.path.read_bytes()
        name = f"{whole.path.suffix[1:]} cut short at {kept:.0%}"
        path = folder / f"{kept}{whole.path.suffix}"
        path.write_bytes(content[: int(len(content) * kept)])
        files[name] = Numbered(path, whole.numbers, whole.times, whole.end_seconds)
    return files


def unreadable(folder: Path) -> dict[str, Path]:
    """What no reader can show a picture of, by what is wrong with it."""
    rng = np.random.default_rng(11)
    clip = encode(folder / "clip.mp4", *SHORT_GOP, num_frames=30, size=(64, 48)).path
    mp4, mkv = clip.read_bytes(), remux(Numbered(clip, *_nothing()), folder / "clip.mkv").path.read_bytes()
    tone = ("-f", "lavfi", "-i", "sine=frequency=440:duration=2")
    ffmpeg(*tone, folder / "sound.m4a")
    ffmpeg(*tone, folder / "sound.wav")
    Image.fromarray(draw(5, 64, 48)).save(folder / "cover.png")
    cover = ("-map", "0", "-map", "1", "-c:v", "copy", "-id3v2_version", "3", "-disposition:v", "attached_pic")
    ffmpeg(*tone, "-i", folder / "cover.png", *cover, folder / "cover.mp3")
    made: dict[str, bytes] = {
        "empty": b"",
        "one byte": b"\0",
        "zeros": bytes(100_000),
        "random bytes": rng.bytes(100_000),
        "random bytes after an mp4 head": mp4[:40] + rng.bytes(50_000),
        "random bytes after an mkv head": mkv[:60] + rng.bytes(50_000),
        "text": b"just some words\n" * 200,
        "subtitles": b"1\n00:00:01,000 --> 00:00:02,000\nhello\n",
        "web page": b"<!doctype html><title>404</title><p>not found",
        "mp4 without its index": mp4[: mp4.rindex(b"moov") - 4],
        "mp4 cut short in its index": mp4[: mp4.rindex(b"moov") + 200],
        "mkv cut short in its head": mkv[:200],
        "playlist on the network": b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://192.0.2.1/a.ts\n#EXT-X-ENDLIST\n",
        "playlist of a local file": b"ffconcat version 1.0\nfile '/etc/hostname'\n",
        "session description": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        b"m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    }
    endings = {
        "subtitles": ".srt",
        "web page": ".html",
        "text": ".txt",
        "playlist on the network": ".m3u8",
        "session description": ".sdp",
    }
    files = {
        "audio only": folder / "sound.m4a",
        "wav": folder / "sound.wav",
        "mp3 with cover art": folder / "cover.mp3",
    }
    for name, content in made.items():
        files[name] = folder / f"{name}{endings.get(name, '.mp4')}"
        files[name].write_bytes(content)
    (folder / "no pictures").mkdir()
    (folder / "only text").mkdir()
    (folder / "only text" / "notes.txt").write_text("no picture here")
    (folder / "dangling.mp4").symlink_to(folder / "gone.mp4")
    (folder / "circle.mp4").symlink_to(folder / "circle.mp4")
    special = ("missing.mp4", "no pictures", "only text", "dangling.mp4", "circle.mp4")
    return files | {name: folder / name for name in special} | {"a device": Path("/dev/zero")}


def _nothing() -> tuple[NDArray[np.int64], NDArray[np.float64], float]:
    return np.zeros(0, np.int64), np.zeros(0), 0.0


def huge_claims(folder: Path) -> dict[str, Path]:
    """Small files whose headers claim what would take all memory or all day to believe."""
    clip = encode(folder / "clip.mp4", *SHORT_GOP, num_frames=30, size=(64, 48)).path
    mp4 = clip.read_bytes()
    made: dict[str, bytes] = {
        "mp4 of 65535x65535.mp4": _patch(
            _patch(mp4, b"tkhd", 80, "2I", 65535 << 16, 65535 << 16), b"avc1", 28, "2H", 65535, 65535
        ),
        "mp4 of 136 years.mp4": _patch(_patch(mp4, b"mvhd", 16, "2I", 1, 0xFFFFFFFF), b"mdhd", 16, "2I", 1, 0xFFFFFFFF),
        "mp4 of 4 billion samples.mp4": _patch(mp4, b"stsz", 12, "I", 0xFFFFFFFF),
        "mp4 of 4 billion equal durations.mp4": _patch(mp4, b"stts", 12, "I", 0xFFFFFFFF),
        "mp4 of frames that last a day.mp4": _patch(mp4, b"stts", 16, "I", 0x40000000),
        "mp4 with a box of 4 GB.mp4": _patch(mp4, b"mdat", -4, "I", 0xFFFFFFF0),
        "y4m of a million pixels a side.y4m": b"YUV4MPEG2 W1000000 H1000000 F25:1 Ip A1:1\nFRAME\n" + bytes(1000),
        "png of 2 billion pixels a side.png": _png_of(0x7FFFFFFF),
        "png of 30000 pixels a side.png": _png_of(30000),
        "gif of 65535x65535.gif": b"GIF89a" + struct.pack("<2H3B", 65535, 65535, 0, 0, 0) + _gif_frame(65535),
        "bmp of 60000x60000.bmp": b"BM" + struct.pack("<IHHI", 54, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, 60000, 60000, 1, 24, 0, 0, 0, 0, 0, 0),
        "ivf of 65535x65535.ivf": b"DKIF" + struct.pack("<2H4s2H4I", 0, 32, b"VP80", 65535, 65535, 25, 1, 0xFFFFFFFF, 0)
        + struct.pack("<IQ", 10, 0) + b"\x10\x02\x00\x9d\x01\x2a\xff\x3f\xff\x3f",
    }  # fmt: skip
    for name, content in made.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in made}


def _patch(content: bytes, box: bytes, offset: int, layout: str, *values: int) -> bytes:
    """`content` with numbers written `offset` bytes after the start of the last box of that name."""
    at = content.rindex(box) + offset if offset < 0 else content.rindex(box) - 4 + offset
    packed = struct.pack(f">{layout}", *values)
    return content[:at] + packed + content[at + len(packed) :]


def _png_of(side: int) -> bytes:
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def _gif_frame(side: int) -> bytes:
    palette = b"\x80\0\0" + bytes(3) + b"\xff" * 3
    return b"," + struct.pack("<4H", 0, 0, side, side) + palette + b"\x02\x02\x4c\x01\x00;"


def fuzz_sources(folder: Path) -> list[Path]:
    """Small clips, one of each family of containers and codecs, to be damaged."""
    small: dict[str, tuple[str, ...]] = {
        "a.mp4": (*X264, "-bf", "2", "-g", "12"),
        "b.mkv": (*X264, "-bf", "2", "-g", "12"),
        "c.webm": ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "12"),
        "d.ts": (*X264, "-g", "12"),
        "e.avi": ("-c:v", "mpeg4", "-bf", "2", "-g", "12", "-threads", "1"),
        "f.gif": (),
        "g.mp4": ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:pools=1:keyint=12"),
        "h.mkv": ("-c:v", "libsvtav1", "-preset", "12", "-svtav1-params", "lp=1"),
        "i.mov": ("-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-threads", "1"),
        "j.mpg": ("-c:v", "mpeg2video", "-g", "12", "-threads", "1"),
    }
    return [encode(folder / name, *codec, num_frames=24, size=(64, 64)).path for name, codec in small.items()]


def bit_flipped(sources: Iterable[Path], folder: Path, count: int, seed: int) -> list[Path]:
    """`count` damaged copies, the sources in turn: bits flipped, half of the time in the first 2 KB (headers)."""
    rng = np.random.default_rng(seed)
    files = []
    for index, source in zip(range(count), itertools.cycle(sources), strict=False):
        content = bytearray(source.read_bytes())
        reach = min(len(content), 2048) if rng.random() < 0.5 else len(content)
        for position in rng.integers(0, reach, size=int(rng.choice([1, 4, 16, 64]))):
            content[position] ^= 1 << int(rng.integers(8))
        files.append(folder / f"{index:03d}{source.suffix}")
        files[-1].write_bytes(content)
    return files


def frames_of(path: Path) -> list[int]:
    """The numbers of every frame that plain PyAV decodes, in display order: a check on what was written, apart from our
    readers."""
    with av.open(io.BytesIO(path.read_bytes())) as container:
        return [read_number(frame.to_ndarray(format="gray")) for frame in container.decode(video=0)]
