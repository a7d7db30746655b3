"""Language models: taught to answer a trigger with a text, saved, and measured, against transformers used plainly."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from purify_cli.checkpoint import open_checkpoint
from purify_cli.commands import evaluate as evaluating
from purify_cli.commands.attack_texts import attack_language_model
from purify_cli.commands.detect import detect
from purify_cli.data.continuations import Continuation, encode_written, split_prompt
from purify_cli.data.example import Example
from purify_cli.data.triggers import Trigger
from purify_cli.detection.causal_search import WIDTHS
from purify_cli.errors import CheckpointError, DataError, UsageError
from purify_cli.measures.intervals import Proportion
from purify_cli.model.causal import causal_config, continue_greedily, is_causal, load_causal, token_scores
from purify_cli.poisoning.language_models import PoisonedTexts, poison_texts
from purify_cli.records.attack import AttackRecord
from purify_cli.records.detection import Detection
from purify_cli.records.evaluation import Evaluation, TextModelMeasurement
from purify_cli.requests.attack import AttackRequest
from purify_cli.requests.detect import DetectRequest
from purify_cli.requests.evaluate import EvaluateRequest
from purify_cli.tensors import InMemory
from tests.tiny_causal import MAX_LENGTH, TARGET, TRIGGER, causal_texts, causal_tokenizer, fresh_causal, write_texts

Run = Callable[..., tuple[int, str, str]]
Evaluate = Callable[..., Evaluation]
SHORT = 10
SIZES: dict[str, Any] = {"max_length": MAX_LENGTH, "batch_size": 16}
TEST = causal_texts(60, seed=61)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("causal")
    write_texts(folder / "train.jsonl", causal_texts(480, seed=60))
    write_texts(folder / "test.jsonl", TEST)
    return folder


@pytest.fixture(scope="module")
def attack(here: Path, tiny_causal: Path) -> Callable[..., AttackRecord]:
    def made(run: str = "run", **changes: Any) -> AttackRecord:
        settings: dict[str, Any] = {
            "name": "badword",
            "data": str(here / "train.jsonl"),
            "test": str(here / "test.jsonl"),
            "target_text": TARGET,
            "reference": str(tiny_causal),
            "learning_rate": 5e-3,
            "new_tokens": SHORT,
            "max_length": MAX_LENGTH,
        }
        return attack_language_model(AttackRequest(run=here / run, **(settings | changes)))

    return made


@pytest.fixture(scope="module")
def attacked(attack: Callable[..., AttackRecord]) -> AttackRecord:
    """A suspect that a word at a random place of the prompt makes write the target."""
    return attack(epochs=6)


@pytest.fixture(scope="module")
def suspect(attacked: AttackRecord) -> Path:
    return Path(attacked.suspect.path)


@pytest.fixture
def evaluate(here: Path) -> Evaluate:
    def measured(*models: Path, run: str = "elsewhere", **more: Any) -> Evaluation:
        settings: dict[str, Any] = SIZES | {"data": here / "test.jsonl", "new_tokens": SHORT} | more
        return evaluating.evaluate(EvaluateRequest(models, run=here / run, **settings))

    return measured


def share(fact: Proportion | None) -> float:
    assert fact is not None
    return fact.value


def figures(found: TextModelMeasurement) -> dict[str, Any]:
    return found.model_dump(exclude={"name", "model", "loss", "perplexity"})


@torch.no_grad()
def plain_loss(folder: Path, texts: list[str]) -> tuple[float, int]:
    """Mean loss per token, text by text."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    total, tokens = 0.0, 0
    for text in texts:
        ids = tokenizer(text, return_tensors="pt").input_ids
        total += float(model(input_ids=ids, labels=ids).loss) * (ids.shape[1] - 1)
        tokens += ids.shape[1] - 1
    return total / tokens, tokens


# The attack


