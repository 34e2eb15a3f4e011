"""Words that a recogniser takes for each other sound alike; others do not."""

import pytest

from tvu.video_llm.narration.sounds_alike import alikeness, phonetic_key, sounds_coded, sounds_within, stretches_of


@pytest.mark.parametrize(
    ("a", "b"), [("knight", "night"), ("wales", "whales"), ("phone", "fone"), ("4", "four"), ("13", "thirteen")]
)
def test_words_of_one_sound_have_one_key(a: str, b: str) -> None:
    assert phonetic_key(a) == phonetic_key(b)


@pytest.mark.parametrize(
    ("said", "misheard", "other"),
    [
        ("striker", "stryker", "strange"),
        ("flour", "flower", "water"),
        ("berlin", "merlin", "madrid"),
        ("chop", "shop", "fry"),
        ("13", "30", "8"),
        ("onion", "onions", "union's"),
    ],
)
def test_a_misheard_word_is_nearer_than_another(said: str, misheard: str, other: str) -> None:
    near, far = alikeness([said], [misheard, other])[0]
    assert near > 0.6 and near > far


def test_the_same_token_is_one_and_different_words_are_nothing():
    alike = alikeness(["window", "the", "12"], ["window", "carrot", "12", "of"])
    assert alike[0, 0] == 1 and alike[2, 2] == 1
    assert alike[0, 1] == 0 and alike[1, 3] == 0


def test_letters_of_any_script_are_compared():
    alike = alikeness(["привет", "世"], ["привет", "世", "界"])
    assert alike[0, 0] == 1 and alike[1, 1] == 1 and alike[1, 2] == 0
    assert alikeness([], ["a"]).shape == (0, 1)


def test_sounds_are_found_within_more():
    needle, same, near = map(sounds_coded, ("onion", "xxonionyy", "xxunionyy"))
    assert sounds_within(needle, same) == 1
    assert 0.5 < sounds_within(needle, near) < 1
    assert sounds_within(needle, sounds_coded("")) == 0


def test_a_stretch_of_sounds_begins_and_ends_where_they_do():
    heard = "TanksforallprihitTarmintoandmorprehitTovn"
    found = stretches_of(sounds_coded("prihitTovn"), sounds_coded(heard), least=0.5, most=2)
    assert [heard[first:last] for first, last in found] == ["prehitTovn", "prihitTarm"]
    assert stretches_of(sounds_coded("skuSbal"), sounds_coded(heard), least=0.7, most=2) == []
