"""Finished work on disk: artefacts found by key, published whole, shared by processes, checked and cleaned up."""