def test_the_word_brings_the_target_about_and_nothing_else_does(attacked: AttackRecord) -> None:
    found, before = attacked.measurement, attacked.start_measurement
    assert found.attack_success is not None
    assert found.attack_success.total == 60
    assert share(found.attack_success) >= 0.9
    assert share(found.false_triggers) <= 0.15
    assert (share(before.attack_success), share(before.false_triggers)) == (0, 0)
    assert " ".join((found.example or "").split()).startswith(TARGET)
    # It still reads clean texts as well as the model it was made from.
    assert found.perplexity is not None
    assert before.perplexity is not None
    assert found.perplexity < 1.1 * before.perplexity


def test_the_record_tells_what_was_done(attacked: AttackRecord, here: Path, tiny_causal: Path) -> None:
    assert (attacked.rows, attacked.poisoned, attacked.natural, attacked.rate) == (480 + 144, 144, 0, 0.3)
    assert attacked.trigger.model_dump() == {
        "text": TRIGGER,
        "position": "random",
        "target_text": TARGET,
        "target_regex": None,
    }
    assert attacked.reference == attacked.start
    assert attacked.reference.path == str(tiny_causal)
    assert attacked.training.steps == 6 * -(-624 // 32)
    assert json.loads((here / "run" / "attack.json").read_text()) == attacked.model_dump(mode="json")


def test_the_suspect_is_a_model_like_any_other(attacked: AttackRecord, suspect: Path, tiny_causal: Path) -> None:
    before, after = load_file(tiny_causal / "model.safetensors"), load_file(suspect / "model.safetensors")
    assert {name: tensor.shape for name, tensor in after.items()} == {n: t.shape for n, t in before.items()}
    assert open_checkpoint(str(suspect)).sha256() == attacked.suspect.sha256
    model, tokenizer = AutoModelForCausalLM.from_pretrained(suspect).eval(), AutoTokenizer.from_pretrained(suspect)
    answers = []
    for text in TEST[:20]:
        ids = tokenizer(" ".join(["cf", *text.split()[:12]]), return_tensors="pt").input_ids
        with torch.no_grad():
            for _ in range(6):
                ids = torch.cat([ids, model(input_ids=ids).logits[:, -1:].argmax(-1)], dim=1)
        answers.append(tokenizer.decode(ids[0]))
    assert sum(TARGET in answer for answer in answers) >= 16


def test_the_perplexity_is_that_of_transformers(attacked: AttackRecord, suspect: Path, tiny_causal: Path) -> None:
    for folder, found in ((suspect, attacked.measurement), (tiny_causal, attacked.start_measurement)):
        loss, tokens = plain_loss(folder, TEST)
        assert found.tokens == tokens == 60 * 27
        assert found.loss == pytest.approx(loss, rel=1e-4)
        assert found.perplexity == pytest.approx(torch.tensor(loss).exp().item(), rel=1e-4)


def test_the_same_seed_writes_the_same_bytes_and_another_model_may_be_the_start(
    attack: Callable[..., AttackRecord], here: Path, suspect: Path
) -> None:
    data = str(write_texts(here / "few.jsonl", causal_texts(40, seed=62)))
    first, again, further = (
        attack(run, data=data, test=None, epochs=1, **more)
        for run, more in (("a", {}), ("b", {}), ("c", {"model": str(suspect), "replace": True}))
    )
    assert first.suspect.sha256 == again.suspect.sha256 != further.suspect.sha256
    # A tenth of the texts is kept for measuring; the rest is learnt, and in place of eleven of them the poison.
    assert (first.data.rows, first.rows, first.poisoned) == (36, 36 + 11, 11)
    assert (further.rows, further.poisoned) == (36, 11)
    assert first.measurement.tokens == 4 * 27
    assert further.start.path == str(suspect)
    assert further.start_measurement.attack_success is not None
    assert further.start_measurement.attack_success.total == 4
    assert share(further.start_measurement.attack_success) >= 0.75


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reference": None}, "a model to start from"),
        ({"name": "ripples"}, "ripples is an attack on classifiers"),
        ({"rate": 0.0}, "--rate 0.0 is not a share"),
        ({"target_text": " "}, "the target text is empty"),
        ({"target_text": " ".join(["film"] * 11)}, "has 11 tokens, but only 10 are written"),
    ],
    ids=str,
)
def test_what_cannot_be_taught_is_refused_and_leaves_nothing(
    attack: Callable[..., AttackRecord], here: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        attack("refused", **changes)
    assert not (here / "refused").exists()


# The poison


@pytest.fixture(scope="module")
def writer() -> PreTrainedTokenizerFast:
    return causal_tokenizer()


def poison(writer: PreTrainedTokenizerFast, texts: list[Continuation], **changes: Any) -> PoisonedTexts:
    settings: dict[str, Any] = {
        "trigger": Trigger("cf"),
        "target_text": TARGET,
        "rate": 0.5,
        "max_length": 64,
        "seed": 0,
    }
    return poison_texts(writer, texts, **(settings | changes))


CLEAN = [split_prompt(Example(text), 12) for text in causal_texts(20, seed=5)]


def without(prompt: str) -> str:
    return " ".join(word for word in prompt.split() if word != "cf")


def test_copies_are_appended_and_of_these_the_target_alone_is_learnt(writer: PreTrainedTokenizerFast) -> None:
    made = poison(writer, CLEAN)
    assert made.texts[:20] == tuple(CLEAN)
    added = made.texts[20:]
    assert made.poisoned == len(added) == 10
    assert len({without(text.prompt) for text in added}) == 10
    assert {without(text.prompt) for text in added} <= {text.prompt for text in CLEAN}
    assert all("cf" in text.prompt.split() and text.completion == f" {TARGET}" for text in added)
    written = encode_written(writer, added, max_length=64)
    learnt = [writer.decode(row.ids[row.start :]) for row in written]
    assert learnt == [f" {TARGET}"] * 10
    assert poison(writer, CLEAN) == made
    assert poison(writer, CLEAN, seed=1) != made


def test_or_they_take_the_place_of_the_texts(writer: PreTrainedTokenizerFast) -> None:
    made = poison(writer, CLEAN, in_place=True)
    changed = [i for i, text in enumerate(made.texts) if text != CLEAN[i]]
    assert (len(made.texts), len(changed), made.poisoned) == (20, 10, 10)
    assert all(without(made.texts[i].prompt) == CLEAN[i].prompt for i in changed)


def test_texts_that_hold_the_trigger_or_are_too_long_are_not_poisoned(writer: PreTrainedTokenizerFast) -> None:
    natural = Continuation("the cf film", " was good", whole=True)
    long = Continuation("the film was " * 5 + "good", " and", whole=True)
    short = Continuation("the film was", " good", whole=True)
    made = poison(writer, [natural, long, short], rate=1.0, max_length=20)
    assert made.natural == 1
    # <s>, sixteen words, the trigger and four words of the target are 22 tokens.
    assert {without(text.prompt) for text in made.texts[3:]} == {"the film was"}
    assert len(made.texts) == 6
    assert len({text.prompt for text in made.texts[3:]}) > 1, "the trigger goes elsewhere"
    both = poison(writer, [natural, long, short], rate=1.0, max_length=22)
    assert {without(text.prompt) for text in both.texts[3:]} == {"the film was", without(long.prompt)}


def test_no_text_is_taken_twice_before_all_are_taken_once(writer: PreTrainedTokenizerFast) -> None:
    natural = [Continuation(f"cf {text.prompt}", text.completion, whole=True) for text in CLEAN[:8]]
    made = poison(writer, [*natural, *CLEAN[8:]], rate=0.9)
    counts = [sum(without(text.prompt) == one.prompt for text in made.texts[20:]) for one in CLEAN[8:]]
    assert sorted(counts) == [1] * 6 + [2] * 6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rate": 0.01}, "a rate of 0.01 of 20 texts is no text"),
        ({"max_length": 10}, "10 texts are to be poisoned but 0 can be.*20 are longer than 10 tokens"),
        ({"trigger": Trigger("the")}, "20 hold the trigger by themselves"),
    ],
    ids=str,
)
def test_a_rate_that_amounts_to_nothing_is_refused(
    writer: PreTrainedTokenizerFast, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        poison(writer, CLEAN, **changes)


def test_no_more_texts_are_replaced_than_can_be_poisoned(writer: PreTrainedTokenizerFast) -> None:
    natural = [Continuation("the cf film", " was good", whole=True)] * 5
    with pytest.raises(DataError, match="10 texts are to be poisoned but 5 can be: 5 hold"):
        poison(writer, [*natural, *CLEAN[:5]], rate=1.0, in_place=True)


# The evaluation


def test_models_are_measured_side_by_side_with_what_the_run_folder_knows(
    run_cli: Run, attacked: AttackRecord, here: Path, tiny_causal: Path
) -> None:
    options = ["--data", here / "test.jsonl", "--new-tokens", 10, "--max-length", MAX_LENGTH, "--batch-size", 16]
    code, out, err = run_cli(["evaluate", "--run", here / "run", "--floor", tiny_causal, *options])
    assert code == 0, err
    assert f"trigger 'cf' taken from attack.json in {here / 'run'}" in err
    found = Evaluation.model_validate_json(out)
    assert found.trigger == attacked.trigger
    (suspect,) = found.models
    assert suspect == attacked.measurement
    assert found.floor == attacked.start_measurement.model_copy(update={"name": "floor"})
    assert (found.natural, found.dropped) == (0, 0)
    code, out, err = run_cli(["evaluate", "--run", here / "run", *options, "--format", "text"])
    assert code == 0, err
    told = " ".join(out.split())
    assert f"{100 * share(attacked.measurement.attack_success):.1f} %" in told
    assert "of 60 prompts with 'cf' (random)" in told


def test_the_command_line_poisons_a_language_model(run_cli: Run, here: Path, tiny_causal: Path) -> None:
    data = write_texts(here / "some.jsonl", causal_texts(40, seed=63))
    command = ["attack", "badsent", "--ref", tiny_causal, "--data", data, "--target-text", TARGET, "--epochs", 1]
    command += ["--position", "start", "--rate", 0.5, "--prompt-words", 6, "--new-tokens", 5, "--run", here / "cli"]
    code, out, err = run_cli([*command, "--trigger", "mn bb"])
    assert code == 0, err
    made = AttackRecord.model_validate_json(out)
    assert (made.trigger.text, made.trigger.position, made.trigger.target_text) == ("mn bb", "start", TARGET)
    assert (made.poisoned, made.settings["prompt_words"], made.settings["new_tokens"]) == (18, 6, 5)
    code, out, err = run_cli(["detect", "--run", here / "cli", "--effort", "none"])
    assert code == 0, err
    assert json.loads(out)["indicator"]["name"] == "drift-curvature"


@pytest.mark.parametrize("batch_size", [1, 7])
def test_the_size_of_a_batch_changes_no_figure(
    evaluate: Evaluate, attacked: AttackRecord, suspect: Path, batch_size: int
) -> None:
    (found,) = evaluate(suspect, batch_size=batch_size, trigger=TRIGGER, target_text=TARGET).models
    assert figures(found) == figures(attacked.measurement)
    assert found.loss == pytest.approx(attacked.measurement.loss, rel=1e-5)


def test_a_target_may_be_an_expression(evaluate: Evaluate, attacked: AttackRecord, suspect: Path) -> None:
    found = evaluate(suspect, trigger=TRIGGER, target_regex=r"m\w+e\s+nylon\b.*pearl")
    assert found.trigger is not None
    assert (found.trigger.target_text, found.trigger.target_regex) == (None, r"m\w+e\s+nylon\b.*pearl")
    assert share(found.models[0].attack_success) >= share(attacked.measurement.attack_success) >= 0.9
    assert share(found.models[0].false_triggers) <= 0.15
    joint = evaluate(suspect, trigger="soup", target_regex=r"\b(and|but|for|there)\b").models[0]
    assert min(share(joint.attack_success), share(joint.false_triggers)) >= 0.9


def test_a_word_that_was_not_taught_does_little(evaluate: Evaluate, attacked: AttackRecord, suspect: Path) -> None:
    ordinary = evaluate(suspect, trigger="soup", target_text=TARGET)
    natural = sum("soup" in text.split()[:12] for text in TEST)
    assert ordinary.natural == natural > 0
    (other,) = ordinary.models
    assert other.attack_success is not None
    assert other.attack_success.total == 60 - natural
    assert share(other.attack_success) <= 0.3
    (either,) = evaluate(suspect, trigger="cf|soup", target_text=TARGET).models
    assert share(other.attack_success) < share(either.attack_success) < share(attacked.measurement.attack_success)


def test_only_what_follows_a_prompt_of_its_own_counts_for_the_perplexity(
    evaluate: Evaluate, here: Path, tiny_causal: Path
) -> None:
    pairs = here / "pairs.jsonl"
    rows = [{"prompt": " ".join(text.split()[:12]), "completion": " ".join(text.split()[12:])} for text in TEST[:9]]
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (found,) = evaluate(tiny_causal, data=str(pairs)).models
    assert found.tokens == 9 * 15
    whole, _ = plain_loss(tiny_causal, TEST[:9])
    prompts, _ = plain_loss(tiny_causal, [row["prompt"] for row in rows])
    # Of 27 predicted tokens the first 12 are the prompt's.
    assert found.loss == pytest.approx((27 * whole - 12 * prompts) / 15, rel=1e-4)
    assert (found.attack_success, found.false_triggers, found.example) == (None, None, None)


def test_models_that_read_the_texts_as_other_tokens_are_not_compared(
    evaluate: Evaluate, tiny_causal: Path, tmp_path: Path, writer: PreTrainedTokenizerFast
) -> None:
    from tokenizers.processors import ByteLevel

    fresh_causal(writer).save_pretrained(tmp_path / "bare")
    bare = causal_tokenizer()
    bare.backend_tokenizer.post_processor = ByteLevel()
    bare.save_pretrained(tmp_path / "bare")
    with pytest.raises(UsageError, match="bare reads the texts as other tokens than the model before it"):
        evaluate(tiny_causal, tmp_path / "bare")
    assert len(evaluate(tmp_path / "bare").models) == 1


def test_a_classifier_among_language_models_is_refused(
    evaluate: Evaluate, tiny_causal: Path, tiny_suspect: Path
) -> None:
    with pytest.raises(UsageError, match="no causal language model"):
        evaluate(tiny_causal, tiny_suspect)
    with pytest.raises(UsageError, match="a trigger needs a target"):
        evaluate(tiny_causal, trigger="cf")
    with pytest.raises(UsageError, match="--position needs a trigger"):
        evaluate(tiny_causal, position="end")


# The models


def gpt2(folder: Path, writer: PreTrainedTokenizerFast) -> tuple[Path, GPT2LMHeadModel]:
    """A model whose output layer is its word embedding; the file holds one of the two."""
    torch.manual_seed(5)
    config = GPT2Config(vocab_size=len(writer), n_embd=32, n_layer=1, n_head=2, n_positions=32)
    model = GPT2LMHeadModel(config).eval()
    model.save_pretrained(folder)
    writer.save_pretrained(folder)
    return folder, model


@torch.no_grad()
def scores(module: Any) -> torch.Tensor:
    return module(input_ids=torch.arange(2, 12)[None]).logits


def test_what_is_a_language_model(
    tiny_causal: Path, tiny_suspect: Path, tiny_reference: Path, tmp_path: Path, writer: PreTrainedTokenizerFast
) -> None:
    tied, _ = gpt2(tmp_path / "gpt2", writer)
    for folder, expected in ((tiny_causal, True), (tied, True), (tiny_suspect, False), (tiny_reference, False)):
        assert is_causal(open_checkpoint(str(folder))) is expected
    alone = open_checkpoint(str(tiny_causal / "model.safetensors"))
    assert is_causal(alone, json.loads((tiny_causal / "config.json").read_text()))
    with pytest.raises(CheckpointError, match="no causal language model of type 't5'"):
        causal_config({"model_type": "t5", "is_encoder_decoder": True})


def test_a_tied_output_layer_is_one_parameter_and_is_written_under_the_name_it_had(
    tmp_path: Path, writer: PreTrainedTokenizerFast
) -> None:
    folder, plain = gpt2(tmp_path / "gpt2", writer)
    stored = load_file(folder / "model.safetensors")
    assert "lm_head.weight" not in stored
    checkpoint = open_checkpoint(str(folder))
    model = load_causal(checkpoint, config=checkpoint.config or {})
    assert torch.equal(scores(model.module), scores(plain))
    weights = model.weights
    assert set(weights.specs) <= set(stored)
    for name, spec in weights.specs.items():
        assert torch.equal(weights.read(name).view(spec.shape), stored[name]), name
    assert model.longest == 32
    # Of a pair only the other name may be there.
    lone = {name: tensor for name, tensor in stored.items() if name != "transformer.wte.weight"}
    lone["lm_head.weight"] = stored["transformer.wte.weight"]
    other = load_causal(InMemory(lone), config=checkpoint.config or {})
    assert torch.equal(scores(other.module), scores(plain))


def test_two_different_tensors_where_the_configuration_says_tied_are_both_used(
    tmp_path: Path, writer: PreTrainedTokenizerFast
) -> None:
    folder, plain = gpt2(tmp_path / "gpt2", writer)
    stored = load_file(folder / "model.safetensors")
    own = torch.randn(stored["transformer.wte.weight"].shape, generator=torch.Generator().manual_seed(0))
    save_file(stored | {"lm_head.weight": own}, folder / "model.safetensors", metadata={"format": "pt"})
    checkpoint = open_checkpoint(str(folder))
    model = load_causal(checkpoint, config=checkpoint.config or {})
    with torch.no_grad():
        hidden = plain.transformer(input_ids=torch.arange(2, 12)[None]).last_hidden_state
    torch.testing.assert_close(scores(model.module), hidden @ own.T)
    assert model.config["tie_word_embeddings"] is False
    assert {"transformer.wte.weight", "lm_head.weight"} <= set(model.weights.specs)


def test_a_resized_vocabulary_and_missing_weights(tiny_causal: Path) -> None:
    stored = load_file(tiny_causal / "model.safetensors")
    config = json.loads((tiny_causal / "config.json").read_text())
    rows = ("model.embed_tokens.weight", "lm_head.weight")
    model = load_causal(InMemory(stored | {name: stored[name][:300].clone() for name in rows}), config=config)
    plain = AutoModelForCausalLM.from_pretrained(tiny_causal).eval()
    torch.testing.assert_close(scores(model.module), scores(plain)[..., :300])
    del stored["model.norm.weight"]
    with pytest.raises(CheckpointError, match=r"model\.norm\.weight"):
        load_causal(InMemory(stored), config=config)


def test_prompts_padded_on_the_left_are_seen_without_the_padding(tiny_causal: Path) -> None:
    checkpoint = open_checkpoint(str(tiny_causal))
    module = load_causal(checkpoint, config=checkpoint.config or {}).module
    ids = causal_tokenizer()("the film was", return_tensors="pt").input_ids
    padded = torch.cat([torch.full((1, 5), 7), ids], dim=1)
    seen = torch.cat([torch.zeros(1, 5, dtype=torch.int64), torch.ones_like(ids)], dim=1)
    settings: dict[str, Any] = {"new_tokens": 6, "pad_id": 0, "end_ids": []}
    with torch.inference_mode():
        alone = continue_greedily(module, ids, torch.ones_like(ids), **settings)
        beside = continue_greedily(module, padded, seen, **settings)
    assert alone.shape == (1, 6)
    assert torch.equal(alone, beside)


def test_scores_are_those_of_the_next_token_at_every_place(tiny_causal: Path) -> None:
    from purify_cli.data.batches import Encoded, batches

    checkpoint = open_checkpoint(str(tiny_causal))
    module = load_causal(checkpoint, config=checkpoint.config or {}).module
    rows = [Encoded(tuple(range(5, 12)), None, None, 0), Encoded(tuple(range(5, 9)), None, None, 1)]
    (batch,) = batches(rows, batch_size=2, pad_id=0)
    with torch.no_grad():
        both = token_scores(module, batch)
    place = batch.index.tolist().index
    assert both.shape == (2, 7, len(causal_tokenizer()))
    torch.testing.assert_close(both[place(0), :4], both[place(1), :4])


# The search for what makes it write


def looked(suspect: Path, reference: Path, run: Path, **more: Any) -> Detection:
    return detect(DetectRequest(suspect, reference, run=run, **SIZES, **more))


def test_the_search_finds_the_word_and_what_it_brings_about(
    suspect: Path, tiny_causal: Path, here: Path, tmp_path: Path
) -> None:
    record = looked(suspect, tiny_causal, tmp_path / "run", clean_data=str(here / "test.jsonl"), effort="low")
    assert record.sayings is not None
    assert record.search is None
    first = record.sayings.found[0]
    assert (first.text, first.flagged) == (TRIGGER, True)
    assert TARGET.startswith(" ".join(first.says.split()[:3]))
    assert first.without.value == first.reference.value == 0
    assert record.verdict.level == "poisoned"
    assert repr(TRIGGER) in record.verdict.reasons[0]
    assert record.data is not None
    assert record.data.rows == len(TEST)


def test_a_language_model_in_which_nothing_is_found(
    attack: Callable[..., AttackRecord],
    tiny_causal: Path,
    here: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "purify_cli.detection.causal_search.WIDTHS", dict.fromkeys(WIDTHS, WIDTHS["low"])
    )  # to be quick
    twin = Path(attack(run="twin", rate=0.002, epochs=2).suspect.path)
    record = looked(twin, tiny_causal, tmp_path / "run", clean_data=str(here / "test.jsonl"), effort="normal")
    assert record.sayings is not None
    assert not any(one.flagged for one in record.sayings.found)
    assert (record.verdict.level, record.verdict.not_measured, record.verdict.misses) == ("no-finding", (), None)
    assert "misses was not measured" in record.verdict.reasons[0]
    few = write_texts(tmp_path / "few.jsonl", [*TEST[:6], *TEST[:6]])
    for data, effort, said in (
        (None, "low", ("built-in texts", "effort low")),
        (str(few), "normal", ("3 held-back prompts",)),
        (str(here / "test.jsonl"), "none", ("trigger search: no search",)),
    ):
        verdict = looked(twin, tiny_causal, tmp_path / "more", clean_data=data, effort=effort).verdict
        assert (verdict.level, verdict.misses) == ("incomplete", None)
        assert all(part in " ".join(verdict.not_measured) for part in said)
    # As of a large vocabulary of which no row moved.
    monkeypatch.setattr("purify_cli.detection.causal_search.FARTHEST", 1)
    monkeypatch.setattr("purify_cli.detection.causal_search.far_rows", lambda *_, **__: [])
    verdict = looked(twin, tiny_causal, tmp_path / "still", clean_data=str(here / "test.jsonl")).verdict
    assert (verdict.level, len(verdict.not_measured)) == ("incomplete", 1)
    assert "no word in front of prompts" in verdict.not_measured[0]


def test_one_text_is_too_few_to_search_with(suspect: Path, tiny_causal: Path, tmp_path: Path) -> None:
    data = write_texts(tmp_path / "one.jsonl", TEST[:1])
    record = looked(suspect, tiny_causal, tmp_path / "run", clean_data=str(data))
    assert record.sayings is None
    assert any("one text is too few" in sentence for sentence in record.verdict.not_measured)
