"""A fixed number of tokens per video, chosen by score, in their old order."""

from torch import Tensor

from tvu.kernels.dispatch import runs_on_triton


def select_tokens(x: Tensor, scores: Tensor, budget: int) -> tuple[Tensor, Tensor]:
    """The `budget` tokens with the lowest scores, in the order in which they stood; on a tie the earlier one stays.

    x:      `[B, L, C]`, floating.
    scores: `[B, L]` float32, not NaN; +inf for padding, which is then taken last.

    Returns the tokens `[B, budget, C]` and where they stood, `[B, budget]` int64, rising. The number kept is known
    without looking at the scores, so nothing waits for the device. Gradients flow to the tokens that were kept.
    Raises ValueError unless 1 <= budget <= L.
    """
    if x.ndim != 3 or scores.shape != x.shape[:2]:
        raise ValueError(f"x is [B, L, C] and scores [B, L], not {tuple(x.shape)} and {tuple(scores.shape)}")
    if not 1 <= budget <= x.shape[1]:
        raise ValueError(f"a budget of {budget} from {x.shape[1]} tokens")
    if runs_on_triton(x, scores):
        from tvu.kernels.select_tokens_triton import Gather, lowest

        index = lowest(scores.detach().float(), budget)
        return Gather.apply(x, index), index
    return select_tokens_plain(x, scores, budget)


def select_tokens_plain(x: Tensor, scores: Tensor, budget: int) -> tuple[Tensor, Tensor]:
    """The specification of `select_tokens`: a stable sort by score, and one by place."""
    index = scores.sort(dim=1, stable=True).indices[:, :budget].sort(dim=1).values
    return x.gather(1, index[..., None].expand(-1, -1, x.shape[-1])), index
