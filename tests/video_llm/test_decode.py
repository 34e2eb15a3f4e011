from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.video_llm.media.drawing import draw_video, picture
from tvu.temporal.types import Span
from tvu.video_llm.decode import clock_of, facts_of, open_video, read_frames
from tvu.video_llm.errors import VideoError
from tvu.video_llm.media.pixels import Geometry, geometry_of
from tvu.video_llm.types import VideoClip


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_video(tmp_path_factory.mktemp("decode") / "a.mp4", num_frames=200)


def frames_at(clip: VideoClip, *times: float, max_side: int | None = None) -> NDArray[np.uint8]:
    """uint8 `[T, H, W, 3]`."""
    batches = list(read_frames(clip, np.array(times), max_side=max_side))
    return np.concatenate([batch.pixels[0] for batch in batches]).transpose(0, 2, 3, 1)


def decoded_plainly(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24", interpolation="AREA") for frame in container.decode(video=0)]


def test_a_clip_is_described_before_anything_is_decoded(video: Path) -> None:
    clip = open_video(video)
    assert (clip.num_frames, clip.width, clip.height, clip.fps) == (200, 160, 90, pytest.approx(25))
    assert clip.span == Span(0.0, clip.duration_seconds) and clip.duration_seconds == pytest.approx(8.0)
    assert (clip.has_audio, clip.decoder) == (False, "pyav")


def test_frames_that_nothing_refers_to_are_skipped_without_a_trace_in_the_others(video: Path) -> None:
    plain = decoded_plainly(video)
    clip = open_video(video)
    for wanted in (range(200), range(3, 200, 7), range(0, 200, 2), [0, 51, 52, 198, 199]):
        got = frames_at(clip, *(clock_of(clip).pts_seconds[list(wanted)]))
        assert all(np.array_equal(a, plain[i]) for a, i in zip(got, wanted, strict=True))


def test_times_between_frames_and_repeated_times_are_all_answered(video: Path) -> None:
    times = np.sort(np.concatenate([np.full(70, 1.01), np.array([-1.0, 0.0, 1.0, 7.99, 99.0])]))
    batches = list(read_frames(open_video(video), times, max_side=40, batch_frames=16))
    assert max(batch.pixels.shape[1] for batch in batches) <= 16
    told = np.concatenate([batch.pts_seconds[0] for batch in batches])
    assert told.tolist() == pytest.approx([0.0, 0.0, *[1.0] * 71, 7.96, 7.96])


def test_times_that_go_back_are_our_error(video: Path) -> None:
    with pytest.raises(ValueError, match="decrease"):
        next(read_frames(open_video(video), np.array([1.0, 0.5]), max_side=None))


@pytest.mark.parametrize(
    "address, start, end", [("#t=1,2", 1, 2), ("#t=0:05", 5, 8), ("#t=,3", 0, 3), ("#t=7,90", 7, 8)]
)
def test_an_address_opens_a_part(video: Path, address: str, start: float, end: float) -> None:
    span = open_video(f"{video}{address}").span
    assert (span.start_seconds, span.end_seconds) == pytest.approx((start, end))


def test_arguments_win_over_the_address(video: Path) -> None:
    assert open_video(f"{video}#t=1,2", start=3, end=4).span == Span(3, 4)


@pytest.mark.parametrize("start, end", [(8.0, None), (100.0, 101.0), (3.0, 3.0), (3.0, 2.0)])
def test_a_part_outside_the_file_is_refused(video: Path, start: float, end: float | None) -> None:
    with pytest.raises(VideoError) as refusal:
        open_video(video, start=start, end=end)
    assert refusal.value.hint


def test_frames_are_made_smaller_and_never_larger(video: Path) -> None:
    clip = open_video(video)
    assert frames_at(clip, 0.0, max_side=80).shape == (1, 45, 80, 3)
    assert frames_at(clip, 0.0, max_side=500).shape == (1, 90, 160, 3)


def test_pixels_that_are_not_square_are_stretched(tmp_path: Path) -> None:
    path = tmp_path / "wide.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 72, 58, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(16, 11)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(0, 72, 58), format="rgb24")))
        container.mux(stream.encode(None))
    clip = open_video(path)
    assert (clip.width, clip.height) == (105, 58) and facts_of(clip).stored_width == 72


# The display matrix of a file: x' = a x + c y and y' = b x + d y, as [a, b, _, c, d, _, ...].
MATRICES = {
    "upright": ([1, 0, 0, 0, 1, 0, 0, 0, 1], lambda p: p),
    "turned right": ([0, 1, 0, -1, 0, 0, 0, 0, 1], lambda p: np.rot90(p, -1)),
    "turned over": ([-1, 0, 0, 0, -1, 0, 0, 0, 1], lambda p: np.rot90(p, 2)),
    "turned left": ([0, -1, 0, 1, 0, 0, 0, 0, 1], lambda p: np.rot90(p, 1)),
    "mirrored": ([-1, 0, 0, 0, 1, 0, 0, 0, 1], lambda p: p[:, ::-1]),
    "upside down in a mirror": ([1, 0, 0, 0, -1, 0, 0, 0, 1], lambda p: p[::-1]),
}


@pytest.mark.parametrize("name", MATRICES)
def test_the_display_matrix_is_applied(name: str) -> None:
    matrix, expected = MATRICES[name]
    stored = picture(3, 7, 5)
    geometry = geometry_of(7, 5, 1.0, np.array(matrix, np.int32) << 16)
    turned = geometry.turned(stored)
    assert np.array_equal(turned, expected(stored)) and turned.shape[:2] == (geometry.height, geometry.width)
    assert geometry.is_mirrored == ("mirror" in name)


def test_a_fitted_picture_keeps_at_least_a_pixel() -> None:
    assert Geometry(1, 4000).fitted(100) == Geometry(1, 100)


def test_high_dynamic_range_becomes_the_colours_that_were_meant(tmp_path: Path) -> None:
    """A PQ file whose white is at 203 nits, as BT.2408 has it, next to what its picture was in sRGB."""
    meant = np.array([[128, 128, 128], [200, 30, 30], [30, 180, 30], [30, 30, 200], [60, 60, 60], [0, 0, 0]])
    to_bt2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
    linear = np.where(meant / 255 <= 0.04045, meant / 255 / 12.92, ((meant / 255 + 0.055) / 1.055) ** 2.4)
    power = (linear @ to_bt2020.T * 203 / 10_000) ** 0.1593017578125
    red, green, blue = (((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375).T
    luma = 0.2627 * red + 0.6780 * green + 0.0593 * blue
    planes = [64 + 876 * luma, 512 + 896 * (blue - luma) / 1.8814, 512 + 896 * (red - luma) / 1.4746]
    y, u, v = (np.tile(np.repeat(plane.round().astype(np.uint16), 16), (64, 1)) for plane in planes)
    chroma = [plane[::2, ::2].reshape(-1, 96) for plane in (u, v)]
    frame = av.VideoFrame.from_ndarray(np.concatenate([y, *chroma]), format="yuv420p10le")
    path = tmp_path / "pq.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p10le"
        for coded in (stream.codec_context, frame):
            coded.color_trc, coded.color_primaries, coded.colorspace, coded.color_range = 16, 9, 9, 1
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    clip = open_video(path)
    assert facts_of(clip).is_hdr and facts_of(clip).bit_depth == 10
    assert np.abs(frames_at(clip, 0.0)[0, 32, 8::16].astype(int) - meant).max() <= 4


def test_a_picture_is_a_video_of_one_second_turned_as_its_camera_was_held(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side
    Image.fromarray(picture(0, 60, 40)).save(tmp_path / "a.png", exif=exif)
    clip = open_video(tmp_path / "a.png")
    assert (clip.width, clip.height, clip.num_frames, clip.duration_seconds) == (40, 60, 1, 1.0)
    assert np.array_equal(frames_at(clip, 0.5)[0], np.rot90(picture(0, 60, 40), -1))


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8, 4), np.uint8)).save(tmp_path / "clear.png")
    assert (frames_at(open_video(tmp_path / "clear.png"), 0.0) == 255).all()


def test_a_damaged_picture_leaves_the_one_before_it_on_the_screen(tmp_path: Path) -> None:
    for number in range(12):
        Image.fromarray(picture(number, 32, 24)).save(tmp_path / f"{number}.png")
    (tmp_path / "0.png").write_bytes(b"damaged")
    (tmp_path / "10.png").write_bytes((tmp_path / "10.png").read_bytes()[:60])
    (tmp_path / "notes.txt").write_text("not a picture")
    clip = open_video(tmp_path)
    shown = [picture(number, 32, 24) for number in (1, 9, 9, 11)]
    assert clip.num_frames == 12 and np.array_equal(frames_at(clip, 0.5, 9.5, 10.5, 11.5), shown)


def test_pictures_of_another_shape_get_borders(tmp_path: Path) -> None:
    Image.new("RGB", (40, 20), "white").save(tmp_path / "1.png")
    Image.new("RGB", (20, 20), "white").save(tmp_path / "2.png")
    second = frames_at(open_video(tmp_path), 1.5)[0]
    assert second.shape == (20, 40, 3) and (second[:, 12:28] == 255).all() and (second[:, :8] == 0).all()


def test_decord_is_chosen_by_name_and_gives_the_same_frames(video: Path) -> None:
    pytest.importorskip("decord")
    times = [0.0, 1.7, 1.9, 6.2, 7.99]
    ours = frames_at(open_video(video), *times)
    theirs = frames_at(open_video(video, decoder="decord"), *times)
    assert np.abs(ours.astype(int) - theirs).mean() < 3  # its FFmpeg rounds colours otherwise


def test_what_decord_cannot_read_it_refuses_and_names_the_other_reader(tmp_path: Path) -> None:
    pytest.importorskip("decord")
    path = tmp_path / "a.gif"
    pictures = [Image.fromarray(picture(number, 64, 48)) for number in range(5)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100)
    with pytest.raises(VideoError) as refusal:
        frames_at(open_video(path, decoder="decord"), 0.5)
    assert "decord" in refusal.value.message and "pyav" in refusal.value.hint


def test_a_raw_stream_without_times_is_counted(tmp_path: Path) -> None:
    path = draw_video(tmp_path / "a.h264", num_frames=60)
    clip = open_video(path)
    assert clock_of(clip).is_counted and clip.num_frames == 60 and clip.duration_seconds == pytest.approx(2.4)
    plain = decoded_plainly(path)
    got = frames_at(clip, *(np.array([7, 23, 59]) / 25))
    assert all(np.array_equal(a, plain[i]) for a, i in zip(got, (7, 23, 59), strict=True))
