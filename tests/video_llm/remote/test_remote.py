"""The client of servers in OpenAI's form, against a stub that behaves as such servers do."""

import base64
import io
import json
import math
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.video_llm.media.drawing import draw_video
from tests.video_llm.remote.stub import Stub, completion, error, serving
from tvu.temporal.errors import TvuError
from tvu.temporal.types import Span
from tvu.video_llm.benchmarks.examinee import Writer
from tvu.video_llm.decode import clock_of, open_video
from tvu.video_llm.errors import BackendError, UnknownModel
from tvu.video_llm.load import load_model, weights_needed, weights_of
from tvu.video_llm.remote.address import KEY, RemoteConfig, parse_remote
from tvu.video_llm.remote.model import Remote
from tvu.video_llm.remote.transport import Transport
from tvu.video_llm.types import Request

MOMENT = '{"moments": [{"start_seconds": 0.5, "end_seconds": 1.5}]}'


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return open_video(draw_video(tmp_path_factory.mktemp("clip") / "a.mp4", num_frames=100, size=(64, 36)))


def asked(stub: Stub, options: str = "", pauses: "list[float] | None" = None) -> Remote:
    """The model of a stub, which waits for nothing between tries."""
    name = f"{stub.url}?{options}#qwen"
    config = parse_remote(name)
    return Remote(name, config, transport=Transport(config, pause=(pauses if pauses is not None else []).append))


def test_a_name_tells_server_model_and_options():
    config = parse_remote("https://host:8000/v1?frames=8&fps=0.5&send=video&price=0.1,0.4#org/model:tag")
    expected = RemoteConfig("https://host:8000/v1", "org/model:tag", "video", 0.5, 8, price=(0.1, 0.4))
    assert config == expected and config.host == "host:8000"


@pytest.mark.parametrize(
    "name",
    ["http://", "http://host:x/v1#m", "http://me:key@host/v1#m", "http://host/v1?fps=0#m", "http://h/v1?price=1#m"],
)
def test_a_name_that_makes_no_sense_is_told(name):
    with pytest.raises(UnknownModel) as told:
        parse_remote(name)
    assert "key@" not in told.value.message and told.value.hint


def test_models_elsewhere_are_loaded_by_name_and_need_no_weights():
    model = load_model("http://127.0.0.1:9/v1#m")
    assert isinstance(model, Remote) and isinstance(model, Writer)
    assert weights_needed(model.name) == () and weights_of(model.name) == {}


def test_frames_are_sent_with_their_true_times(clip):
    with serving(Stub([completion(MOMENT)])) as stub:
        (answer,) = asked(stub, "fps=1&side=32").find(clip, ["a dog"])
    parts = stub.bodies[0]["messages"][0]["content"]
    shown = clock_of(clip).shown_at(np.array([0.5, 1.5, 2.5, 3.5]))
    assert answer.frame_seconds == tuple(shown)
    pictures = [number for number, part in enumerate(parts) if part["type"] == "image_url"]
    assert len(pictures) == 4
    for number, seconds in zip(pictures, shown, strict=True):
        assert parts[number - 1]["text"] == f"{seconds:.2f} s:"
        jpeg = base64.b64decode(parts[number]["image_url"]["url"].removeprefix("data:image/jpeg;base64,"))
        assert Image.open(io.BytesIO(jpeg)).size == (32, 18)
    assert "4 frames from the part from 0.00 s to 4.00 s" in parts[0]["text"]
    assert stub.bodies[0]["response_format"]["type"] == "json_schema" and stub.bodies[0]["model"] == "qwen"
    assert [each.span for each in answer.groundings] == [Span(0.5, 1.5)]


def test_times_outside_the_part_are_cut_to_it(clip):
    part = replace(clip, span=Span(1.0, 3.0))
    told = {"moments": [{"start_seconds": 0, "end_seconds": 2}, {"start_seconds": 3.5, "end_seconds": 9}]}
    with serving(Stub([completion(json.dumps(told))])) as stub:
        assert [each.span for each in asked(stub).ground(part, ["x"])[0]] == [Span(1.0, 2.0)]


def test_scores_are_probabilities_of_the_times_where_the_server_tells_them(clip):
    pieces = ['{"moments": [{"start_seconds": ', "0", ".5", ', "end_seconds": ', "1.5", "}]}"]
    log_probs = [-9.0, math.log(0.9), math.log(0.8), -9.0, math.log(0.5), -9.0]
    with serving(Stub([completion(MOMENT, list(zip(pieces, log_probs, strict=True)))])) as stub:
        (answer,) = asked(stub).find(clip, ["x"])
    assert answer.groundings[0].score == pytest.approx(0.36)
    assert any("not calibrated" in note for note in answer.notes)


def test_scores_without_probabilities_are_told_to_say_nothing(clip):
    with serving(Stub([completion("It happens from 0.5 s to 1.5 s.")])) as stub:
        answer = asked(stub, "price=2,10").answer(clip, "When?")
    assert answer.text == "It happens from 0.5 s to 1.5 s." and answer.groundings[0].score == 0.5
    assert any("says nothing" in note for note in answer.notes)
    assert "tokens: 1000 read, 20 written, cost 0.002200" in answer.notes


