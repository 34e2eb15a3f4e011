"""Files and their clock: containers, readers, probing, sound, and cuts written back to disk."""
