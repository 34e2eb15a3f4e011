"""The page of results: what is in the file, and what Chromium makes of it where it is installed."""

import base64
import csv
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tvu.temporal.types import Span
from tvu.video_llm.errors import OutputError, OutputExists
from tvu.video_llm.results.labels import read_labels
from tvu.video_llm.results.page import _url, write_page
from tvu.video_llm.results.rows import Row
from tvu.video_llm.timeline import COLOURS
from tvu.video_llm.types import EVIDENCE, Grounding, ScoreCurve

SAMPLES = Path(__file__).parents[3] / "samples"
HOSTILE = "</script><script>hacked=1</script><img src=x onerror=hacked=1>\u2028{{data}}'\"&amp; =1,2\r\n<!--"
ODD = "a #1 ?x=50%25 é:\"'.mp4"


def row(video, question="when?", *groundings, **more):
    found = groundings or (
        Grounding(Span(14, 18), 0.9, "screen-text", 'FINAL SCORE 2: 1, "over"'),
        Grounding(Span(0, 5), 0.7, "visual", "looks like: penguin"),
        Grounding(Span(9.5, 11.9), 0.3, "speech", "a song"),
    )
    curves = tuple(ScoreCurve(e, np.arange(0.0, 18, 0.25), np.full(72, 0.25, np.float32)) for e in EVIDENCE)
    return replace(Row(str(video), question, 18.0, "Most likely there.", found, "scout", curves=curves), **more)


def failed(video):
    return Row(str(video), "when is the lecture?", error="gone.mp4 does not exist")


def data_of(page: Path) -> dict[str, Any]:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.DOTALL)
    return json.loads(text)


