"""Models side by side on the same rows: which trigger is asked about, what each model answers, and how they differ.

``trigger_options`` (the trigger that the options name) → ``run`` (every model's answers) → ``compare`` (paired
comparisons with their intervals) → ``table``. ``retune`` asks whether a purification outlasts further tuning.
"""

__all__: list[str] = []
