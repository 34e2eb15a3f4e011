"""The HTTP server, as a process of its own on loopback."""

import base64
import json
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tests.video_llm.media.drawing import draw_video
from tests.video_llm.serving.running import Running, asked, running
from tests.video_llm.tiny_video_llm import tiny_parts
from tvu.video_llm.decode import open_video
from tvu.video_llm.load import load_model
from tvu.video_llm.remote.model import Remote
from tvu.video_llm.remote.moments import MOMENTS_SCHEMA
from tvu.video_llm.serving.config import ServeConfig
from tvu.video_llm.serving.server import _listen
from tvu.video_llm.types import Request

SAMPLES = Path(__file__).parents[3] / "samples"
SCHEMA = {"type": "json_schema", "json_schema": {"name": "moments", "schema": MOMENTS_SCHEMA}}


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """A folder with a video, one in a sub-folder, and links that lead out of it."""
    folder = tmp_path_factory.mktemp("place") / "videos"
    outside = folder.parent / "outside"
    for each in (folder / "more", outside, folder / "pictures"):
        each.mkdir(parents=True)
    draw_video(folder / "a.mp4", num_frames=50, size=(64, 36))
    draw_video(folder / "more" / "b c.mp4", num_frames=50, size=(64, 36))
    draw_video(outside / "secret.mp4", num_frames=50, size=(64, 36))
    (folder / "link.mp4").symlink_to(outside / "secret.mp4")
    (folder / "away").symlink_to(outside)
    (folder / "loop.mp4").symlink_to("loop.mp4")
    (folder / "pictures" / "1.png").symlink_to(outside / "secret.mp4")
    (folder / "broken.mp4").write_text("no video")
    return folder


@pytest.fixture(scope="module")
def server(videos):
    limits = ["--max-video", 1, "--body-timeout", 1.0]
    with running(videos, "-m", "baseline:whole", "-m", "baseline:middle", *limits) as server:
        yield server


@pytest.fixture
def client(server):
    with server.client() as client:
        yield client


def data_url(file: Path) -> str:
    return f"data:video/mp4;base64,{base64.b64encode(file.read_bytes()).decode()}"


def error_of(response: httpx.Response) -> tuple[int, str]:
    told = response.json()["error"]
    assert set(told) == {"message", "type", "param", "code"} and "Traceback" not in response.text
    return response.status_code, told["code"]


def test_models_are_listed_in_openais_form(client):
    told = client.get("/v1/models").json()
    assert told["object"] == "list" and [each["id"] for each in told["data"]] == ["baseline:whole", "baseline:middle"]
    assert client.get("/v1/models/baseline:middle").json()["owned_by"] == "tvu"
    assert error_of(client.get("/v1/models/none")) == (404, "model_not_found")


def test_health_and_readiness_are_told(client):
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/ready").json()["status"] == "ready"


def test_a_chat_about_a_video_is_answered(client):
    told = client.post("/v1/chat/completions", json=asked("a.mp4#t=0.5,1.5", model="baseline:whole")).json()
    assert told["object"] == "chat.completion" and told["choices"][0]["finish_reason"] == "stop"
    assert told["choices"][0]["message"] == {"role": "assistant", "content": "Most likely from 00:00.5 to 00:01.5."}
    assert told["usage"]["total_tokens"] == 0
    assert told["tvu"]["groundings"][0]["start_seconds"] == 0.5 and told["tvu"]["video"] == "a.mp4#t=0.5,1.5"


