"""LRCN (Donahue et al. 2015, "Long-term Recurrent Convolutional Networks", arXiv 1411.4389): the LSTM baseline.

The paper runs an LSTM over one vector per frame and averages the predictions of all frames. Here the vector of a frame
is the mean of its tokens, and what the LSTM says of the frame is added to each of them, so that an encoder stands where
others stand; what is predicted from the tokens is not its business.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from tvu.temporal.reduction.means import without_padding

LSTMState = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class LRCNConfig:
    """channels: C; hidden: width of the LSTM, its state is twice that per layer; layers: of the LSTM."""

    channels: int
    hidden: int = 256
    layers: int = 1

    def __post_init__(self) -> None:
        if min(self.channels, self.hidden, self.layers) < 1:
            raise ValueError(f"every size of LRCN is at least 1: {self}")


class LRCNEncoder(nn.Module):
    """x_t + W LSTM(mean over N of LayerNorm(x))_t, one step per frame; forward only."""

    def __init__(self, config: LRCNConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.channels)
        self.lstm = nn.LSTM(config.channels, config.hidden, config.layers, batch_first=True)
        self.out_proj = nn.Linear(config.hidden, config.channels)

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """features `[B, T, N, C]`, lengths `[B]` real frames (all if None); as much out.

        Padding comes after all that is real, so no frame sees it; it is read as zeros: its NaN would reach gradients.
        """
        return self.step(features if lengths is None else without_padding(features, lengths))[0]

    def step(self, features: Tensor, state: LSTMState | None = None) -> tuple[Tensor, LSTMState]:
        """The next T >= 1 frames; the state is h and c, `[layers, B, hidden]` each."""
        seen, state = self.lstm(self.norm(features).mean(2), state)  # [B, T, hidden]
        return features + self.out_proj(seen)[:, :, None], state
