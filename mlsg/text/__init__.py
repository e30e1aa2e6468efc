"""Sentences as text: normalise, split, measure, filter, compare by words. No file of the user or the hub is read here."""
