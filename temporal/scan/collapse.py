"""What can be done, without training, when a scan is longer than any it was trained on (Stuffed Mamba).

A model trained on sequences shorter than what its state can hold never learns to forget; past that length its states
grow and its answers fall apart. The three mitigations are those of the paper's first version (Chen et al. 2024, arXiv
2410.07145v1, "state collapse"; the later version drops them, and its authors published no code for them), as functions
for `ssd_scan` and `ssd_bidirectional` of `temporal/scan/ssd.py`:

    ssd_scan(x, dt, *forget_more(A, B, forget=0.1), C)
    ssd_scan(x, dt, A, B, C, passing=clip_states(50.0))
    ssd_scan(x, dt, A, B, C, chunk_size=256, passing=sliding_window(4096, chunk_size=256))

`state_health` says whether one is needed.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from tvu.temporal.scan.chunks import StatePassing, chunk_states, pass_states, split_chunks


def forget_more(A: Tensor, B: Tensor, *, forget: float = 0.0, insert_less: float = 0.0) -> tuple[Tensor, Tensor]:
    """A and B with which every step decays the state by exp((1 + forget) dt A) and adds (1 - insert_less) dt x B^T.

    Raises ValueError unless forget >= 0 and 0 <= insert_less < 1.
    """
    if forget < 0 or not 0 <= insert_less < 1:
        raise ValueError(f"forget is at least 0 and insert_less in [0, 1), not {forget} and {insert_less}")
    return A * (1 + forget), B * (1 - insert_less)


def clip_states(largest: float) -> StatePassing:
    """H <- largest H / ||H|| where the Frobenius norm of a head's state exceeds it.

    Departure: the paper clips after every token, which no chunk can be computed under; here at the borders of chunks.
    """
    if not largest > 0:
        raise ValueError(f"states are clipped to a positive norm, not {largest}")

    def passing(
        states: Tensor, log_decay: Tensor, initial: Tensor | None, *, reverse: bool = False
    ) -> tuple[Tensor, Tensor]:
        state = torch.zeros_like(states[:, 0]) if initial is None else initial.to(states.dtype)
        entering: list[Tensor] = []
        for chunk in range(states.shape[1])[:: -1 if reverse else 1]:
            entering.append(state)
            state = states[:, chunk] + log_decay[:, chunk, :, None, None].exp() * state
            norm = torch.linalg.matrix_norm(state, keepdim=True)
            state = state * (largest / norm.clamp(min=largest))
        return torch.stack(entering[::-1] if reverse else entering, dim=1), state

    return passing


def sliding_window(window: int, *, chunk_size: int) -> StatePassing:
    """H_t - exp(sum of the last `window` log decays) H_(t - window): what is older than the window is taken out again.

    Taken at the borders of chunks: a token sees its own chunk up to itself and `window` tokens before that chunk. The
    scan must have the same chunk_size. Differentiable. A window reaches over one call only: the final state is what the
    last window left, and of a stream cut into calls the first window of each still holds all of what that leaves.
    Raises ValueError unless the window is whole chunks.
    """
    if window < chunk_size or chunk_size < 1 or window % chunk_size:
        raise ValueError(f"a window is whole chunks of {chunk_size} tokens, not {window} tokens")
    reach = window // chunk_size

    def passing(
        states: Tensor, log_decay: Tensor, initial: Tensor | None, *, reverse: bool = False
    ) -> tuple[Tensor, Tensor]:
        entering, final = pass_states(states, log_decay, initial, reverse=reverse)
        # The states at all borders in the order of the scan, and the log decay between borders `reach` apart.
        if reverse:
            entering, log_decay = entering.flip(1), log_decay.flip(1)  # states of chunks: few, beside the tokens
        borders = torch.cat([entering, final[:, None]], dim=1)
        if reach < borders.shape[1]:
            decay = log_decay.unfold(1, reach, 1).sum(-1).exp()[..., None, None]
            borders = torch.cat([borders[:, :reach], borders[:, reach:] - decay * borders[:, :-reach]], dim=1)
        entering, final = borders[:, :-1], borders[:, -1]
        return entering.flip(1) if reverse else entering, final

    return passing


@dataclass(frozen=True)
class StateHealth:
    """How the states of a scan behave along a sequence.

    log_norm:  `[B, M, H]`, log of the Frobenius norm of each head's state after each of M chunks.
    retention: `[H]`, the mean share of a state that a chunk leaves of it: near 1, a head does not forget.
    """

    log_norm: Tensor
    retention: Tensor

    def grows_past(self, chunks: int) -> Tensor:
        """`[B, H]` bool: heads whose state never shrinks from one chunk to the next after the first `chunks`.

        Given the length of training in chunks, those are the heads that collapse.
        """
        later = self.log_norm[:, max(chunks - 1, 0) :]
        return (later.diff(dim=1) > 0).all(dim=1) & (later.shape[1] > 1)


def state_health(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, *, chunk_size: int = 256, passing: StatePassing = pass_states
) -> StateHealth:
    """The states of a scan of x `[B, L, H, P]`, dt `[B, L, H]` (discretised: > 0), A `[H]`, B `[B, L, G, N]`."""
    log_decay = dt * A
    tokens = (x.to(log_decay.dtype) * dt[..., None], log_decay, B.to(log_decay.dtype))
    steps, decays, inserted = (split_chunks(tensor, min(chunk_size, x.shape[1])) for tensor in tokens)
    states, whole = chunk_states(steps, decays, inserted)
    entering, final = passing(states, whole, None)
    after = torch.cat([entering[:, 1:], final[:, None]], dim=1)
    return StateHealth(torch.linalg.matrix_norm(after).log(), whole.exp().mean(dim=(0, 1)))
