"""SqueezeTime is faster on a CPU than the video networks that people reach for."""

from tvu.temporal.squeezetime.speed import measure


def test_the_fastest_of_torchvisions_video_networks_takes_longer():
    ours, _, s3d = measure(peers=("s3d",))
    assert ours.what == "SqueezeTime, fused" and ours.ratio is None
    assert s3d.ratio is not None and s3d.ratio < 1
