"""The search for triggers as a service: for a classifier, for a language model, and once more where none was found.

The search itself is ``trigger_search``. Here its inputs are made (texts, a ``control``, prompts) and its outcome is
judged.
"""

__all__: list[str] = []
