"""The commands as functions: the same work, the same records, nothing printed.

    import purify_cli

    found = purify_cli.detect("suspect/", "bert-base", clean_data="small.jsonl")
    if found.verdict.level == "poisoned":
        done = purify_cli.purify(clean_data="small.jsonl", ratio=0.1)
        print(done.output.path, done.verdict.level)

Records are pydantic models: ``record.model_dump()`` is what the command prints with ``--format json``. As on the
command line, the commands of one investigation share a run folder, and the later ones take their models from it.
"""

from purify_cli.api.examination import detect, evaluate
from purify_cli.api.options import Options
from purify_cli.api.poisoning import attack
from purify_cli.api.repair import finetune, purify

__all__ = ["Options", "attack", "detect", "evaluate", "finetune", "purify"]
