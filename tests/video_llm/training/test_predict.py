"""What a model that is told what is known answers about a batch."""

from pathlib import Path

import numpy as np
import torch

from tests.video_llm.lite.tiny_lite import KNOWN, tiny_config, tiny_model
from tvu.temporal.types import Span
from tvu.video_llm.lite.prior import Evidence, Meaning
from tvu.video_llm.lite.prompt import LiteTokenizer, sequences
from tvu.video_llm.models.parts import build_codec
from tvu.video_llm.training.data import Batch, Looker, Video
from tvu.video_llm.training.feature_rendering import FeaturePlan, Layer, Shot
from tvu.video_llm.training.feature_videos import FeatureWorld
from tvu.video_llm.training.predict import predict
from tvu.video_llm.training.scenes import Scene
from tvu.video_llm.training.tasks import Sample

CONFIG = tiny_config(has_prior=True)


def test_spans_presence_and_words_come_of_what_is_known(tiny_lite0: Path, tiny_language: Path, monkeypatch):
    tokenizer = LiteTokenizer(tiny_language / "tokenizer.json", build_codec(CONFIG.codec), KNOWN)
    plan = FeaturePlan(Scene(3.0, ()), (Shot(Span(0.0, 3.0), 0),), (Layer((7,), (8.0,), Span(1.0, 2.0)),), 0.5)
    asked = ((0, Sample("moment", "When do we see 7?", "", (Span(1.0, 2.0),), True)),)
    told = sequences(tokenizer, [(0, asked[0][1].question, "")], [6])
    looker = Looker(CONFIG, torch.device("cpu"), FeatureWorld(tiny_lite0, "train"))
    model = tiny_model(has_prior=True)
    read, evidence = model.read, []
    monkeypatch.setattr(model, "read", lambda *told: evidence.append(told[-1]) or read(*told))

    def predicted(index: int):
        meaning = Meaning(np.eye(384, dtype=np.float32)[:1], np.eye(1000, dtype=np.float32)[[index]])
        batch = Batch((Video("features", plan.scene, features=plan),), asked, told, 0, meaning)
        return predict(model, looker, batch, tokenizer, most_new=6)[0]

    seen, other = predicted(7), predicted(9)
    assert seen == predicted(7)
    assert seen.spans != other.spans and seen.present != other.present
    assert len(evidence) > 3 and all(isinstance(each, Evidence) for each in evidence)  # for every token that is written