def test_a_chat_comes_in_pieces_and_adds_up_to_the_whole(client):
    whole = client.post("/v1/chat/completions", json=asked("a.mp4")).json()["choices"][0]["message"]["content"]
    body = asked("a.mp4", stream=True, stream_options={"include_usage": True})
    with client.stream("POST", "/v1/chat/completions", json=body) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        events = [line.removeprefix("data: ") for line in stream.iter_lines() if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    assert {each["object"] for each in chunks} == {"chat.completion.chunk"}
    deltas = [choice["delta"] for each in chunks for choice in each["choices"]]
    assert "".join(delta.get("content", "") for delta in deltas) == whole
    assert chunks[-1]["usage"]["total_tokens"] == 0 and chunks[-2]["choices"][0]["finish_reason"] == "stop"


def test_an_error_after_the_stream_began_is_an_event(client):
    response = client.post("/v1/chat/completions", json=asked("broken.mp4", stream=True))
    events = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: ")]
    assert json.loads(events[0])["error"]["code"] == "video_unreadable" and events[-1] == "[DONE]"


def test_moments_come_as_json_where_they_are_asked_for_so(client):
    told = client.post("/v1/chat/completions", json=asked("a.mp4", response_format=SCHEMA)).json()
    moments = json.loads(told["choices"][0]["message"]["content"])["moments"]
    assert moments == [{"start_seconds": 0.0, "end_seconds": 2.0, "score": 1.0}]
    other = {"type": "json_schema", "json_schema": {"schema": {"properties": {"x": {}}}}}
    assert error_of(client.post("/v1/chat/completions", json=asked("a.mp4", response_format=other)))[0] == 400


def test_moments_of_many_queries_are_rows(client):
    body = {"video": "a.mp4", "queries": ["a dog", "red"], "model": "baseline:middle", "top": 1, "end": "0:01"}
    rows = client.post("/v1/moments", json=body).json()["data"]
    assert [row["question"] for row in rows] == ["a dog", "red"] and rows[0]["duration_seconds"] == 2.0
    assert rows[0]["groundings"][0]["start_seconds"] == 0.25 and rows[0]["groundings"][0]["end_seconds"] == 0.75


def test_videos_are_named_by_path_file_url_and_data_url(client, videos):
    names = ["a.mp4", "more/b c.mp4", str(videos / "a.mp4"), (videos / "more" / "b c.mp4").as_uri()]
    names += [f"{(videos / 'a.mp4').as_uri()}#t=1,2", data_url(videos / "a.mp4"), data_url(videos / "a.mp4") + "#t=1,2"]
    for name in names:
        response = client.post("/v1/moments", json={"video": name, "queries": ["x"]})
        assert response.status_code == 200, (name[:60], response.text)
        row = response.json()["data"][0]
        assert row["groundings"][0]["start_seconds"] == (1.0 if name.endswith("#t=1,2") else 0.0)
        assert len(row["video"]) < 200


def test_nothing_outside_the_roots_is_opened(client, videos):
    outside = videos.parent / "outside" / "secret.mp4"
    names = ["../outside/secret.mp4", "more/../a.mp4", str(outside), outside.as_uri(), "/etc/passwd", "link.mp4"]
    names += [f"{videos}/../outside/secret.mp4", "file:///etc/passwd", "file://host/a.mp4", "away/secret.mp4"]
    names += [f"file://{videos}/%2e%2e/outside/secret.mp4", f"{outside}#t=0,1", "/proc/self/environ"]
    names += ["http://127.0.0.1:9/a.mp4", "https://example.org/a.mp4", "ftp://example.org/a.mp4", "concat:a.mp4|b"]
    for name in names:
        status, code = error_of(client.post("/v1/moments", json={"video": name, "queries": ["x"]}))
        assert status == 403 and code.endswith("_not_allowed"), name
    for name in ("none.mp4", "loop.mp4", "pictures", "a" * 5000, "", "\0", "a.mp4\0.txt", "data:video/mp4,abc"):
        assert error_of(client.post("/v1/moments", json={"video": name, "queries": ["x"]}))[0] in (400, 404, 403), name


def test_errors_do_not_tell_where_files_are(client, videos):
    for name in ("broken.mp4", "data:video/mp4;base64,AAAA", "a.mp4#t=100,200"):
        response = client.post("/v1/moments", json={"video": name, "queries": ["x"]})
        assert error_of(response) == (400, "video_unreadable")
        assert str(videos) not in response.text and "/tmp" not in response.text


def test_what_is_no_request_is_an_error_object(client):
    chat = "/v1/chat/completions"
    bodies = [b"{", b"[]", b"", b"\xff\xfe", b"[" * 100_000, b"9" * 10_000, b'{"messages": 1}', b'{"messages": [1]}']
    for body in bodies:
        response = client.post(chat, content=body, headers={"content-type": "application/json"})
        assert error_of(response)[0] == 400, body[:20]
    wrong = [
        {"messages": []},
        {"messages": [{"role": "user", "content": "no video"}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]},
        {"messages": [*asked("a.mp4")["messages"], {"role": "assistant", "content": "yes"}]},
        {**asked("a.mp4"), "n": 2},
        asked("a.mp4", text=" "),
        asked("a.mp4", text="x" * 5000),
        asked("a.mp4", max_tokens=-1),
        asked("a.mp4", model=7),
    ]
    for body in wrong:
        assert error_of(client.post(chat, json=body))[0] == 400, body
    for body in ({"video": "a.mp4"}, {"video": "a.mp4", "queries": []}, {"video": "a.mp4", "queries": ["x"] * 101}):
        assert error_of(client.post("/v1/moments", json=body))[0] == 400
    assert error_of(client.post("/v1/moments", json={"video": "a.mp4", "queries": ["x"], "start": "soon"}))[0] == 400
    assert error_of(client.post(chat, json=asked("a.mp4", model="none"))) == (404, "model_not_found")
    assert error_of(client.post(chat, content=b"{}", headers={"content-type": "text/plain"})) == (415, "not_json")
    assert error_of(client.get(chat))[0] == 405 and error_of(client.get("/etc/passwd"))[0] == 404


def test_a_page_of_another_site_is_not_answered(client):
    assert error_of(client.get("/v1/models", headers={"host": "evil.example"})) == (421, "wrong_host")
    assert client.get("/v1/models", headers={"host": "localhost:8000"}).status_code == 200


def test_a_huge_body_is_refused_before_it_is_read(client, server):
    huge = "data:video/mp4;base64," + "A" * (3 << 20)
    assert error_of(client.post("/v1/moments", json={"video": huge, "queries": ["x"]})) == (413, "too_large")
    just_too_large = "data:video/mp4;base64," + "A" * ((1 << 20) // 3 * 4 + 400)
    response = client.post("/v1/moments", json={"video": just_too_large, "queries": ["x"]})
    assert error_of(response) == (413, "video_too_large")

    def endless():
        for _ in range(1000):
            yield b" " * 65536

    with pytest.raises(httpx.TransportError) as stopped:  # or an answer, where it came before the connection closed
        response = client.post("/v1/moments", content=endless(), headers={"content-type": "application/json"})
        assert error_of(response) == (413, "too_large")
        raise httpx.WriteError("closed")
    assert stopped.value is not None and server.process.poll() is None


def _read_all(connection: socket.socket) -> bytes:
    told = b""
    while chunk := connection.recv(65536):
        told += chunk
    return told


@pytest.mark.alone
def test_slow_clients_are_hung_up_on(server):
    address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
    head = (
        b"POST /v1/moments HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
    )
    started = time.monotonic()
    with socket.create_connection(address, timeout=8) as slow:
        slow.sendall(head)
        told = _read_all(slow)
    assert told.startswith(b"HTTP/1.1 408 ") and b"too_slow" in told and time.monotonic() - started < 4


@pytest.mark.alone
def test_who_begins_a_request_and_does_not_go_on_is_hung_up_on():
    script = "from tvu.video_llm.load import load_model\nfrom tvu.video_llm.serving.server import serve\n"
    script += "from tvu.video_llm.serving.config import ServeConfig\nimport functools\n"
    script += "serve([load_model('baseline:whole')], ServeConfig(port=0, head_seconds=0.3), "
    script += "functools.partial(print, flush=True))"
    command = [sys.executable, "-P", "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().strip().rpartition(":")[2])
        started = time.monotonic()
        for beginning in (b"", b"GET /health HTTP/1.1\r\nHost: loc"):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as slow:
                slow.sendall(beginning)
                assert _read_all(slow) == b""
        assert time.monotonic() - started < 4
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            for _ in range(3):
                assert client.get("/health").status_code == 200
                time.sleep(0.4)  # a connection that is kept for the next request is none that hesitates
        process.terminate()
        assert process.wait(5) == 0


def test_head_and_body_of_an_answer_do_not_wait_for_each_other():
    with _listen(ServeConfig(port=0)) as listener:
        assert listener.proto == socket.IPPROTO_TCP  # asyncio turns Nagle's algorithm off for these alone


def test_a_playlist_inside_a_request_opens_no_file(client, videos):
    file = videos / "a.mp4"
    lists = [f"ffconcat version 1.0\nfile '{file}'\n", f"#EXTM3U\n#EXTINF:2,\nfile://{file}\n#EXT-X-ENDLIST\n"]
    for content in lists:
        url = f"data:video/mp4;base64,{base64.b64encode(content.encode()).decode()}"
        response = client.post("/v1/moments", json={"video": url, "queries": ["x"]})
        assert error_of(response) == (400, "video_unreadable")


def test_a_token_is_asked_for(videos, tmp_path):
    token = tmp_path / "token"
    token.write_text("s3cret-token\n")
    with running(videos, "-m", "baseline:whole", "--token-file", token) as server, server.client() as client:
        for header in ({}, {"authorization": "Bearer wrong"}, {"authorization": "s3cret-token"}):
            response = client.get("/v1/models", headers=header)
            assert error_of(response) == (401, "invalid_api_key") and response.headers["www-authenticate"] == "Bearer"
        assert client.get("/health").status_code == client.get("/ready").status_code == 200
        right = {"authorization": "Bearer s3cret-token"}
        assert client.get("/v1/models", headers=right).status_code == 200
        response = client.post("/v1/moments", json={"video": "a.mp4", "queries": ["x"]}, headers=right)
        assert response.status_code == 200
        assert "s3cret" not in server.log.read_text()


def test_videos_are_fetched_from_hosts_that_are_allowed_and_no_other(videos):
    content = (videos / "a.mp4").read_bytes()

    class Files(BaseHTTPRequestHandler):
        def do_GET(self):
            where = {"/away.mp4": "file:///etc/passwd", "/a.mp4": None}.get(self.path)
            self.send_response(200 if self.path == "/a.mp4" else 302)
            if where:
                self.send_header("Location", where)
            self.end_headers()
            self.wfile.write(content if self.path == "/a.mp4" else b"")

        def log_message(self, *_):
            pass

    files = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    threading.Thread(target=files.serve_forever, daemon=True).start()
    host = f"127.0.0.1:{files.server_port}"
    with running(videos, "-m", "baseline:whole", "--allow-remote", host) as server, server.client() as client:

        def ask(url):
            return client.post("/v1/moments", json={"video": url, "queries": ["x"]})

        assert ask(f"http://{host}/a.mp4#t=1,2").json()["data"][0]["groundings"][0]["start_seconds"] == 1.0
        assert error_of(ask(f"http://{host}/away.mp4")) == (502, "video_not_fetched")
        for url in (
            f"http://u@{host}/a.mp4",
            "http://127.0.0.1:1/a.mp4",
            f"http://localhost:{files.server_port}/a.mp4",
        ):
            assert error_of(ask(url)) == (403, "remote_not_allowed")
    files.shutdown()


@pytest.mark.alone
def test_a_full_queue_tells_when_to_come_back(videos):
    with running(videos, "-m", "baseline:decode", "--max-queue", 2) as server, server.client() as client:

        def ask(_):
            return client.post("/v1/moments", json={"video": "a.mp4", "queries": ["x"] * 30})

        with ThreadPoolExecutor(8) as threads:
            responses = list(threads.map(ask, range(8)))
        codes = [response.status_code for response in responses]
        assert set(codes) == {200, 429} and codes.count(200) >= 3
        refused = next(response for response in responses if response.status_code == 429)
        assert error_of(refused) == (429, "queue_full") and 1 <= int(refused.headers["retry-after"]) <= 60
        assert client.get("/health").status_code == 200


@pytest.mark.alone
def test_sigterm_loses_no_accepted_request_and_turns_new_ones_away(videos):
    with running(videos, "-m", "baseline:decode") as server:
        with server.client() as client, ThreadPoolExecutor(30) as threads:

            def ask(_):
                return client.post("/v1/moments", json={"video": "a.mp4", "queries": ["x"] * 4}).status_code

            asked_for = [threads.submit(ask, number) for number in range(30)]
            with server.client() as watching:
                while watching.get("/ready").json()["requests"]["baseline:decode"] < 20:
                    time.sleep(0.01)
                server.process.terminate()
                codes = []
                while not codes or codes[-1] == 200:  # until the signal has arrived
                    codes.append(watching.get("/ready").status_code)
                late = server.client().post("/v1/moments", json={"video": "a.mp4", "queries": ["x"]})
            assert codes[-1] == 503 and error_of(late) == (503, "shutting_down") and late.headers["retry-after"]
            answers = [each.result() for each in asked_for]
        # All 30 were connected and sent by now, but those that the line had not been joined by before the signal may
        # have been turned away; what was accepted was answered.
        assert answers.count(200) >= 20 and set(answers) <= {200, 503}
        assert server.process.wait(5) == 0
        lines = server.log.read_text()
        assert lines.count("POST /v1/moments 200") == answers.count(200)
        assert lines.endswith("stopped\n") and "Traceback" not in lines


@pytest.mark.alone
def test_the_end_comes_within_the_grace_and_says_so(videos):
    shutil.copy(SAMPLES / "postcard.mp4", videos)
    with running(videos, "-m", "baseline:decode", "--grace", 0.1) as server:
        with server.client() as client, ThreadPoolExecutor(4) as threads:
            body = {"video": "postcard.mp4", "queries": ["x"]}
            asked_for = [threads.submit(client.post, "/v1/moments", json=body) for _ in range(4)]
            with server.client() as watching:
                while watching.get("/ready").json()["requests"]["baseline:decode"] < 4:
                    time.sleep(0.01)
            started = time.monotonic()
            server.process.terminate()
            assert server.process.wait(5) == 0 and time.monotonic() - started < 4
            refused = [each.result() for each in asked_for]
        assert {error_of(each) for each in refused if each.status_code != 200} == {(503, "shutting_down")}


@pytest.mark.alone
def test_200_clients_at_once_are_held_in_bounded_memory(videos):
    with running(videos, "-m", "baseline:whole", "--max-queue", 256) as server:
        with server.client() as client:
            client.post("/v1/moments", json={"video": data_url(videos / "a.mp4"), "queries": ["x"]})
        before = server.memory_bytes()
        padded = "data:video/mp4;base64," + base64.b64encode((videos / "a.mp4").read_bytes() + b"\0" * 250_000).decode()
        body = json.dumps({"video": padded, "queries": ["x"]}).encode()
        limits = httpx.Limits(max_connections=200)
        with server.client(limits=limits) as client, ThreadPoolExecutor(200) as threads:

            def ask(_):
                headers = {"content-type": "application/json"}
                return client.post("/v1/moments", content=body, headers=headers).status_code

            codes = list(threads.map(ask, range(200)))
        assert codes == [200] * 200
        grown = server.memory_bytes("VmHWM") - before
        assert grown < 56 << 20, f"{grown >> 20} MiB more than before"  # of 67 MiB of bodies, and 200 connections


def test_a_saved_video_llm_writes_and_counts_its_words(videos, tmp_path):
    for part in tiny_parts():
        part.save_pretrained(tmp_path)
    with running(videos, "-m", tmp_path) as server, server.client() as client:
        body = asked("a.mp4", "What happens?", max_tokens=8)
        body["messages"].insert(0, {"role": "system", "content": "Be brief."})
        told = client.post("/v1/chat/completions", json=body).json()
        assert told["usage"]["prompt_tokens"] > 0 and told["usage"]["prompt_tokens_details"]["video_frames"] == 4
        assert "Be brief." not in told["choices"][0]["message"]["content"]
        spans = client.post("/v1/chat/completions", json=asked("a.mp4", response_format=SCHEMA)).json()
        assert "moments" in json.loads(spans["choices"][0]["message"]["content"])
        model, clip = load_model(f"{server.url}/v1"), open_video(videos / "a.mp4")
        assert isinstance(model, Remote) and model.card.writes
        written = model.write(clip, Request("What happens?", "Be brief."), max_new_tokens=8)
        assert written.text == told["choices"][0]["message"]["content"] and model.spent.read > 0


def test_every_request_is_one_line_of_the_log(server: Running, client):
    client.get("/v1/models")
    client.get("/v1/%0a%1b%5b31m")
    lines = server.log.read_text().splitlines()[1:]
    pattern = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d 127\.0\.0\.1 [A-Z]+ /\S* \d{3} \d+\.\dms"
    assert len(lines) >= 2 and all(re.fullmatch(pattern, line) for line in lines)


def test_who_hangs_up_gives_up_the_place_and_leaves_no_file(videos, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    body = asked(data_url(SAMPLES / "postcard.mp4"), stream=True)
    with running(videos, "-m", "baseline:decode") as server, server.client() as client:
        for _ in range(8):
            with client.stream("POST", "/v1/chat/completions", json=body) as stream:
                assert stream.status_code == 200
        deadline = time.monotonic() + 5
        while client.get("/ready").json()["requests"]["baseline:decode"] and time.monotonic() < deadline:
            time.sleep(0.02)
        (scratch,) = tmp_path.glob("tvu-serve-*")
        assert client.get("/ready").json()["requests"] == {"baseline:decode": 0} and not list(scratch.iterdir())
        assert server.stop() == 0 and not list(tmp_path.glob("tvu-serve-*"))
