"""The drawn set of subtitles out of step, and the peers it is given to."""

from pathlib import Path

import pytest

from tvu.video_llm.narration import resync_set, resync_speed
from tvu.video_llm.narration.resync_set import Cue, Recording
from tvu.video_llm.narration.resync_speed import Attempt, from_srt, rows, to_srt
from tvu.video_llm.narration.types import Line, Script


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[resync_set.Case]:
    """The cases of four films of a line every five seconds, without drawing their sound."""

    def recording(name: str, seed: int, num_ads: int, folder: Path) -> Recording:
        cues = tuple(Cue(f"Line {n}", 15.0 + 5 * n, 18.0 + 5 * n) for n in range(50))
        breaks = tuple((100.0 + 60 * n, 20.0) for n in range(num_ads))
        clear = tuple(c for c in cues if not any(at <= c.start_seconds < at + long for at, long in breaks))
        return Recording(name, folder / name, 280.0, clear, breaks)

    monkeypatch.setattr(resync_set, "draw_recording", recording)
    return resync_set.draw_cases("development", Path("nowhere"), 4)


def test_there_is_a_case_of_every_kind(drawn: list[resync_set.Case]) -> None:
    assert {case.kind for case in drawn} == {*resync_set.KINDS, resync_set.WRONG_FILM}


def test_an_offset_and_a_rate_lead_from_the_subtitles_back_to_the_truth(drawn: list[resync_set.Case]) -> None:
    for case in drawn:
        if case.kind not in ("identity", "offset", "rate", "rate and offset", "free rate"):
            continue
        first, last = case.script.lines[0].start_seconds or 0.0, case.script.lines[-1].start_seconds or 0.0
        due = [t for t in case.truth if t is not None]
        rate = (due[-1] - due[0]) / (last - first)
        offset = due[0] - rate * first
        for line, truth in zip(case.script.lines, due, strict=True):
            assert rate * (line.start_seconds or 0.0) + offset == pytest.approx(truth, abs=0.003)
        assert case.kind != "identity" or (rate, offset) == (pytest.approx(1), pytest.approx(0, abs=0.01))


def test_cut_scenes_have_lines_without_a_truth_and_advertisements_have_no_lines(drawn: list[resync_set.Case]) -> None:
    assert all(None in case.truth for case in drawn if case.kind == "cut scene")
    assert all(None not in case.truth for case in drawn if case.kind == "advertisement")


def test_no_time_lies_before_the_file(drawn: list[resync_set.Case]) -> None:
    assert all((line.start_seconds or 0.0) >= 0 for case in drawn for line in case.script.lines)


def test_subrip_is_read_as_it_was_written() -> None:
    script = Script((Line("one\ntwo", 1.25, 3.0), Line("three", 3725.001, 3727.5)), "srt")
    assert from_srt(to_srt(script)) == [(1.25, "one two"), (3725.001, "three")]


def test_lines_that_a_peer_drops_are_right_nowhere() -> None:
    script = Script(tuple(Line(text, 1.0 * n, 1.0 * n + 0.5) for n, text in enumerate("abca")), "srt")
    assert resync_speed._matched(script, [(7.0, "a"), (9.0, "c"), (11.0, "a")]) == [7.0, None, 9.0, 11.0]
    attempt = Attempt("peer", "offset", "film", (0.04, 0.3, float("inf")), 1.0, True)
    assert [attempt.share_within(s) for s in (0.05, 0.4, 60.0)] == [pytest.approx(1 / 3), pytest.approx(2 / 3), 2 / 3]


def test_a_row_is_the_mean_over_files_and_wrong_films_are_apart() -> None:
    attempts = [
        Attempt("tvu", "offset", "a", (0.01, 0.01), 1.0, True),
        Attempt("tvu", "offset", "b", (0.01, 9.0), 3.0, True),
        Attempt("tvu", "wrong film", "a", (), 1.0, False),
    ]
    table = {row.kind: row for row in rows(attempts)}
    assert table["offset"].within[0] == 0.75 and table["offset"].seconds == 2.0
    assert table["all"].files == 2 and table["wrong film"].moved == 0.0


def test_a_peer_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert resync_speed.missing_peers()["alass"] == "there is no `alass` on PATH"
