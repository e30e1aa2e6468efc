"""Suites: ways to evaluate an encoder, one file each."""
