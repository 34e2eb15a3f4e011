"""The event tree: the same whatever the pieces, and whole at every level."""

import json
import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tvu.temporal.boundaries import BoundaryConfig
from tvu.temporal.hierarchy import EventTree, EventTreeConfig

BUSY = EventTreeConfig(BoundaryConfig(quantile=0.3, memory_seconds=40.0), branching=3)  # many events in a short stream


def random_stream(seed, frames, *, channels=6):
    """Vectors, spans at a variable rate, texts and entities."""
    random = torch.Generator().manual_seed(seed)
    seconds = torch.rand(frames + 1, generator=random, dtype=torch.float64) * 1.5 + 0.05
    times = 7.3 + seconds.cumsum(0)
    vectors = torch.randn(frames, channels, generator=random)
    texts = [f"text {i}" if i % 5 == 0 else "" for i in range(frames)]
    entities = [{f"entity {i % 7}"} if i % 3 == 0 else set() for i in range(frames)]
    return vectors, torch.stack([times[:-1], times[1:]], dim=-1), texts, entities


def scenes(changes, end, *, rate, noise=0.3, channels=32, seed=0):
    """A new random direction after every change, and noise; about `rate` frames per second, unevenly."""
    random = torch.Generator().manual_seed(seed)
    steps = torch.rand(2 * int(end * rate), generator=random, dtype=torch.float64) / rate + 0.5 / rate
    times = torch.cat([torch.zeros(1, dtype=torch.float64), steps.cumsum(0)])
    times = times[times < end]
    looks = torch.nn.functional.normalize(torch.randn(len(changes) + 1, channels, generator=random), dim=-1)
    shown = torch.bucketize(times, torch.tensor(changes, dtype=torch.float64), right=True)
    vectors = looks[shown] + noise * torch.randn(len(times), channels, generator=random) / channels**0.5
    return vectors, torch.stack([times, torch.cat([times[1:], torch.tensor([end], dtype=torch.float64)])], dim=-1)


def fed(stream, sizes, config=BUSY):
    """The tree, fed in pieces of the given sizes, over and over; and the events as they closed."""
    vectors, spans, texts, entities = stream
    tree, start, closed, turn = EventTree(config), 0, [], 0
    while start < len(vectors):
        cut = slice(start, start + sizes[turn % len(sizes)])
        closed += tree.push(vectors[cut], spans[cut], texts[cut], entities[cut])
        start, turn = cut.stop, turn + 1
    return tree, closed


def boundaries_by_the_rule(vectors, spans, config):
    """Level 0 from the whole stream at once, as the rule is written."""
    starts, end = spans[:, 0].tolist(), float(spans[-1, 1])
    holds = [*starts, end]
    window, shortest = config.window_seconds, config.min_seconds

    def total(begin, stop):
        overlap = [max(0.0, min(stop, b) - max(begin, a)) for a, b in pairwise(holds)]
        return torch.tensor(overlap, dtype=torch.float64) @ vectors.double()

    changes = {}
    for at in starts:
        if min(at - starts[0], end - at) >= shortest:
            sides = total(max(at - window, starts[0]), at), total(at, min(at + window, end))
            changes[at] = 1 - float(torch.cosine_similarity(*sides, dim=0, eps=1e-300))
    found = []
    for at, change in changes.items():
        recent = sorted(c for b, c in changes.items() if at - config.memory_seconds < b <= at)
        threshold = max(recent[math.ceil(config.quantile * len(recent)) - 1], config.min_change)
        around = max(c for b, c in changes.items() if abs(b - at) < shortest)
        if change >= threshold - 1e-12 and change >= around:
            found.append(at)
    return found


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 90), st.lists(st.integers(1, 40), min_size=1, max_size=4))
def test_no_cut_into_pieces_leaves_a_trace(seed, frames, sizes):
    stream = random_stream(seed, frames)
    whole, pieces = fed(stream, [max(1, frames)])[0], fed(stream, sizes)[0]
    assert pieces.open_events == whole.open_events
    assert pieces.close().as_dict() == whole.close().as_dict()  # bit by bit


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 120), st.integers(2, 4))
def test_every_level_tiles_the_stream_and_is_coarser_than_the_one_below(seed, frames, branching):
    stream = random_stream(seed, frames)
    config = EventTreeConfig(BUSY.boundaries, branching=branching)
    graph = fed(stream, [frames], config)[0].close()
    top = max(event.level for event in graph.events)
    for level in range(top + 1):
        events = graph.level(level)
        assert len(events) == math.ceil(len(graph.level(0)) / branching**level)
        assert events[0].span.start_seconds == stream[1][0, 0]
        assert events[-1].span.end_seconds == stream[1][-1, 1]
        assert all(a.span.end_seconds == b.span.start_seconds for a, b in pairwise(events))
        assert level == top or len(graph.level(level + 1)) < len(events)
    assert len(graph.level(top)) == 1
    assert len(graph.events) <= len(graph.level(0)) * branching / (branching - 1) + top + 1


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 120))
def test_children_tile_their_parent_and_lie_one_level_below(seed, frames):
    vectors, spans, texts, entities = stream = random_stream(seed, frames)
    graph = fed(stream, [frames])[0].close()
    for parent in graph.events:
        children = [graph.events[child] for child in parent.children]
        assert bool(children) == (parent.level > 0)
        if not children:
            continue
        assert all(child.level == parent.level - 1 and child.id < parent.id for child in children)
        assert children[0].span.start_seconds == parent.span.start_seconds
        assert children[-1].span.end_seconds == parent.span.end_seconds
        assert all(a.span.end_seconds == b.span.start_seconds for a, b in pairwise(children))
        assert parent.texts == tuple(text for child in children for text in child.texts)
    root = graph.events[-1]
    assert root.texts == tuple(filter(None, texts))
    assert set(root.entities) == set().union(*entities)
    holds = (torch.cat([spans[1:, 0], spans[-1:, 1]]) - spans[:, 0]) / root.span.seconds
    torch.testing.assert_close(root.embedding, holds @ vectors.double())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 90))
