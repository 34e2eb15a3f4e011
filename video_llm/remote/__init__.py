"""Models that run elsewhere: a client of servers in OpenAI's form, as vLLM, SGLang and `tvu serve` are."""
