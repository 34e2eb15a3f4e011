"""From a file to an answer: decode, sample, encode, score and ground; models, cache and export."""
