"""From what is seen to visual tokens, and from a question and these to what the language model makes of them."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.video_llm.lite.tiny_lite import KNOWN, byte_tokenizer, tiny_config, tiny_inputs, tiny_model
from tvu.video_llm.lite.inputs import LiteInputs
from tvu.video_llm.lite.model import CELLS, GAINS, Eyes, LiteModel, Reading, relative_time
from tvu.video_llm.lite.prompt import LiteTokenizer, sequences
from tvu.video_llm.models.parts import build_codec

QUESTION = "When does a dog run?"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> LiteTokenizer:
    path = tmp_path_factory.mktemp("tokens") / "tokenizer.json"
    byte_tokenizer().save(str(path))
    return LiteTokenizer(Path(path), build_codec(tiny_config().codec), KNOWN)


def reading(tokenizer: LiteTokenizer, asked: list[tuple[int, str, str]], counts: list[int]) -> Reading:
    told = sequences(tokenizer, asked, counts)
    arrays = (told.ids, told.is_visual, told.video, told.answers, told.last_asked, told.clause_of)
    return Reading(*map(torch.from_numpy, arrays))


def only(inputs: LiteInputs, row: int) -> LiteInputs:
    steps = int(inputs.lengths[row])
    told = vars(inputs).items()
    return LiteInputs(
        **{name: each[row : row + 1, :steps] if each.ndim > 1 else each[row : row + 1] for name, each in told}
    )


def test_a_visual_token_is_half_a_second_and_knows_its_time():
    tokens, rows = tiny_model().eyes(tiny_inputs([10, 6]))
    assert tokens.features.shape == (2, 5, 1, 24) and rows.shape == (2, 5, 32)
    assert tokens.lengths.tolist() == [5, 3]
    torch.testing.assert_close(tokens.spans[0, 1], torch.tensor([0.5, 1.0], dtype=torch.float64))


def test_what_the_head_sees_and_what_words_are_made_of_may_be_had_one_by_one():
    eyes, inputs = tiny_model().eyes, tiny_inputs([10, 6])
    spans = _spans(10, start=60.0).expand(2, -1, -1)
    tokens, rows = eyes(inputs, spans)
    alone = eyes.tokens(inputs, spans)
    assert torch.equal(alone.features, tokens.features) and torch.equal(alone.spans, tokens.spans)
    assert alone.lengths.tolist() == [5, 3] and float(alone.spans[0, 0, 0]) == 60
    assert torch.equal(eyes.rows(alone), rows) and torch.equal(eyes.tokens(inputs).features, eyes(inputs)[0].features)


def test_the_padding_of_other_videos_changes_nothing(tokenizer):
    model, both = tiny_model(), tiny_inputs([16, 7])
    asked = [(0, QUESTION, "<t3> <t9>"), (1, "How many?", "2"), (1, QUESTION, "")]
    tokens, rows = model.eyes(both)
    together = model.read(tokens, rows, reading(tokenizer, asked, tokens.lengths.tolist()))
    alone_tokens, alone_rows = model.eyes(only(both, 1))
    alone = model.read(
        alone_tokens, alone_rows, reading(tokenizer, [(0, *asked[2][1:])], alone_tokens.lengths.tolist())
    )
    few = int(alone_tokens.lengths[0])
    ours, theirs = together.moments(), alone.moments()
    torch.testing.assert_close(ours.spans[2, :few], theirs.spans[0], atol=1e-4, rtol=0)  # float32, another order
    torch.testing.assert_close(ours.inside[2, :few], theirs.inside[0], atol=1e-4, rtol=0)
    torch.testing.assert_close(ours.present[2], theirs.present[0], atol=1e-4, rtol=0)


def test_what_a_path_lacks_does_not_count(tokenizer):
    model, inputs = tiny_model(), tiny_inputs([8])
    blind = replace(inputs, has_motion=inputs.has_motion & False)
    other = replace(blind, motion=inputs.motion + 7)
    assert torch.equal(model.eyes(blind)[1], model.eyes(other)[1])
    assert not torch.equal(model.eyes(blind)[1], model.eyes(inputs)[1])


def test_paths_that_a_model_does_not_look_at_do_not_count():
    model, inputs = tiny_model(paths=("body",)), tiny_inputs([8])
    other = replace(inputs, slow=inputs.slow + 1, motion=inputs.motion + 1, hands=inputs.hands + 1)
    assert torch.equal(model.eyes(inputs)[1], model.eyes(other)[1])


def test_layers_for_hands_begin_the_same_in_every_run():
    """So that trainings which got them apart from each other have a mean."""
    eyes = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        eyes.append(Eyes(tiny_config()))
    one, other = eyes
    assert torch.equal(one.hands[0].weight, other.hands[0].weight) and one.hands[0].weight.any()
    assert not torch.equal(one.body[0].weight, other.body[0].weight)


def test_hands_add_nothing_before_they_have_learned_and_then_only_where_there_are_any():
    model, inputs = tiny_model(), tiny_inputs([8])
    eyes, other = model.eyes, replace(inputs, hands=inputs.hands + 1)
    assert torch.equal(eyes.step_tokens(inputs).features, eyes.step_tokens(other).features)
    torch.nn.init.normal_(eyes.hands[-1].weight)
    steps = torch.arange(8) < 5
    some, others = (replace(each, has_hands=steps[None]) for each in (inputs, other))
    before, after = (eyes.step_tokens(each).features[0] for each in (some, others))
    body = CELLS + 1
    assert torch.equal(before[:, :body], after[:, :body]) and torch.equal(before[5:], after[5:])
    assert (before[:5, body] != after[:5, body]).any(-1).all()


def test_in_training_pictures_look_otherwise_each_time_and_else_the_same():
    torch.manual_seed(0)
    eyes, inputs = tiny_model().eyes, tiny_inputs([8, 8])
    one, other = (eyes.train().step_tokens(inputs).features for _ in range(2))
    assert not torch.isclose(one[:, :, :CELLS], other[:, :, :CELLS]).all(-1).any()
    assert torch.equal(one[:, :, CELLS:], other[:, :, CELLS:])  # motion and bodies
    one, other = (eyes.eval().tokens(inputs).features for _ in range(2))
    assert torch.equal(one, other)


def test_in_training_each_channel_of_a_video_is_seen_with_a_gain_of_its_own():
    torch.manual_seed(0)
    eyes, inputs, seen = tiny_model().eyes.train(), tiny_inputs([8, 8]), []
    eyes.slow.register_forward_pre_hook(lambda _, told: seen.append(told[0]))
    eyes.step_tokens(inputs)
    gains = seen[0] / inputs.slow
    torch.testing.assert_close(gains, gains[:, :1, :1].expand_as(gains))  # at all times and in all cells
    assert not torch.isclose(gains[0], gains[1]).all()
    assert float(gains.mean()) == pytest.approx(1, abs=0.01) and float(gains.std()) == pytest.approx(GAINS, abs=0.01)


def test_visual_tokens_know_the_question(tokenizer):
    model = tiny_model()
    tokens, rows = model.eyes(tiny_inputs([8]))
    asked = [(0, QUESTION, ""), (0, "When does a cat run?", "")]
    inside = model.read(tokens, rows, reading(tokenizer, asked, [4])).moments().inside
    assert not torch.allclose(inside[0], inside[1])


def test_text_is_lost_on_the_answer_only(tokenizer):
    model = tiny_model()
    tokens, rows = model.eyes(tiny_inputs([8]))
    told = reading(tokenizer, [(0, QUESTION, "<t3> <t9>")], [4])
    assert int(told.answers.sum()) == len(tokenizer.encode("<t3> <t9>")) + 1  # and the mark that ends it
    assert float(model.read(tokens, rows, told).text_loss().detach()) > 0
    unanswered = reading(tokenizer, [(0, QUESTION, "")], [4])
    assert float(model.read(tokens, rows, unanswered).text_loss().detach()) == 0


def test_a_long_answer_does_not_drown_a_short_one(tokenizer):
    model = tiny_model()
    tokens, rows = model.eyes(tiny_inputs([8]))

    def lost(*answers):
        told = reading(tokenizer, [(0, QUESTION, each) for each in answers], [4])
        return float(model.read(tokens, rows, told).text_loss().detach())

    short, long = "No", "a dog runs, " * 8
    shares = [len(tokenizer.encode(each)) + 1 for each in (short, long)]
    weights = [share**0.5 for share in shares]
    expected = (weights[0] * lost(short) + weights[1] * lost(long)) / sum(weights)
    assert lost(short, long) == pytest.approx(expected, rel=1e-4)


def test_gradients_reach_eyes_adapters_new_words_and_head(tokenizer):
    model = tiny_model()
    for name, each in model.named_parameters():
        if name.endswith(".up"):
            torch.nn.init.normal_(each, std=0.1)
    output = model(tiny_inputs([8]), reading(tokenizer, [(0, QUESTION, "<t3>")], [4]))
    found = output.moments()
    said = (found.inside, found.spans, found.quality, found.present, found.proposals.logits)
    (output.text_loss() + sum(each.sum() for each in said)).backward()
    without = [name for name, each in model.named_parameters() if each.requires_grad and each.grad is None]
    assert not without


def test_time_is_relative_to_what_is_looked_at():
    tokens, _ = tiny_model().eyes(tiny_inputs([8]))
    later = tiny_model().eyes(tiny_inputs([8]), tokens.spans.repeat_interleave(2, 1)[:, :8] * 0 + _spans(8, start=60))[
        0
    ]
    torch.testing.assert_close(relative_time(later), relative_time(tokens), atol=1e-4, rtol=0)


def _spans(steps: int, start: float) -> torch.Tensor:
    starts = start + torch.arange(steps, dtype=torch.float64) / 4
    return torch.stack([starts, starts + 0.25], -1)[None]


def test_a_config_of_unknown_paths_is_refused():
    with pytest.raises(ValueError, match="paths"):
        tiny_config(paths=("sound",))


def test_inputs_of_other_shapes_are_refused():
    inputs = tiny_inputs([4])
    with pytest.raises(ValueError, match="body"):
        replace(inputs, body=inputs.body[..., :3])


def test_a_model_keeps_its_table_beside_the_new_words():
    model: LiteModel = tiny_model()
    assert model.table.shape == (KNOWN + 20 + 2, 32)


def test_visual_tokens_come_to_the_language_model_as_large_as_words():
    _, rows = tiny_model().eyes(tiny_inputs([12]))
    size = rows.pow(2).mean(-1).sqrt()
    torch.testing.assert_close(size, torch.full((1, 6), tiny_config().word_size), rtol=0.01, atol=0)
