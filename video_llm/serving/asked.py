"""What a request asks, read from its JSON: a chat in OpenAI's form, or moments in ours."""

import math
from dataclasses import dataclass
from typing import Any

from tvu.temporal.timecode import parse_timecode
from tvu.video_llm.serving.config import ServeConfig
from tvu.video_llm.serving.refusal import Refusal


@dataclass(frozen=True)
class AskedChat:
    """One question about one video.

    video, text: as they were told. system: what stands before, empty for nothing. model: its name, empty for the first.
    max_new_tokens: None where the client does not limit them. wants_moments: the answer is JSON, see
    `remote.moments.MOMENTS_SCHEMA`.
    streams: the answer comes in pieces; tells_usage: with what was counted at the end.
    """

    video: str
    text: str
    system: str = ""
    model: str = ""
    max_new_tokens: int | None = None
    wants_moments: bool = False
    streams: bool = False
    tells_usage: bool = False


@dataclass(frozen=True)
class AskedMoments:
    """When each of the queries happens in a video; top: at most so many spans each; start and end in file seconds."""

    video: str
    queries: tuple[str, ...]
    model: str = ""
    top: int | None = None
    start_seconds: float | None = None
    end_seconds: float | None = None


def read_chat(body: dict[str, Any], config: ServeConfig) -> AskedChat:
    """The question of a chat completion. Raises Refusal (400) for what is no such request, or more than we answer."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(each, dict) for each in messages):
        raise _bad("messages has to be a list of messages")
    system: list[str] = []
    texts: list[str] = []
    videos: list[str] = []
    for message in messages:
        match message.get("role"):
            case "system" | "developer":
                system += _texts(message.get("content"), [])
            case "user":
                texts += _texts(message.get("content"), videos)
            case "assistant" | "tool" | "function":
                raise _bad("earlier turns are not read: ask one question about one video")
            case role:
                raise _bad(f"a message has a role that is not known: {str(role)[:40]!r}")
    if len(videos) != 1:
        raise _bad(f"a request is about one video, not {len(videos)}: add one part of type video_url")
    if body.get("n") not in (None, 1):
        raise _bad("one answer is given, n has to be 1")
    if body.get("tools"):
        raise _bad("tools are not called")
    options = body.get("stream_options")
    return AskedChat(
        videos[0],
        _letters("\n".join(texts), "the question", config),
        "\n".join(system)[: config.max_letters],
        _model(body),
        _count(body.get("max_completion_tokens", body.get("max_tokens")), "max_tokens"),
        _wants_moments(body.get("response_format")),
        body.get("stream") is True,
        isinstance(options, dict) and options.get("include_usage") is True,
    )


def read_moments(body: dict[str, Any], config: ServeConfig) -> AskedMoments:
    """The queries of a request for moments. Raises Refusal (400)."""
    video, queries = body.get("video"), body.get("queries")
    if not isinstance(video, str) or not video:
        raise _bad("video has to be a path, or a file: or data: URL")
    if not isinstance(queries, list) or not 1 <= len(queries) <= config.max_queries:
        raise _bad(f"queries has to be a list of 1 to {config.max_queries} texts")
    told = tuple(_letters(query, "a query", config) for query in queries)
    start, end = (_seconds(body.get(name), name) for name in ("start", "end"))
    return AskedMoments(video, told, _model(body), _count(body.get("top"), "top"), start, end)


def _texts(content: Any, videos: list[str]) -> list[str]:
    """The texts of a message; its videos are added to `videos`."""
    if isinstance(content, str):
        return [content]
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise _bad("the content of a message is a text, or a list of parts")
    texts = []
    for part in content:
        match part.get("type"):
            case "text" if isinstance(part.get("text"), str):
                texts.append(part["text"])
            case "video_url":
                named = part.get("video_url")
                url = named.get("url") if isinstance(named, dict) else named
                if not isinstance(url, str) or not url:
                    raise _bad('a part of type video_url is {"type": "video_url", "video_url": {"url": …}}')
                videos.append(url)
            case "image_url":
                raise _bad("pictures have no times: send the video itself, as a part of type video_url")
            case kind:
                raise _bad(f"a part of type {str(kind)[:40]!r} is not read")
    return texts


def _wants_moments(told: Any) -> bool:
    if told is None or (isinstance(told, dict) and told.get("type") == "text"):
        return False
    if isinstance(told, dict) and told.get("type") == "json_schema":
        named = told.get("json_schema")
        schema = named.get("schema") if isinstance(named, dict) else None
        properties = schema.get("properties") if isinstance(schema, dict) else None
        if isinstance(properties, dict) and set(properties) == {"moments"}:
            return True
    raise _bad("of response_format, text is answered, and a json_schema whose only property is moments")


def _letters(text: Any, what: str, config: ServeConfig) -> str:
    if not isinstance(text, str) or not text.strip():
        raise _bad(f"{what} has to be a text")
    if len(text) > config.max_letters:
        raise _bad(f"{what} has at most {config.max_letters} letters")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise _bad(f"{what} holds half a character")
    return text.strip()


def _model(body: dict[str, Any]) -> str:
    name = body.get("model", "")
    if not isinstance(name, str):
        raise _bad("model has to be a name")
    return name


def _count(told: Any, name: str) -> int | None:
    if told is None:
        return None
    if not isinstance(told, int) or isinstance(told, bool) or not 1 <= told <= 1_000_000:
        raise _bad(f"{name} has to be a whole number from 1")
    return told


def _seconds(told: Any, name: str) -> float | None:
    if told is None:
        return None
    try:
        seconds = parse_timecode(told) if isinstance(told, str) else float(told)
    except (TypeError, ValueError, OverflowError):
        seconds = -1.0
    if not (math.isfinite(seconds) and seconds >= 0):
        raise _bad(f"{name} has to be seconds, or a time as 1:02.5")
    return seconds


def _bad(message: str) -> Refusal:
    return Refusal(400, "bad_request", message)
