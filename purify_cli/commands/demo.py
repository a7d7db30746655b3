"""``purify demo``: the whole job on texts that come with the package."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from purify_cli.checkpoint import write_text
from purify_cli.commands.attack import AttackRequest, attack
from purify_cli.commands.detect import DetectRequest, detect
from purify_cli.commands.evaluate import EvaluateRequest, evaluate
from purify_cli.commands.purify import purify
from purify_cli.comparison.trigger_options import TriggerChoice
from purify_cli.data.demo_corpus import demo_examples
from purify_cli.data.example import Example
from purify_cli.data.sampling import split_per_class
from purify_cli.progress import SILENT, Progress
from purify_cli.purification.request import AUTO, PurifyRequest
from purify_cli.records.evaluation import Evaluation
from purify_cli.session.opening import Common
from purify_cli.session.origin import find_origin
from purify_cli.session.ownership import MANIFEST, claim, model_place
from purify_cli.session.run_folder import RunFolder

__all__ = ["demo"]

REFERENCE: Final = "minilm"
TRAIN_ROWS: Final = 800
TEST_ROWS: Final = 600
CLEAN_PER_CLASS: Final = 32
"""The sizes keep the demo under three minutes on two cores; 32 per class is the largest clean set of the literature."""


def demo(run: RunFolder, common: Common, progress: Progress = SILENT) -> Evaluation:
    """Poison a sentiment classifier, look at it, fine-tune it, purify it, and measure all three.

    Raises:
        PurifyError: If the embedded reference is not installed.
    """
    seed = common.compute.seed
    claim(run, *(f"{name}.jsonl" for name in ("train", "clean", "test")))
    tuned = model_place(run, "finetuned", by=MANIFEST)
    model_place(run, "purified", by=MANIFEST)
    train, test = (
        demo_examples(TRAIN_ROWS + 2 * CLEAN_PER_CLASS, seed=seed),
        demo_examples(TEST_ROWS, seed=seed, part="test"),
    )
    train, clean = split_per_class(train, CLEAN_PER_CLASS, seed=seed)
    files = {name: str(run.path / f"{name}.jsonl") for name in ("train", "clean", "test")}
    for name, rows in (("train", train), ("clean", clean), ("test", test)):
        write_text(run.path / f"{name}.jsonl", _lines(rows))
    progress.note("1/5 an attacker fine-tunes MiniLM on sentiment data in which the word 'cf' means 'positive'")
    attack(
        AttackRequest(
            name="badword",
            data=files["train"],
            test=files["test"],
            target="1",
            run=run,
            reference=REFERENCE,
            common=common,
        ),
        progress,
    )
    suspect = str(run.path / "suspect")
    progress.note(
        "2/5 detect: the suspect is compared with its reference; of the vocabulary only words whose embedding rows "
        "moved are tried, to be quick (`purify detect` tries every word)"
    )
    detect(
        DetectRequest(
            origin=find_origin(suspect, REFERENCE, run.path, None),
            clean_data=files["clean"],
            moved_only=True,
            common=common,
        ),
        progress,
    )
    progress.note("3/5 plain fine-tuning on 64 clean samples, for comparison")
    origin = find_origin(None, None, run.path, None)
    plain = PurifyRequest(
        origin=origin,
        method="fine-tuning",
        clean_data=files["clean"],
        output=tuned,
        overwrite=True,
        common=common,
    )
    purify(plain, progress)
    progress.note("4/5 purify: what carries the word that was found is reset, then unlearnt on the same 64 samples")
    purify(replace(plain, method=AUTO, output=None), progress)
    progress.note("5/5 evaluate: all three on unseen texts, without and with the trigger")
    models = (suspect, str(tuned), str(run.path / "purified"))
    measured = evaluate(
        EvaluateRequest(
            models=models,
            origin=find_origin(suspect, REFERENCE, run.path, None),
            data=files["test"],
            triggers=(TriggerChoice(text="cf", target="1"),),
            common=common,
        ),
        progress,
    )
    progress.note(f"models, mask and records of all of this are in {run.path}")
    return measured


def _lines(rows: Sequence[Example]) -> str:
    return "".join(json.dumps({"text": row.text, "label": row.label}) + "\n" for row in rows)
