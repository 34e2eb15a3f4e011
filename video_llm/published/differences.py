"""What the published code of a model does, what tvu does by default, and why."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """One quirk. official: what `official` reproduces; ours: the default; why: what is better for it."""

    what: str
    official: str
    ours: str
    why: str


def as_table(differences: tuple[Difference, ...]) -> str:
    """For people, in Markdown."""
    rows = [f"| {each.what} | {each.official} | {each.ours} | {each.why} |" for each in differences]
    return "\n".join(["| what | official | ours | why |", "|---|---|---|---|", *rows])
