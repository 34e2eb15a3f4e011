"""Temporal encoders: features that know what came before and after them."""
