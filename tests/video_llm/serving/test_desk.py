"""The line before a model, without a network."""

import threading
from concurrent.futures import wait

import pytest

from tvu.video_llm.load import load_model
from tvu.video_llm.serving.desk import Desk
from tvu.video_llm.serving.refusal import Refusal


class Brake:
    """Work that goes on until it is let go."""

    def __init__(self) -> None:
        self.begun, self.released = threading.Event(), threading.Event()

    def __call__(self, model: object) -> str:
        self.begun.set()
        assert self.released.wait(10)
        return "done"


def desk(max_queue: int) -> tuple[Desk, Brake]:
    """A desk whose model is busy until the brake is released."""
    desk, brake = Desk(load_model("baseline:whole"), max_queue), Brake()
    desk.submit(brake)
    assert brake.begun.wait(10)
    return desk, brake


def test_work_is_done_in_order_by_one_thread():
    line, brake = desk(10)
    done: list[int] = []
    jobs = [line.submit(lambda _, number=number: done.append(number)) for number in range(5)]
    assert line.length == 6 and done == []
    brake.released.set()
    wait(jobs)
    assert done == [0, 1, 2, 3, 4]


def test_one_more_than_may_wait_is_refused_and_told_when_to_come_back():
    line, brake = desk(2)
    waiting = [line.submit(lambda model: model.name) for _ in range(2)]
    for ask in (line.check_room, lambda: line.submit(lambda model: model.name)):
        with pytest.raises(Refusal) as told:
            ask()
        assert told.value.status == 429 and told.value.headers["Retry-After"]
    brake.released.set()
    assert [job.result(10) for job in waiting] == ["baseline:whole"] * 2


def test_who_goes_away_gives_up_the_place():
    line, brake = desk(1)
    gone = line.submit(lambda model: pytest.fail("nobody waits for this"))
    assert gone.cancel()
    stays = line.submit(lambda model: 1)
    brake.released.set()
    assert stays.result(10) == 1


def test_work_that_fails_fails_for_who_asked_and_for_nobody_else():
    line, brake = desk(3)
    fails, works = line.submit(lambda model: 1 / 0), line.submit(lambda model: 2)
    brake.released.set()
    assert isinstance(fails.exception(10), ZeroDivisionError) and works.result(10) == 2


def test_all_are_told_when_the_line_is_abandoned():
    line, brake = desk(3)
    waiting = line.submit(lambda model: 1)
    line.abandon(Refusal(503, "shutting_down", "the end"))
    assert isinstance(waiting.exception(10), Refusal)
    brake.released.set()
    assert line.submit(lambda model: 3).result(10) == 3
