"""Cards of models: what each is, what it was trained on, what it takes and what it is known to do, in one place."""

from dataclasses import asdict, dataclass, fields

HF_MEMORY = "parameters times 2 bytes on a GPU, 4 on a CPU, and the cache of its positions; told before it is loaded"


@dataclass(frozen=True)
class ModelCard:
    """A model, or a family of them by the beginning of a name.

    pattern: how it is named. trained_on: data. memory, speed: as measured, with the machine. benchmarks: its scores.
    times: what the model is told of time, and what its answers are made of. tried: what was run, and what never was.
    """

    pattern: str
    what: str
    trained_on: str
    licence: str
    memory: str
    speed: str
    benchmarks: str
    times: str
    tried: str

    def matches(self, name: str) -> bool:
        """Whether a model called `name` is this one."""
        beginning, mark, _ = self.pattern.partition(":")
        return name in (self.pattern, beginning) or (bool(mark) and name.startswith(f"{beginning}:"))

    def lines(self) -> list[str]:
        """A field a line."""
        width = max(len(field.name) for field in fields(self))
        return [f"{name.replace('_', ' '):<{width}} {value}" for name, value in asdict(self).items()]


CARDS = (
    ModelCard(
        "scout",
        "zero-shot: shots by image features, speech by Whisper tiny.en, on-screen text by PP-OCR; fused, calibrated",
        "nothing by us; EfficientNet-Lite0 on ImageNet-1k, MiniLM on sentence pairs, Whisper on speech of the web",
        "Apache-2.0 and MIT: `tvu models list`",
        "about 1.1 GB, of which 0.84 are the networks",
        "5 to 11 s for the first question about 60 s of 720p with sound, 0.7 s for the second, on 2 CPU cores",
        "development videos: R@1 at IoU 0.5 73.8 % of six clips, 66.2 % of eight; AUROC of `not there` 82",
        "spans of shots, words and lines of text, by the file's clock; a score is a calibrated probability",
        "all of it, on two cores; real voices were not measured",
    ),
    ModelCard(
        "lite:FOLDER",
        "our small video model: EfficientNet-Lite0, SqueezeTime, body and hand landmarks, STORM, a head and a judge "
        "of answers; to write, SmolLM2-135M with adapters",
        "videos, landmarks and features that tvu generates, by `video_llm/training/`; or your own, by `tvu train`",
        "Apache-2.0 for the parts that are fetched; the licence of tvu for what was trained",
        "1.1 GB on a CPU; 1.5 with scout",
        "8.3 s for the first question about 60 s of 720p, 3.6 s for a second, on 2 CPU cores; 12.5 s where people are "
        "seen throughout",
        "the checkpoint that ships, development videos: R@1 at IoU 0.5 82.9 % of six clips, 73.1 % of eight, AUROC of "
        "`not there` 87, 82; 20 unseen clips 65.0, 66.2, 79, 75; 43 % of multiple choices of the drawn MVBench, "
        "chance 27; names for captions, 18 of 25 right on 27 real clips, by the weights before",
        "a token each half second of at most a minute; spans off what tokens make of the question, calibrated",
        "the checkpoint that ships (`lite`; weights/lite/README.md) on two cores, an earlier one on an H200",
    ),
    ModelCard(
        "scout+lite:FOLDER",
        "scout and lite about one clip: moments that either sees, lite leading where something is done; what is said "
        "and written as scout has it, answers judged by lite",
        "what each of them was",
        "that of each",
        "that of both",
        "11 to 17 s for the first question about 60 s of 720p, 3.9 s for a second, on 2 CPU cores",
        "with the lite that ships, development videos: R@1 at IoU 0.5 83.3 % of six clips, 78.1 % of eight, AUROC of "
        "`not there` 86, 86; 20 unseen clips, where scout has 67.0 and 68.3: 70.0, 69.6, 77, 73",
        "spans of both, by the file's clock; a score is a mean of two calibrated probabilities, calibrated by nobody",
        "with the checkpoint that ships, which `scout+lite` alone means",
    ),
    ModelCard(
        "clip:MODEL/TAG",
        "scout with the eyes of an open_clip model",
        "what the open_clip tag names",
        "that of the tag",
        "scout's, with the CLIP model in place of Lite0",
        "not measured",
        "none: its calibration is a guess until somebody measures it",
        "as scout",
        "with small random towers; no published CLIP weights could be had here",
    ),
    ModelCard(
        "tvu:FOLDER",
        "a Video-LLM that you put together or trained, as save_pretrained wrote it",
        "by you",
        "yours",
        "its parameters; a three-hour file took under 3 GB with SmolLM2-135M and Lite0 on 2 CPU cores",
        "7B size, H200: 4.4 ms a token after 8,192 positions; SmolLM2-135M on 2 CPU cores: 41 tokens a second",
        "none: no trained one ships with tvu yet",
        "every visual token carries its span by the clock; times are tokens or text, answers keep to a grammar",
        "with random weights of real size on an H200, and the real SmolLM2 on a CPU",
    ),
    ModelCard(
        "hf:REPOSITORY",
        "any image-text-to-text model of transformers that takes video",
        "what its own card says",
        "that of the repository",
        HF_MEMORY,
        "that of transformers",
        "run them: `tvu bench`; what others published stands in `tvu bench list NAME`",
        "frames by our clock, told in milliseconds, or in words where a family has no input for times",
        "with tiny random checkpoints in each family's own layout; no published weights could be had here",
    ),
    ModelCard(
        "lita-13b:FOLDER",
        "LITA-13B (arXiv 2403.19046): SlowFast tokens and 100 time tokens",
        "ActivityNet-Captions, YouCook2, ViTT, NExT-QA, LLaVA-Instruct-150K, ActivityNet-RTL",
        "weights CC BY-NC-SA 4.0, code NVIDIA non-commercial",
        "26 GB in half precision, told before it is loaded",
        "not measured",
        "published: ActivityNet-RTL mIoU 28.6, P@0.5 25.9",
        "relative: 100 even parts of the video, turned into seconds by the clock",
        "its loader, on files with its key names and tiny sizes; its weights never",
    ),
    ModelCard(
        "vtg-llm-7b:FOLDER",
        "VTG-LLM-7B (arXiv 2405.13382): slot compression, absolute time tokens",
        "VTG-IT-120K (moments, dense captions, summaries, highlights) and Valley",
        "Apache-2.0 for its code; LLaMA-2's for the language model",
        "its file is 19.7 GB; told before it is loaded",
        "not measured",
        "published, zero-shot: Charades-STA R@1 at 0.5 33.8, YouCook2 CIDEr 5.0, QVHighlights HIT@1 33.5",
        "absolute seconds, digits as tokens",
        "see `tvu models list` and the README: its weights never",
    ),
    ModelCard(
        "videochat-t-7b:FOLDER",
        "VideoChat-T-7B of TimeSuite (arXiv 2410.19702): token shuffle",
        "TimePro (349k annotations of nine tasks) and instruction data, on stage 3 of VideoChat2",
        "MIT for its code; Mistral's for the language model",
        "told before it is loaded",
        "not measured",
        "published, zero-shot: Charades-STA R@1 at 0.5 48.7; fine-tuned 67.1",
        "times of the frames in the prompt, one decimal",
        "see the README: its weights never",
    ),
    ModelCard(
        "http://HOST/v1#MODEL",
        "a model behind an OpenAI-compatible server: vLLM, SGLang, `tvu serve`",
        "what its server serves",
        "that of the model",
        "none here",
        "that of the server and the network",
        "run them: `tvu bench`",
        "frames by our clock with their seconds in words; scores from log-probabilities where the server tells them",
        "with our own server on this machine; no vLLM or SGLang was at hand",
    ),
)


def card_of(name: str) -> ModelCard | None:
    """The card of the model that `name` means; None where there is none."""
    told = name.replace("https:", "http:", 1)
    return next((card for card in CARDS if card.matches(told)), None)
