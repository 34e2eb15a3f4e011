"""What is written in several ways and said in one becomes the same tokens."""

import pytest

from tvu.video_llm.narration.numerals import joined, spoken, tokens_of


def told(text: str, language: str = "en") -> list[str]:
    return [token.text for token in tokens_of(text.split(), language)]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("1,200", "twelve hundred"),
        ("1200", "one thousand two hundred"),
        ("125,000", "one hundred and twenty-five thousand"),
        ("1.2 million", "one point two million"),
        ("123 million", "one hundred twenty three million"),
        ("a hundred", "100"),
        ("365", "three hundred and sixty five"),
        ("1984", "nineteen eighty-four"),
        ("2005", "two thousand and five"),
        ("1905", "nineteen oh five"),
        ("2026", "twenty twenty six"),
        ("the 1990s", "the nineteen nineties"),
        ("21st", "twenty-first"),
        ("the 1st and 2nd", "the first and second"),
        ("100th", "hundredth"),
        ("$5", "five dollars"),
        ("$1,200", "twelve hundred dollars"),
        ("$5 million", "five million dollars"),
        ("€5.50", "five point five zero euros"),
        ("50%", "fifty percent"),
        ("180°C", "one hundred eighty degrees celsius"),
        ("½ cup", "half cup"),
        ("3.5 kg", "three point five kilograms"),
        ("5kg", "five kilos"),
        ("5-10 minutes", "five to ten minutes"),
        ("-5", "minus five"),
        ("3:30", "three thirty"),
        ("10:30 p.m.", "ten thirty PM"),
        ("9 o'clock", "nine o'clock"),
        ("555-0199", "five five five, zero one nine nine"),
        ("555-0199", "five five five oh one nine nine"),
        ("Chapter IV", "chapter four"),
        ("World War II", "world war two"),
        ("Dr. Smith", "doctor smith"),
        ("No. 5", "number five"),
        ("2 tbsp.", "two tablespoons"),
        ("don't", "do not"),
        ("It's", "it is"),
        ("won't", "will not"),
        ("we'll", "we will"),
        ("gonna", "going to"),
        ("U.S.A.", "USA"),
        ("example.com", "example dot com"),
        ("Café & bar", "cafe and bar"),
        ("‘Tis—quoted”, well-known!", "tis quoted well known"),
    ],
)
def test_what_is_written_is_what_is_said(written: str, said: str) -> None:
    assert told(written) == told(said)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("thirteen", "thirty"),
        ("$5", "€5"),
        ("1,200", "120"),
        ("one five", "fifteen"),
        ("No. 5", "no 5"),
        ("in 5", "5 in"),
    ],
)
def test_what_is_said_differently_stays_different(a: str, b: str) -> None:
    assert told(a) != told(b)


def test_a_second_is_a_time_and_twenty_second_is_no_ordinal_of_it():
    assert told("wait a second") == ["wait", "a", "2"]
    assert told("a twenty second break") == ["a", "20", "2", "break"]


def test_a_token_knows_the_words_it_was_made_of():
    tokens = tokens_of(["It", "costs", "$1.2", "million,", "doesn't", "it?"])
    assert [(t.text, t.first, t.last) for t in tokens] == [
        ("it", 0, 0),
        ("costs", 1, 1),
        ("1200000", 2, 3),
        ("dollars", 2, 2),
        ("does", 4, 4),
        ("not", 4, 4),
        ("it", 5, 5),
    ]


def test_other_languages_are_compared_by_their_letters():
    assert told("Das Café kostet 1.200 Euro", "de") == ["das", "cafe", "kostet", "1200", "euro"]
    assert told("一二三go", "ja")[:3] == ["一", "二", "三"]
    assert told("one hundred", "de") == ["one", "hundred"]


def test_nothing_but_signs_has_no_tokens():
    assert told("... — ♪ !") == [] and told("") == []


def test_a_number_is_told_as_it_is_spoken():
    assert [spoken(n) for n in ("13", "1984", "2005", "100", "3.5", "5550199")] == [
        "thirteen",
        "nineteeneightyfour",
        "twothousandfive",
        "onehundred",
        "threepointfive",
        "fivefivefivezerooneninenine",
    ]


def test_compounds_are_joined_over_the_words_they_were_split_into():
    tokens = joined(tokens_of(["the", "photo", "synthesis", "of", "plants"]), {"photosynthesis"})
    assert [(t.text, t.first, t.last) for t in tokens] == [
        ("the", 0, 0),
        ("photosynthesis", 1, 2),
        ("of", 3, 3),
        ("plants", 4, 4),
    ]
