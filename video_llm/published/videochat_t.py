"""VideoChat-T-7B (TimeSuite, Zeng et al. 2024, arXiv 2410.19702) from its published files.

A folder holds what `Lanxingxuan/TimeSuite` publishes (`config.json`, `umt_l16_qformer.pth`,
`videochat2_mistral_7b_stage3.pth`, `timesuite.pth`), and in folders inside it Mistral-7B-Instruct-v0.2 (a name with
`mistral`) and the `vocab.txt` of bert-base-uncased. Files are read in that order, and of a name that several hold the
last one counts: stage 3 trained the vision tower too, and without it the tower would be silently another one.

128 frames in 16 clips `[16, 8, 3, 224, 224]` -> UMT-L `[16, 1568, 1024]` -> Q-Former, told when the frames of each clip
are, `[16, 96, 768]` -> four neighbours beside each other and TAPE added `[384, 4096]` -> Mistral-7B with its adapters
merged, which tells time in plain seconds.

Training put the constant 1.0 in place of the embedding that begins a text, by mistake. Inference does not, published or
ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import BertWordPieceTokenizer
from torch import Tensor, nn

from tvu.temporal.reduction.shuffle import TokenShuffle
from tvu.temporal.sampling import videochat_t_frame_indices
from tvu.temporal.tape import TemporalAdapter
from tvu.temporal.time_tokens.official_answers import retrieval_span
from tvu.temporal.time_tokens.text_times import TextTimes
from tvu.temporal.types import VisualTokens
from tvu.video_llm.generate import GenerateConfig
from tvu.video_llm.models.resize import centre_cropped
from tvu.video_llm.official_prompts import (
    ANSWER_IN_DETAIL,
    VIDEOCHAT_T_RETRIEVAL,
    frames_message,
    videochat_t_clip_texts,
    videochat_t_prompt,
)
from tvu.video_llm.pipeline import Report, be_silent
from tvu.video_llm.published.differences import Difference
from tvu.video_llm.published.files import find_file, has_shards, need_file, own_config, read_json, read_shards
from tvu.video_llm.published.keys import KeyReport, Loading, LoadReport, require_complete
from tvu.video_llm.published.language import empty_language_model
from tvu.video_llm.published.lora import merged
from tvu.video_llm.published.memory import PublishedConfig, plan_memory, put
from tvu.video_llm.published.model import Loaded, Pixels, PublishedModel, Seconds, in_batches
from tvu.video_llm.published.qformer import QFormer, QFormerConfig
from tvu.video_llm.published.towers import (
    CLIP_MEAN,
    CLIP_STD,
    IMAGENET_MEAN,
    IMAGENET_STD,
    UmtEncoder,
    UmtTower,
    normalised,
)
from tvu.video_llm.published.words import ids_of, llama_tokenizer
from tvu.video_llm.types import Generation, Request, VideoClip
from tvu.weights.checkpoints import read_checkpoint
from tvu.weights.errors import WeightsError

NAME = "videochat-t-7b"
ORIGIN = "huggingface.co/Lanxingxuan/TimeSuite (MIT)"
STAGE_3_ORIGIN = "VideoChat2 with Mistral, github.com/OpenGVLab/Ask-Anything (MIT)"
MISTRAL_ORIGIN = "huggingface.co/mistralai/Mistral-7B-Instruct-v0.2 (Apache-2.0), in a folder whose name holds mistral"
BERT_ORIGIN = "huggingface.co/google-bert/bert-base-uncased (Apache-2.0)"
UMT, STAGE_3, TIMESUITE = "umt_l16_qformer.pth", "videochat2_mistral_7b_stage3.pth", "timesuite.pth"
LANGUAGE = "mistral_model."
LORA_ALPHA = 32.0
PLACE = "<VideoHere>"
CLIPS_AT_ONCE = 2
MOST_WORDS = 512  # of BERT: a longer text loses its beginning
DATA_SET = "Charades"  # the published prompt names a data set; this one is that of single events in short videos
ANSWER_BEGINS = "The given query happens in"  # as its training answers did, before `0.0 - 6.9 seconds.`


@dataclass(frozen=True)
class VideoChatTConfig:
    """What `config.json` says of its eyes.

    Raises ValueError for numbers that make no network.
    """

    num_frames: int = 128
    clip_frames: int = 8
    merge_len: int = 4
    side: int = 224
    stored_frames: int = 4

    def __post_init__(self) -> None:
        if min(self.num_frames, self.clip_frames, self.merge_len, self.side, self.stored_frames) < 1:
            raise ValueError("its config has a number below 1")
        if self.num_frames % self.clip_frames or self.num_clips % 2:
            raise ValueError(f"{self.num_frames} frames are not an even number of clips of {self.clip_frames}")

    @property
    def num_clips(self) -> int:
        return self.num_frames // self.clip_frames

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> "VideoChatTConfig":
        """Of a whole config or of its `model` section. Raises ValueError."""
        model = told.get("model") or told
        vision = model.get("vision_encoder") or {}
        try:
            return cls(
                int(model.get("num_frames", told.get("num_frames", 128))),
                int(model.get("clip_frames", vision.get("num_frames", 8))),
                int(model.get("token_merge_len", 4)),
                int(vision.get("img_size", 224)),
                int(vision.get("ckpt_num_frame", 4)),
            )
        except (TypeError, AttributeError) as error:
            raise ValueError(f"its config garbles a number: {error}") from error


class Bridge(TokenShuffle):
    """What lies between Q-Former and language model, in float32, under the names that it has in the files."""

    def __init__(
        self, merge_len: int, channels: int, width: int, adapter: TemporalAdapter, queries: Sequence[int]
    ) -> None:
        super().__init__(merge_len, channels, width, adapter)
        first, more = queries
        self.query_tokens = nn.Parameter(torch.zeros(1, first, channels))
        self.extra_query_tokens = nn.Parameter(torch.zeros(1, more, channels))
        self.clip_proj = nn.Linear(channels, channels)

    @property
    def queries(self) -> Tensor:
        """`[1, Q, C]`, the extra ones behind."""
        return torch.cat([self.query_tokens, self.extra_query_tokens], dim=1)


@dataclass(frozen=True)
class Seeing:
    """tower: clips to patches. norm: `vision_layernorm`, in float32. qformer: patches and words to queries."""

    tower: UmtTower
    norm: nn.LayerNorm
    qformer: QFormer
    bridge: Bridge

    @property
    def parts(self) -> dict[str, nn.Module]:
        return {
            "vision tower": self.tower,
            "vision norm": self.norm,
            "Q-Former": self.qformer,
            "bridge": self.bridge,
        }


class VideoChatT(PublishedModel):
    """VideoChat-T, whole."""

    codec_name = "text"
    DIFFERENCES = (
        Difference(
            "frames",
            "half a segment and i segments of the n - 1 first frames",
            "on the screen in the middle of 128 equal times",
            "a frame apart at most at a constant rate; at a variable one an index is no time",
        ),
        Difference("times of frames", "index over mean rate", "by the clock", "the model is told when frames are"),
        Difference(
            "resizing", "stored size to 224 in one step", "shrunk while it is decoded", "fewer pixels leave the decoder"
        ),
        Difference("mean and deviation of pixels", "CLIP's", "ImageNet's", "as it was trained"),
        Difference("message of the times", "in a turn of its own", "in the turn of the video", "as it was trained"),
        Difference("system prompt", "answer in detail", "none", "as it was trained"),
        Difference(
            "adapters",
            "merged in both modes; the published code adds their products for every token",
            "merged",
            "equal but for rounding",
        ),
        Difference(
            "spans of an answer",
            "the first `a - b`, else the first numbers of sentences of start, end or happening",
            "all of them, as people write them",
            "`From 37.8 to 59.9 seconds.` is an answer too",
        ),
        Difference(
            "when something happens",
            "free text after the published prompt, parsed",
            "the likeliest spans after the beginning of an answer, scored",
            "every answer is a span with a score",
        ),
    )

    def __init__(
        self,
        name: str,
        loaded: Loaded,
        seeing: Seeing,
        eyes: VideoChatTConfig,
        words: BertWordPieceTokenizer,
        config: PublishedConfig,
        *,
        min_score: float = 0.0,
        report: Report = be_silent,
    ) -> None:
        super().__init__(name, loaded, config, min_score=min_score, report=report)
        self.seeing, self.eyes, self.words = seeing, eyes, words

    @property
    def codec(self) -> TextTimes:
        return TextTimes()

    def frame_indices(self, num_frames: int) -> NDArray[np.int64]:
        return videochat_t_frame_indices(num_frames, self.eyes.num_frames)

    def frame_places(self, num_frames: int) -> Seconds:
        count = self.eyes.num_frames
        return (np.arange(count, dtype=np.float64) + 0.5) / count

    def longer_side(self, clip: VideoClip) -> int:
        return -(-self.eyes.side * max(clip.height, clip.width) // min(clip.height, clip.width))

    def resized(self, pixels: Pixels) -> Pixels:
        return centre_cropped(pixels, self.eyes.side)

    def see(self, pixels: Pixels, place: Tensor, spans: Tensor, told_seconds: Seconds) -> VisualTokens:
        """`[U, 3, S, S]` to `[1, 16, 24, C]`: 24 tokens a clip."""
        tower, bridge, eyes = self.seeing.tower, self.seeing.bridge, self.eyes
        weight = tower.encoder.patch_embed.proj.weight
        assert isinstance(weight, Tensor)
        mean, std = (CLIP_MEAN, CLIP_STD) if self.config.official else (IMAGENET_MEAN, IMAGENET_STD)
        text, mask = (each.to(weight.device) for each in self.clip_words(told_seconds))
        clips = torch.from_numpy(pixels)[place].unflatten(0, (eyes.num_clips, eyes.clip_frames))
        queries, each = bridge.queries.to(weight.dtype), []
        for some, told, real in zip(*(in_batches(x, CLIPS_AT_ONCE) for x in (clips, text, mask)), strict=True):
            unit = normalised(some.to(weight.device), mean, std, weight.dtype)
            patches = self.seeing.norm(tower.encoder(unit).float()).to(weight.dtype)
            each.append(bridge.clip_proj(self.seeing.qformer(queries, patches, told, real).float()))
        features = torch.cat(each)[None]
        by_clip = spans.unflatten(1, (eyes.num_clips, eyes.clip_frames))
        of_clips = torch.stack([by_clip[:, :, 0, 0], by_clip[:, :, -1, 1]], dim=-1).to(weight.device)
        shuffled: VisualTokens = bridge(VisualTokens.from_frames(features, of_clips, (1, features.shape[2])))
        return shuffled

    def clip_words(self, told_seconds: Seconds) -> tuple[Tensor, Tensor]:
        """What the Q-Former is told of each clip: ids int64 `[clips, L]`, padded on the left to the longest, and mask.

        Positions count from the padding, so all clips of a video are told together, as in the published code.
        """
        texts = videochat_t_clip_texts(self.message(told_seconds), self.eyes.num_clips, self.eyes.clip_frames)
        rows = [encoded.ids for encoded in self.words.encode_batch(list(texts))]
        rows = [[row[0], *row[1:][-(MOST_WORDS - 1) :]] for row in rows]
        longest = max(map(len, rows))
        ids = torch.tensor([[0] * (longest - len(row)) + row for row in rows])
        return ids, torch.tensor([[False] * (longest - len(row)) + [True] * len(row) for row in rows])

    def message(self, told_seconds: Seconds) -> str:
        """When the frames are, to one decimal as NumPy rounds."""
        return frames_message([float(np.round(np.float64(time), 1)) for time in told_seconds])

    def around(self, request: Request, told_seconds: Seconds) -> tuple[list[int], list[int]]:
        before, after = self.prompt_text(request, told_seconds).split(PLACE, 1)
        return ids_of(self.tokenizer, before, begins=True), ids_of(self.tokenizer, after)

    def prompt_text(self, request: Request, told_seconds: Seconds) -> str:
        """The prompt, with `<VideoHere>` where the video goes."""
        message = self.message(told_seconds)
        if self.config.official:
            prompt = videochat_t_prompt(request.user, message, request.prefill)
            return request.system + prompt.removeprefix(ANSWER_IN_DETAIL) if request.system else prompt
        system = f"{request.system} " if request.system else ""
        told = f"{system}[INST] <Video>{PLACE}</Video> {message.rstrip()} [/INST] [INST] {request.user} [/INST]"
        return f"{told} {request.prefill}" if request.prefill else told

    def moment_request(self, query: str) -> Request:
        asked = VIDEOCHAT_T_RETRIEVAL.format(DATA_SET, query.strip().rstrip("."))
        return Request(asked) if self.config.official else Request(asked, prefill=ANSWER_BEGINS)

    @property
    def official_generation(self) -> GenerateConfig:
        return GenerateConfig(max_new_tokens=512)

    def official_reading(self, generation: Generation, duration: float) -> tuple[str, tuple[float, float] | None]:
        text: str = self.tokenizer.decode(list(generation.token_ids)).split("</s>")[0].strip()
        try:
            return text, retrieval_span(text)
        except ValueError:  # several dots in a row, where the published code fails
            return text, None


def load_videochat_t(
    folder: Path,
    config: PublishedConfig | None = None,
    *,
    name: str = NAME,
    min_score: float = 0.0,
    report: Report = be_silent,
) -> VideoChatT:
    """VideoChat-T from the folder of its files. Raises WeightsError where they are not whole, or not VideoChat-T's."""
    config = config or PublishedConfig()
    told = own_config(folder, ORIGIN)
    try:
        eyes = VideoChatTConfig.of(told)
    except ValueError as error:
        raise WeightsError(f"{folder} holds no VideoChat-T: {error}", hint=f"get it from {ORIGIN}") from error
    report("weights", 0.0)
    origins = {UMT: ORIGIN, STAGE_3: STAGE_3_ORIGIN, TIMESUITE: ORIGIN}
    umt, stage_3, own = (read_checkpoint(need_file(folder, file, origin=origins[file])) for file in origins)
    if not any(key.startswith("vision_encoder.") for key in stage_3):
        told_hint = f"the tower was trained in it: get it from {STAGE_3_ORIGIN}"
        raise WeightsError(f"{folder}/{STAGE_3} holds no vision tower", hint=told_hint)
    # stage 3 has adapters of its own, which the published code leaves out: those of TimeSuite went on from them
    earlier = umt | stage_3
    state = {key: value for key, value in earlier.items() if not key.startswith(LANGUAGE)} | own
    replaced = tuple(key for key in stage_3 if key.startswith(LANGUAGE))

    mistral = next((path for path in sorted(folder.rglob("*istral*")) if path.is_dir() and has_shards(path)), None)
    if mistral is None:
        raise WeightsError(f"{folder} has no folder of Mistral", hint=f"it comes from {MISTRAL_ORIGIN}")
    base = read_shards(mistral, MISTRAL_ORIGIN)
    language_told = read_json(need_file(mistral, "config.json", origin=MISTRAL_ORIGIN))
    language = empty_language_model(language_told, base, family="mistral", where=str(mistral))
    tokenizer = llama_tokenizer(mistral, legacy=True)
    if len(tokenizer) > language.config.vocab_size:
        told_sizes = f"{len(tokenizer)} tokens, and weights for {language.config.vocab_size}"
        raise WeightsError(f"tokenizer and weights in {mistral} do not fit: {told_sizes}", hint=f"see {MISTRAL_ORIGIN}")
    seeing = _empty(state, eyes, language.config.hidden_size, folder)
    words = _bert_words(folder, seeing.qformer.config.words)

    dtype = config.dtype(torch.float16)
    plan = plan_memory(name, {"language model": language, **seeing.parts}, language.config, dtype, config)
    adapters = {key.removeprefix(LANGUAGE): value for key, value in state.items() if key.startswith(LANGUAGE)}
    if not adapters:
        raise WeightsError(f"{folder}/{TIMESUITE} holds no adapters of its language model", hint=f"see {ORIGIN}")
    whole = Loading(merged(base | adapters, LORA_ALPHA, dtype))
    whole.load("language model", language, "", dtype)
    of_language = whole.report()
    loading = Loading(state)
    loading.take(*(key for key in state if key.startswith(LANGUAGE)))
    loading.load("vision tower", seeing.tower, "vision_encoder.", dtype)
    loading.load("vision norm", seeing.norm, "vision_layernorm.", torch.float32)
    loading.load("Q-Former", seeing.qformer, "qformer.", dtype)
    loading.load("bridge", seeing.bridge, "", torch.float32)
    rest = loading.report(unused=UNUSED)
    parts: dict[str, KeyReport] = {**of_language.parts, **rest.parts}
    keys = LoadReport(parts, of_language.unexpected + rest.unexpected, of_language.unused + rest.unused + replaced)
    require_complete(keys, folder, name)
    report("weights", 1.0)
    for part in seeing.parts.values():
        put(part.eval(), plan, config)
    loaded = Loaded(put(language, plan, config, may_split=True), tokenizer, keys, plan)
    return VideoChatT(name, loaded, seeing, eyes, words, config, min_score=min_score, report=report)


