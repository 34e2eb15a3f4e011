"""A model of a server in OpenAI's form as a model of tvu.

A server of tvu is asked for moments in its own words, and tells calibrated scores; any other gets the frames with their
true times, and is asked for JSON where it can be held to it.
"""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from tvu.video_llm.errors import BackendError, UnknownModel
from tvu.video_llm.parse import in_words
from tvu.video_llm.questions import moments_question
from tvu.video_llm.remote.address import RemoteConfig
from tvu.video_llm.remote.moments import MOMENTS_SCHEMA, Written, read_moments, written_in
from tvu.video_llm.remote.pictures import file_url, frame_parts, part_of, path_url, preamble, sampling_of
from tvu.video_llm.remote.transport import ServerSaid, Transport, check_model
from tvu.video_llm.results.rows import Row
from tvu.video_llm.sample import SamplingConfig
from tvu.video_llm.types import Answer, Grounding, Request, Timing, VideoClip

IN_SECONDS = "Tell times in seconds from the start of the video."
IN_JSON = (
    f'{IN_SECONDS} Answer with JSON only: {{"moments": [{{"start_seconds": 1.5, "end_seconds": 4.0}}]}}, '
    "and an empty list if it does not happen."
)
EXTRAS = ("response_format", "logprobs")  # what a server may not know, and is then asked without


@dataclass(frozen=True)
class Card:
    """What a server tells of its model.

    is_ours: it is a `tvu serve`, which takes files of `video_bytes` at most. writes: it writes free text.
    """

    model: str
    is_ours: bool = False
    writes: bool = True
    video_bytes: int | None = None
    max_queries: int = 100


@dataclass
class Spent:
    """Tokens that all answers took so far, as the server tells them."""

    read: int = 0
    written: int = 0


@dataclass(frozen=True)
class _Reply:
    """A chat completion: what was written, tokens read and written, and whether it was cut."""

    written: Written
    read_tokens: int = 0
    written_tokens: int = 0
    is_cut: bool = False
    row: Row | None = None


