"""transformers' Auto classes know the model, its config and its processors once this is imported.

Each class registers itself beside its definition; this module brings them together.
"""

from tvu.video_llm.models.configuration import TvuConfig
from tvu.video_llm.models.modeling import TvuForConditionalGeneration
from tvu.video_llm.models.processing import TvuProcessor
from tvu.video_llm.models.video_processing import TvuVideoProcessor

__all__ = ["TvuConfig", "TvuForConditionalGeneration", "TvuProcessor", "TvuVideoProcessor"]
