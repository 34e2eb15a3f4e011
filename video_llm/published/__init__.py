"""LITA-13B, VTG-LLM-7B and VideoChat-T-7B from the files that their authors published."""
