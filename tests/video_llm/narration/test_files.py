"""Texts come in any format and encoding, and leave with other times and nothing else changed."""

import csv
import io
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvu.temporal.types import Span
from tvu.video_llm.errors import OutputExists, ScriptError, UnknownFormat
from tvu.video_llm.narration.files import WRITABLE, read_script, script_of_bytes, told_as, write_alignment
from tvu.video_llm.narration.types import AlignedLine, Alignment, Line, Script

SRT = """1
00:00:01,000 --> 00:00:02,500 X1:10 X2:20
<i>Hello</i>
{\\an8}<font color="red">world</font> <3

2
00:00:03,000 --> 00:00:04,000

After a blank line

7
00:00:04,000 --> 00:00:06,000
1984
"""
VTT = """WEBVTT - a film
Language: en

STYLE
::cue(.loud) { color: red }

NOTE
not a cue: 00:00:00.000 --> 00:00:09.000

intro
00:01.000 --> 00:00:03.000 line:0 align:start
<v Ann>One <00:00:02.000><c.loud>two</c> &amp; three

00:00:04.000 --> 00:00:05.000
four
"""
ASS = """[Script Info]
Title: a film

[V4+ Styles]
Format: Name, Fontname
Style: Sign,Arial

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Comment: 0,0:00:00.00,0:00:01.00,Sign,,0,0,0,,a note
Dialogue: 3,0:00:01.00,0:00:02.50,Sign,Ann,1,2,3,fx,{\\i1}Hello{\\i0},\\N{\\pos(1,2)}world
Dialogue: 0,0:00:03.00,0:00:04.00,Sign,,0,0,0,,{\\p1}m 0 0 l 1 1{\\p0}

[Fonts]
fontname: x.ttf
"""
FILES = {".srt": SRT, ".vtt": VTT, ".ass": ASS}


def of(text: str | bytes, suffix: str, video: Path | None = None) -> Script:
    return script_of_bytes(text if isinstance(text, bytes) else text.encode(), f"a{suffix}", suffix, video)


def aligned(script: Script, place: Callable[[Line], Span | None], kept: bool = False) -> Alignment:
    lines = tuple(AlignedLine(i, place(line), 0.9, ("speech",)) for i, line in enumerate(script.lines))
    return Alignment(script, lines, "film.mp4", 100.0, ("speech",), kept)


def later(line: Line) -> Span:
    start = max(line.start_seconds or 0.0, 0.0)
    return Span(start + 10, max(line.end_seconds or 0.0, start + 0.5) + 10)


# --- reading ---


def test_cues_are_read_as_spoken():
    assert [line.text for line in of(SRT, ".srt").lines] == ["Hello\nworld <3", "After a blank line", "1984"]
    assert [line.text for line in of(VTT, ".vtt").lines] == ["One two & three", "four"]
    assert [line.text for line in of(ASS, ".ass").lines] == ["Hello,\nworld", ""]  # drawings are no words
    assert [line.span for line in of(VTT, ".vtt").lines] == [Span(1, 3), Span(4, 5)]
    assert of(VTT, ".vtt").language == "en"


def test_a_text_is_a_line_for_each_line_and_lists_lose_their_numbers():
    assert [line.text for line in of("\nPour the milk.\n\n  Stir  it.\n", ".txt").lines] == [
        "Pour the milk.",
        "Stir it.",
    ]
    steps = of("1. Pour 2 cups\n2) Stir\n", ".txt")
    assert ([line.text for line in steps.lines], steps.header["list"]) == (["Pour 2 cups", "Stir"], "numbered")
    assert [line.text for line in of("- Pour\n- Stir\n", ".txt").lines] == ["Pour", "Stir"]
    assert [line.text for line in of("3. Pour\nStir\n", ".txt").lines] == ["3. Pour", "Stir"]  # no list


