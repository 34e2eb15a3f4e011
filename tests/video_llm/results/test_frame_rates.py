from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvu.temporal.types import Span
from tvu.video_llm.results.frame_rates import STANDARD_RATES, frame_of_timecode, rate_for, timecode

F23, F24, F25, F29, F30, F50, F59, F60 = STANDARD_RATES


@pytest.mark.parametrize(
    ("frame", "rate", "drop", "told"),
    [
        (0, F29, True, "00:00:00;00"),
        (1799, F29, True, "00:00:59;29"),
        (1800, F29, True, "00:01:00;02"),  # labels ;00 and ;01 do not exist
        (3597, F29, True, "00:01:59;29"),
        (3598, F29, True, "00:02:00;02"),
        (17981, F29, True, "00:09:59;29"),
        (17982, F29, True, "00:10:00;00"),  # the tenth minute keeps them
        (19781, F29, True, "00:10:59;29"),
        (19782, F29, True, "00:11:00;02"),
        (107892, F29, True, "01:00:00;00"),
        (2589407, F29, True, "23:59:59;29"),
        (2589408, F29, True, "00:00:00;00"),  # the day begins anew
        (3599, F59, True, "00:00:59;59"),
        (3600, F59, True, "00:01:00;04"),
        (35964, F59, True, "00:10:00;00"),
        (215784, F59, True, "01:00:00;00"),
        (1800, F29, False, "00:01:00:00"),
        (17982, F29, False, "00:09:59:12"),
        (107892, F29, False, "00:59:56:12"),
        (86400, F23, False, "01:00:00:00"),  # an hour of the code is 3603.6 s
        (86399, F24, False, "00:59:59:23"),
        (90000, F25, False, "01:00:00:00"),
        (107999, F30, False, "00:59:59:29"),
        (179999, F50, False, "00:59:59:49"),
        (216000, F59, False, "01:00:00:00"),
        (3725 * 60 + 7, F60, False, "01:02:05:07"),
    ],
)
def test_a_frame_has_the_time_code_of_smpte_and_back(frame, rate, drop, told):
    assert timecode(frame, rate, drop=drop) == told
    day = 2589408 if rate is F29 and drop else 24 * 3600 * rate.timebase
    assert frame_of_timecode(told, rate) == frame % day


@given(st.integers(0, 2589407), st.sampled_from([F29, F59]))
def test_drop_frame_code_stays_with_the_clock(frame, rate):
    told = timecode(frame, rate, drop=True)
    hours, minutes, seconds, frames = (int(part) for part in told.replace(";", ":").split(":"))
    shown = hours * 3600 + minutes * 60 + seconds + frames / rate.timebase
    assert abs(shown - rate.seconds_of(frame)) < 0.14  # SMPTE 12M: a few frames within ten minutes, 75 ms a day
    assert frame_of_timecode(told, rate) == frame


@given(st.integers(0, 24 * 3600 * 60 - 1), st.sampled_from(STANDARD_RATES))
def test_every_frame_of_a_day_has_a_code_of_its_own(frame, rate):
    frame %= 24 * 3600 * rate.timebase
    assert frame_of_timecode(timecode(frame, rate, drop=False), rate) == frame


@pytest.mark.parametrize(
    "told", ["00:01:00;00", "00:01:00;01", "00:00:00:30", "00:60:00:00", "0:00:00:00", "24:00:00:00"]
)
def test_what_is_no_time_code_is_refused(told):
    with pytest.raises(ValueError):
        frame_of_timecode(told, F29)


@pytest.mark.parametrize("rate", [F23, F24, F25, F30, F50, F60])
def test_only_29_97_and_59_94_have_drop_frame_code(rate):
    with pytest.raises(ValueError):
        timecode(0, rate, drop=True)


def test_seconds_go_to_the_nearest_frame():
    assert [F25.frame_at(s) for s in (0, 0.019, 0.02, 0.021, 0.04)] == [0, 0, 1, 1, 1]  # halves upwards
    assert [F50.frame_at(s) for s in (0.01, 0.03, 10.01, 12.01)] == [1, 2, 501, 601]  # whatever their floats are
    assert F29.frame_at(600) == 17982  # 600 s are 17982.02 frames
    assert F29.frame_at(0.033) == 1  # times are kept to the millisecond
    assert F23.frame_at(3603.6) == 86400


@given(st.floats(0, 1e5), st.sampled_from(STANDARD_RATES))
def test_no_time_is_further_than_half_a_frame_from_its_frame(seconds, rate):
    assert abs(Fraction(rate.frame_at(seconds)) / rate.exact - Fraction(seconds)) <= 1 / (2 * rate.exact) + Fraction(
        1, 10**6
    )


@given(st.floats(0, 1e4), st.floats(1e-6, 1e3), st.sampled_from(STANDARD_RATES), st.integers(1, 10**5))
def test_a_span_has_a_frame_and_stays_in_its_file(start, length, rate, num_frames):
    first, end = rate.frames_of(Span(start, start + max(length, 1e-6)), num_frames)
    assert 0 <= first < end <= num_frames


@pytest.mark.parametrize(
    ("fps", "rate"),
    [
        *((float(rate.exact), rate) for rate in STANDARD_RATES),
        (23.98, F23),
        (29.97003, F29),
        (29.9972, F30),  # a mean of the few frames of a short file
        (59.94, F59),
        (15.0, F30),
        (12.5, F25),
        (14.985, F29),
        (10.0, F30),
        (48.0, F24),
        (240.0, F60),
        (1.0, F24),
        (100.0, F50),
        (120.0, F60),
        (119.88, F59),
        (29.83, F29),  # the mean of a variable rate
        (17.3, F23),
    ],
)
def test_a_file_is_counted_in_a_rate_that_programs_know(fps, rate):
    assert rate_for(fps) is rate


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), float("inf")])
def test_what_is_no_rate_is_refused(fps):
    with pytest.raises(ValueError):
        rate_for(fps)
