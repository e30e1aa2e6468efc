"""Sentences as text: normalise, split, measure, sift, compare by words. Nothing here reads a user's file or the hub."""