@pytest.mark.parametrize(
    ("document", "lines"),
    [
        (["one", "two"], [("one", None), ("two", None)]),
        ([{"text": "one", "start": 1, "end": 2.5}], [("one", Span(1, 2.5))]),
        (
            {"segments": [{"start": 1.0, "end": 2.0, "text": " one", "words": []}], "language": "en"},
            [("one", Span(1, 2))],
        ),
        ({"fragments": [{"begin": "1.00", "end": "2.00", "lines": ["one"]}]}, [("one", Span(1, 2))]),
        ({"vid": [[1, 1.0, 2.0, "one"], [0, 0, 0, "two"]]}, [("one", Span(1, 2)), ("two", None)]),
        ({"vid": {"step_headline": ["one", "two"]}}, [("one", None), ("two", None)]),
        ({"vid": {"text": ["one"], "start": [1], "end": [2]}}, [("one", Span(1, 2))]),
    ],
)
def test_every_dialect_of_json_is_read(document, lines):
    script = of(json.dumps(document), ".json")
    assert [(line.text, line.span) for line in script.lines] == lines


def test_of_a_file_about_many_videos_the_lines_of_one_are_read():
    many = json.dumps({name: [[1, 1.0, 2.0, f"of {name}"]] for name in ("a", "b")})
    assert of(many, ".json", Path("videos/b.mp4")).lines[0].text == "of b"
    with pytest.raises(ScriptError, match="about 2 videos"):
        of(many, ".json", Path("c.mp4"))


def test_the_content_tells_the_format_not_the_name():
    assert (of(VTT, ".srt").format, of(SRT, ".txt").format, of(ASS, ".srt").format) == ("vtt", "srt", "ass")
    assert "the name ends in .srt, and the text is .vtt" in of(VTT, ".srt").header["notes"]


ENCODED = {
    "utf-8-sig": "Ça va déjà",
    "utf-16": "Ça va 你好",
    "cp1252": "C'était déjà l'été, où les garçons rêvaient de la forêt",
    "cp1250": "Příliš žluťoučký kůň úpěl ďábelské ódy, děkuji",
    "cp1254": "Şu güzel çiçeği görüyor musun? Teşekkür ederim, ağaç",
    "cp1251": "Привет, как дела? Я думаю, что сегодня будет хорошая погода",
    "koi8-r": "Привет, как дела? Я думаю, что сегодня будет хорошая погода",
    "cp1253": "Καλημέρα σας, τι κάνετε σήμερα; Ο καιρός είναι ωραίος",
    "cp1255": "שלום לכם מה שלומכם היום אני חושב שיהיה טוב",
    "cp1256": "السلام عليكم كيف حالك اليوم أنا بخير والحمد لله",
    "cp874": "สวัสดีครับ วันนี้อากาศดีมาก เราไปเที่ยวกันเถอะ",
    "cp932": "こんにちは、今日はとても良い天気ですね。散歩に行きましょう。",
    "gb18030": "你好，今天天气很好，我们去散步吧。这是一个很好的主意。",
    "big5": "你好，今天天氣很好，我們去散步吧。這是一個很好的主意。",
    "cp949": "안녕하세요, 오늘은 날씨가 아주 좋네요. 산책하러 갑시다.",
}


@pytest.mark.parametrize("encoding", ENCODED)
def test_encodings_are_told_apart_and_kept(encoding):
    data = f"1\r\n00:00:01,000 --> 00:00:02,000\r\n{ENCODED[encoding]}\r\n\r\n".encode(encoding)
    script = of(data, ".srt")
    assert script.lines[0].text == ENCODED[encoding]
    assert told_as(aligned(script, lambda line: line.span), ".srt") == data
    assert bool(script.header["notes"]) == (not encoding.startswith("utf"))  # a guess is told


def test_a_few_bytes_that_are_no_utf_8_stay_as_they_are():
    data = SRT.encode().replace(b"Hello", "déjà là, ça où".encode() + b"\xff")
    script = of(data, ".srt")
    assert script.lines[0].text.startswith("déjà là, ça où\ufffd")
    assert told_as(aligned(script, later, kept=True), ".srt") == data
    json.loads(told_as(aligned(script, later), ".json"))


