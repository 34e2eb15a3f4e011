"""High dynamic range pictures (ITU-R BT.2100, PQ and HLG) as the 8-bit sRGB ones that image models know.

FFmpeg's scaler can do this too, but spends seconds on its tables before the first picture.
"""

import numpy as np
from numpy.typing import NDArray

PQ, HLG, BT2020 = 16, 18, 9  # FFmpeg's numbers of these transfer functions and primaries
WHITE_NITS = 203.0  # of a white page; ITU-R BT.2408, and what becomes white here
KNEE = 0.75  # of white; what is brighter is pressed together up to white
BT2020_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)


def is_hdr(color_transfer: int) -> bool:
    """Whether brightness is coded by one of the two curves."""
    return color_transfer in (PQ, HLG)


class ToneMapper:
    """Maps RGB pictures of one stream; its tables are made once."""

    def __init__(self, color_transfer: int, color_primaries: int) -> None:
        signal = np.linspace(0.0, 1.0, 1 << 16)
        self._is_hlg = color_transfer == HLG
        self._to_linear = (_hlg_scene(signal) if self._is_hlg else _pq_nits(signal) / WHITE_NITS).astype(np.float32)
        self._matrix = BT2020_TO_BT709 if color_primaries == BT2020 else np.eye(3, dtype=np.float32)
        linear = np.linspace(0.0, 1.0, 1 << 12)
        encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
        self._to_srgb = (encoded * 255).round().astype(np.uint8)

    def srgb(self, rgb: NDArray[np.uint16]) -> NDArray[np.uint8]:
        """uint8 `[H, W, 3]` sRGB of full-range 16-bit RGB, each coded by the stream's curve."""
        linear = self._to_linear[rgb]
        if self._is_hlg:  # from the scene to a display of 1000 nits (BT.2100, table 5)
            scene_luma = linear @ np.array([0.2627, 0.6780, 0.0593], np.float32)
            linear *= 1000.0 / WHITE_NITS * np.maximum(scene_luma, 1e-6)[..., None] ** 0.2
        linear = linear @ self._matrix.T
        pressed = 1.0 - (1.0 - KNEE) * np.exp((KNEE - np.maximum(linear, KNEE)) / (1.0 - KNEE))
        linear = np.where(linear < KNEE, linear, pressed)
        return self._to_srgb[(linear.clip(0.0, 1.0) * (len(self._to_srgb) - 1)).round().astype(np.int32)]


def _pq_nits(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """The display light of a PQ signal in nits (BT.2100, table 4)."""
    root = signal ** (1 / 78.84375)
    return 10_000.0 * (np.maximum(root - 0.8359375, 0.0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)


def _hlg_scene(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """The scene light of an HLG signal, 0 to 1 (BT.2100, table 5)."""
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12)
