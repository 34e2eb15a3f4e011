"""The MCP tools, over standard input and output of a real process, by the SDK's own client."""

import base64
import io
import json
from pathlib import Path

import anyio
import pytest
from mcp.client.session import ClientSession
from mcp.client.stdio import StdioServerParameters, stdio_client
from PIL import Image

from tests.video_llm.media.drawing import draw_video
from tests.video_llm.serving.running import COMMAND


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("place") / "videos"
    folder.mkdir()
    draw_video(folder / "a.mp4", num_frames=50, size=(64, 36))
    draw_video(folder.parent / "secret.mp4", num_frames=50, size=(64, 36))
    (folder / "link.mp4").symlink_to(folder.parent / "secret.mp4")
    return folder


def calls(videos: Path, *asked: tuple[str, dict]) -> tuple[dict, list]:
    """The tools by name, and what each call came to."""

    async def run():
        server = StdioServerParameters(
            command=str(COMMAND), args=["mcp", "--root", str(videos), "-m", "baseline:middle"], env=None
        )
        async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
            await session.initialize()
            tools = {tool.name: tool for tool in (await session.list_tools()).tools}
            return tools, [await session.call_tool(name, arguments) for name, arguments in asked]

    return anyio.run(run)


def test_a_client_asks_grounds_probes_and_looks(videos):
    tools, (asked, grounded, probed, framed) = calls(
        videos,
        ("ask", {"video": "a.mp4", "question": "when?"}),
        ("ground", {"video": str(videos / "a.mp4#t=0,1"), "queries": ["a", "b"], "top": 1}),
        ("probe", {"video": "a.mp4"}),
        ("frames", {"video": "a.mp4", "at": [1.03, 0.0, 1.0], "max_side": 32}),
    )
    assert set(tools) == {"ask", "ground", "probe", "frames"} and all(tool.description for tool in tools.values())
    assert not any(each.is_error for each in (asked, grounded, probed, framed))
    answer = json.loads(asked.content[0].text)
    assert answer["video"] == "a.mp4" and answer["groundings"][0]["start_seconds"] == 0.5
    rows = json.loads(grounded.content[0].text)
    assert [row["question"] for row in rows] == ["a", "b"] and rows[0]["groundings"][0]["end_seconds"] == 0.75
    assert json.loads(probed.content[0].text)["duration_seconds"] == 2.0
    assert [each.text for each in framed.content[::2]] == ["shown since 0.000 s", "shown since 1.000 s"]
    assert Image.open(io.BytesIO(base64.b64decode(framed.content[1].data))).size == (32, 18)


def test_what_may_not_or_cannot_be_seen_is_told_to_the_client(videos):
    names = ("../secret.mp4", "link.mp4", "/etc/passwd", "http://127.0.0.1:9/a.mp4", "none.mp4", "file:///etc/passwd")
    _, refused = calls(
        videos,
        *(("probe", {"video": name}) for name in names),
        ("frames", {"video": "a.mp4", "at": [100]}),
        ("frames", {"video": "a.mp4", "at": list(range(100))}),
        ("ask", {"video": "a.mp4", "question": ""}),
        ("nothing", {}),
    )
    assert all(each.is_error for each in refused)
    assert not any("Traceback" in each.content[0].text for each in refused)
    assert "not in a folder that this server may read" in refused[0].content[0].text
