"""Indexing and finding, with eyes that know colours and a real sense of words."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import tvu.video_llm.decode
import tvu.video_llm.media.sound
import tvu.video_llm.media.survey
import tvu.video_llm.scout.model as scout_model
from tvu.temporal.types import Span
from tvu.video_llm.cache import CacheConfig, FeatureCache
from tvu.video_llm.errors import VideoError
from tvu.video_llm.index.build import Indexer
from tvu.video_llm.index.find import FindConfig, find_moments_in
from tvu.video_llm.index.ledger import IndexLedger
from tvu.video_llm.index.search import Searcher
from tvu.video_llm.scout.model import Eyes, Scout
from tvu.video_llm.scout.screen_text import ScreenText, TextTrack
from tvu.video_llm.scout.speech import Transcript, Word
from tvu.video_llm.scout.visual import ClipScorer
from tvu.video_llm.types import Evidence

SAMPLES = Path(__file__).parents[3] / "samples"
NAMES = ("parade.mp4", "postcard.mp4")


class ColourEncoder:
    """Sees nothing but the mean colour of a picture, and knows the words for three of them."""

    name = "clip:colours/three"

    def features(self, pixels):
        centred = pixels.mean(axis=(2, 3)) - pixels.mean(axis=(1, 2, 3))[:, None]
        return (centred / np.linalg.norm(centred, axis=1, keepdims=True)).astype(np.float32)

    def embed_text(self, texts):
        words = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1)}
        known = [next((v for w, v in words.items() if w in text.split()), (1, 1, 1)) for text in texts]
        return np.array([np.asarray(v) / np.linalg.norm(v) for v in known], np.float32)


def scout(cache: FeatureCache, *evidence: Evidence) -> Scout:
    def eyes(sentences):
        encoder = ColourEncoder()
        return Eyes(encoder, ClipScorer(encoder, ["a red thing", "a green thing", "something", "a blue thing"]))

    return Scout("colours", eyes, dict.fromkeys(evidence or ("visual",), ("minilm-l6",)), least_score=0.0, cache=cache)


@pytest.fixture(scope="module")
def indexed(weights_cache, tmp_path_factory):
    """A folder of two videos, and a store that has indexed them."""
    folder = tmp_path_factory.mktemp("videos")
    for name in NAMES:
        shutil.copy(SAMPLES / name, folder)
    store = FeatureCache(tmp_path_factory.mktemp("store"), CacheConfig())
    outcomes = list(Indexer(scout(store), store).run(addresses(folder)))
    assert [outcome.state for outcome in outcomes] == ["indexed", "indexed"]
    return folder, store


def addresses(folder: Path, names=NAMES) -> list[str]:
    return [str(folder / name) for name in names]


@pytest.fixture
def no_reader(monkeypatch):
    """Every door to the readers is shut: nothing can be decoded, and no file be opened as a video."""

    def run_reader(name, *args, **kwargs):
        raise AssertionError(f"{name} was read")

    for module in (tvu.video_llm.decode, tvu.video_llm.media.sound, tvu.video_llm.media.survey):
        monkeypatch.setattr(module, "run_reader", run_reader)


def ask(indexed, query, **config):
    folder, store = indexed
    own = scout(store)
    return find_moments_in(addresses(folder), query, own, own, store, FindConfig(**config))


@pytest.mark.weights
def test_moments_come_best_first_from_all_videos(indexed):
    found = ask(indexed, "blue", top=3)
    assert [moment.rank for moment in found.moments] == [1, 2, 3]
    scores = [moment.row.groundings[0].score for moment in found.moments]
    assert scores == sorted(scores, reverse=True)
    assert found.searched == 2 and found.unindexed == () and found.failed == ()
    assert {"rank", "video", "duration_seconds", "question", "groundings", "model"} <= found.moments[0].as_json().keys()


@pytest.mark.weights
def test_a_query_over_indexed_videos_starts_no_reader_at_all(indexed, no_reader):
    assert ask(indexed, "green").moments
    assert ask(indexed, "red").moments


@pytest.mark.weights
def test_a_second_build_starts_no_reader_at_all(indexed, no_reader):
    folder, store = indexed
    outcomes = list(Indexer(scout(store), store).run(addresses(folder)))
    assert [outcome.state for outcome in outcomes] == ["known", "known"]


@pytest.mark.weights
def test_an_index_that_was_lost_is_recorded_again_without_decoding(indexed, monkeypatch):
    folder, store = indexed
    own = Indexer(scout(store), store)
    for name in own.ledger.shards():
        own.shards.remove(name)
    monkeypatch.setattr(scout_model, "watch", lambda clip, config: pytest.fail("decoded again"))
    assert [outcome.state for outcome in own.run(addresses(folder))] == ["indexed", "indexed"]
    assert ask(indexed, "blue").searched == 2


@pytest.mark.weights
def test_the_search_expects_what_the_close_look_finds(indexed):
    _, store = indexed
    own = scout(store)
    searcher = Searcher(own, store)
    for query in ("red", "a green dog at night", "blue"):
        for hit in searcher.search(searcher.ledger.items(searcher.space), query).hits:
            best = own.answer(hit.item.clip, query).groundings[0]
            # vectors are rounded to 1/127 of their largest number
            assert hit.probability == pytest.approx(best.score, abs=0.02)


@pytest.mark.weights
def test_a_moved_file_stays_indexed_and_a_changed_one_is_not(indexed, tmp_path):
    _, store = indexed
    own = scout(store)
    moved = tmp_path / "moved.mp4"
    shutil.copy(SAMPLES / "parade.mp4", moved)
    (outcome,) = Indexer(own, store).run([str(moved)])
    assert outcome.state == "known"
    assert find_moments_in([str(moved)], "red", own, own, store).moments[0].row.video == str(moved)
    moved.write_bytes(moved.read_bytes() + b"\0")
    with pytest.raises(VideoError, match="none of 1 videos is indexed"):
        find_moments_in([str(moved)], "red", own, own, store)


@pytest.mark.weights
def test_videos_that_are_not_indexed_are_told_and_not_searched(indexed):
    folder, store = indexed
    own = scout(store)
    others = [str(SAMPLES / "talk.mp4"), str(folder / "none.mp4")]
    found = find_moments_in([*addresses(folder), *others], "red", own, own, store)
    assert found.unindexed == tuple(others)
    part = f"{folder / 'parade.mp4'}#t=5,10"
    assert find_moments_in([*addresses(folder), part], "red", own, own, store).unindexed == (part,)


@pytest.mark.weights
def test_an_index_of_pictures_does_not_answer_for_words(indexed):
    folder, store = indexed
    own = scout(store, "visual", "screen-text")
    with pytest.raises(VideoError, match="none of 2 videos is indexed"):
        find_moments_in(addresses(folder), "red", own, own, store)


@pytest.mark.weights
def test_a_file_that_cannot_be_read_is_an_outcome_and_the_others_go_on(indexed, tmp_path):
    folder, store = indexed
    (tmp_path / "notes.mp4").write_text("no video")
    names = [str(tmp_path / "notes.mp4"), *addresses(folder), str(tmp_path / "none.mp4")]
    outcomes = list(Indexer(scout(store), store).run(names))
    assert [outcome.state for outcome in outcomes] == ["failed", "known", "known", "failed"]
    assert outcomes[0].error and "cannot be read" in outcomes[-1].error


@pytest.mark.weights
def test_the_same_content_counts_once(indexed, tmp_path):
    folder, store = indexed
    own = scout(store)
    shutil.copy(SAMPLES / "parade.mp4", tmp_path / "copy.mp4")
    names = [str(folder / "parade.mp4"), str(tmp_path / "copy.mp4")]
    list(Indexer(own, store).run(names))
    found = find_moments_in(names, "red", own, own, store)
    assert found.searched == 1
    assert {moment.row.video for moment in found.moments} == {names[0]}
    assert len([i for i in IndexLedger(store).items() if i.content == store.content_of(Path(names[0]))]) == 1


def spoken(text: str, start: float) -> Transcript:
    words = text.split()
    return Transcript(tuple(Word(word, start + i, start + i + 0.9, 1.0) for i, word in enumerate(words)))


@pytest.mark.weights
def test_what_is_said_and_written_is_found_by_meaning_and_by_the_very_words(weights_cache, tmp_path, monkeypatch):
    """Whisper and the reader of text are replaced by what they would give."""
    said = {"postcard": "The boat sails over the sea.", "talk": "Honey is made by bees."}
    monkeypatch.setattr(scout_model, "located", lambda name: Path(name))
    monkeypatch.setattr(Scout, "_hear", lambda self, clip, whisper: spoken(said[clip.path.stem], 2.0))
    line = ScreenText((TextTrack("ZYXOMMA 42", Span(1, 3), 1.0, (0, 0, 1, 1)),))
    monkeypatch.setattr(scout_model, "read_screen_text", lambda frames: line)
    store = FeatureCache(tmp_path, CacheConfig())
    own = scout(store, "speech", "screen-text")
    names = [str(SAMPLES / f"{name}.mp4") for name in said]
    assert {outcome.state for outcome in Indexer(own, store).run(names)} == {"indexed"}
    searcher = Searcher(own, store)
    items = searcher.ledger.items()

    def best(query):
        hit = searcher.search(items, query).hits[0]
        return hit.item.clip.path.stem, hit.evidence

    assert best("when do they talk about ships?") == ("postcard", "speech")
    assert best("when is honey mentioned?") == ("talk", "speech")
    assert best('the text "zyxomma"')[1] == "screen-text"
