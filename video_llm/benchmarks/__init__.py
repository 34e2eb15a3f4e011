"""Benchmarks: the official scores, on the official data layouts, for any model of tvu."""
