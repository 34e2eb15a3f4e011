from dataclasses import replace
from pathlib import Path

import pytest

from tests.video_llm.results.some_rows import awkward, failed, row
from tvu.video_llm.errors import OutputError, OutputExists, UnknownFormat
from tvu.video_llm.results.formats import FORMATS, files_for, format_of, numbered_names, write_results

SAMPLE = Path(__file__).parents[3] / "samples" / "postcard.mp4"
ONE_VIDEO = [name for name, each in FORMATS.items() if each.video_writer]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("a.jsonl", "jsonl"),
        ("a.CSV", "csv"),
        ("a.parquet", "parquet"),
        ("a.srt", "srt"),
        ("a.vtt", "vtt"),
        ("a.edl", "edl"),
        ("a.xml", "fcp7"),
        ("a.fcpxml", "fcpxml"),
        ("a.otio", "otio"),
        ("a.chapters.txt", "chapters"),
    ],
)
def test_a_suffix_names_a_format(name, told):
    assert format_of(Path(name)) == told


def test_a_format_that_is_not_there_is_told_with_those_that_are():
    for out, name in ((Path("a.json"), None), (Path("folder"), None), (Path("a.srt"), "SRT")):
        with pytest.raises(UnknownFormat) as raised:
            format_of(out, name)
        assert "fcpxml" in raised.value.hint


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_writes_any_text_of_one_video(tmp_path, name):
    if name == "parquet":
        pytest.importorskip("pyarrow")
    out = tmp_path / "out"
    rows = [awkward(), failed(awkward().video)]
    written = write_results(rows, out, name)
    assert (written.files, written.num_moments, written.num_errors) == ((out,), 1, 1)
    assert list(tmp_path.iterdir()) == [out]
    with pytest.raises(OutputExists):
        write_results(rows, out, name)
    assert write_results(rows, out, name, force=True) == written


@pytest.mark.parametrize("name", FORMATS)
def test_no_rows_are_a_file_of_every_format(tmp_path, name):
    if name == "parquet":
        pytest.importorskip("pyarrow")
    assert write_results([], tmp_path / "out", name).files == (tmp_path / "out",)


@pytest.mark.parametrize("name", ONE_VIDEO)
def test_formats_about_one_video_become_a_folder_of_several(tmp_path, name):
    suffix = FORMATS[name].suffixes[0]
    rows = [row("x/a.mp4", "1", (1, 2)), row("b.mp4", "1"), row("y/A.mkv", "1", (3, 4)), row("x/a.mp4", "2", (5, 6))]
    written = write_results(rows, tmp_path / f"moments{suffix}", name)
    names = [f"a{suffix}", f"b{suffix}", f"A-2{suffix}"]
    assert written.files == tuple(tmp_path / "moments" / each for each in names)
    assert sorted(each.name for each in (tmp_path / "moments").iterdir()) == sorted(names)
    assert f"A-2{suffix}: y/A.mkv" in written.notes


def test_a_folder_that_is_there_is_written_into_and_nothing_in_it_replaced(tmp_path):
    (tmp_path / "b.srt").write_text("mine")
    rows = [row("a.mp4", "1", (1, 2)), row("b.mp4", "1", (1, 2))]
    with pytest.raises(OutputExists, match=r"b\.srt"):
        write_results(rows, tmp_path, "srt")
    assert [each.name for each in tmp_path.iterdir()] == ["b.srt"]  # not even the first
    assert write_results(rows[:1], tmp_path, "srt").files == (tmp_path / "a.srt",)


def test_files_are_known_before_the_work():
    assert files_for(["a.mp4#t=1,2", "a.mp4"], Path("o.srt")) == {Path("a.mp4"): Path("o.srt")}
    assert files_for(["a.mp4", "b.mp4"], Path("o.csv")) == dict.fromkeys([Path("a.mp4"), Path("b.mp4")], Path("o.csv"))
    assert files_for(["a.mp4", "b.mp4"], Path("o.srt"))[Path("b.mp4")] == Path("o/b.srt")
    assert files_for(["a.mp4", "b.mp4"], Path("o.d"), "srt")[Path("b.mp4")] == Path("o.d/b.srt")


def test_numbers_never_take_a_name_that_is_there():
    assert numbered_names(["a", "a", "a-2", "A", "a"]) == ["a", "a-3", "a-2", "A-4", "a-5"]


def test_what_failed_is_told_by_file(tmp_path):
    rows = [row("a.mp4", "when?", (1, 2)), failed("b.mp4", error="it is broken")]
    written = write_results(rows, tmp_path / "o.srt")
    assert "b.srt: when?: it is broken" in written.notes and written.num_errors == 1


def test_a_rate_that_no_row_knows_is_asked_of_the_file_or_assumed_aloud(tmp_path):
    known = replace(row(str(SAMPLE), "when?", (1, 2)), fps=None)
    assert write_results([known], tmp_path / "a.edl").notes == ()
    assert "01:00:01:00 01:00:02:00" in (tmp_path / "a.edl").read_text()
    gone = replace(known, video="gone.mp4")
    assert write_results([gone], tmp_path / "b.edl").notes == ("the frame rate of gone.mp4 is not known: 25 is taken",)
    assert write_results([gone], tmp_path / "b.srt").notes == ()  # subtitles count no frames


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    with pytest.raises(OutputError):
        write_results([row("a.mp4"), row("b.mp4")], tmp_path / "missing" / "o.srt")
