"""Sentences and pairs as they come: readers of files, and what the hub serves."""
