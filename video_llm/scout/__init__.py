"""`scout`: zero-shot grounding from shots, speech and on-screen text, with nothing trained by us."""
