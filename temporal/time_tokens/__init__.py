"""Seconds to text and back, as the published models write them."""
