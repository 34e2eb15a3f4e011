"""Our own small Video-LLM: what it sees, how it is put together, how it answers."""
