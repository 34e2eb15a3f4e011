import pytest

from tvu.video_llm.scout.query import Channels, Router, asks_for_darkness, handles_words, visual_content


@pytest.mark.parametrize(
    ("query", "content"),
    [
        ("When do we see two dogs?", "two dogs"),
        ("when is the train shown", "the train"),
        ("Which part shows a crowded beach?", "a crowded beach"),
        ("Find the red balloon", "the red balloon"),
        ("a bear catches a fish", "a bear catches a fish"),
        ("At what point does the plane land?", "the plane land"),
        ("Where are there boats on screen?", "boats"),
        ("show me the part where a glass breaks", "a glass breaks"),
    ],
)
def test_the_content_is_left_without_how_it_is_asked(query: str, content: str) -> None:
    assert visual_content(query) == content


@pytest.mark.parametrize("query", ["when", "When?", "?", " ", "find the part where", "visible"])
def test_a_question_without_content_is_left_alone(query: str) -> None:
    assert visual_content(query) == query.strip().rstrip("?") or visual_content(query) == query


def test_darkness_is_a_word_of_its_own() -> None:
    assert asks_for_darkness("a fox at night") and asks_for_darkness("a Dark room")
    assert not asks_for_darkness("a knight on a darkroom shelf")


def test_a_question_is_about_pictures_as_far_as_it_is_not_about_words() -> None:
    assert Channels(speech=0.25, screen_text=0.5).visual == 0.5


@pytest.mark.parametrize(
    ("query", "handles"),
    [
        ("a man reading a newspaper", True),
        ("When is the baby reading?", True),
        ("an old man writing a letter", True),
        ("when is he on the phone", True),
        ("when does he talk about writing code", False),
        ("when does she say that she is reading", False),
        ("when is the man reading aloud", False),
        ("a man holding a sign reading STOP", False),
        ("text reading MENU", False),
        ("the writing on the wall", False),
        ("a cat on the phone", False),
    ],
)
def test_who_reads_writes_or_phones_is_seen_and_what_is_read_is_not(query: str, handles: bool) -> None:
    assert handles_words(query) is handles


@pytest.mark.weights
@pytest.mark.parametrize(
    ("query", "is_visual"),
    [
        ("When does the minister talk about taxes?", False),
        ("the moment she says good night", False),
        ("a subtitle with the name of the town", False),
        ("when do the closing credits roll", False),
        ("When does the goat climb the rock?", True),
        ("a woman repairs a bicycle", True),
        ("snow falling on a village", True),
        ("When is the baby reading?", True),
        ("a woman talking on the phone", True),
        ("when is the phone number shown", False),
        ("when does she read a poem aloud", False),
        ("text reading MENU", False),
        ("When is a greeting written on the screen?", False),
    ],
)
def test_questions_about_words_are_told_from_questions_about_pictures(
    query: str, is_visual: bool, router: Router
) -> None:
    assert (router.channels(query).visual > 0.5) is is_visual


@pytest.fixture(scope="module")
def router() -> Router:
    from tvu.video_llm.sentence import SentenceEncoder
    from tvu.weights.errors import WeightsError

    try:
        return Router(SentenceEncoder())
    except WeightsError as error:
        pytest.skip(error.message)
