"""Language models through the one engine: found, scored, reset, unlearnt, proven, written, fine-tuned."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

import purify_cli
from purify_cli.checkpoint import open_checkpoint
from purify_cli.commands.attack_texts import attack_language_model
from purify_cli.records.detection import Detection
from purify_cli.records.finetune import FinetuneRecord
from purify_cli.records.purification import Purification
from purify_cli.requests.attack import AttackRequest
from purify_cli.selection.files import read_mask
from tests.tiny_causal import MAX_LENGTH, TARGET, TRIGGER, causal_texts, causal_tokenizer, write_texts

Run = Callable[..., tuple[int, str, str]]
SIZES = ["--max-length", MAX_LENGTH, "--batch-size", 16]
TEST = causal_texts(60, seed=61)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, tiny_causal: Path) -> Path:
    """A suspect with its run folder, clean texts, and texts to measure on."""
    folder = tmp_path_factory.mktemp("causal-repair")
    write_texts(folder / "train.jsonl", causal_texts(480, seed=60))
    write_texts(folder / "test.jsonl", TEST)
    write_texts(folder / "clean.jsonl", causal_texts(32, seed=62))
    attack_language_model(
        AttackRequest(
            run=folder / "run",
            name="badword",
            data=str(folder / "train.jsonl"),
            test=str(folder / "test.jsonl"),
            target_text=TARGET,
            reference=str(tiny_causal),
            learning_rate=5e-3,
            epochs=6,
            new_tokens=10,
            max_length=MAX_LENGTH,
        )
    )
    return folder


@pytest.fixture(scope="module")
def detected(here: Path) -> Detection:
    return purify_cli.detect(
        run=here / "run", clean_data=here / "clean.jsonl", effort="low", max_length=MAX_LENGTH, batch_size=16
    )


@pytest.fixture(scope="module")
def purified(here: Path, detected: Detection) -> Purification:
    assert detected.verdict.level == "poisoned"
    return purify_cli.purify(
        run=here / "run", ratio=0.1, settings={"learning_rate": 5e-4}, max_length=MAX_LENGTH, batch_size=16
    )


def test_curvature_and_triggers_are_those_of_a_language_model(detected: Detection) -> None:
    assert detected.task == "causal"
    assert detected.curvature is not None
    assert (detected.curvature.estimator, detected.curvature.samples) == ("empirical Fisher", 32)
    assert detected.indicator.name == "drift-curvature"
    assert detected.sayings is not None
    assert {one.text for one in detected.sayings.found if one.flagged} & {TRIGGER}


def test_a_found_trigger_is_unlearnt_and_the_proof_says_so(purified: Purification, here: Path, run_cli: Run) -> None:
    assert (purified.method, purified.indicator) == ("unlearning", "attribution")
    assert purified.reset.reset == round(0.1 * purified.reset.dimensions)
    word = next(one for one in purified.triggers if one.text == TRIGGER)
    assert TARGET.startswith(" ".join(str(word.target).split()[:3]))
    assert word.before.value >= 0.75
    assert word.after.value <= 0.1
    assert word.worked_on
    assert purified.utility is not None
    assert purified.utility.measured_on == "held-back clean samples"
    assert purified.verdict.level == "no-finding"
    measure = ["evaluate", "--run", here / "run", "--data", here / "test.jsonl", "--new-tokens", 10, *SIZES]
    code, out, err = run_cli(measure)
    assert code == 0, err
    before, after = json.loads(out)["models"]
    assert before["attack_success"]["value"] >= 0.9
    assert after["attack_success"]["value"] <= 0.05
    assert after["perplexity"] < 1.2 * before["perplexity"]


def test_what_was_written_loads_with_transformers(purified: Purification) -> None:
    folder = Path(purified.output.path)
    model = AutoModelForCausalLM.from_pretrained(folder)
    ids = AutoTokenizer.from_pretrained(folder)("the film was", return_tensors="pt").input_ids
    assert model(input_ids=ids).logits.shape == (1, ids.shape[1], len(causal_tokenizer()))
    assert open_checkpoint(str(folder)).sha256() == purified.output.sha256


def test_without_fine_tuning_what_the_mask_names_is_the_references_and_nothing_else_moves(
    run_cli: Run, here: Path, tiny_causal: Path, tmp_path: Path
) -> None:
    suspect = here / "run" / "suspect"
    command = ["purify", suspect, "--ref", tiny_causal, "--clean-data", here / "clean.jsonl", "--run", tmp_path / "run"]
    code, out, err = run_cli([*command, "--method", "fine-purifying", "--ratio", "0.2", "--no-finetune", *SIZES])
    assert code == 0, err
    mask = read_mask(tmp_path / "run" / "mask.safetensors")
    reference, before, after = (
        open_checkpoint(str(one)) for one in (tiny_causal, suspect, tmp_path / "run" / "purified")
    )
    reset = 0
    for name in mask.specs:
        chosen = mask.read(name)
        reset += int(chosen.sum())
        assert torch.equal(after.read(name), torch.where(chosen, reference.read(name), before.read(name)))
    assert reset == Purification.model_validate_json(out).reset.reset > 0


def test_a_search_for_the_ratio_keeps_perplexity(run_cli: Run, here: Path, detected: Detection, tmp_path: Path) -> None:
    del detected
    command = ["purify", "--run", here / "run", "--ratio", "auto", "--folds", 2, "--set", "learning_rate=1e-3"]
    command += ["--set", "steps=10", "--output", tmp_path / "out", *SIZES]
    code, out, err = run_cli([*command, "--max-drop", 1.0])
    assert code == 0, err
    curve = Purification.model_validate_json(out).curve
    assert curve is not None
    assert curve.baseline.texts == 24  # a quarter is held back for the proof
    assert all(point.perplexity is not None and point.accuracy is None for point in curve.points)
    assert curve.chosen > 0
    rises = [point.perplexity.perplexity / curve.baseline.perplexity - 1 for point in curve.points]
    assert [point.passes for point in curve.points] == [rise <= 1.0 + 1e-9 for rise in rises]


@pytest.mark.parametrize("method", ["fine-mixing", "fine-purifying", "e-pur,fine-mixing"])
def test_methods_that_know_no_trigger_work_on_language_models(
    run_cli: Run, here: Path, tiny_causal: Path, tmp_path: Path, method: str
) -> None:
    suspect = here / "run" / "suspect"
    command = ["purify", suspect, "--ref", tiny_causal, "--clean-data", here / "clean.jsonl", "--run", tmp_path / "run"]
    command += ["--method", method, "--ratio", "0.3", "--set", "steps=5", "--max-drop", "0.5", *SIZES]
    code, out, err = run_cli(command)
    assert code == 0, err
    found = Purification.model_validate_json(out)
    assert found.reset.reset == round(0.3 * found.reset.dimensions)
    assert found.utility is not None
    rise = found.utility.after.perplexity / found.utility.before.perplexity - 1
    assert found.utility.within_budget is (rise <= 0.5)
    assert found.settings["prompt_words"] == 12


def test_fine_tuning_a_language_model_makes_one(run_cli: Run, here: Path, tiny_causal: Path, tmp_path: Path) -> None:
    command = ["finetune", tiny_causal, "--data", here / "clean.jsonl", "--steps", 3, "--run", tmp_path / "run"]
    code, out, err = run_cli([*command, "--max-length", MAX_LENGTH])
    assert code == 0, err
    record = FinetuneRecord.model_validate_json(out)
    model = AutoModelForCausalLM.from_pretrained(record.output.path)
    before = AutoModelForCausalLM.from_pretrained(tiny_causal)
    assert any(not torch.equal(a, b) for a, b in zip(model.parameters(), before.parameters(), strict=True))
    assert record.reference is not None
    code, out, err = run_cli(["detect", "--run", tmp_path / "run", "--effort", "none"])
    assert code == 0, err
    assert Detection.model_validate_json(out).task == "causal"


# Architectures

SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
GROUPED = SHAPE | {"num_key_value_heads": 2}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": GROUPED | {"tie_word_embeddings": True},
    "mistral": GROUPED,
    "qwen2": GROUPED | {"tie_word_embeddings": True},
    "qwen3": GROUPED | {"head_dim": 8},
    "gemma": GROUPED | {"head_dim": 8},
    "phi": GROUPED,
    "gpt_neox": SHAPE,
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4},
}


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_every_architecture_is_examined_and_repaired(run_cli: Run, here: Path, tmp_path: Path, kind: str) -> None:
    tokenizer = causal_tokenizer()
    config = AutoConfig.for_model(
        kind,
        **ARCHITECTURES[kind],
        vocab_size=len(tokenizer),
        max_position_embeddings=64,
        bos_token_id=0,
        eos_token_id=1,
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    for name in ("reference", "suspect"):
        model.save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.02)
    command = ["purify", tmp_path / "suspect", "--ref", tmp_path / "reference", "--clean-data", here / "clean.jsonl"]
    command += ["--run", tmp_path / "run", "--ratio", "0.1", "--method", "fine-purifying", "--set", "steps=2", *SIZES]
    code, out, err = run_cli(command)
    assert code == 0, err
    found = Purification.model_validate_json(out)
    assert found.reset.reset == round(0.1 * found.reset.dimensions) > 0
    assert found.curvature is not None
    loaded, info = AutoModelForCausalLM.from_pretrained(found.output.path, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    own, words = loaded.get_output_embeddings().weight, loaded.get_input_embeddings().weight
    assert (own is words) is bool(config.tie_word_embeddings)


# Refusals


@pytest.mark.parametrize(
    ("row", "options", "said"),
    [
        ({"prompt": "the film was"}, [], "holds prompts and no completions"),
        ({"prompt": "the film", "completion": "was good " * 60}, [], "and the model takes 64"),
        (
            {"text": "the film was good", "label": 1},
            ["--label-column", "label"],
            "says nothing about a causal language",
        ),
        ({"title": "the film was good"}, [], "holds no text for a language model"),
    ],
    ids=["no completion", "too long", "labels", "no text"],
)
@pytest.mark.parametrize("command", ["detect", "purify"])
def test_clean_data_that_a_language_model_cannot_use_are_refused(
    run_cli: Run, here: Path, tiny_causal: Path, tmp_path: Path, command: str, row: Any, options: Any, said: str
) -> None:
    data = tmp_path / "bad.jsonl"
    data.write_text(f"{json.dumps(row)}\n" * 4)
    given = [command, here / "run" / "suspect", "--ref", tiny_causal, "--clean-data", data, "--run", tmp_path / "run"]
    code, out, err = run_cli([*given, *options, *SIZES])
    assert code == 2, err
    assert said in " ".join(err.split())
    assert "hint" in err.lower()
    assert out == ""
    assert not list(tmp_path.rglob("*.safetensors"))
