import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from tvu.video_llm.encode import ClipEnsemble, Lite0Encoder, Lite0Torch, OpenClipEncoder, Pixels, squashed
from tvu.weights.errors import WeightsError
from tvu.weights.fetch import pull
from tvu.weights.load import located
from tvu.weights.manifest import DEFAULT_CLIP


def frames(num_frames: int, height: int, width: int, seed: int = 0) -> Pixels:
    """Smooth random pictures: uint8 `[T, 3, H, W]`."""
    coarse = np.random.default_rng(seed).integers(0, 256, (num_frames, 3, 5, 7), np.uint8)
    return coarse.repeat(height // 5 + 1, 2).repeat(width // 7 + 1, 3)[:, :, :height, :width]


def test_whole_frames_are_squashed_to_the_square():
    wide = np.zeros((1, 3, 90, 160), np.uint8)
    wide[..., :80] = 200
    small = squashed(wide, 64)
    assert small.shape == (1, 3, 64, 64)
    assert small[..., :30].min() == 200 and small[..., 34:].max() == 0  # the middle stays the middle, the edges stay


def test_frames_of_the_right_size_are_not_copied():
    pixels = frames(2, 64, 64)
    assert squashed(pixels, 64) is pixels


@pytest.mark.parametrize("shape, dtype", [((3, 8, 8), np.uint8), ((1, 8, 8, 3), np.uint8), ((1, 3, 8, 8), np.float32)])
def test_pixels_of_another_shape_or_type_are_our_own_error(shape: tuple[int, ...], dtype: type):
    with pytest.raises(ValueError, match=r"\[T, 3, H, W\]"):
        squashed(np.zeros(shape, dtype))


@pytest.fixture(scope="module")
def lite0() -> Lite0Encoder:
    try:
        return Lite0Encoder()
    except WeightsError as error:
        pytest.skip(error.message)


@pytest.mark.weights
def test_the_two_twins_of_lite0_see_the_same(lite0: Lite0Encoder):
    pixels = frames(3, 224, 224)
    twin = Lite0Torch(device="cpu")
    assert twin.name == lite0.name and twin.class_names == lite0.class_names
    expected = twin.features(pixels)
    # float32 sums in another order; features reach about 5
    np.testing.assert_allclose(lite0.features(pixels), expected, atol=2e-4)


@pytest.mark.weights
def test_cells_are_the_four_overlapping_parts_of_the_map_that_the_features_average(lite0: Lite0Encoder):
    pixels = frames(3, 224, 224)
    ours, theirs = lite0.cells(pixels), Lite0Torch(device="cpu").cells(pixels)
    assert ours.shape == (3, 4, 1280) and ours.dtype == theirs.dtype == np.float16
    np.testing.assert_allclose(ours.astype(np.float32), theirs.astype(np.float32), atol=6e-3)  # float16 of 1 to 5

    upper_left_alone = pixels.copy()
    upper_left_alone[..., 208:] = 0  # of the last column of the map; what a place of it sees reaches far
    moved = np.abs(lite0.cells(upper_left_alone).astype(np.float32) - ours).mean((0, 2))
    assert moved[0] < moved[1] and moved[2] < moved[3]
    assert lite0.cells(pixels[:0]).shape == (0, 4, 1280)


@pytest.mark.weights
def test_logits_are_what_the_whole_network_computes(lite0: Lite0Encoder):
    import timm
    import torch
    from safetensors.torch import load_file

    net = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    net.load_state_dict(load_file(located("efficientnet-lite0") / "model.safetensors"))
    pixels = frames(2, 224, 224)
    with torch.inference_mode():
        expected = net(torch.from_numpy(pixels) / 127.5 - 1).numpy()
    np.testing.assert_allclose(lite0.logits(lite0.features(pixels)), expected, atol=1e-3)


@pytest.mark.weights
def test_classes_carry_all_their_names(lite0: Lite0Encoder):
    assert len(lite0.class_names) == 1000
    assert lite0.class_names[0] == "tench, Tinca tinca"
    assert lite0.class_names[817] == "sports car, sport car"


@pytest.mark.weights
def test_any_number_of_frames_of_any_size_is_encoded_frame_by_frame(lite0: Lite0Encoder):
    pixels = frames(19, 90, 161)
    together = lite0.features(pixels)
    assert together.shape == (19, 1280) and together.dtype == np.float32
    np.testing.assert_allclose(together[[0, 18]], lite0.features(pixels[[0, 18]]), atol=1e-4)
    assert lite0.features(pixels[:0]).shape == (0, 1280)


@pytest.mark.weights
def test_encoding_on_the_cpu_never_imports_torch(lite0: Lite0Encoder):
    code = (
        "import sys, numpy as np\n"
        "from tvu.video_llm.encode import Lite0Encoder\n"
        "Lite0Encoder().features(np.zeros((1, 3, 30, 40), np.uint8))\n"
        "assert 'torch' not in sys.modules and 'timm' not in sys.modules"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True)


TINY_CLIP = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `ViT-B-32.json`, a model of that name that is tiny, and its weights as a hub would have them."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("tiny-clip")
    (folder / "tvu-tiny.json").write_text(json.dumps(TINY_CLIP))
    open_clip.add_model_config(folder / "tvu-tiny.json")
    torch.manual_seed(0)
    model = open_clip.create_model("tvu-tiny")
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("TVU_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_an_open_clip_model_of_the_user_gives_open_clips_own_numbers(tiny_clip: Path, cache: Path):
    import open_clip
    import torch
    from PIL import Image

    pull("clip:tvu-tiny/mine", local=tiny_clip, offline=True)
    encoder = OpenClipEncoder("clip:tvu-tiny/mine", device="cpu")

    checkpoint = str(tiny_clip / "open_clip_model.safetensors")
    model, _, preprocess = open_clip.create_model_and_transforms("tvu-tiny", pretrained=checkpoint)
    model.eval()
    pixels, texts = frames(20, 48, 64), ["a train", "a man plays the guitar"]
    pictures = torch.stack([preprocess(Image.fromarray(frame.transpose(1, 2, 0))) for frame in pixels])
    with torch.inference_mode():
        expected = model.encode_image(pictures, normalize=True).numpy()
        expected_text = model.encode_text(open_clip.get_tokenizer("tvu-tiny")(texts), normalize=True).numpy()
    np.testing.assert_allclose(encoder.features(pixels), expected, atol=1e-6)
    np.testing.assert_allclose(encoder.embed_text(texts), expected_text, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(encoder.features(pixels), axis=1), 1, atol=1e-5)
    assert encoder.features(pixels[:0]).shape == (0, 16)


def test_cosines_of_an_ensemble_are_the_mean_of_those_of_its_models(tiny_clip: Path, cache: Path):
    import torch
    from safetensors.torch import load_file, save_file

    pull("clip:tvu-tiny/mine", local=tiny_clip, offline=True)
    other = tiny_clip / "other"
    other.mkdir()
    tensors = load_file(tiny_clip / "open_clip_model.safetensors")
    torch.manual_seed(1)
    changed = {k: v + 0.05 * torch.randn_like(v) if v.is_floating_point() else v for k, v in tensors.items()}
    save_file(changed, other / "open_clip_model.safetensors")
    pull("clip:tvu-tiny/other", local=other, offline=True)
    encoders = [OpenClipEncoder(f"clip:tvu-tiny/{tag}", device="cpu") for tag in ("mine", "other")]
    both, pixels, texts = ClipEnsemble(encoders), frames(5, 48, 64), ["a train", "a man plays the guitar"]
    cosines = [each.features(pixels) @ each.embed_text(texts).T for each in (*encoders, both)]
    assert np.abs(cosines[0] - cosines[1]).max() > 0.01
    np.testing.assert_allclose(cosines[2], (cosines[0] + cosines[1]) / 2, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(both.features(pixels), axis=1), 1, atol=1e-5)


def test_a_pickled_checkpoint_becomes_safetensors(tiny_clip: Path, cache: Path, tmp_path: Path):
    import torch
    from safetensors.torch import load_file

    tensors = load_file(tiny_clip / "open_clip_model.safetensors")
    torch.save({"state_dict": tensors}, tmp_path / "open_clip_pytorch_model.bin")
    folder = pull("clip:tvu-tiny/pickled", local=tmp_path, offline=True)
    assert {path.suffix for path in folder.iterdir()} == {".json", ".safetensors"}
    assert all(torch.equal(tensors[k], v) for k, v in load_file(folder / "open_clip_model.safetensors").items())


def test_a_checkpoint_that_carries_code_is_refused_and_not_run(tiny_clip: Path, cache: Path, tmp_path: Path):
    import torch

    class Sly:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"state_dict": Sly()}, tmp_path / "open_clip_pytorch_model.bin")
    with pytest.raises(WeightsError, match="cannot be read as tensors"):
        pull("clip:tvu-tiny/sly", local=tmp_path, offline=True)
    assert not (tmp_path / "ran").exists()


