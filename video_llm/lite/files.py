"""Where checkpoints of `lite` are, and what tells them apart; nothing here brings torch."""

import hashlib
from pathlib import Path


def shipped_folder() -> Path:
    """Where the checkpoint that comes with tvu is."""
    import tvu.weights.load as beside

    return Path(beside.__file__).parent / "lite"


def folder_digest(folder: Path) -> str:
    """Twelve hex digits of the weights of a folder; empty where it holds none."""
    digest = hashlib.sha256()
    files = sorted(folder.glob("*.safetensors"))
    for file in files:
        with file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()[:12] if files else ""
