"""What the engine works on: opened and checked models, their task, rows, settings, and what is measured once.

``opening`` (two checkpoints, rows) → ``task`` → ``curvature_cache`` and ``scoring`` (kept in the ``run_folder``);
``identity`` says what was read.
"""

__all__: list[str] = []
