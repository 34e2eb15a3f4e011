"""Generate: from a prompt to what the language model answers, one loop for every local model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from tvu.video_llm.errors import PromptTooLong
from tvu.video_llm.generation.constraint import Constraint
from tvu.video_llm.generation.drafts import MOST, Drafter
from tvu.video_llm.generation.language import LanguageModel, Prefix, Workspace
from tvu.video_llm.generation.next_token import Choice, Chooser, Sampling, contrasted
from tvu.video_llm.generation.text_stream import TextStream
from tvu.video_llm.generation.vocabulary import end_ids
from tvu.video_llm.splice import rows_of
from tvu.video_llm.types import Generation, Prompt, StopReason

OnText = Callable[[int, str], None]
"""Called with a row and the text that was added to it, as it is written."""


@dataclass(frozen=True)
class GenerateConfig:
    """How an answer is written.

    max_new_tokens: at most so many tokens.
    sampling:       how each is chosen; the likeliest by default.
    stop_texts:     texts that end an answer, which is told without them.
    stop_ids:       tokens that end an answer, beside the tokenizer's own: those of the model's generation config, which
                    may name several. Constraints are made with the same ones.
    drafts:         tokens that are guessed ahead of every step and checked by it (see `drafts.py`): the answer stays
                    the same, long ones come sooner. 0 guesses nothing. Seven suit a CPU.
    contrast:       weight of context-aware decoding, which needs the prompt without its video; 0 leaves it out.
    """

    max_new_tokens: int = 256
    sampling: Sampling = field(default_factory=Sampling)
    stop_texts: tuple[str, ...] = ()
    stop_ids: tuple[int, ...] = ()
    drafts: int = 0
    contrast: float = 0.0

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1 or not 0 <= self.drafts <= MOST or self.contrast < 0:
            raise ValueError(f"tokens from 1, drafts from 0 to {MOST}, contrast from 0; not {self}")
        if not all(self.stop_texts):
            raise ValueError("an empty text ends nothing")


def generate(
    prompt: Prompt,
    language: LanguageModel,
    tokenizer: Any,
    config: GenerateConfig | None = None,
    *,
    constraints: Sequence[Constraint | None] | None = None,
    prefix: Prefix | None = None,
    without_video: Prompt | None = None,
    on_text: OnText | None = None,
) -> list[Generation]:
    """An answer to each row of `prompt`, all of them written side by side.

    tokenizer:     of transformers; detokenizes, and says what ends an answer.
    constraints:   what each answer may be; None for anything.
    prefix:        what `read_prefix` gave for the beginning of every row: it is not read again.
    without_video: the same questions without the video, for `config.contrast`.

    Prompts about one video (`prompt.visual` of one video) are read once as far as they agree.
    Raises PromptTooLong, and ValueError where the arguments do not fit each other.
    """
    config = config or GenerateConfig()
    rows = len(prompt.input_ids)
    if (config.contrast > 0) != (without_video is not None):
        raise ValueError("contrast needs the prompts without their video, and they need a contrast")
    if without_video is not None and len(without_video.input_ids) != rows:
        raise ValueError(f"{len(without_video.input_ids)} prompts without video for {rows} with it")
    if constraints is not None and len(constraints) != rows:
        raise ValueError(f"{len(constraints)} constraints for {rows} prompts")
    prompts = [prompt] if without_video is None else [prompt, without_video]
    longest = max(int(p.lengths.max()) for p in prompts)
    capacity = longest + config.max_new_tokens + config.drafts
    if longest + config.max_new_tokens > language.max_positions:
        raise PromptTooLong(
            f"the prompt has {longest} positions and its answer up to {config.max_new_tokens}, "
            f"which is more than the {language.max_positions} that the model can hold",
            hint="look at fewer frames, or reduce their tokens more",
        )
    writers = [
        _Writer(tokenizer, config, ids, None if constraints is None else constraints[row], row, language, on_text)
        for row, ids in enumerate(_told_ids(prompt))
    ]
    with torch.inference_mode(), language.borrow(rows * len(prompts), capacity) as workspace:
        logits = _read(prompt, language, workspace, 0, prefix)
        if without_video is not None:
            blind = _read(without_video, language, workspace, rows, None)
            logits = contrasted(logits, blind, config.contrast)
        _write(writers, logits[:, None], [[] for _ in writers])
        while not all(writer.stop for writer in writers):
            _step(writers, workspace, language, config, len(prompts))
    return [writer.generation() for writer in writers]


@torch.inference_mode()
def read_prefix(prompt: Prompt, language: LanguageModel) -> Prefix:
    """One row read once, for many prompts that begin with it: a video, before any question about it.

    Raises PromptTooLong, and ValueError unless there is one row.
    """
    if len(prompt.input_ids) != 1:
        raise ValueError(f"a prefix is one row, not {len(prompt.input_ids)}")
    length = int(prompt.lengths[0])
    if length >= language.max_positions:
        raise PromptTooLong(
            f"the prompt has {length} positions, more than the {language.max_positions} that the model can hold",
            hint="look at fewer frames, or reduce their tokens more",
        )
    with language.borrow(1, length) as workspace:
        return workspace.keep(0, workspace.prefill(0, prompt_embeddings(prompt, language, 0)))


@torch.inference_mode()
def prompt_embeddings(prompt: Prompt, language: LanguageModel, row: int) -> Tensor:
    """Embeddings `[L, C]` of a row: text by the model's table, visual tokens in their places.

    Raises ValueError where there are not as many tokens as places.
    """
    length = int(prompt.lengths[row])
    is_visual = prompt.is_visual[row, :length].to(language.device)
    ids = prompt.input_ids[row, :length].to(language.device).masked_fill(is_visual, 0)
    embeddings = language.embed(ids)
    if prompt.visual is None:
        return embeddings
    seen = rows_of(prompt.visual)[row if len(prompt.visual.features) > 1 else 0]
    places = int(is_visual.sum())
    if places not in (0, len(seen)):
        raise ValueError(f"{len(seen)} visual tokens for {places} places")
    if places:
        embeddings[is_visual] = seen.to(embeddings)
    return embeddings


def read_row(
    prompt: Prompt, row: int, language: LanguageModel, workspace: Workspace, target: int, prefix: Prefix | None
) -> Tensor:
    """Read a row of `prompt` into row `target` of `workspace`, from where `prefix` ends. Returns logits `[V]`."""
    known = prefix.length if prefix else 0
    length = int(prompt.lengths[row])
    if length < max(known, 1):
        raise ValueError(f"a prompt of {length} positions does not begin with {known} others, or is empty")
    if prefix is not None:
        workspace.restore(target, prefix)
        if known == length:
            return prefix.logits
    return workspace.prefill(target, prompt_embeddings(prompt, language, row)[known:])


def shared_prefix(prompt: Prompt, language: LanguageModel, workspace: Workspace, target: int) -> Prefix | None:
    """What all rows of `prompt` begin with, read into row `target`; None for one row, or for several videos."""
    rows = len(prompt.input_ids)
    if rows == 1 or (prompt.visual is not None and len(prompt.visual.features) > 1):
        return None
    shared = min(_agreement(prompt), int(prompt.lengths.min()))
    if not shared:
        return None
    return workspace.keep(target, workspace.prefill(target, prompt_embeddings(prompt, language, 0)[:shared]))


def _read(prompt: Prompt, language: LanguageModel, workspace: Workspace, first: int, prefix: Prefix | None) -> Tensor:
    """Read every row of `prompt` into the rows of `workspace` from `first` on. Returns logits `[R, V]`."""
    prefix = prefix or shared_prefix(prompt, language, workspace, first)
    rows = range(len(prompt.input_ids))
    return torch.stack([read_row(prompt, row, language, workspace, first + row, prefix) for row in rows])


def _agreement(prompt: Prompt) -> int:
    """How many positions at the beginning of all rows are the same."""
    ids = prompt.input_ids.masked_fill(prompt.is_visual, -1)
    return int((ids == ids[:1]).all(dim=0).long().cumprod(dim=0).sum())


def _told_ids(prompt: Prompt) -> list[list[int]]:
    """The ids of each row; a visual token is -1, which nothing that is written looks like."""
    ids = prompt.input_ids.masked_fill(prompt.is_visual, -1).tolist()
    return [row[:length] for row, length in zip(ids, prompt.lengths.tolist(), strict=True)]


def _step(
    writers: Sequence["_Writer"], workspace: Workspace, language: LanguageModel, config: GenerateConfig, sides: int
) -> None:
    """One forward pass: every unfinished row gets one token more, or several where its guesses were right."""
    guesses = [[] if writer.stop else writer.guess() for writer in writers]
    most = max(map(len, guesses))
    if most and language.device.type == "cuda":  # where steps of few widths are captured, and wide ones cost no more
        most = config.drafts
    read = [[writer.last, *guess] for writer, guess in zip(writers, guesses, strict=True)]
    ids = [row + row[:1] * (1 + most - len(row)) for row in read]
    logits = workspace.step(torch.tensor(ids * sides, device=language.device))
    if sides == 2:
        with_video, without = logits.chunk(2)
        logits = contrasted(with_video, without, config.contrast)
    workspace.advance(_write(writers, logits, guesses) * sides)


def _write(writers: Sequence["_Writer"], logits: Tensor, guesses: Sequence[Sequence[int]]) -> list[int]:
    """Let every unfinished row write from `logits [R, Q, V]`; the device is asked once what is likeliest."""
    likeliest = logits.argmax(-1)
    log_probs = logits.gather(-1, likeliest[..., None])[..., 0] - logits.logsumexp(-1)
    told = torch.stack([likeliest.double(), log_probs.double()], dim=-1).tolist()
    return [
        0 if writer.stop else writer.write(row, [Choice(int(token), log_prob) for token, log_prob in best], guess)
        for writer, row, best, guess in zip(writers, logits, told, guesses, strict=True)
    ]


class _Writer:
    """One answer while it is written."""

    def __init__(
        self,
        tokenizer: Any,
        config: GenerateConfig,
        prompt: Sequence[int],
        constraint: Constraint | None,
        row: int,
        language: LanguageModel,
        on_text: OnText | None,
    ) -> None:
        self._config, self._constraint, self._row, self._on_text = config, constraint, row, on_text
        self._ends = set(end_ids(tokenizer, config.stop_ids))
        self._chooser = Chooser(config.sampling, row, language.device)
        self._text = TextStream(tokenizer, config.stop_texts)
        self._drafter = Drafter(prompt) if config.drafts and language.can_rewind else None
        self._guesses_cost = language.device.type == "cpu"
        self._choices: list[Choice] = []
        self._steps = -1  # the first tokens come with the prompt
        self._drafted = self._accepted = 0
        self.stop: StopReason | None = None

    @property
    def last(self) -> int:
        """The token that was written last; any, before and after."""
        return self._choices[-1].token_id if self._choices else 0

    def guess(self) -> list[int]:
        """What may come next."""
        if self._drafter is None:
            return []
        room = self._config.max_new_tokens - len(self._choices) - 1
        guesses = self._drafter.guess(min(self._config.drafts, room))
        self._drafted += len(guesses)
        return guesses

    def write(self, logits: Tensor, likeliest: Sequence[Choice], guesses: Sequence[int]) -> int:
        """Choose from `logits [Q, V]`: after the last token, and after each guess as long as guesses are right.

        likeliest: the best of all tokens at each of the Q places.
        Returns how many of the Q tokens that were read belong to the row.
        """
        self._steps += 1
        accepted = 0
        for place in range(len(guesses) + 1):
            if self._constraint is None and self._config.sampling.temperature == 0:
                choice = likeliest[place]
            else:
                allowed = None if self._constraint is None else self._constraint.allowed()
                choice = self._chooser.choose(logits[place], allowed)
            self._accept(choice)
            if self.stop or place == len(guesses) or choice.token_id != guesses[place]:
                break
            accepted += 1
        self._accepted += accepted
        if self._drafter is not None:
            for place, expected in enumerate(likeliest[1 + accepted : 1 + len(guesses)], accepted + 1):
                self._drafter.learn(guesses[:place], expected.token_id)
            if self._guesses_cost:
                self._drafter.judge(len(guesses), accepted)
        return 1 + accepted

    def _accept(self, choice: Choice) -> None:
        if choice.token_id in self._ends:
            self._finish("end")
            return
        self._choices.append(choice)
        if self._drafter is not None:
            self._drafter.write(choice.token_id)
        if self._constraint is not None:
            self._constraint = self._constraint.after(choice.token_id)
        self._tell(self._text.add(choice.token_id))
        if self._text.is_stopped:
            self._finish("stop-text")
        elif len(self._choices) == self._config.max_new_tokens:
            self._finish("length")

    def _finish(self, reason: StopReason) -> None:
        self.stop = reason
        self._tell(self._text.finish())

    def _tell(self, text: str) -> None:
        if text and self._on_text is not None:
            self._on_text(self._row, text)

    def generation(self) -> Generation:
        return Generation(
            text=self._text.text,
            token_ids=tuple(choice.token_id for choice in self._choices),
            log_probs=tuple(choice.log_prob for choice in self._choices),
            stop=self.stop or "length",
            steps=max(self._steps, 0),
            drafted=self._drafted,
            accepted=self._accepted,
        )
