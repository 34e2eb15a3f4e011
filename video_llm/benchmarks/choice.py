"""How a multiple choice is put to a language model: by MVBench's authors, by two harnesses, and by us."""

from dataclasses import dataclass

from tvu.video_llm.benchmarks.matching import letter_of
from tvu.video_llm.types import Request

PROTOCOLS = ("tvu", "official", "lmms-eval", "vlmevalkit")

MVBENCH_SYSTEM = (
    "Carefully watch the video and pay attention to the cause and sequence of events, the detail and movement of "
    "objects, and the action and pose of persons. Based on your observations, select the best option that accurately "
    "addresses the question.\n"
)
ONLY_THE_BEST = "Only give the best option."
BEST_OPTION = "Best option:("


@dataclass(frozen=True)
class MultipleChoice:
    """A question, its options in the order of their letters, and whose words put it (`PROTOCOLS`)."""

    question: str
    options: tuple[str, ...]
    protocol: str = "tvu"

    def __post_init__(self) -> None:
        if not 1 <= len(self.options) <= 26:
            raise ValueError(f"a multiple choice has a letter for each option, not {len(self.options)} of them")
        if self.protocol not in PROTOCOLS:
            raise ValueError(f"no protocol is called {self.protocol!r}, only {', '.join(PROTOCOLS)}")

    @property
    def request(self) -> Request:
        """To the character what the protocol sends.

        `official` tells the system text twice, as a turn and before the question. VLMEvalKit sends the prefill as a
        turn of the assistant, which is left open here, as most of its adapters leave it. `tvu` is MVBench's text with
        the system text once.
        """
        lettered = [f"({letter_of(number)}) {option}" for number, option in enumerate(self.options)]
        if self.protocol == "lmms-eval":
            listed = "".join(f"{line}\n" for line in lettered)
            return Request(f"Question:{self.question}\nOption:\n{listed}{ONLY_THE_BEST}\n")
        asked = "\n".join([f"Question: {self.question}", "Options:", *lettered]).rstrip()
        told = MVBENCH_SYSTEM if self.protocol == "official" else ""
        return Request(f"{told}{asked}\n{ONLY_THE_BEST}", MVBENCH_SYSTEM, BEST_OPTION)

    @property
    def max_new_tokens(self) -> int:
        """As many as the protocol lets a model write; where VLMEvalKit leaves it to the model, MVBench's number."""
        return 16 if self.protocol == "lmms-eval" else 100
