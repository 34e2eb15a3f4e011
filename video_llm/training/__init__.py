"""Training Video-LLMs: generated and published instruction data, the loop, and its evaluation."""
