"""The tools `ask`, `ground`, `probe` and `frames` for MCP clients, on standard input and output.

Paths are those under the roots, as for the HTTP server; nothing is fetched, nothing is written. The SDK keeps the real
standard output for the protocol, so a library that prints does no harm.
"""

import asyncio
import io
import json
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
from mcp.server.mcpserver import Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from tvu.temporal.errors import TvuError
from tvu.temporal.timecode import format_timecode
from tvu.video_llm.decode import clock_of, open_video, read_frames
from tvu.video_llm.media.probe import probe
from tvu.video_llm.pipeline import PipelineConfig, answer_questions, find_moments
from tvu.video_llm.results.rows import Row
from tvu.video_llm.serving.config import Doors
from tvu.video_llm.serving.desk import Desk
from tvu.video_llm.serving.refusal import Refusal, refusal_of
from tvu.video_llm.serving.videos import NamedVideo, named_video
from tvu.video_llm.types import VideoModel

T = TypeVar("T")

MAX_FRAMES = 16  # of one call: a client pays for each in tokens
MAX_QUERIES = 50
WAITING = 16

Video = Annotated[str, Field(description="A path under the allowed folders, or a part of it: 'talk.mp4#t=12.5,40'.")]
Question = Annotated[str, Field(description="What to look for, in your own words.", min_length=1, max_length=4000)]
Top = Annotated[int | None, Field(description="At most so many spans; all likely ones if left out.", ge=1)]


def serve_tools(model: VideoModel, doors: Doors) -> None:
    """Answer calls until standard input ends."""
    with tempfile.TemporaryDirectory(prefix="tvu-mcp-", ignore_cleanup_errors=True) as scratch:
        server_of(model, doors, Path(scratch)).run("stdio")


def server_of(model: VideoModel, doors: Doors, scratch: Path) -> MCPServer:
    """The server and its four tools. scratch: an empty folder."""
    instructions = "Say when things happen in videos: spans of seconds with evidence and a probability."
    server = MCPServer("tvu", version=version("tvu"), instructions=instructions, log_level="ERROR")
    desk = Desk(model, WAITING)

    async def about(video: str, work: Callable[[VideoModel, NamedVideo], T]) -> T:
        """What `work` makes of a video, when the model has time for it. Raises ToolError."""
        try:
            with ExitStack() as stack:
                named = named_video(video, doors, scratch, stack)
                return await asyncio.wrap_future(desk.submit(lambda model: _told(model, named, work)))
        except Refusal as refusal:
            raise ToolError(refusal.message) from refusal

    @server.tool(structured_output=False)
    async def ask(video: Video, question: Question, top: Top = None) -> str:
        """When something happens in a video: a sentence, and spans of seconds, best first, as JSON."""
        return await about(video, lambda model, named: _asked(model, named, question, top))

    @server.tool(structured_output=False)
    async def ground(
        video: Video,
        queries: Annotated[list[Question], Field(min_length=1, max_length=MAX_QUERIES)],
        top: Top = None,
    ) -> str:
        """The spans of many queries in one video, which is decoded once, as a JSON list."""
        return await about(video, lambda model, named: _grounded(model, named, queries, top))

    @server.tool(structured_output=False)
    async def probe(video: Video) -> str:
        """What a video file is (duration, size, frame rate, sound), and what is odd about its times, as JSON."""
        return await about(video, lambda model, named: _probed(named))

    @server.tool(structured_output=False)
    async def frames(
        video: Video,
        at: Annotated[
            list[Annotated[float, Field(ge=0, allow_inf_nan=False)]],
            Field(description="When, in seconds from the start of the file.", min_length=1, max_length=MAX_FRAMES),
        ],
        max_side: Annotated[int, Field(description="Longer side in pixels.", ge=16, le=2048)] = 512,
    ) -> list[str | Image]:
        """The pictures on the screen at given times, each after a line that says since when it is shown."""
        return await about(video, lambda model, named: _framed(named, at, max_side))

    return server


def _told(model: VideoModel, named: NamedVideo, work: Callable[[VideoModel, NamedVideo], T]) -> T:
    try:
        return work(model, named)
    except TvuError as error:
        raise refusal_of(error, named.hidden) from error


def _asked(model: VideoModel, named: NamedVideo, question: str, top: int | None) -> str:
    clip, answers = answer_questions(named.address, [question], model, PipelineConfig(top=top))
    return Row.of(answers[0], clip, video=named.shown).line()


def _grounded(model: VideoModel, named: NamedVideo, queries: list[str], top: int | None) -> str:
    clip, answers = find_moments(named.address, queries, model, PipelineConfig(top=top))
    rows = [Row.of(answer, clip, video=named.shown).as_json() for answer in answers]
    return json.dumps(rows, ensure_ascii=False, allow_nan=False)


def _probed(named: NamedVideo) -> str:
    fields: dict[str, Any] = asdict(probe(named.address))
    del fields["path"]
    return json.dumps({"video": named.shown, **fields}, ensure_ascii=False)


def _framed(named: NamedVideo, at: list[float], max_side: int) -> list[str | Image]:
    from PIL import Image as Picture

    clip = open_video(named.address)
    if max(at) > clip.duration_seconds:
        ends = format_timecode(clip.duration_seconds, 3)
        raise Refusal(400, "no_such_time", f"there is nothing at {max(at):g} s: the video ends at {ends}")
    shown = np.unique(clock_of(clip).shown_at(np.array(sorted(at))))
    pictures = (pixels for batch in read_frames(clip, shown, max_side=max_side) for pixels in batch.pixels[0])
    told: list[str | Image] = []
    for seconds, pixels in zip(shown, pictures, strict=True):
        jpeg = io.BytesIO()
        Picture.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(jpeg, "JPEG", quality=85)
        told += [f"shown since {seconds:.3f} s", Image(data=jpeg.getvalue(), format="jpeg")]
    return told
