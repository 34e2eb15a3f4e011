"""Results that people can use: rows, the formats they are written in, a page to look at, labels read back."""
