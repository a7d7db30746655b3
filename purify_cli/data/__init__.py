"""Texts: one row (``example``), files and hub sets (``loading``), triggers, batches, and built-in texts.

``loading`` reads any supported file into rows; ``triggers`` puts a trigger into a row and tells whether the model can
still see it; ``batches`` turns rows into tensors. ``probes`` and ``demo_corpus`` need no file at all.
"""

__all__: list[str] = []
