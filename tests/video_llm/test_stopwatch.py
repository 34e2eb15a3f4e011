import time

import pytest

from tvu.video_llm.stopwatch import Stopwatch


@pytest.mark.alone
def test_every_moment_counts_for_the_innermost_stage() -> None:
    watch = Stopwatch()

    def slowly():
        for number in range(2):
            time.sleep(0.02)
            yield number

    with watch.at("encode_s"):
        assert list(watch.over("decode_s", slowly())) == [0, 1]
        time.sleep(0.03)
    time.sleep(0.05)  # between stages: nobody's
    timing = watch.read()
    assert 0.04 <= timing.decode_s < 0.09 and 0.03 <= timing.encode_s < 0.08
    assert timing.total_s == pytest.approx(timing.decode_s + timing.encode_s)


def test_reading_starts_anew() -> None:
    watch = Stopwatch()
    with watch.at("generate_s"):
        pass
    assert watch.read().generate_s > 0 and watch.read().generate_s == 0
