"""Sentences as text: normalise, split, measure, filter, compare by words. Nothing here reads a source or the hub."""
