"""Files of Hugging Face repositories, found through open_clip's table of checkpoints, fetched by huggingface_hub.

Their hashes are not known beforehand: the hub tells the sha256 of a large file with its commit, and what arrives must
have it. After that the inventory in the cache pins it.
"""

from pathlib import Path

from tvu.weights.errors import WeightsError
from tvu.weights.manifest import CLIP_PREFIX, HubFile, LocalPath, Part
from tvu.weights.store import sha256_of


def clip_part(name: str, local: Path | None, offline: bool) -> Part:
    """The checkpoint file of `clip:MODEL/TAG`, safetensors where there is such a file, with its hash and commit.

    A file of its name in the folder `local` is taken on the user's word: only the hub could vouch for it.
    Raises WeightsError if open_clip does not know the name, or if the hub cannot be asked.
    """
    import open_clip
    from open_clip.pretrained import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME

    model, _, tag = name.removeprefix(CLIP_PREFIX).partition("/")
    config = open_clip.get_model_config(model)
    if config is None:
        raise WeightsError(f"open_clip has no model {model}", hint="names as in open_clip.list_models()")
    if {"hf_tokenizer_name", "hf_model_name"} & set(config["text_cfg"]):
        hint = "choose one with CLIP's own tokenizer, such as ViT-B-32, ViT-L-14 or ViT-H-14"
        raise WeightsError(f"{model} needs a tokenizer from the hub, which tvu does not fetch", hint=hint)
    listed = (open_clip.get_pretrained_cfg(model, tag) or {}).get("hf_hub", "")
    repo, _, filename = listed.rpartition("/")  # a trailing slash stands for the usual file names
    usual = (filename,) if filename else (HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME)
    for path in (local / filename for filename in usual if local is not None):
        if path.is_file():
            return Part(path.name, path.stat().st_size, sha256_of(path), (LocalPath(path),))
    if offline:
        raise WeightsError(f"{name} is not in {local}, and tvu is offline", hint=f"it is called {' or '.join(usual)}")
    if not repo:
        raise WeightsError(f"open_clip lists no {tag} for {model}", hint="see open_clip.list_pretrained()")
    return find(repo, usual)


def find(repo: str, filenames: tuple[str, ...]) -> Part:
    """The first of `filenames` that the repository has, at its newest commit, with the hash that the hub tells.

    Raises WeightsError if it has none of them, or if the hub cannot be asked.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError

    for filename in filenames:
        try:
            told = get_hf_file_metadata(hf_hub_url(repo, filename))
        except EntryNotFoundError:
            continue
        except Exception as error:
            raise _unreachable(repo, error) from error
        if not (told.commit_hash and told.size and told.etag and len(told.etag) == 64):
            raise WeightsError(
                f"the hub tells no sha256 of {repo}/{filename}", hint="fetch the file and use --from DIR"
            )
        return Part(filename, told.size, told.etag, (HubFile(repo, told.commit_hash, filename),))
    raise WeightsError(f"{repo} has none of {', '.join(filenames)}", hint="try another tag of this model")


def download(source: HubFile, folder: Path) -> Path:
    """Fetch one file into `folder`. Raises WeightsError if the hub or the file cannot be reached."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()  # ours is told by the size of the folder
    try:
        return Path(hf_hub_download(source.repo, source.filename, revision=source.revision, local_dir=folder))
    except Exception as error:
        raise _unreachable(source.repo, error) from error


def _unreachable(repo: str, error: Exception) -> WeightsError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return WeightsError(
        f"cannot get {repo} from the hub: {reason}", hint="is the hub reachable? HF_ENDPOINT names a mirror"
    )
