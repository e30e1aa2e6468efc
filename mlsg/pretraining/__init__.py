"""`mlsg starter build`: a tokenizer and a multilingual BERT from a folder of text."""
