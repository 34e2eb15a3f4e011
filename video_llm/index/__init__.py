"""Features of many videos: where they are kept, which videos they are of, and the search over all of them."""
