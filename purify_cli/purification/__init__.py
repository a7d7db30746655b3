"""The engine of ``purify purify``: what it takes to repair a suspect, and to measure what came of it.

``plan`` (the request, checked) → ``repair_session`` (the opened pair, with what was measured on it) → ``prepared`` (a
method with all that does not depend on the ratio) → ``ratio_search`` → ``stages`` (scores → mask → weights) →
``repair_rounds`` (again, where a word outlasts it) → ``verification`` (the words on held-back rows) → ``verdict``.
"""

__all__: list[str] = []
