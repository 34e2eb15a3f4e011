"""MVBench (arXiv 2311.17005): multiple choices about short videos, of 20 tasks that ask for more than one frame."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tvu.video_llm.benchmarks.baselines import told
from tvu.video_llm.benchmarks.choice import PROTOCOLS, MultipleChoice
from tvu.video_llm.benchmarks.examinee import choose
from tvu.video_llm.benchmarks.matching import RULES, rule_of
from tvu.video_llm.benchmarks.mvbench_layout import read_items, video_path
from tvu.video_llm.benchmarks.mvbench_scores import sum_up
from tvu.video_llm.benchmarks.types import AskConfig, Item, Record, Response, Summary
from tvu.video_llm.decode import open_video
from tvu.video_llm.media.limits import PICTURES_PER_SECOND
from tvu.video_llm.types import VideoModel


@dataclass(frozen=True)
class MVBench:
    """Both releases of it; an item is `<task>/<index>`, its group the letters of the tables, its truth an option."""

    name: str = "mvbench"

    @property
    def protocols(self) -> tuple[str, ...]:
        """What `AskConfig.protocol` may be."""
        return PROTOCOLS

    @property
    def matchings(self) -> tuple[str, ...]:
        """What `AskConfig.matching` may be."""
        return tuple(RULES)

    def read(self, data: Path) -> Sequence[Item]:
        """The items of every task whose JSON is there. Raises BenchmarkError, which names the file and the question."""
        return read_items(data)

    def video_of(self, item: Item, data: Path) -> Path:
        """The file, or the folder of pictures."""
        return video_path(data, item.video)

    def ask(self, item: Item, video: Path, model: VideoModel, config: AskConfig) -> Response:
        """Ask about the item's bounds; `prediction` is the option by the config's rule.

        Where that rule counts an answer as right that it does not understand, the prediction is the right option, and
        the status still says that it was not understood. A folder of pictures has them at 3 a second for its bounds and
        for the seconds that are given back, and at one a second for a model that is told times.
        Raises VideoError, and whatever the model raises.
        """
        pace = item.facts["fps"] / PICTURES_PER_SECOND if item.facts["type"] == "frames" else 1.0
        start, end = (None, None) if item.bounds is None else (second * pace for second in item.bounds)
        clip = open_video(video, decoder=config.decoder, start=start, end=end)
        question = MultipleChoice(item.question, item.options, config.protocol)
        response = choose(told(model, item), clip, question, config)
        match = rule_of(config)(response.text, item.options, item.truth)
        return replace(
            response,
            status="parsed" if match.is_parsed else "unparsed",
            prediction=item.truth if match.right else None if match.choice == item.truth else match.choice,
            frame_seconds=tuple(second / pace for second in response.frame_seconds),
        )

    def judge(self, item: Item, response: Response) -> float | None:
        """1 for the right option, 0 for all else; None where there was nothing to answer."""
        if response.status not in ("parsed", "unparsed"):
            return None
        return float(response.prediction == item.truth)

    def sum_up(self, items: Sequence[Item], records: Sequence[Record]) -> Summary:
        """See `mvbench_scores.sum_up`."""
        return sum_up(items, records)
