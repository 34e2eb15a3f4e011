"""Text to video: which second each sentence is shown in."""
