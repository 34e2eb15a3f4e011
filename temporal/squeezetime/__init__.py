"""SqueezeTime: time folded into the channels of a 2-D network."""
