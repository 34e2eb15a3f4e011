"""The Video-LLM as a transformers model, and its parts."""
