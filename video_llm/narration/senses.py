"""What is heard, seen and read in a video, for texts to be aligned to: each model is loaded once, when first needed."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from tvu.temporal.errors import TvuError
from tvu.video_llm.cache import FeatureCache
from tvu.video_llm.narration.activity import Activity, clip_activity
from tvu.video_llm.narration.speech import HearingConfig, speech_candidates, transcribe_clip
from tvu.video_llm.narration.types import Candidates, Script
from tvu.video_llm.pipeline import Report, be_silent
from tvu.video_llm.scout.speech import Transcript
from tvu.video_llm.types import Evidence, VideoClip
from tvu.weights.errors import WeightsError

if TYPE_CHECKING:
    from tvu.video_llm.narration.picture import PictureMatcher
    from tvu.video_llm.scout.model import Scout
    from tvu.video_llm.sentence import SentenceEncoder


class Evident(Protocol):
    """What a text is aligned to."""

    def activity(self, clip: VideoClip) -> Activity | None:
        """When somebody speaks; None without a sound track."""
        ...

    def transcript(self, clip: VideoClip) -> Transcript:
        """What is said."""
        ...

    def candidates(
        self, script: Script, clip: VideoClip, signals: Sequence[Evidence]
    ) -> tuple[Mapping[Evidence, Candidates], tuple[str, ...]]:
        """Where each line may be by each signal that the clip has, and what the user should know of them."""
        ...


class Senses:
    """The models that come with tvu. What they make of a clip is kept in the cache, where `tvu ask` finds it too.

    hearing: who listens. use_cache: read and keep features. report: told how far the work is.
    """

    def __init__(
        self, hearing: HearingConfig | None = None, *, use_cache: bool = True, report: Report = be_silent
    ) -> None:
        self._hearing = hearing or HearingConfig()
        self._use_cache = use_cache
        self._report = report
        self._last: tuple[VideoClip, Transcript] | None = None
        self._scouts: dict[tuple[Evidence, ...], Scout] = {}

    def activity(self, clip: VideoClip) -> Activity | None:
        """When somebody speaks; None without a sound track. Raises VideoError or BackendError."""
        return clip_activity(clip, self.cache, self._report)

    def transcript(self, clip: VideoClip) -> Transcript:
        """What is said. Raises VideoError, WeightsError or BackendError."""
        if self._last is None or self._last[0] != clip:
            heard = transcribe_clip(clip, self._hearing, cache=self.cache, report=self._report)
            self._last = (clip, heard)
        return self._last[1]

    def candidates(
        self, script: Script, clip: VideoClip, signals: Sequence[Evidence]
    ) -> tuple[Mapping[Evidence, Candidates], tuple[str, ...]]:
        """Where each line may be by each of the signals. Speech that cannot be heard is told in the notes, not raised.

        Raises VideoError, WeightsError or BackendError.
        """
        from tvu.video_llm.narration.picture import picture_candidates
        from tvu.video_llm.narration.screen import screen_candidates

        found: dict[Evidence, Candidates] = {}
        notes: list[str] = []
        if "speech" in signals and clip.has_audio:
            try:
                found["speech"] = speech_candidates(script, self.transcript(clip), self.sentences)
            except WeightsError:
                raise
            except TvuError as error:  # the pictures may still tell
                notes.append(f"speech was not heard: {error.message}")
        if {"visual", "screen-text"} & set(signals):
            looks = tuple(signal for signal in signals if signal != "speech")
            seen = self._scout(looks).look(clip)
            notes += seen.notes
            if seen.visual is not None:
                found["visual"] = picture_candidates(script, clip, self.matcher, seen.visual)
            if seen.screen_text is not None:
                found["screen-text"] = screen_candidates(script, seen.screen_text)
        if self.cache is not None and self.cache.trouble:
            notes.append(self.cache.trouble)
        return found, tuple(notes)

    @cached_property
    def cache(self) -> FeatureCache | None:
        """Where features are kept; None where they are not."""
        from tvu.weights.store import cache_root

        return FeatureCache(cache_root() / "features") if self._use_cache else None

    @cached_property
    def sentences(self) -> "SentenceEncoder":
        """What knows the meaning of a sentence. Raises WeightsError."""
        from tvu.video_llm.sentence import SentenceEncoder

        return SentenceEncoder()

    @cached_property
    def matcher(self) -> "PictureMatcher":
        """What holds lines against pictures. Raises WeightsError."""
        from tvu.video_llm.narration.picture import PictureMatcher
        from tvu.weights.store import cache_root

        return PictureMatcher.ours(self.sentences, FeatureCache(cache_root() / "texts"))

    def _scout(self, looks: tuple[Evidence, ...]) -> "Scout":
        """What watches and reads in one pass; it remembers the last clip."""
        from tvu.video_llm.load import load_model
        from tvu.video_llm.scout.model import Scout

        if looks not in self._scouts:
            scout = load_model("scout", evidence=looks, use_cache=self._use_cache, report=self._report)
            assert isinstance(scout, Scout)
            self._scouts[looks] = scout
        return self._scouts[looks]