class Remote:
    """A model elsewhere. It remembers what it sent of the clip that it was asked about last.

    Raises nothing before it is asked; then BackendError where the server cannot be reached or fails, UnknownModel where
    it has no such model, VideoError. least_score: spans less likely are not told; None tells all.
    """

    def __init__(
        self, name: str, config: RemoteConfig, least_score: float | None = None, transport: Transport | None = None
    ) -> None:
        self.name = name
        self.config = config
        self.spent = Spent()
        self._least_score = least_score
        self._transport = transport or Transport(config)
        self._lock = threading.Lock()
        self._extras = set(EXTRAS)
        self._sent: tuple[VideoClip, SamplingConfig, list[dict[str, Any]], tuple[float, ...]] | None = None

    # --- the protocol of every model ---

    def find(self, clip: VideoClip, queries: Sequence[str]) -> list[Answer]:
        """When each query happens; several are asked at once, see `RemoteConfig.parallel`."""
        if not queries:
            return []
        if self.card.is_ours:
            return self._found_by_ours(clip, queries)
        started = time.perf_counter()
        content, times = self._content(clip, sampling_of(self.config))
        looked = time.perf_counter() - started

        def find_one(query: str) -> Answer:
            asked = [*content, {"type": "text", "text": f"{moments_question(query)} {IN_JSON}"}]
            return self._moments(clip, query, asked, times, wants_json=True)

        with ThreadPoolExecutor(min(self.config.parallel, len(queries))) as threads:
            answers = list(threads.map(find_one, queries))
        first = replace(answers[0].timing, decode_s=looked)  # all share what was sent
        return [replace(answers[0], timing=first), *answers[1:]]

    def ground(self, clip: VideoClip, queries: Sequence[str]) -> list[list[Grounding]]:
        """The spans alone, best first."""
        return [list(answer.groundings) for answer in self.find(clip, queries)]

    def answer(self, clip: VideoClip, question: str) -> Answer:
        """What the model says, and the spans that it tells."""
        if self.card.is_ours:
            return self._answer_of_ours(clip, question)
        content, times = self._content(clip, sampling_of(self.config))
        asked = [*content, {"type": "text", "text": f"{question.strip()}\n{IN_SECONDS}"}]
        return self._moments(clip, question, asked, times, wants_json=False)

    def write(
        self, clip: VideoClip, request: Request, *, sampling: SamplingConfig | None = None, max_new_tokens: int
    ) -> Answer:
        """What the model writes after `request`.

        A prefill is handed over as vLLM and SGLang have it continue (`continue_final_message`); a server of tvu takes
        none, and looks as its model does whatever `sampling` says.
        """
        started = time.perf_counter()
        if not self.card.writes:
            raise UnknownModel(f"{self.card.model} finds moments, and writes nothing", hint="ask a Video-LLM")
        if self.card.is_ours and request.prefill:
            raise BackendError("a server of tvu goes on from no beginning", hint="ask without a prefill")
        given = replace(sampling, max_side=self.config.side) if sampling else sampling_of(self.config)
        content, times = ([self._video_part(clip)], ()) if self.card.is_ours else self._content(clip, given)
        messages: list[dict[str, Any]] = []
        if request.system:
            messages.append({"role": "system", "content": request.system})
        messages.append({"role": "user", "content": [*content, {"type": "text", "text": request.user}]})
        more: dict[str, Any] = {}
        if request.prefill:
            messages.append({"role": "assistant", "content": request.prefill})
            more = {"continue_final_message": True, "add_generation_prompt": False}
        reply = self._chat(messages, max_new_tokens, more)
        text = reply.written.text
        if request.prefill and text.startswith(request.prefill):
            text = text[len(request.prefill) :]
        notes = self._notes(reply)
        if self.card.is_ours and sampling is not None:
            notes = ("the model looked at frames of its own choice", *notes)
        took = time.perf_counter() - started
        told = request.user if not request.system else f"{request.system}\n{request.user}"
        timing = Timing(generate_s=took, total_s=took)
        return Answer(request.user, text, (), self.name, timing, notes, prompt=told, frame_seconds=times)

    # --- a server of tvu ---

    def _found_by_ours(self, clip: VideoClip, queries: Sequence[str]) -> list[Answer]:
        url = self._ours_url(clip)
        rows: list[Row] = []
        for first in range(0, len(queries), self.card.max_queries):
            some = list(queries[first : first + self.card.max_queries])
            told = self._post("moments", {"model": self.card.model, "video": url, "queries": some})
            rows += [_row(each) for each in told.get("data", ())]
        if len(rows) != len(queries):
            raise BackendError(f"the server at {self.config.host} answers {len(rows)} of {len(queries)} queries")
        return [self._answer_of(row, query) for row, query in zip(rows, queries, strict=True)]

    def _answer_of_ours(self, clip: VideoClip, question: str) -> Answer:
        content = [{"type": "text", "text": question}, self._video_part(clip)]
        reply = self._chat([{"role": "user", "content": content}], None, {})
        if reply.row is None:
            raise BackendError(f"the server at {self.config.host} tells no row", hint="is it another version of tvu?")
        return self._answer_of(reply.row, question)

    def _answer_of(self, row: Row, question: str) -> Answer:
        return Answer(question, row.answer, self._likely(row.groundings), self.name, row.timing, row.notes)

    def _video_part(self, clip: VideoClip) -> dict[str, Any]:
        return {"type": "video_url", "video_url": {"url": self._ours_url(clip)}}

    def _ours_url(self, clip: VideoClip) -> str:
        match self.config.send:
            case "path":
                return path_url(clip) + part_of(clip)
            case "frames":
                raise UnknownModel("a server of tvu takes no frames", hint="leave ?send=frames away")
        return file_url(clip, self.card.video_bytes) + part_of(clip)

    # --- any other server ---

    def _content(self, clip: VideoClip, sampling: SamplingConfig) -> tuple[list[dict[str, Any]], tuple[float, ...]]:
        """The parts of a message that show the clip, and when the frames in them appear."""
        with self._lock:
            if self._sent is not None and self._sent[:2] == (clip, sampling):
                return self._sent[2], self._sent[3]
            times: tuple[float, ...] = ()
            if self.config.send in ("video", "path"):
                url = file_url(clip) if self.config.send == "video" else clip.path.resolve().as_uri()
                parts: list[dict[str, Any]] = [{"type": "video_url", "video_url": {"url": url}}]
            else:
                parts, times = frame_parts(clip, sampling)
            content = [{"type": "text", "text": preamble(clip, times)}, *parts]
            self._sent = (clip, sampling, content, times)
            return content, times

    def _moments(
        self,
        clip: VideoClip,
        question: str,
        content: list[dict[str, Any]],
        times: tuple[float, ...],
        *,
        wants_json: bool,
    ) -> Answer:
        started = time.perf_counter()
        more: dict[str, Any] = {"logprobs": True}
        if wants_json:
            schema = {"name": "moments", "strict": True, "schema": MOMENTS_SCHEMA}
            more["response_format"] = {"type": "json_schema", "json_schema": schema}
        reply = self._chat([{"role": "user", "content": content}], self.config.tokens, more)
        found = self._likely(read_moments(reply.written, clip))
        text = in_words(found) if wants_json else reply.written.text.strip()
        took = time.perf_counter() - started
        asked = "\n".join(part["text"] for part in content if part["type"] == "text")
        notes = self._notes(reply)
        if found and not reply.written.log_probs:
            notes = ("the server tells no probabilities: every score is 0.5 and says nothing", *notes)
        elif found:
            notes = ("scores are probabilities of the words that tell the times, and not calibrated", *notes)
        if not times:
            notes = (*notes, "times are those of the server's own reader of videos")
        timing = Timing(generate_s=took, total_s=took)
        return Answer(question, text, found, self.name, timing, notes, prompt=asked, frame_seconds=times)

    def _likely(self, groundings: Sequence[Grounding]) -> tuple[Grounding, ...]:
        return tuple(each for each in groundings if self._least_score is None or each.score >= self._least_score)

    def _notes(self, reply: _Reply) -> tuple[str, ...]:
        notes = ["the answer was cut: allow it more with ?tokens=N before the #"] if reply.is_cut else []
        if reply.read_tokens or reply.written_tokens:
            tokens = f"tokens: {reply.read_tokens} read, {reply.written_tokens} written"
            if self.config.price is not None:
                read, written = self.config.price
                tokens += f", cost {(reply.read_tokens * read + reply.written_tokens * written) / 1e6:.6f}"
            notes.append(tokens)
        return tuple(notes)

    # --- asking ---

    @cached_property
    def card(self) -> Card:
        """What the server tells of its model; asked once."""
        try:
            told = self._transport.get("models").get("data")
        except ServerSaid as error:
            if error.status not in (404, 405) or not self.config.model:
                raise
            return Card(self.config.model)  # a server without a list of its models
        cards = {each["id"]: each for each in told or () if isinstance(each, dict) and isinstance(each.get("id"), str)}
        name = self.config.model or (next(iter(cards)) if len(cards) == 1 else "")
        known = ", ".join(list(cards)[:20]) or "none that it tells"
        if not name:
            raise UnknownModel(f"the name of a model is missing after {self.config.base}#", hint=f"there is {known}")
        card = cards.get(name, {})
        ours = card.get("tvu") if card.get("owned_by") == "tvu" else None
        if not isinstance(ours, dict):
            if any(each.get("owned_by") == "tvu" for each in cards.values()):
                raise UnknownModel(f"the server at {self.config.host} has no model {name!r}", hint=f"there is {known}")
            return Card(name)
        most = int(ours.get("video_bytes", 0)) or None
        return Card(name, True, ours.get("writes") is True, most, max(1, int(ours.get("max_queries", 100))))

    def _chat(self, messages: list[dict[str, Any]], max_tokens: int | None, more: dict[str, Any]) -> _Reply:
        """A chat completion; what the server does not know of `more` is left away, now and from then on."""
        body: dict[str, Any] = {"model": self.card.model, "messages": messages}
        if not self.card.is_ours:
            body["temperature"] = 0
        if max_tokens is not None:
            body["max_tokens"] = max_tokens
        while True:
            extras = {key: value for key, value in more.items() if key not in EXTRAS or key in self._extras}
            try:
                return self._reply(self._post("chat/completions", body | extras))
            except ServerSaid as error:
                if error.status not in (400, 422) or not self._without(error.reason, extras):
                    raise

    def _without(self, reason: str, extras: dict[str, Any]) -> bool:
        """Forget what the server's reason is about, or else all that it may not know; False where nothing is left."""
        words = {
            "response_format": ("response_format", "json_schema", "guided", "structured"),
            "logprobs": ("logprob",),
        }
        asked = [each for each in EXTRAS if each in extras]
        named = [each for each in asked if any(word in reason.lower() for word in words[each])]
        with self._lock:
            self._extras -= set(named or asked)
        return bool(asked)

    def _post(self, page: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._transport.post(page, body)
        except ServerSaid as error:
            check_model(error, self.name)
            raise

    def _reply(self, told: dict[str, Any]) -> _Reply:
        choices = told.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            raise BackendError(f"the server at {self.config.host} gives no answer", hint="does its URL end in /v1?")
        usage = told.get("usage")
        read, written = (_count(usage, name) for name in ("prompt_tokens", "completion_tokens"))
        with self._lock:
            self.spent.read += read
            self.spent.written += written
        row = _row(told["tvu"]) if self.card.is_ours and "tvu" in told else None
        return _Reply(written_in(choices[0]), read, written, choices[0].get("finish_reason") == "length", row)


def _count(usage: Any, name: str) -> int:
    told = usage.get(name) if isinstance(usage, dict) else 0
    return told if isinstance(told, int) and told > 0 else 0


def _row(told: Any) -> Row:
    try:
        return Row.from_json(told)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BackendError(f"the server tells no row: {error}", hint="is it another version of tvu?") from error
