"""Between the command line and the engine: where models come from, what is opened, and what the run folder keeps.

``origin`` (an argument, a record or the run folder names a model) → ``opening`` (two checkpoints, rows, hashes) →
``curvature_cache`` and ``score_cache`` (measured once, kept in the ``run_folder``).
"""

__all__: list[str] = []
