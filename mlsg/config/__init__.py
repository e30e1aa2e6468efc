"""Settings, recipes, the catalog of languages, and where they lie. Imports no torch."""