def test_a_server_without_structured_output_is_asked_without_from_then_on(clip):
    def reply(body):
        if "response_format" in body:
            return error(400, "response_format is not supported")
        if "logprobs" in body:
            return error(422, "unknown parameter: logprobs")
        return completion("From 0:00.5 to 0:01.5.")

    with serving(Stub(reply)) as stub:
        model = asked(stub)
        assert [each.span for each in model.ground(clip, ["x"])[0]] == [Span(0.5, 1.5)]
        assert len(stub.bodies) == 3
        model.find(clip, ["y"])
        assert len(stub.bodies) == 4 and model.spent.read == 2000


def test_what_may_pass_is_tried_again_and_a_server_may_say_when(clip):
    pauses: list[float] = []
    replies = [error(503, "loading"), error(429, "busy", Retry_After="7"), (502, b"<html>", {}), completion(MOMENT)]
    with serving(Stub(replies)) as stub:
        (answer,) = asked(stub, pauses=pauses).find(clip, ["x"])
    assert answer.groundings and len(pauses) == 3 and pauses[1] == 7.0 and 0.25 <= pauses[0] <= 0.5
    with serving(Stub([error(429, "busy")])) as stub, pytest.raises(BackendError, match="answers 429: busy"):
        asked(stub, "retries=1").find(clip, ["x"])
    assert len(stub.bodies) == 2


def test_errors_are_one_sentence_without_the_key(clip, monkeypatch):
    monkeypatch.setenv(KEY, "sk-secret")
    cases: list[tuple[tuple[int, dict | bytes, dict], type[TvuError], str]] = [
        (error(401, "Incorrect key sk-secret provided"), BackendError, "answers 401"),
        (error(404, "The model `qwen` does not exist."), UnknownModel, "has that name"),
        ((200, b"<html>hello</html>", {}), BackendError, "does not answer in JSON"),
        ((200, {"choices": []}, {}), BackendError, "gives no answer"),
        (error(400, "line\none\x1b[31m " + "x" * 1000), BackendError, "answers 400"),
    ]
    for reply, kind, says in cases:
        with serving(Stub([reply])) as stub, pytest.raises(kind, match=says) as told:
            asked(stub).answer(clip, "When?")
        text = told.value.message + told.value.hint
        assert "sk-secret" not in text and text.isprintable() and len(text) < 500
        assert stub.headers[0]["Authorization"] == "Bearer sk-secret"


def test_a_server_that_is_not_there_or_says_nothing_is_told(clip):
    with pytest.raises(BackendError, match="cannot be reached") as told:
        Remote("x", parse_remote("http://127.0.0.1:9/v1?retries=0#m")).answer(clip, "When?")
    assert "running" in told.value.hint

    def slow(body):
        time.sleep(1.0)
        return completion("")

    with serving(Stub(slow)) as stub, pytest.raises(BackendError, match=r"no answer within 0\.2 s"):
        asked(stub, "timeout=0.2").answer(clip, "When?")
    assert len(stub.bodies) == 1  # it works still: it is not asked again


def test_queries_are_asked_at_once_up_to_a_number_and_told_in_order(clip):
    lock, now, most = threading.Lock(), [0], [0]

    def reply(body):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.1)
        with lock:
            now[0] -= 1
        number = int(body["messages"][0]["content"][-1]["text"].split('"')[1])
        return completion(json.dumps({"moments": [{"start_seconds": number / 10, "end_seconds": 4}]}))

    with serving(Stub(reply)) as stub:
        found = asked(stub, "parallel=3").ground(clip, [str(number) for number in range(9)])
    assert [spans[0].span.start_seconds for spans in found] == [number / 10 for number in range(9)]
    assert most[0] == 3


def test_the_file_itself_is_sent_where_it_is_asked_for(clip):
    with serving(Stub([completion(MOMENT)])) as stub:
        (answer,) = asked(stub, "send=video").find(clip, ["x"])
        url = stub.bodies[0]["messages"][0]["content"][1]["video_url"]["url"]
        assert base64.b64decode(url.removeprefix("data:video/mp4;base64,")) == clip.path.read_bytes()
        assert any("the server's own reader" in note for note in answer.notes) and answer.frame_seconds == ()
        asked(stub, "send=path").find(clip, ["x"])
        assert stub.bodies[1]["messages"][0]["content"][1]["video_url"]["url"] == clip.path.resolve().as_uri()


def test_a_model_elsewhere_writes_after_a_system_message_and_a_beginning(clip):
    with serving(Stub([completion("Answer: (B)", finish="length")])) as stub:
        request = Request("Which?", "Be brief.", "Answer: ")
        answer = asked(stub).write(clip, request, max_new_tokens=5)
    body = stub.bodies[0]
    assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant"]
    assert body["max_tokens"] == 5 and body["continue_final_message"] is True and "response_format" not in body
    assert answer.text == "(B)" and any("was cut" in note for note in answer.notes)


def test_the_only_model_of_a_server_needs_no_name(clip):
    with serving(Stub([completion(MOMENT)])) as stub:
        assert load_model(stub.url).ground(clip, ["x"])[0]
        assert stub.bodies[0]["model"] == "qwen"
        stub.models = {"data": [{"id": "a"}, {"id": "b"}]}
        with pytest.raises(UnknownModel) as told:
            load_model(stub.url).ground(clip, ["x"])
        assert told.value.hint == "there is a, b"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"moments": 1}', '{"moments": [{"start_seconds": "soon"}]}', "{" * 9999]
)
def test_an_answer_that_tells_no_time_is_no_error(clip, text):
    with serving(Stub([completion(text)])) as stub:
        assert asked(stub).ground(clip, ["x"]) == [[]]
