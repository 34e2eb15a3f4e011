"""Words that a recogniser takes for each other sound alike; others do not."""

import time

import numpy as np
import pytest

from tvu.video_llm.narration import sounds_alike
from tvu.video_llm.narration.sounds_alike import (
    SoundsHeard,
    alikeness,
    phonetic_key,
    sounds_coded,
    sounds_within,
    stretches_of,
)


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
    found = stretches_of(sounds_coded("prihitTovn"), SoundsHeard(sounds_coded(heard)), least=0.5, most=2)
    assert [heard[first:last] for first, last in found] == ["prehitTovn", "prihitTarm"]
    assert stretches_of(sounds_coded("skuSbal"), SoundsHeard(sounds_coded(heard)), least=0.7, most=2) == []


def test_what_is_found_quickly_in_hours_of_sounds_is_what_is_found_slowly():
    rng = np.random.default_rng(0)
    for size, most in ((1, 3), (5, 20), (20, 80), (40, 160), (60, 0)):
        needle = sounds_coded("".join(rng.choice(list("aeioutdpkszmnlrhwTSC"), size)))
        heard = sounds_coded("".join(rng.choice(list("aeioutdpkszmnlrhwTSC"), 600)))
        heard[200 : 200 + size] = needle
        heard[210 + size :: 7] = ord("a")  # sounds put in
        slow = np.rint(10 * sounds_alike._edits(needle, heard)).astype(int)
        quick = sounds_alike._edits_up_to(needle, SoundsHeard(heard), most)
        assert (quick[slow <= most] == slow[slow <= most]).all() and (quick[slow > most] > most).all()
        assert quick[200 + size] == 0


@pytest.mark.alone
def test_hours_of_sounds_are_searched_in_milliseconds():
    rng = np.random.default_rng(0)
    heard = sounds_coded("".join(rng.choice(list("aeioutdpkszmnlrhwTSC"), 100_000)))
    began = time.process_time()
    assert stretches_of(heard[5000:5040], SoundsHeard(heard), least=0.6, most=1) == [(5000, 5040)]
    assert time.process_time() - began < 0.2  # 0.01 s on a quiet core, five times that with a running minimum
