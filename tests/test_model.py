"""Classifiers come from the reference's config and any naming of the weights; transformers itself is the oracle."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModel, AutoModelForSequenceClassification, PreTrainedTokenizerFast

from purify_cli.checkpoint import CheckpointPair, is_head, pair_checkpoints, write_model, write_tensors
from purify_cli.checkpoint.layout import resolve
from purify_cli.checkpoint.reader import Checkpoint, open_checkpoint
from purify_cli.data.batches import Batch
from purify_cli.errors import CheckpointError, PairError
from purify_cli.model import (
    LabelSet,
    classifier_config,
    has_head,
    label_set,
    load_classifier,
    load_tokenizer,
    logits,
    longest_input,
    new_classifier,
)
from purify_cli.progress import SILENT
from purify_cli.reset import reset_to_reference
from purify_cli.selection.mask import build_mask
from purify_cli.storage.saving import overlaid
from purify_cli.tensors import InMemory
from tests.curvature.worlds import CONFIGS, PAD, VOCABULARY, batch_of, model_of

THREE = LabelSet(3, ("no", "maybe", "yes"))
ENCODERS = ["bert", "roberta", "distilbert", "electra", "albert"]


def saved(folder: Path, architecture: str = "bert", *, base: bool = False) -> Checkpoint:
    """Save a classifier, or only the base model in it, as transformers does."""
    model = model_of(architecture)
    (model.base_model if base else model).save_pretrained(folder)
    return open_checkpoint(str(folder))


def config_of(architecture: str = "bert") -> dict[str, object]:
    return CONFIGS[architecture] | {"model_type": architecture, "pad_token_id": PAD}


def rewritten(folder: Path, weights: dict[str, Tensor]) -> Checkpoint:
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return open_checkpoint(str(folder))


@pytest.mark.parametrize("architecture", CONFIGS)
def test_a_classifier_answers_as_transformers_does(architecture: str, tmp_path: Path) -> None:
    suspect, batch = saved(tmp_path, architecture), batch_of([7, 5, 6])
    loaded = load_classifier(suspect, config=config_of(architecture), labels=THREE)
    expected = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(logits(loaded.module, batch), expected(**batch.inputs).logits, rtol=1e-5, atol=1e-5)
    assert not any(layer.training for layer in loaded.module.modules())
    assert {p.dtype for p in loaded.module.parameters()} == {torch.float32}
    assert all(p.requires_grad and p.grad is None for p in loaded.module.parameters())
    assert dict(loaded.names) == {name: name for name, _ in loaded.module.named_parameters()}
    assert loaded.vocabulary == VOCABULARY


@pytest.mark.parametrize("architecture", CONFIGS)
def test_current_weights_have_the_names_and_values_of_the_file(architecture: str, tmp_path: Path) -> None:
    suspect = saved(tmp_path, architecture)
    held = load_classifier(suspect, config=config_of(architecture), labels=THREE).weights
    on_disk = load_file(tmp_path / "model.safetensors")
    assert set(held.specs) == set(on_disk)
    assert all(torch.equal(held.tensors[name], on_disk[name]) for name in on_disk)


def test_legacy_and_stripped_names_find_their_parameters(tmp_path: Path) -> None:
    saved(tmp_path)
    new = load_file(tmp_path / "model.safetensors")
    old = {
        name.removeprefix("bert.")
        .replace("LayerNorm.weight", "LayerNorm.gamma")
        .replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in new.items()
    }
    loaded = load_classifier(rewritten(tmp_path, old), config=config_of(), labels=THREE)
    assert loaded.names["bert.embeddings.LayerNorm.weight"] == "embeddings.LayerNorm.gamma"
    held = loaded.weights.tensors
    assert set(held) == set(old)
    assert all(torch.equal(held[name], old[name]) for name in old)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_weights_become_float32(dtype: torch.dtype, tmp_path: Path) -> None:
    saved(tmp_path)
    half = {name: t.to(dtype) for name, t in load_file(tmp_path / "model.safetensors").items()}
    loaded = load_classifier(rewritten(tmp_path, half), config=config_of() | {"dtype": "bfloat16"}, labels=THREE)
    for name, parameter in loaded.module.named_parameters():
        assert parameter.dtype == torch.float32
        assert torch.equal(parameter, half[name].float())


def test_more_weights_than_the_module_has_are_ignored(tmp_path: Path) -> None:
    saved(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    extra = weights | {"cls.predictions.bias": torch.ones(9), "bert.embeddings.position_ids": torch.arange(24)}
    loaded = load_classifier(rewritten(tmp_path, extra), config=config_of(), labels=THREE)
    assert set(loaded.names.values()) == set(weights)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    saved(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["bert.encoder.layer.1.output.dense.bias"]
    with pytest.raises(CheckpointError, match=r"the weights lack bert\.encoder\.layer\.1\.output\.dense\.bias$"):
        load_classifier(rewritten(tmp_path, weights), config=config_of(), labels=THREE)
    with pytest.raises(CheckpointError, match="and 12 more"):
        load_classifier(InMemory(weights), config=config_of() | {"num_hidden_layers": 3}, labels=THREE)


@pytest.mark.parametrize("change", [{"intermediate_size": 25}, {"max_position_embeddings": 30}])
def test_other_shapes_are_refused(change: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has shape \[24.*config asks for \["):
        load_classifier(saved(tmp_path), config=config_of() | change, labels=THREE)


def test_another_number_of_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"classifier\.weight has shape \[3, 16\], .* \[2, 16\]"):
        load_classifier(saved(tmp_path), config=config_of(), labels=LabelSet(2, ("no", "yes")))


def test_a_config_of_absurd_size_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        load_classifier(saved(tmp_path), config=config_of() | {"intermediate_size": 1 << 40}, labels=THREE)


def test_a_resized_vocabulary_is_taken_from_the_weights(tmp_path: Path) -> None:
    model = model_of("bert")
    model.resize_token_embeddings(VOCABULARY + 5, mean_resizing=False)
    model.save_pretrained(tmp_path)
    loaded = load_classifier(open_checkpoint(str(tmp_path)), config=config_of(), labels=THREE)
    assert loaded.vocabulary == VOCABULARY + 5
    batch = batch_of([6])
    torch.testing.assert_close(logits(loaded.module, batch), model(**batch.inputs).logits)


@pytest.mark.parametrize("architecture", CONFIGS)
def test_a_new_head_sits_on_the_references_body(architecture: str, tmp_path: Path) -> None:
    reference = saved(tmp_path, architecture, base=True)
    state = torch.get_rng_state()
    one, same, other = (new_classifier(reference, THREE, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(state, torch.get_rng_state())
    body = AutoModel.from_pretrained(tmp_path)
    for name, parameter in one.module.base_model.named_parameters():
        if not name.startswith("pooler."):
            assert torch.equal(parameter, body.get_parameter(name)), name
    twins, others = dict(same.module.named_parameters()), dict(other.module.named_parameters())
    assert all(torch.equal(p, twins[name]) for name, p in one.module.named_parameters())
    heads = [n for n in one.names if not n.startswith(f"{one.module.base_model_prefix}.") and n.endswith("weight")]
    assert heads
    for name in heads:
        assert not torch.equal(one.module.get_parameter(name), others[name])
        assert 0.01 < float(one.module.get_parameter(name).detach().std()) < 0.03  # initializer_range is 0.02
    assert one.labels == THREE
    assert logits(one.module, batch_of([5, 6])).shape == (2, 3)


def test_a_head_in_the_reference_is_not_taken_over(tmp_path: Path) -> None:
    reference = saved(tmp_path)
    fresh = new_classifier(reference, LabelSet(5, tuple("abcde")), seed=0)
    assert fresh.module.classifier.weight.shape == (5, 16)
    fresh = new_classifier(reference, THREE, seed=0)
    assert not torch.equal(fresh.module.classifier.weight, model_of("bert").classifier.weight)
    assert torch.equal(fresh.module.bert.pooler.dense.weight, model_of("bert").bert.pooler.dense.weight)


def test_a_reference_that_lacks_its_body_or_config_is_refused(tmp_path: Path) -> None:
    saved(tmp_path, base=True)
    weights = load_file(tmp_path / "model.safetensors")
    weights.pop("pooler.dense.weight")
    weights.pop("pooler.dense.bias")
    assert new_classifier(rewritten(tmp_path, weights), THREE, seed=0).module.bert.pooler.dense.bias.any() == 0
    weights.pop("encoder.layer.0.output.dense.bias")
    with pytest.raises(CheckpointError, match=r"lack bert\.encoder\.layer\.0\.output\.dense\.bias"):
        new_classifier(rewritten(tmp_path, weights), THREE, seed=0)
    (tmp_path / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        new_classifier(open_checkpoint(str(tmp_path)), THREE, seed=0)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"0": "bad", "1": "fine", "2": "good"}, ("bad", "fine", "good")),
        ({"0": "same", "1": "same", "2": "good"}, ("LABEL_0", "LABEL_1", "LABEL_2")),
        ({"0": "bad", "1": 7, "2": "good"}, ("LABEL_0", "LABEL_1", "LABEL_2")),
        ("nonsense", ("LABEL_0", "LABEL_1", "LABEL_2")),
        (None, ("LABEL_0", "LABEL_1", "LABEL_2")),
    ],
)
def test_label_names_are_taken_where_they_fit_the_head(
    names: object, expected: tuple[str, ...], tmp_path: Path
) -> None:
    saved(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"id2label": names}))
    assert label_set(open_checkpoint(str(tmp_path))) == LabelSet(3, expected)


@pytest.mark.parametrize("architecture", CONFIGS)
def test_the_number_of_labels_is_read_off_the_head(architecture: str, tmp_path: Path) -> None:
    saved(tmp_path, architecture)
    (tmp_path / "config.json").unlink()
    assert label_set(open_checkpoint(str(tmp_path))).num_labels == 3


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"problem_type": "multi_label_classification"},
            "problem_type in its config.json is multi_label_classification",
        ),
        ({"problem_type": "regression"}, "problem_type in its config.json is regression"),
        ({"problem_type": ["x"]}, "problem_type in its config.json is"),
        ({"id2label": {"0": "bad", "1": "good"}}, "has 3 outputs in its head classifier.weight, and 2 by its"),
        ({"id2label": None, "num_labels": 1}, "has 3 outputs in its head classifier.weight, and 1 by its"),
    ],
    ids=str,
)
def test_outputs_that_are_no_alternatives_or_not_those_of_the_config_are_refused(
    changed: dict[str, object], message: str, tmp_path: Path
) -> None:
    saved(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    with pytest.raises(CheckpointError, match=message):
        label_set(open_checkpoint(str(tmp_path)))


def test_a_new_head_is_not_put_on_a_model_of_another_kind(tmp_path: Path) -> None:
    saved(tmp_path, base=True)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"problem_type": "multi_label_classification"}))
    with pytest.raises(CheckpointError, match="multi_label_classification"):
        new_classifier(open_checkpoint(str(tmp_path)), THREE, seed=0)


def test_what_is_no_classifier_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no classification head"):
        label_set(saved(tmp_path, base=True))
    with pytest.raises(CheckpointError, match="1 output"):
        label_set(rewritten(tmp_path, {"classifier.weight": torch.ones(1, 4)}))


@pytest.mark.parametrize("architecture", CONFIGS)
def test_a_saved_folder_with_our_config_loads_with_transformers(architecture: str, tmp_path: Path) -> None:
    made = classifier_config(config_of(architecture) | {"auto_map": {"AutoModel": "evil.Model"}}, THREE)
    assert "auto_map" not in made
    loaded = load_classifier(saved(tmp_path, architecture), config=config_of(architecture), labels=THREE)
    (tmp_path / "config.json").write_text(json.dumps(made))
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert type(again).__name__ == made["architectures"][0]
    assert again.config.id2label == {0: "no", 1: "maybe", 2: "yes"}
    assert again.config.label2id == {"no": 0, "maybe": 1, "yes": 2}
    batch = batch_of([7, 5])
    torch.testing.assert_close(again(**batch.inputs).logits, logits(loaded.module, batch), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("wrapper", ["module", "model", "_orig_mod.module", "net"])
@pytest.mark.parametrize("architecture", CONFIGS)
def test_a_wrapped_model_is_written_under_names_that_transformers_loads(
    architecture: str, wrapper: str, tmp_path: Path
) -> None:
    saved(tmp_path, architecture)
    weights = load_file(tmp_path / "model.safetensors")
    wrapped = rewritten(tmp_path, {f"{wrapper}.{name}": tensor for name, tensor in weights.items()})
    config = config_of(architecture)
    loaded = load_classifier(wrapped, config=config, labels=label_set(wrapped))
    write_model(
        tmp_path,
        loaded.weights,
        like=wrapped,
        config=config,
        tokenizer=wrapped.files,
        metadata={"format": "pt"},
    )
    written = load_file(tmp_path / "model.safetensors")
    assert written.keys() == weights.keys()
    assert all(torch.equal(written[name], weights[name]) for name in weights)


@pytest.mark.parametrize("prefix", ["roberta.bert.", "model.", "module.encoder."])
def test_names_that_transformers_does_not_load_are_refused(prefix: str, tmp_path: Path) -> None:
    saved(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    stray = "bert.encoder.layer.1.output.dense.bias"
    weights[prefix + stray.removeprefix("bert.")] = weights.pop(stray)
    with pytest.raises(CheckpointError, match=r"does not load|the weights lack"):
        load_classifier(rewritten(tmp_path, weights), config=config_of(), labels=THREE)


def test_a_tuned_tensor_changes_under_all_its_names(tmp_path: Path) -> None:
    start = stored_twice(tmp_path)
    loaded = load_classifier(start, config=config_of(), labels=THREE)
    with torch.no_grad():
        loaded.module.get_input_embeddings().weight.zero_()
    tuned = overlaid(start, loaded)
    copies = [name for name in tuned.specs if name.endswith(TWICE)]
    assert len(copies) == 2
    assert not any(tuned.read(name).any() for name in copies)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"model_type": "gpt2"}, 50256),
        ({"model_type": "llama", "eos_token_id": [7, 8]}, 7),
        ({"model_type": "llama", "pad_token_id": 5, "eos_token_id": 7}, 5),
        ({"model_type": "bert"}, 0),
        ({"model_type": "roberta"}, 1),
    ],
)
def test_decoders_pad_with_the_end_of_text(config: dict[str, object], expected: int) -> None:
    assert classifier_config(config, THREE)["pad_token_id"] == expected
    assert classifier_config(config, THREE, rows=77)["vocab_size"] == 77


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({}, "no model type"),
        ({"model_type": "no-such"}, "no-such"),
        ({"model_type": ["bert"]}, "no model type"),
        ({"model_type": "vit"}, "no text classifier"),
        (CONFIGS["bert"] | {"model_type": "bert", "hidden_size": "wide"}, "no model can be built"),
        (CONFIGS["bert"] | {"model_type": "bert", "hidden_size": 15}, "no model can be built"),
        (CONFIGS["bert"] | {"model_type": "bert", "num_attention_heads": 0}, "no model can be built"),
        (CONFIGS["bert"] | {"model_type": "bert", "hidden_size": -16}, "no model can be built"),
        (CONFIGS["bert"] | {"model_type": "bert", "hidden_act": "boom"}, "no model can be built"),
    ],
)
def test_configs_that_make_no_classifier_are_refused(config: dict[str, object], says: str) -> None:
    with pytest.raises(CheckpointError, match=says):
        load_classifier(InMemory({"classifier.weight": torch.ones(3, 16)}), config=config, labels=THREE)


def test_token_types_go_only_to_models_that_know_them(tmp_path: Path) -> None:
    batch = batch_of([6, 6])
    typed = Batch(batch.inputs | {"token_type_ids": torch.ones_like(batch.inputs["input_ids"])}, None, batch.index)
    for architecture, differs in (("bert", True), ("distilbert", False), ("llama", False)):
        loaded = load_classifier(
            saved(tmp_path / architecture, architecture), config=config_of(architecture), labels=THREE
        )
        assert torch.equal(logits(loaded.module, typed), logits(loaded.module, batch)) is not differs


def test_nothing_is_said_on_stdout_or_stderr(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    reference = saved(tmp_path, base=True)
    capfd.readouterr()
    new_classifier(reference, THREE, seed=0)
    assert capfd.readouterr() == ("", "")


def test_tokenizers_load_from_local_files_and_can_pad(tmp_path: Path, tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    tiny_tokenizer.save_pretrained(tmp_path / "bert")
    save_file({"w": torch.ones(1)}, tmp_path / "bert" / "model.safetensors")
    made = load_tokenizer(resolve(str(tmp_path / "bert")))
    assert made("a good film")["input_ids"] == tiny_tokenizer("a good film")["input_ids"]
    assert made.pad_token == "[PAD]"
    bare = PreTrainedTokenizerFast(tokenizer_object=tiny_tokenizer.backend_tokenizer, eos_token="[SEP]")
    bare.padding_side = "left"
    bare.save_pretrained(tmp_path / "gpt")
    save_file({"w": torch.ones(1)}, tmp_path / "gpt" / "model.safetensors")
    made = load_tokenizer(resolve(str(tmp_path / "gpt")))
    assert (made.pad_token, made.padding_side) == ("[SEP]", "right")


def test_unusable_tokenizers_are_refused(tmp_path: Path, tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    save_file({"w": torch.ones(1)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="no tokenizer files"):
        load_tokenizer(resolve(str(tmp_path)))
    tiny_tokenizer.save_pretrained(tmp_path)
    whole = (tmp_path / "tokenizer.json").read_text()
    (tmp_path / "tokenizer.json").write_text(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="is not JSON"):
        load_tokenizer(resolve(str(tmp_path)))


TWICE = "embeddings.word_embeddings.weight"


def stored_twice(folder: Path, *, prefixes: tuple[str, str] = ("", "bert."), difference: float = 0.0) -> Checkpoint:
    """A suspect that holds its word embeddings under two names."""
    saved(folder)
    weights = load_file(folder / "model.safetensors")
    words = weights.pop(f"bert.{TWICE}")
    return rewritten(folder, {prefixes[0] + TWICE: words, prefixes[1] + TWICE: words + difference} | weights)


@pytest.mark.parametrize("prefixes", [("", "bert."), ("bert.", ""), ("bert.", "model.bert.")])
def test_a_tensor_with_two_contents_is_in_no_classifier(prefixes: tuple[str, str], tmp_path: Path) -> None:
    suspect = stored_twice(tmp_path / "s", prefixes=prefixes, difference=1.0)
    for load in (
        lambda: load_classifier(suspect, config=config_of(), labels=THREE),
        lambda: new_classifier(suspect, THREE, seed=0),
        lambda: label_set(suspect),
        lambda: has_head(suspect),
    ):
        with pytest.raises(CheckpointError, match="twice with different contents"):
            load()
    with pytest.raises(PairError, match="the suspect stores one tensor twice"):
        pair_checkpoints(suspect, saved(tmp_path / "r", base=True))


@pytest.mark.parametrize("prefixes", [("", "bert."), ("bert.", ""), ("bert.", "model.bert."), ("model.", "bert.")])
def test_the_loader_and_the_pair_choose_the_same_names(prefixes: tuple[str, str], tmp_path: Path) -> None:
    suspect = stored_twice(tmp_path / "s", prefixes=prefixes)
    pair = pair_checkpoints(suspect, saved(tmp_path / "r", base=True))
    loaded = load_classifier(suspect, config=config_of(), labels=THREE)
    words = loaded.names[f"bert.{TWICE}"]
    assert words in pair.comparables
    assert pair.tied == {next(prefix + TWICE for prefix in prefixes if prefix + TWICE != words): words}
    assert {name for name in loaded.names.values() if not is_head(name)} == set(pair.comparables)


def test_a_reset_reaches_the_copy_that_transformers_loads(tmp_path: Path) -> None:
    suspect = stored_twice(tmp_path / "s")
    other = model_of("bert", seed=1)
    other.base_model.save_pretrained(tmp_path / "r")
    pair = pair_checkpoints(suspect, open_checkpoint(str(tmp_path / "r")))
    mask = build_mask(drift_scores(pair), 1.0, progress=SILENT)
    write_tensors(tmp_path / "s" / "model.safetensors", reset_to_reference(pair, mask), metadata={"format": "pt"})
    purified = AutoModelForSequenceClassification.from_pretrained(tmp_path / "s")
    assert torch.equal(purified.get_input_embeddings().weight, other.get_input_embeddings().weight)


def drift_scores(pair: CheckpointPair) -> InMemory:
    return InMemory({name: torch.ones(spec.shape) for name, spec in pair.suspect_part.specs.items()})


def test_a_config_may_come_from_elsewhere(tmp_path: Path) -> None:
    saved(tmp_path, base=True)
    (tmp_path / "config.json").unlink()
    bare = open_checkpoint(str(tmp_path / "model.safetensors"))
    made = new_classifier(bare, THREE, seed=0, config=config_of())
    words = load_file(tmp_path / "model.safetensors")[TWICE]
    assert torch.equal(made.module.get_parameter(f"bert.{TWICE}"), words)


@pytest.mark.parametrize("architecture", CONFIGS)
def test_a_head_is_told_from_a_body(architecture: str, tmp_path: Path) -> None:
    assert has_head(saved(tmp_path / "a", architecture))
    assert not has_head(saved(tmp_path / "b", architecture, base=True))


def test_a_head_of_one_output_is_a_head(tmp_path: Path) -> None:
    saved(tmp_path)
    one = rewritten(tmp_path, {"classifier.weight": torch.ones(3), "score.weight": torch.ones(1, 4)})
    assert has_head(one)
    with pytest.raises(CheckpointError, match=r"score\.weight has 1 output"):
        label_set(one)


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [("bert", 24), ("roberta", 24 - PAD - 1), ("distilbert", 24), ("electra", 24), ("albert", 24), ("gpt2", 24)],
)
def test_the_longest_input_runs_and_one_more_token_does_not(architecture: str, expected: int, tmp_path: Path) -> None:
    longest = longest_input(config_of(architecture))
    assert longest == expected
    loaded = load_classifier(saved(tmp_path, architecture), config=config_of(architecture), labels=THREE)
    assert logits(loaded.module, batch_of([longest, 5])).shape == (2, 3)
    with pytest.raises((IndexError, RuntimeError)):
        logits(loaded.module, batch_of([longest + 1, 5]))


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_rotary_models_are_held_to_what_they_declare(architecture: str, tmp_path: Path) -> None:
    assert longest_input(config_of(architecture)) == 24
    loaded = load_classifier(saved(tmp_path, architecture), config=config_of(architecture), labels=THREE)
    for length in (24, 25):
        assert logits(loaded.module, batch_of([length])).isfinite().all()


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"model_type": "bert"}, 512),
        ({"model_type": "roberta", "max_position_embeddings": 514}, 512),
        ({"model_type": "xlm-roberta", "max_position_embeddings": 66, "pad_token_id": 7}, 58),
        ({"model_type": "mpnet", "max_position_embeddings": 514}, 512),
        ({"model_type": "gpt2"}, 1024),
        ({"model_type": "gpt2", "n_positions": 77}, 77),
        ({"model_type": "opt", "max_position_embeddings": 30}, 30),
        ({"model_type": "bart", "max_position_embeddings": 30}, 30),
        ({"model_type": "deberta-v2", "position_biased_input": False, "max_position_embeddings": 30}, 30),
        ({"model_type": "bloom"}, None),
        ({"model_type": "xlnet"}, None),
    ],
)
def test_the_longest_input_by_configuration_alone(config: dict[str, object], expected: int | None) -> None:
    assert longest_input(config) == expected


def test_a_configuration_without_a_model_has_no_longest_input() -> None:
    with pytest.raises(CheckpointError, match="no model type"):
        longest_input({})


def test_a_wrapped_model_is_asked_what_it_takes(tmp_path: Path) -> None:
    class Wrapper(torch.nn.Module):
        """What DistributedDataParallel looks like from outside."""

        def __init__(self, module: torch.nn.Module) -> None:
            super().__init__()
            self.module = module

        def forward(self, *inputs: object, **more: object) -> object:
            return self.module(*inputs, **more)

    batch = batch_of([6, 6])
    typed = Batch(batch.inputs | {"token_type_ids": torch.ones_like(batch.inputs["input_ids"])}, None, batch.index)
    for architecture in ("bert", "distilbert"):
        inner = load_classifier(
            saved(tmp_path / architecture, architecture), config=config_of(architecture), labels=THREE
        ).module
        assert torch.equal(logits(Wrapper(inner), typed), logits(inner, typed))
