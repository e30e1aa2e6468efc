"""Sentences as text: normalise, split, measure, deduplicate, compare by words. Nothing here reads a file or the hub."""