def test_weights_of_another_model_are_refused(tiny_clip: Path, cache: Path, tmp_path: Path):
    import torch
    from safetensors.torch import save_file

    save_file({"logit_scale": torch.zeros(())}, tmp_path / "open_clip_model.safetensors")
    with pytest.raises(WeightsError, match="does not hold the weights of tvu-tiny"):
        pull("clip:tvu-tiny/wrong", local=tmp_path, offline=True)


@pytest.mark.parametrize("name", ["clip:no-such-model/tag", "clip:tvu-tiny/no-such-tag", "clip:ViT-B-16-SigLIP/webli"])
def test_what_open_clip_cannot_give_is_a_sentence(tiny_clip: Path, cache: Path, name: str):
    with pytest.raises(WeightsError) as caught:
        pull(name)
    assert caught.value.hint


COMMIT = "1a25a446712ba5ee05982a381eed697ef9b435cf"


@pytest.fixture
def hub(tiny_clip: Path) -> Iterator[tuple[str, list[str]]]:
    """The address of a stand-in for the Hugging Face hub that has one file, and the paths it was asked for."""
    content = (tiny_clip / "open_clip_model.safetensors").read_bytes()
    asked: list[str] = []

    class Hub(BaseHTTPRequestHandler):
        def _head(self) -> bool:
            asked.append(self.path)
            there = self.path.endswith("/open_clip_model.safetensors")
            self.send_response(200 if there else 404)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{sha256(content).hexdigest()}"')
            self.send_header("Content-Length", str(len(content) if there else 0))
            if not there:
                self.send_header("X-Error-Code", "EntryNotFound")
            self.end_headers()
            return there

        def do_HEAD(self) -> None:
            self._head()

        def do_GET(self) -> None:
            if self._head():
                self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()


