"""`tvu bench list`: which benchmarks there are, where their data is, and what others came to on them."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from tvu.cli.exit_codes import UsageError
from tvu.video_llm.benchmarks.published import published
from tvu.video_llm.benchmarks.registry import ENTRIES, Entry, entry_named

SPEED = {
    "speed": "how long a question takes, and what decoding costs beside ffmpeg; --model-size: a Video-LLM",
    "temporal": "SqueezeTime beside torchvision's networks, scans beside their definitions, the encoders",
    "kernels": "fused operations beside PyTorch and torch.compile; needs a CUDA device",
}


def list_benchmarks(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="All that is known of this one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Name the benchmarks; of one, say where its data is, its licence, and what others published."""
    if name is None:
        if as_json:
            print(json.dumps([_fields(entry) for entry in ENTRIES], ensure_ascii=False))
            return
        width = max(len(entry.name) for entry in ENTRIES)
        for entry in ENTRIES:
            print(f"{entry.name:<{width}}  {entry.title}")
            print(f"{'':<{width}}  data: {entry.where}")
            print(f"{'':<{width}}  licence: {entry.licence}")
            if numbers := published(entry.name):
                print(f"{'':<{width}}  published: {len(numbers)} models, told by `tvu bench list {entry.name}`")
        for measured, what in SPEED.items():
            print(f"{measured:<{width}}  {what}")
        return
    entry = known(name)
    print(json.dumps(_fields(entry), ensure_ascii=False) if as_json else "\n".join(_lines(entry)))


def known(name: str) -> Entry:
    """The benchmark of that name. Raises UsageError where there is none."""
    entry = entry_named(name)
    if entry is None:
        raise UsageError(f"no benchmark is called {name!r}", hint="`tvu bench list` names them")
    return entry


def _fields(entry: Entry) -> dict[str, object]:
    told = {key: getattr(entry, key) for key in ("name", "title", "where", "layout", "licence", "metrics")}
    numbers = [{**asdict(each), "is_checked": each.is_checked} for each in published(entry.name)]
    return {**told, "scores_files": bool(entry.score), "published": numbers}


def _lines(entry: Entry) -> list[str]:
    lines = [f"{entry.name}: {entry.title}"]
    for key in ("where", "layout", "licence", "metrics"):
        lines.append(f"  {key:<8} {getattr(entry, key)}")
    lines.append(f"  run      tvu bench {entry.name} --data DIR -m MODEL")
    if entry.score:
        lines.append(f"  score    tvu bench score {entry.name} --pred FILE --gt FILE")
    numbers = published(entry.name)
    if numbers:
        lines.append("published, percent")
    for each in numbers:
        values = ", ".join(f"{metric} {value:g}" for metric, value in each.numbers.items())
        setting = f" ({each.setting})" if each.setting else ""
        lines.append(f"  {each.model}{setting}: {values}; {each.source}")
    return lines
