"""SqueezeTime is faster on a CPU than the video networks that people reach for."""

import pytest
import torch

from tvu.temporal.squeezetime.speed import measure


@pytest.fixture
def one_thread():
    """Times that do not depend on who else keeps the cores busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.alone
def test_the_fastest_of_torchvisions_video_networks_takes_longer(one_thread):
    ours, _, s3d = measure(peers=("s3d",))
    assert ours.what == "SqueezeTime, fused" and ours.ratio is None
    assert s3d.ratio is not None and s3d.ratio < 1
