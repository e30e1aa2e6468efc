"""Models: a base with its tokenizer (`backbone`), poolings, and encoders that are loaded, run and saved (`encoder`).

Importing this package, `locate`, `fingerprint` or `folder` does not import torch.
"""