def with_hub(endpoint: str, cache: Path, code: str, *args: object) -> subprocess.CompletedProcess[str]:
    """Run `code` in a process that takes `endpoint` for the hub: its client reads that once, when it is imported."""
    env = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(cache.parent / "hf"), "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, "-P", "-c", code, *map(str, args)]
    return subprocess.run(command, env=env, capture_output=True, text=True)


def test_clip_weights_come_from_the_repository_that_open_clip_names(hub, tiny_clip: Path, cache: Path):
    endpoint, asked = hub
    small = cache.parent / "ViT-B-32.json"  # replaces the config of that name by one that is quickly tested
    small.write_text(json.dumps(TINY_CLIP))
    code = (
        "import sys, open_clip; open_clip.add_model_config(sys.argv[1])\n"
        "from tvu.weights.fetch import pull; print(pull(sys.argv[2]))"
    )
    done = with_hub(endpoint, cache, code, small, DEFAULT_CLIP)
    assert done.returncode == 0, done.stderr
    folder = located(DEFAULT_CLIP)
    assert done.stdout.strip() == str(folder)
    assert asked[-1] == f"/laion/CLIP-ViT-B-32-laion2B-s34B-b79K/resolve/{COMMIT}/open_clip_model.safetensors"
    assert COMMIT in json.loads((folder / "files.json").read_text())["source"]
    assert OpenClipEncoder(DEFAULT_CLIP, device="cpu").features(frames(1, 48, 64)).shape == (1, 16)


def test_a_hub_that_is_not_there_is_a_sentence(cache: Path):
    code = (
        "import sys; from pathlib import Path\n"
        "from tvu.weights.hub import find\n"
        "try: find('laion/some-clip', ('model.safetensors',))\n"
        "except Exception as error: print(error.message)"
    )
    assert "cannot get laion/some-clip from the hub: " in with_hub("http://127.0.0.1:9", cache, code).stdout