BAD = {
    "empty": b"",
    "blank": b"\xef\xbb\xbf \r\n\r\n",
    "zeros": bytes(1000),
    "binary": bytes(range(256)) * 40,
    "a video": b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(200) + b"\x01\x9b" * 400,
    "a picture": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\1\0" + bytes(range(32)) * 10,
    "utf-16 that is none": b"\xff\xfe" + b"\x00\xdc" * 400,
}


@pytest.mark.parametrize("suffix", [".srt", ".txt", ".json"])
@pytest.mark.parametrize("name", BAD)
def test_what_is_no_text_is_refused_in_a_sentence(name, suffix, tmp_path):
    (tmp_path / f"a{suffix}").write_bytes(BAD[name])
    with pytest.raises(ScriptError) as caught:
        read_script(tmp_path / f"a{suffix}")
    assert "a" + suffix in caught.value.message and caught.value.hint


@pytest.mark.parametrize(
    ("text", "suffix"),
    [
        ('{"segments": [{"text": "one", "sta', ".json"),
        ("[" * 100_000, ".json"),
        ('{"segments": [{"start": 1}]}', ".json"),
        ('{"a": 1}', ".json"),
        ("[]", ".json"),
        ('[{"text": ["no", "text"]}]', ".json"),
        ("no cues here", ".srt"),
        ("WEBVTT\n\n", ".vtt"),
        ("[Script Info]\nTitle: x\n", ".ass"),
    ],
)
def test_a_text_without_lines_is_refused_in_a_sentence(text, suffix):
    with pytest.raises(ScriptError) as caught:
        of(text, suffix)
    assert caught.value.hint


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path, tmp_path / "missing.srt", Path("\0.srt")):
        with pytest.raises(ScriptError):
            read_script(path)


def test_odd_times_are_kept_and_told():
    odd = "1\n00:00:05,000 --> 00:00:04,000\nback\n\n2\n-00:00:01,500 --> 00:00:01,000\nearly\n\n"
    odd += "3\n0:0:7.5 -> 0:00:9\nloose\n"
    script = of(odd, ".srt")
    assert [(line.start_seconds, line.end_seconds) for line in script.lines] == [(5, 4), (-1.5, 1), (7.5, 9)]
    assert [line.span for line in script.lines] == [None, Span(-1.5, 1), Span(7.5, 9)]
    assert script.header["notes"][:2] == ["1 of 3 cues end before they begin", "1 of 3 cues have a time below zero"]
    assert told_as(aligned(script, later, kept=True), ".srt") == odd.encode()


def test_numbers_that_json_takes_for_times_are_finite():
    script = of('[{"text": "one", "start": NaN, "end": 1e999}, {"text": "two", "start": "0:01", "end": true}]', ".json")
    assert [line.span for line in script.lines] == [None, None]
    assert script.header["notes"] == ["2 times are no numbers, and were taken for none"]


def test_a_file_that_is_cut_off_loses_nothing():
    for end in range(20, len(SRT)):
        data = SRT[:end].encode()
        try:
            script = of(data, ".srt")
        except ScriptError:  # the first cue has no times yet
            assert end < 40
            continue
        assert told_as(aligned(script, later, kept=True), ".srt") == data
    assert "is it cut off" in of(SRT[:-18], ".srt").header["notes"][-1]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.data())
def test_whatever_is_written_over_a_file_it_is_read_or_refused_and_kept(suffix, draw):
    data = bytearray(FILES[suffix].encode())
    for _ in range(draw.draw(st.integers(1, 6))):
        at = draw.draw(st.integers(0, len(data)))
        data[at : at + draw.draw(st.integers(0, 30))] = draw.draw(
            st.binary(max_size=8) | st.sampled_from([b"\r", b"\n\n", b"-->"])
        )
    try:
        script = of(bytes(data), suffix)
    except ScriptError:
        return
    if script.header["encoding"] == "utf-8" and script.format in ("srt", "vtt", "ass"):
        assert told_as(aligned(script, later, kept=True), f".{script.format}") == bytes(data)
    for each in WRITABLE:
        told_as(aligned(script, later), each).decode(
            "utf-8" if each != suffix else script.header["encoding"], "replace"
        )


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([".srt", ".vtt", ".ass", ".txt", ".json"]))
def test_any_bytes_are_read_or_refused(data, suffix):
    try:
        assert of(data, suffix).lines
    except ScriptError as error:
        assert error.message.startswith(f"a{suffix}")


