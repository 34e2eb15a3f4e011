"""LRCN: an LSTM over one vector per frame."""

import pytest
import torch

from tvu.temporal.encoders.lrcn import LRCNConfig, LRCNEncoder

close = torch.testing.assert_close


def encoder_and_features():
    torch.manual_seed(0)
    encoder = LRCNEncoder(LRCNConfig(10, hidden=7, layers=2)).double()
    return encoder, torch.randn(2, 6, 4, 10, dtype=torch.float64)


def test_every_token_of_a_frame_learns_the_same_of_the_past():
    encoder, features = encoder_and_features()
    learned = encoder(features) - features
    close(learned, learned[:, :, :1].expand_as(learned))
    vectors = encoder.norm(features).mean(2)
    close(learned[:, :, 0], encoder.out_proj(encoder.lstm(vectors)[0]))


def test_padding_never_leaks_into_real_frames():
    encoder, features = encoder_and_features()
    features[1, 4:] = torch.nan
    close(encoder(features, torch.tensor([6, 4]))[1:, :4], encoder(features[1:, :4]))


def test_a_video_may_be_encoded_as_it_arrives():
    encoder, features = encoder_and_features()
    state, pieces = None, []
    for cut in (slice(0, 1), slice(1, 5), slice(5, 6)):
        y, state = encoder.step(features[:, cut], state)
        pieces.append(y)
    close(torch.cat(pieces, dim=1), encoder(features))


def test_sizes_below_one_are_told():
    with pytest.raises(ValueError):
        LRCNConfig(8, layers=0)


def test_what_is_no_number_in_padding_reaches_no_gradient():
    encoder = LRCNEncoder(LRCNConfig(4, hidden=5))
    features = torch.randn(2, 5, 3, 4)
    features[0, 2:] = torch.nan
    encoded = encoder(features, torch.tensor([2, 5]))
    (encoded[0, :2].sum() + encoded[1].sum()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in encoder.parameters())
