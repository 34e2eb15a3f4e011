"""Video-language models of transformers as models of tvu, told the times of our own clock."""
