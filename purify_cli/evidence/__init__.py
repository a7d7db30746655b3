"""What the weights alone say about a suspect.

Streaming passes over the pair and its scores end in frozen records: ``summary`` (per tensor and per layer), ``gamma``
(does r follow the law of clean drift), ``rows`` (embedding rows and their tokens); ``gathering`` calls them all, and
``verdict`` says what they amount to and what was not measured. ``search_outcome`` is what a search for triggers adds.
"""

__all__: list[str] = []
