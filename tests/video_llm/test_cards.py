import pytest

from tvu.video_llm.cards import CARDS, card_of


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("scout", "scout"),
        ("lite", "lite:FOLDER"),
        ("lite:/some/folder", "lite:FOLDER"),
        ("scout+lite", "scout+lite:FOLDER"),
        ("scout+lite:/some/folder", "scout+lite:FOLDER"),
        ("clip:ViT-B-32/laion2b_s34b_b79k", "clip:MODEL/TAG"),
        ("hf:Qwen/Qwen3-VL-8B-Instruct", "hf:REPOSITORY"),
        ("lita-13b", "lita-13b:FOLDER"),
        ("lita-13b:/some/folder", "lita-13b:FOLDER"),
        ("https://localhost:8000/v1#m", "http://HOST/v1#MODEL"),
        ("tvu:folder", "tvu:FOLDER"),
    ],
)
def test_a_model_has_a_card(name, pattern):
    card = card_of(name)
    assert card is not None and card.pattern == pattern


@pytest.mark.parametrize("name", ["", "minilm-l6", "scouting", "whisper-tiny.en", "clips"])
def test_what_is_no_model_has_none(name):
    assert card_of(name) is None


def test_no_field_of_a_card_is_left_empty():
    assert all(line.split(" ", 1)[1].strip() for card in CARDS for line in card.lines())