@pytest.mark.alone
def test_ten_thousand_cues_are_read_and_written_in_no_time():
    cues = [
        f"{n}\n{n // 3600:02}:{n // 60 % 60:02}:{n % 60:02},000 --> 03:00:00,000\nline {n}\n\n" for n in range(10_000)
    ]
    began = time.process_time()
    script = of("".join(cues), ".srt")
    told_as(aligned(script, later), ".srt")
    assert len(script.lines) == 10_000
    assert time.process_time() - began < 3  # 0.7 s on a quiet core


# --- writing ---


@pytest.mark.parametrize("suffix", FILES)
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_a_file_with_the_same_times_is_the_same_file(suffix, line_end):
    data = FILES[suffix].replace("\n", line_end).encode()
    script = of(data, suffix)
    assert told_as(aligned(script, lambda line: line.span), suffix) == data


def test_only_times_change_in_subtitles():
    told = told_as(aligned(of(SRT, ".srt"), later), ".srt").decode()
    expected = SRT
    for old, new in (("04,000 -->", "14,000 -->"), ("03,000", "13,000"), ("02,500", "12,500"), ("01,000", "11,000")):
        expected = expected.replace(f"00:00:{old}", f"00:00:{new}")
    assert told == expected.replace("--> 00:00:04,000", "--> 00:00:14,000").replace("06,000", "16,000")


def test_the_times_of_words_move_with_their_cue():
    told = told_as(
        aligned(of(VTT, ".vtt"), lambda line: Span(10, 14) if line.text != "four" else None), ".vtt"
    ).decode()
    assert "intro\n00:00:10.000 --> 00:00:14.000 line:0 align:start\n<v Ann>One <00:00:12.000><c.loud>two</c>" in told
    assert told.endswith("\n\nNOTE not in the video: four\n")  # a cue that is not shown stays as a comment
    assert told.startswith(VTT[: VTT.index("intro")])


def test_dialogue_that_is_not_in_the_video_becomes_a_comment():
    told = told_as(aligned(of(ASS, ".ass"), lambda line: Span(10, 11.5) if line.text else None), ".ass").decode()
    assert "Dialogue: 3,0:00:10.00,0:00:11.50,Sign,Ann,1,2,3,fx,{\\i1}Hello{\\i0},\\N{\\pos(1,2)}world\n" in told
    assert "Comment: 0,0:00:03.00,0:00:04.00,Sign,,0,0,0,,{\\p1}m 0 0" in told
    assert told.endswith("[Fonts]\nfontname: x.ttf\n")


def test_styles_that_every_format_has_survive_a_change_of_format():
    ass = told_as(aligned(of(SRT, ".srt"), later), ".ass").decode()
    assert r"{\i1}Hello{\i0}\Nworld <3" in ass
    assert b"<i>Hello</i>\nworld &lt;3" in told_as(aligned(of(SRT, ".srt"), later), ".vtt")
    assert b"<i>Hello</i>,\nworld" in told_as(aligned(of(ASS, ".ass"), later), ".srt")
    assert b"One two & three" in told_as(aligned(of(VTT, ".vtt"), later), ".srt")


@pytest.mark.parametrize(
    ("told", "markup"),
    [
        (r"{\i1}all of it", "<i>all of it</i>"),
        (r"{\i1}a {\b1}b{\i0} c{\b0} d", "<i>a <b>b</b></i><b> c</b> d"),
        (r"{\i1\i1}a{\i0} b{\i0}", "<i>a</i> b"),
        (r"{\b700\u1}a{\u0} {\iclip(1,2)}b", "<u>a</u> b"),
    ],
)
def test_overrides_of_ass_become_tags_that_are_closed(told, markup):
    script = of(ASS.replace(r"{\i1}Hello{\i0},\N{\pos(1,2)}world", told), ".ass")
    assert f"\n{markup}\n" in told_as(aligned(script, later), ".srt").decode()


