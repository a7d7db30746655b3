"""``purify demo``: the whole job on texts that come with the package."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from purify_cli.checkpoint import write_text
from purify_cli.commands.attack import attack
from purify_cli.commands.detect import detect
from purify_cli.commands.evaluate import evaluate_classifiers
from purify_cli.commands.purify import purify
from purify_cli.comparison.trigger_options import pair_options
from purify_cli.data.demo_corpus import demo_examples
from purify_cli.data.example import Example
from purify_cli.data.sampling import split_per_class
from purify_cli.inputs.run_folder import RunFolder
from purify_cli.records.evaluation import Evaluation
from purify_cli.requests.attack import AttackRequest
from purify_cli.requests.demo import DemoRequest
from purify_cli.requests.detect import DetectRequest
from purify_cli.requests.evaluate import EvaluateRequest
from purify_cli.requests.purify import AUTO, PurifyRequest
from purify_cli.requests.shared import BATCH
from purify_cli.runtime import Compute
from purify_cli.storage.origin import EVALUABLE, locate
from purify_cli.storage.ownership import MANIFEST, model_place, require_own_files

__all__ = ["demo"]

REFERENCE: Final = "minilm"
TRAIN_ROWS: Final = 800
TEST_ROWS: Final = 600
CLEAN_PER_CLASS: Final = 32
MAX_LENGTH: Final = 64
"""The sizes keep the demo under three minutes on two cores; 32 per class is the largest clean set of the literature."""


def demo(request: DemoRequest) -> Evaluation:
    """Poison a sentiment classifier, look at it, fine-tune it, purify it, and measure all three.

    Raises:
        PurifyError: If the embedded reference is not installed.
    """
    Compute.choose(request.device, request.dtype)  # refused before anything is written
    run, progress, seed = RunFolder.of(request.run), request.progress, request.seed
    shared: dict[str, Any] = {
        "run": run.path,
        "seed": seed,
        "device": request.device,
        "dtype": request.dtype,
        "max_length": MAX_LENGTH,
        "progress": progress,
    }
    require_own_files(run, *(f"{name}.jsonl" for name in ("train", "clean", "test")))
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
            reference=REFERENCE,
            **shared,
        )
    )
    suspect = str(run.path / "suspect")
    progress.note(
        "2/5 detect: the suspect is compared with its reference; of the vocabulary only words whose embedding rows "
        "moved are tried, to be quick (`purify detect` tries every word)"
    )
    detect(DetectRequest(suspect, REFERENCE, clean_data=files["clean"], moved_only=True, batch_size=BATCH, **shared))
    progress.note("3/5 plain fine-tuning on 64 clean samples, for comparison")
    plain = PurifyRequest(
        method="fine-tuning",
        clean_data=files["clean"],
        output=tuned,
        overwrite=True,
        batch_size=BATCH,
        **shared,
    )
    purify(plain)
    progress.note("4/5 purify: the method that suits what was found, on the same 64 samples")
    purify(replace(plain, method=AUTO, output=None))
    progress.note("5/5 evaluate: all three on unseen texts, without and with the trigger")
    models = (suspect, str(tuned), str(run.path / "purified"))
    asked = EvaluateRequest(
        models, reference=REFERENCE, data=files["test"], trigger="cf", target=1, batch_size=BATCH, **shared
    )
    measured = evaluate_classifiers(asked, locate(asked, EVALUABLE), pair_options(asked))
    progress.note(f"models, mask and records of all of this are in {run.path}")
    return measured


def _lines(rows: Sequence[Example]) -> str:
    return "".join(json.dumps({"text": row.text, "label": row.label}) + "\n" for row in rows)