def test_the_stream_gives_what_the_rule_gives_on_the_whole(seed, frames):
    stream = random_stream(seed, frames)
    graph = fed(stream, [1])[0].close()
    found = [event.span.start_seconds for event in graph.level(0)][1:]
    assert found == boundaries_by_the_rule(*stream[:2], BUSY.boundaries)
    starts = stream[1][:, 0].tolist()
    for event in graph.level(0):
        said = [text for text, start in zip(stream[2], starts, strict=True) if text and start in event.span]
        assert list(event.texts) == said
        assert event.span.seconds >= min(BUSY.boundaries.min_seconds, float(stream[1][-1, 1]) - starts[0])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 90))
def test_closed_events_never_change(seed, frames):
    stream = random_stream(seed, frames)
    tree, closed = fed(stream, [1])
    seen = [event.as_dict() for event in closed]
    edges = tree.graph.edges
    graph = tree.close()
    assert [event.as_dict() for event in graph.events[: len(seen)]] == seen
    assert graph.edges[: len(edges)] == edges


def test_what_is_open_stays_small():
    vectors, spans, _, _ = random_stream(0, 1500)
    tree = EventTree(BUSY)
    for i in range(len(vectors)):
        tree.push(vectors[i : i + 1], spans[i : i + 1])
        detector, events = tree._detector, len(tree.graph.level(0)) if i % 300 == 0 else 0
        assert len(detector._frames) < 200  # seven seconds and more of frames of 0.05 s and longer
        assert len(detector._recent) == len(detector._ranked) < 40 / 0.05
        assert all(len(event.children) < 3 for event in tree.open_events)
        if events:
            assert len(tree.open_events) == 1 + math.floor(math.log(events, 3) + 1e-9) + 1
    assert len(tree.graph.level(0)) > 200


@pytest.mark.parametrize("rate", [2, 12])
@pytest.mark.parametrize("seed", range(3))
def test_changes_of_scene_are_found_within_a_second_and_nothing_else(rate, seed):
    changes = [14.2, 33.0, 51.7, 64.1, 90.4, 118.8, 133.3]
    vectors, spans = scenes(changes, 150.0, rate=rate, seed=seed)
    tree = EventTree()
    tree.push(vectors, spans)
    found = [event.span.start_seconds for event in tree.close().level(0)][1:]
    assert len(found) == len(changes)
    assert max(abs(a - b) for a, b in zip(found, changes, strict=True)) <= 1.0


def test_the_clock_decides_not_the_number_of_frames():
    vectors, spans = scenes([20.0, 41.0], 60.0, rate=10, noise=0.0)
    sparse = torch.arange(len(vectors)) % 7 == 0
    sparse[vectors.diff(dim=0).abs().sum(-1).nonzero().flatten() + 1] = True  # the first frames of a scene are kept
    spans_of = []
    for keep in (torch.ones_like(sparse), sparse):
        tree = EventTree()
        tree.push(vectors[keep], spans[keep])
        spans_of.append([event.span for event in tree.close().level(0)])
    assert spans_of[0][:2] == spans_of[1][:2]
    assert len(spans_of[0]) == len(spans_of[1]) == 3


