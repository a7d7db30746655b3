"""The report of a bench: made from its results file alone."""

__all__: list[str] = []
