"""The report of a bench: made from its results file alone."""
