"""What makes a base fast: rows that sentences share, attention, linear layers and dropout that cost less, threads."""