@pytest.mark.parametrize("value", [0.0, 1.0, -3e4])
def test_a_stream_that_does_not_change_is_one_event(value):
    spans = torch.arange(601, dtype=torch.float64).unfold(0, 2, 1) / 3
    tree = EventTree()
    assert tree.push(torch.full((600, 5), value), spans) == ()
    (event,) = tree.close().events
    assert (event.level, event.span.start_seconds, event.span.end_seconds) == (0, 0.0, 200.0)


def test_no_frame_is_no_event_and_one_frame_is_one():
    assert EventTree().close().events == ()
    tree = EventTree()
    tree.push(torch.ones(0, 4), torch.ones(0, 2, dtype=torch.float64))
    assert tree.open_events == ()
    tree.push(torch.ones(1, 4), torch.tensor([[5.0, 5.04]], dtype=torch.float64), ["a title"], [{"a hand"}])
    (event,) = tree.close().events
    assert (event.texts, event.entities, event.salience) == (("a title",), ("a hand",), 0.0)
    assert event.span.seconds == pytest.approx(0.04)


def repeated_steps():
    """Ten events of 15 s that show A, B, C, D, A, B, ... with a person in the first and the sixth."""
    looks = torch.eye(4)
    vectors = torch.cat([looks[i % 4].expand(15, 4) for i in range(10)])
    spans = torch.arange(151, dtype=torch.float64).unfold(0, 2, 1)
    entities = [{"anna"} if second in (3, 4, 80) else set() for second in range(150)]
    tree = EventTree()
    tree.push(vectors, spans, entities=entities)
    return tree.close()


def test_edges_tie_neighbours_parents_repetitions_and_entities():
    graph = repeated_steps()
    ids = [event.id for event in graph.level(0)]
    at = {event: i for i, event in enumerate(ids)}

    def ties(kind):
        return [(at[e.source], at[e.target]) for e in graph.edges if e.kind == kind and e.target in at]

    assert len(ids) == 10
    assert ties("next") == [(i, i + 1) for i in range(9)]
    assert ties("similar") == [(i, j) for j in range(10) for i in range(j) if i % 4 == j % 4]
    assert ties("same_entity") == [(0, 5)]
    assert {(e.source, e.target) for e in graph.edges if e.kind == "part_of"} == {
        (child, parent.id) for parent in graph.events for child in parent.children
    }
    saliences = [event.salience for event in graph.level(0)]
    assert saliences[0] == 0.0
    assert saliences[4] == pytest.approx(1.0)  # A is new after B, C and D


def test_a_graph_is_plain_values_that_json_keeps():
    plain = repeated_steps().as_dict()
    assert json.loads(json.dumps(plain)) == plain


def test_what_cannot_be_a_stream_is_told():
    spans = torch.tensor([[0.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
    for vectors, times in ((torch.ones(2, 3), spans.flip(0)), (torch.full((2, 3), torch.nan), spans)):
        with pytest.raises(ValueError):
            EventTree().push(vectors, times)
    with pytest.raises(ValueError, match="float64"):
        EventTree().push(torch.ones(2, 3), spans.float())
    with pytest.raises(ValueError, match="texts"):
        EventTree().push(torch.ones(2, 3), spans, ["one"])
    tree = EventTree()
    tree.close()
    with pytest.raises(ValueError, match="closed"):
        tree.push(torch.ones(2, 3), spans)
    for wrong in (lambda: EventTreeConfig(branching=1), lambda: BoundaryConfig(quantile=0), lambda: BoundaryConfig(0)):
        with pytest.raises(ValueError):
            wrong()


def test_frames_that_are_refused_leave_no_trace():
    tree = EventTree()
    spans = torch.tensor([[0.0, 1], [1, 2]], dtype=torch.float64)
    tree.push(torch.randn(2, 4), spans)
    with pytest.raises(ValueError, match="after the one before"):
        tree.push(torch.randn(2, 4), torch.tensor([[3.0, 4], [2.5, 3]], dtype=torch.float64))
    with pytest.raises(ValueError, match="of 5 cannot follow vectors of 4"):
        tree.push(torch.randn(1, 5), torch.tensor([[3.0, 4]], dtype=torch.float64))
    tree.push(torch.randn(1, 4), torch.tensor([[3.0, 4]], dtype=torch.float64))
    assert tree.close().level(0)[-1].span.end_seconds == 4