def test_a_page_is_one_file_that_names_no_address_but_the_videos(tmp_path):
    shutil.copy(SAMPLES / "postcard.mp4", tmp_path)
    page = tmp_path / "page.html"
    write_page([row(tmp_path / "postcard.mp4"), row("moved.mp4"), failed("gone.mp4")], page, title="A & B")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html", "postcard.mp4"]
    text = page.read_text()
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(", text)
    assert set(re.findall(r'(?:src|href)="([^"#]*)', text)) <= {"", "data:,"}
    assert "<title>A &amp; B</title>" in text
    video, moved, gone = data_of(page)["videos"]
    assert (video["url"], video["name"], video["start"], video["end"]) == ("postcard.mp4", "postcard.mp4", 0, 18)
    assert moved["url"].endswith("/moved.mp4") and moved["trouble"] == "No thumbnails: moved.mp4 does not exist."
    assert (gone["url"], gone["trouble"]) == ("", "")  # its row says what is wrong


def test_its_policy_lets_nothing_run_or_load_but_what_is_its_own(tmp_path):
    page = tmp_path / "page.html"
    write_page([failed("gone.mp4")], page)
    text = page.read_text()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    told = dict(part.split(" ", 1) for part in policy.split("; "))
    assert told["default-src"] == "'none'" and "unsafe" not in policy and "*" not in policy
    for name, pattern in {"script-src": r"<script>(.*?)</script>", "style-src": r"<style>(.*?)</style>"}.items():
        (inner,) = re.findall(pattern, text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
        assert told[name] == f"'sha256-{digest}'"
    assert not re.search(r"\son\w+=|\sstyle=|javascript:", text.split("<script", 1)[0])


def test_text_of_rows_stays_text(tmp_path):
    page = tmp_path / "page.html"
    hostile = Grounding(Span(1, 2), 0.5, "visual", HOSTILE)
    write_page(
        [row("gone.mp4", HOSTILE, hostile, answer=HOSTILE, notes=(HOSTILE,), error=HOSTILE)], page, title=HOSTILE
    )
    text = page.read_text()
    assert text.count("<script") == text.count("</script>") == 2 and "<img src=x" not in text
    assert text.count("<!--") == 0 and "\u2028" not in text[text.index("<script") :]
    told = data_of(page)["rows"][0]
    assert told["question"] == told["answer"] == told["notes"][0] == told["moments"][0]["phrase"] == HOSTILE


def test_a_name_that_is_no_unicode_is_written(tmp_path):
    page = tmp_path / "page.html"
    name = os.fsdecode(b"\xff.mp4")
    write_page([row(tmp_path / name)], page, title=name)
    assert data_of(page)["videos"][0]["url"] == "%FF.mp4"
    assert data_of(page)["videos"][0]["name"] == "\\xff.mp4"


@pytest.mark.parametrize(
    ("video", "url"),
    [
        ("films/a.mp4", "a.mp4"),
        ("a b.mp4", "../a%20b.mp4"),
        ("films/sub/#1?.mp4", "sub/%231%3F.mp4"),
        ("films/http:x.mp4", "http%3Ax.mp4"),
        ("films/50%25.mp4", "50%2525.mp4"),
        ("films/é\\.mp4", "%C3%A9%5C.mp4"),
    ],
)
def test_a_video_is_found_from_the_folder_of_the_page(video, url):
    assert _url(Path(video), Path("films")) == url


def test_videos_of_one_name_are_told_apart_by_their_folders(tmp_path):
    page = tmp_path / "page.html"
    write_page([failed(name) for name in ("x/a/1.mp4", "x/b/1.mp4", "y/b/1.mp4", "x/b/2.mp4")], page)
    assert [video["name"] for video in data_of(page)["videos"]] == ["a/1.mp4", "x/b/1.mp4", "y/b/1.mp4", "2.mp4"]


def test_thumbnails_are_small_few_and_of_the_part_that_was_asked_about(tmp_path):
    page = tmp_path / "page.html"
    moments = tuple(Grounding(Span(5 + i / 10, 7), 0.5, "visual") for i in range(20))
    write_page([row(f"{SAMPLES}/postcard.mp4#t=5,9", "when?", *moments)], page)
    (video,) = data_of(page)["videos"]
    assert (video["start"], video["end"]) == (5, 9) and video["url"].endswith("samples/postcard.mp4")
    assert 24 <= len(video["thumbnails"]) <= 40
    assert all(5 <= seconds < 9 for seconds, _ in video["thumbnails"])
    pictures = [base64.b64decode(jpeg) for jpeg in video["jpegs"]]
    assert all(picture.startswith(b"\xff\xd8\xff") and len(picture) < 10_000 for picture in pictures)


def test_a_decision_is_kept_under_the_same_name_on_a_page_made_anew(tmp_path):
    names = []
    for place, rows in enumerate(([row("a.mp4")], [failed("b.mp4"), row("a.mp4", answer="Else.")])):
        page = tmp_path / f"{place}.html"
        write_page(rows, page)
        names.append([moment["id"] for moment in data_of(page)["rows"][-1]["moments"]])
    assert names[0] == names[1] and len(set(names[0])) == 3


def test_a_page_takes_no_file_s_place_unless_told_to_and_never_a_video_s(tmp_path):
    page = tmp_path / "page.html"
    page.write_text("mine")
    with pytest.raises(OutputExists):
        write_page([failed("gone.mp4")], page)
    with pytest.raises(OutputError, match="is one of the videos"):
        write_page([failed(page)], page, force=True)
    assert page.read_text() == "mine"
    write_page([], page, force=True)
    assert data_of(page) == {"videos": [], "axes": [], "rows": []}


def test_a_large_page_says_so(tmp_path, monkeypatch):
    page = tmp_path / "page.html"
    monkeypatch.setattr("tvu.video_llm.results.page.LARGE_PAGE", 1000)
    write_page([failed("gone.mp4")], page)
    assert "This page is 0 MB" in page.read_text()


def test_words_can_be_read_on_light_and_on_dark_ground(tmp_path):
    css = Path(SAMPLES.parent, "video_llm", "results", "page.css").read_text()
    light, dark = (dict(re.findall(r"--([\w-]+): (#\w{6})", block)) for block in css.split(":root {")[1:3])
    assert {name: light[name] for name in EVIDENCE} == COLOURS
    for colours in (light, dark):
        for text in ("ink", "muted", "accepted", "rejected", *EVIDENCE):
            for ground in ("ground", "surface"):
                assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
        assert contrast(colours["ink"], colours["button"]) >= 4.5
        assert contrast(colours["muted"], colours["button"]) >= 4.5


def contrast(one: str, other: str) -> float:
    """WCAG 2's contrast ratio of two colours `#rrggbb`."""
    channels = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in (one, other)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    low, high = sorted(linear @ [0.2126, 0.7152, 0.0722])
    return (high + 0.05) / (low + 0.05)


class Browser:
    """Chromium by way of the WebDriver protocol, as far as these tests need it."""

    def __init__(self, port: int, folder: Path) -> None:
        self._root = f"http://127.0.0.1:{port}"
        flags = "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
        flags += " disable-component-update disable-sync disable-audio-output window-size=1280,800"
        flags += f" user-data-dir={folder}/profile"
        options = {
            "goog:chromeOptions": {"args": [f"--{flag}" for flag in flags.split(" ")]},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        self._session = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": options}})["sessionId"]
        self.downloads = folder / "downloads"
        self.command("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(self.downloads))

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._root + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from error

    def _post(self, path: str, **body: Any) -> Any:
        return self._ask("POST", f"/session/{self._session}{path}", body)

    def command(self, name: str, **params: Any) -> Any:
        return self._post("/goog/cdp/execute", cmd=name, params=params)

    def open(self, page: Path) -> None:
        self._post("/url", url=page.as_uri())

    def value(self, expression: str) -> Any:
        return self._post("/execute/sync", script=f"return {expression}", args=[])

    def until(self, expression: str) -> None:
        deadline = time.monotonic() + 8
        while not self.value(expression):
            assert time.monotonic() < deadline, expression
            time.sleep(0.05)

    def press(self, *keys: str) -> None:
        strokes = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._post("/actions", actions=[{"type": "key", "id": "keys", "actions": strokes}])

    def console(self) -> list[str]:
        """What was said there since it was last asked for."""
        return [entry["message"] for entry in self._post("/se/log", type="browser")]

    def requests(self) -> list[str]:
        """Where pages turned to since this was last asked, but for files, data, and what the policy stopped."""
        log = [json.loads(entry["message"])["message"] for entry in self._post("/se/log", type="performance")]
        stopped = {each["params"]["requestId"] for each in log if each["params"].get("blockedReason") == "csp"}
        sent = [each["params"] for each in log if each["method"] == "Network.requestWillBeSent"]
        sent = [each for each in sent if not each["documentURL"].startswith("chrome:")]  # the browser's empty tab
        urls = [each["request"]["url"] for each in sent if each["requestId"] not in stopped]
        return [url for url in urls if not url.startswith(("file:", "data:", "blob:"))]

    def close(self) -> None:
        self._ask("DELETE", f"/session/{self._session}")


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Browser]:
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("chromium and chromedriver are not installed (Debian: apt install chromium chromium-driver)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = subprocess.DEVNULL
    driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=log, stderr=log)
    try:
        for _ in range(200):
            with socket.socket() as knock:
                if knock.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        started = Browser(port, tmp_path_factory.mktemp("browser"))
        yield started
        started.close()
    finally:
        driver.terminate()
        driver.wait()


@pytest.fixture
def opened(browser, tmp_path) -> Iterator[Callable[..., Browser]]:
    """Makes a page and opens it beside a video with an odd name; nothing may be asked of the network, or go wrong."""
    shutil.copy(SAMPLES / "postcard.mp4", tmp_path / ODD)

    def opened(*rows: Row) -> Browser:
        page = tmp_path / "the page.html"
        write_page(rows, page)
        browser.open(page)
        return browser

    yield opened
    assert browser.requests() == []
    assert browser.console() == []


COLUMNS = ["video", "question", "start_seconds", "end_seconds", "score", "evidence", "phrase", "verdict"]
RIGHT, LEFT, TAB = "\ue014", "\ue012", "\ue004"
CHOSEN = "document.querySelector('.moment[aria-current=true] .moment-times').textContent"
VERDICTS = "[...document.querySelectorAll('.moment')].map((each) => each.dataset.verdict ?? '')"


def test_moments_are_stepped_through_decided_and_exported_by_keys(opened, tmp_path):
    video = tmp_path / ODD
    browser = opened(row(video, HOSTILE), row(video, "and then?", Grounding(Span(5, 9), 0.6, "visual")))
    assert browser.value("document.querySelector('#question').textContent") == HOSTILE
    assert browser.value("window.hacked ?? null") is None
    browser.until("document.querySelector('video').readyState >= 1")
    assert browser.value("document.querySelectorAll('.lane .line[d]').length") == 3
    assert browser.value("document.querySelectorAll('#strip img').length") >= 3
    assert browser.value(CHOSEN) == "00:14.0 – 00:18.0"

    browser.press("a", RIGHT, "r")
    assert browser.value(CHOSEN) == "00:00.0 – 00:05.0"
    assert browser.value(VERDICTS) == ["accepted", "rejected", ""]
    browser.press("u")
    assert browser.value(VERDICTS) == ["accepted", "", ""]
    browser.press(RIGHT, RIGHT, "r")  # on to the next question
    assert browser.value("document.querySelector('#question').textContent") == "and then?"
    browser.press(LEFT)
    assert browser.value(CHOSEN) == "00:09.5 – 00:11.9"
    browser.until("Math.abs(document.querySelector('video').currentTime - 9.5) < 0.01")
    browser.press(" ")
    browser.until("document.querySelector('video').currentTime > 9.6")
    browser.press(" ")
    assert browser.value("document.querySelector('video').paused")

    browser.value("document.querySelector('#export-csv').click()")
    browser.value("document.querySelector('#export-json').click()")
    exports = [browser.downloads / name for name in ("decisions.csv", "decisions.json")]
    deadline = time.monotonic() + 8
    while not all(path.exists() and path.stat().st_size for path in exports):  # an empty one is put there first
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with exports[0].open(encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    assert list(read[0]) == COLUMNS
    assert [each["verdict"] for each in read] == ["accept", "", "", "reject"]
    assert (read[0]["video"], read[0]["question"]) == (str(video), HOSTILE)
    assert (read[0]["start_seconds"], read[0]["score"]) == ("14", "0.9")
    assert read[0]["phrase"] == 'FINAL SCORE 2: 1, "over"'
    told = json.loads(exports[1].read_text())
    assert [{name: str(value) for name, value in each.items()} for each in told] == read
    for path in exports:
        labels = read_labels(path)
        assert [label.is_accepted for label in labels] == [True, None, None, False]
        assert (labels[3].video, labels[3].question, labels[3].span) == (str(video), "and then?", Span(5, 9))

    browser.value("location.reload()")
    browser.until("document.querySelector('.moment')")
    assert browser.value(VERDICTS) == ["accepted", "", ""]


def test_everything_that_can_be_used_has_a_name_and_is_reached_by_the_tab_key(opened, tmp_path):
    browser = opened(row(tmp_path / ODD), failed(tmp_path / "gone.mp4"))
    nodes = browser.command("Accessibility.getFullAXTree")["nodes"]
    roles = ("button", "combobox", "checkbox", "searchbox", "slider")
    used = [node for node in nodes if node.get("role", {}).get("value") in roles and not node["ignored"]]
    assert len(used) > 15
    assert all(node["name"]["value"].strip() for node in used)
    reached = set()
    for _ in range(30):
        browser.press(TAB)
        reached.add(browser.value("document.activeElement.id || document.activeElement.className"))
    buttons = {"previous", "play", "next", "loop", "accept", "reject", "export-csv", "export-json", "open-help"}
    assert reached >= buttons | {"order", "video", "moment", "span"}
    browser.value("document.querySelector('.span').focus()")
    assert browser.value("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    browser.press("?")
    assert browser.value("document.querySelector('#help').open")


def test_the_browser_keeps_the_page_from_the_network_and_from_foreign_code(opened, tmp_path):
    browser = opened(row(tmp_path / ODD))
    browser.value(
        "void document.addEventListener('securitypolicyviolation', (e) => refused.push(e.effectiveDirective))"
    )
    browser.value("void (window.refused = [])")
    browser.value("void fetch('http://127.0.0.1:9/a').catch(() => 0)")
    browser.value("void (new Image().src = 'http://127.0.0.1:9/b')")
    browser.value("void (document.createElement('video').src = 'http://127.0.0.1:9/c')")
    browser.value("void document.body.insertAdjacentHTML('beforeend', '<p onclick=hacked=1 style=color:red>x</p>')")
    expected = {"connect-src", "img-src", "media-src", "script-src-attr", "style-src-attr"}
    browser.until(f"refused.length >= {len(expected)}")
    assert set(browser.value("refused")) == expected
    assert len(browser.console()) >= len(expected)  # the browser tells of each; nothing is left to complain of


def test_a_question_without_an_answer_is_told_in_its_place(opened, tmp_path):
    browser = opened(failed(tmp_path / "gone.mp4"), replace(row(tmp_path / ODD), groundings=()))
    assert "gone.mp4 does not exist" in browser.value("document.querySelector('#error').innerText")
    assert browser.value("document.querySelector('#accept').disabled")
    browser.press("a", " ", RIGHT, "]")
    assert browser.value("document.querySelector('#error').hidden")
    assert browser.value("document.querySelector('#found-name').innerText") == "No moments"


@pytest.mark.parametrize("width", [360, 800, 1280])
def test_a_page_fits_its_window(opened, tmp_path, width):
    browser = opened(row(tmp_path / ODD, "a long question " * 20), row(tmp_path / ("x" * 120 + ".mp4")))
    browser.command("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
    try:
        assert browser.value("document.documentElement.scrollWidth") <= width
        small = "[...document.querySelectorAll('main button')].map((each) => each.getBoundingClientRect())"
        assert browser.value(f"{small}.every((box) => !box.width || (box.width >= 24 && box.height >= 24))")
    finally:
        browser.command("Emulation.clearDeviceMetricsOverride")
