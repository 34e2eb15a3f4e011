"""How each case of the official code is run through our modules."""
