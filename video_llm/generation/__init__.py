"""How a language model is made to speak: caches, steps, constraints, drafts, scores."""
