"""Independent comparisons on local data, one line each; `python -m tests.audit`."""