# the projection that merge_proj began as, a head for training, and numbers that only count
UNUSED = ("mistral_proj.", "qformer.cls.", "qformer.bert.embeddings.position_ids", "vision_temp_embed")


def _empty(state: Mapping[str, Tensor], eyes: VideoChatTConfig, width: int, folder: Path) -> Seeing:
    """The modules that see, without numbers, of the shapes in the files."""
    at = "vision_encoder.encoder."
    try:
        tower_width, _, _, patch, _ = state[f"{at}patch_embed.proj.weight"].shape
        depth = 1 + max(
            (int(key.split(".")[3]) for key in state if key.startswith(f"{at}blocks.")),
            default=-1,
        )
        inner = len(state[f"{at}blocks.0.mlp.fc1.weight"])
        shape = QFormerConfig.of(
            {key.removeprefix("qformer."): value for key, value in state.items() if key.startswith("qformer.")}
        )
        if not shape.words:
            raise KeyError("qformer.bert.embeddings.word_embeddings.weight")
        hidden, channels = state["temp_adap.linear_input.weight"].shape
        queries = [state[name].shape[1] for name in ("query_tokens", "extra_query_tokens")]
        kernel = state["temp_adap.fc.0.weight"].shape[2]
        if kernel != eyes.num_clips + 1:
            told = f"they are for {(kernel - 1) * eyes.clip_frames} frames, its config says {eyes.num_frames}"
            raise ValueError(told)
        with torch.device("meta"):
            encoder = UmtEncoder(tower_width, depth, inner, patch, eyes.side // patch, eyes.stored_frames)
            adapter = TemporalAdapter(eyes.merge_len, eyes.num_clips, channels, hidden, width)
            bridge = Bridge(eyes.merge_len, channels, width, adapter, queries)
            return Seeing(UmtTower(encoder), nn.LayerNorm(tower_width, eps=1e-12), QFormer(shape), bridge)
    except KeyError as error:
        hint = f"get its files from {ORIGIN}"
        raise WeightsError(f"{folder} holds no VideoChat-T: {error.args[0]} is missing", hint=hint) from error
    except ValueError as error:
        raise WeightsError(f"the weights in {folder} do not fit: {error}", hint=f"get them from {ORIGIN}") from error


def _bert_words(folder: Path, rows: int) -> BertWordPieceTokenizer:
    path = find_file(folder, "vocab.txt")
    if path is None:
        raise WeightsError(f"{folder} has no vocab.txt", hint=f"it comes from {BERT_ORIGIN}")
    try:
        words = BertWordPieceTokenizer(str(path), lowercase=True)
    except Exception as error:  # tokenizers raises nothing narrower
        raise WeightsError(f"{path} is no vocabulary of BERT", hint=f"get it from {BERT_ORIGIN}") from error
    if words.get_vocab_size() > rows:
        told = f"{words.get_vocab_size()} words, and weights for {rows}"
        raise WeightsError(f"{path} does not fit: {told}", hint=f"get it from {BERT_ORIGIN}")
    return words
