"""Raw sentences and graded pairs: readers of files, and what the hub serves."""
