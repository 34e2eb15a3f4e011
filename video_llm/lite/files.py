"""Where checkpoints of `lite` are, and what tells them apart; nothing here brings torch."""

import hashlib
from pathlib import Path


def shipped_folder() -> Path:
    """Where the checkpoint that comes with tvu is."""
    import tvu.weights.load as beside

    return Path(beside.__file__).parent / "lite"


ANSWERS = "answers"  # the folder inside that of a checkpoint that holds another, which judges answers


def folder_digest(folder: Path, *, with_answers: bool = False) -> str:
    """Twelve hex digits of the weights of a folder; empty where it holds none. with_answers: also of what judges."""
    digest = hashlib.sha256()
    files = sorted(folder.glob("*.safetensors"))
    if files and with_answers:
        files += sorted((folder / ANSWERS).glob("*.safetensors"))
    for file in files:
        with file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()[:12] if files else ""
