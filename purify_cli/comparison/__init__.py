"""Models side by side on the same rows: which trigger is asked about, what each model answers, and how they differ.

``trigger_options`` (the trigger, from options or from an attack's record) → ``run`` (every model's answers) →
``compare`` (paired comparisons with their intervals). ``retune`` asks whether a purification outlasts further tuning.
"""

__all__: list[str] = []
