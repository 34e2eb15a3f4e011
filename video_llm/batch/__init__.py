"""Many videos, many queries: what to look at, a ledger of what came of it, and the engines that do the work."""