def test_a_new_file_of_subtitles_is_in_order_of_time():
    script = of("last\nfirst\nnowhere\n", ".txt")
    places = {"last": Span(50, 52), "first": Span(1.25, 3), "nowhere": None}
    told = told_as(aligned(script, lambda line: places[line.text]), ".srt").decode()
    assert told == "1\n00:00:01,250 --> 00:00:03,000\nfirst\n\n2\n00:00:50,000 --> 00:00:52,000\nlast\n\n"


def test_our_json_brings_back_the_file_that_it_was_made_from():
    moved = aligned(of(SRT, ".srt"), later)
    again = of(told_as(moved, ".json"), ".json")
    assert again.format == "srt" and [line.span for line in again.lines] == [each.span for each in moved.lines]
    assert told_as(aligned(again, lambda line: line.span), ".srt") == told_as(moved, ".srt")


def test_json_of_others_keeps_its_fields_and_moves_its_words():
    word = {"word": "one", "start": 1.5, "end": 2.0, "score": 0.7}
    document = {
        "segments": [{"start": 1.0, "end": 2.0, "text": " one", "speaker": "A", "words": [word, {"word": "4"}]}],
        "word_segments": [word, {"word": "4"}],
        "language": "en",
    }
    told = json.loads(told_as(aligned(of(json.dumps(document), ".json"), lambda _: Span(11, 13)), ".json"))
    (segment,) = told["segments"]
    assert (segment["start"], segment["end"], segment["text"], segment["speaker"]) == (11, 13, " one", "A")
    assert segment["words"] == [{**word, "start": 12.0, "end": 13.0}, {"word": "4"}] == told["word_segments"]
    entries = json.dumps({"vid": [[1, 1.0, 2.0, "one"], [1, 4.0, 5.0, "two"]], "other": [[1, 0, 1, "x"]]})
    script = of(entries, ".json", Path("vid.mp4"))
    told = json.loads(told_as(aligned(script, lambda line: Span(11, 12) if line.text == "one" else None), ".json"))
    assert told == {"vid": [[1, 11, 12, "one"], [0, 0, 0, "two"]], "other": [[1, 0, 1, "x"]]}


def test_tables_tell_every_line():
    script = of('say "hi",\nnowhere\n', ".txt")
    moved = aligned(script, lambda line: Span(1, 2) if "hi" in line.text else None)
    rows = list(csv.DictReader(io.StringIO(told_as(moved, ".csv").decode(), newline="")))
    assert [(row["start_seconds"], row["end_seconds"], row["text"]) for row in rows] == [
        ("1.000", "2.000", 'say "hi",'),
        ("", "", "nowhere"),
    ]
    assert told_as(moved, ".tsv").decode() == '1.000000\t2.000000\tsay "hi",\n'
    grid = told_as(moved, ".TextGrid").decode()
    assert 'text = "say ""hi"","' in grid and "xmax = 100.000000" in grid and "intervals: size = 3" in grid


def test_lines_that_overlap_lie_on_tiers_of_their_own():
    script = of("a\nb\nc\n", ".txt")
    places = {"a": Span(0, 3), "b": Span(2, 4), "c": Span(3, 5)}
    grid = told_as(aligned(script, lambda line: places[line.text]), ".TextGrid").decode()
    assert "size = 2\nitem" in grid and 'name = "lines 2"' in grid


def test_nothing_is_overwritten_unless_told(tmp_path):
    out = tmp_path / "out.srt"
    moved = aligned(of("a\nb\n", ".txt"), lambda line: Span(1, 2) if line.text == "a" else None)
    assert write_alignment(moved, out, force=False) == ("1 line is not in the video and not in out.srt: 2",)
    with pytest.raises(OutputExists):
        write_alignment(moved, out, force=False)
    write_alignment(moved, out, force=True)
    with pytest.raises(UnknownFormat):
        write_alignment(moved, tmp_path / "out.docx", force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out.srt"]
