"""Fewer visual tokens, each with its time and place."""
