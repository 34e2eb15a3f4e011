"""Prompts with places for what was seen: of one video that several questions are about, or of a video each."""

import pytest
import torch

from tests.video_llm.generation.speakers import letters, tiny
from tvu.temporal.types import VisualTokens
from tvu.video_llm.generate import GenerateConfig, generate, prompt_embeddings, read_prefix
from tvu.video_llm.generation.decoder import FusedDecoder
from tvu.video_llm.generation.transformers_decoder import TransformersDecoder
from tvu.video_llm.types import Prompt

FRAMES, PATCHES, WIDTH = 3, 2, 32
TEXT = [[5, 6, None, 7, 8, 9], [5, 6, None, 10], [5, 6, None, 7, 11, 12, 13]]


def videos(count: int, lengths: list[int] | None = None) -> VisualTokens:
    features = torch.randn(count, FRAMES, PATCHES, WIDTH, generator=torch.Generator().manual_seed(count))
    spans = torch.stack([torch.arange(FRAMES), torch.arange(1, FRAMES + 1)], dim=-1).double()
    real = torch.tensor(lengths or [FRAMES] * count)
    return VisualTokens.from_frames(features, spans.expand(count, -1, -1), grid=(1, PATCHES), lengths=real)


def prompt(rows: list[list[int | None]], visual: VisualTokens) -> Prompt:
    """None stands where the video of a row goes."""
    seen = (visual.lengths * PATCHES).tolist() * (len(rows) if len(visual.features) == 1 else 1)
    spread = [
        [token for given in row for token in ([None] * n if given is None else [given])]
        for row, n in zip(rows, seen, strict=True)
    ]
    size = max(map(len, spread))
    ids = torch.tensor([[token or 0 for token in row] + [3] * (size - len(row)) for row in spread])
    places = torch.tensor([[token is None for token in row] + [False] * (size - len(row)) for row in spread])
    return Prompt(ids, places, torch.tensor([len(row) for row in spread]), visual)


@pytest.mark.parametrize("decoder_of", [FusedDecoder, TransformersDecoder])
@pytest.mark.parametrize("visual", [videos(1), videos(3), videos(3, [3, 1, 2])], ids=["one", "three", "ragged"])
def test_answers_about_videos_are_those_of_transformers(decoder_of, visual):
    model = tiny("llama")
    asked, language = prompt(TEXT, visual), decoder_of(model)
    expected = [
        model.generate(inputs_embeds=prompt_embeddings(asked, language, row)[None], max_new_tokens=12, do_sample=False)
        for row in range(3)
    ]
    for drafts in (0, 3):
        told = generate(asked, language, letters(), GenerateConfig(12, drafts=drafts))
        assert [g.token_ids for g in told] == [tuple(t for t in row[0].tolist() if t) for row in expected]


def test_a_video_is_read_once_for_all_questions_about_it():
    asked, language = prompt(TEXT, videos(1)), TransformersDecoder(tiny("llama"))
    beginning = prompt([TEXT[0][:3]], videos(1))
    prefix = read_prefix(beginning, language)
    assert prefix.length == 2 + FRAMES * PATCHES
    again = generate(asked, language, letters(), GenerateConfig(6), prefix=prefix)
    assert [g.token_ids for g in again] == [
        g.token_ids for g in generate(asked, language, letters(), GenerateConfig(6))
    ]


def test_a_place_and_a_word_with_the_same_id_are_not_the_same_beginning():
    visual, language = videos(1), FusedDecoder(tiny("llama"))
    seen = prompt([[5, None, 7]], visual)
    ids = seen.input_ids.repeat(2, 1)
    places = torch.stack([seen.is_visual[0], torch.zeros_like(seen.is_visual[0])])
    both = generate(Prompt(ids, places, seen.lengths.repeat(2), visual), language, letters(), GenerateConfig(6))
    alone = [
        generate(Prompt(ids[:1], places[row : row + 1], seen.lengths, visual), language, letters(), GenerateConfig(6))
        for row in range(2)
    ]
    assert [g.token_ids for g in both] == [g[0].token_ids for g in alone]


def test_tokens_without_a_place_and_prompts_without_a_position_are_refused():
    language, visual = FusedDecoder(tiny("llama")), videos(1)
    whole = prompt([[5, None, 7]], visual)
    fewer = Prompt(whole.input_ids, whole.is_visual & (torch.arange(8) < 4), whole.lengths, visual)
    with pytest.raises(ValueError, match="6 visual tokens for 3 places"):
        generate(fewer, language, letters(), GenerateConfig(2))
    empty = Prompt(torch.zeros(1, 1, dtype=torch.int64), torch.zeros(1, 1, dtype=torch.bool), torch.tensor([0]))
    with pytest.raises(ValueError, match="empty"):
        generate(empty, language, letters(), GenerateConfig(2))
    with pytest.raises(ValueError, match="one row"):
        read_prefix(prompt(TEXT, visual), language)
