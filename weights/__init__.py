"""Where model weights come from, how they are checked, converted, stored and loaded."""
