"""State-space scans and the published blocks around them."""
