"""Time itself: spans, time codes, sampling times; pure functions on numbers and tensors."""
