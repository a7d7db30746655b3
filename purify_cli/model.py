"""The only door to transformers: classifiers and tokenizers, built from data, never from remote code.

A module is always built from the *reference's* configuration; the suspect contributes weights, the number of labels
and the number of embedding rows. Weights are assigned by canonical name, so that prefixes (``bert.`` or none) and the
old names of LayerNorm parameters (``gamma``, ``beta``) do not matter.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from typing import Any, Final, cast, final

import torch
from torch import Tensor, nn
from transformers import (
    CONFIG_MAPPING,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.initialization import no_init_weights
from transformers.utils import logging

from purify_cli.checkpoint.layout import CheckpointFiles
from purify_cli.checkpoint.names import canonical
from purify_cli.checkpoint.reader import Checkpoint
from purify_cli.data.batches import Batch
from purify_cli.errors import CheckpointError
from purify_cli.tensors import CHUNK, InMemory, TensorSource

__all__ = [
    "Loaded",
    "Task",
    "classifier_config",
    "current_weights",
    "load_classifier",
    "load_tokenizer",
    "logits",
    "new_classifier",
    "task_of",
]

_OUTPUT_LAYERS: Final = ("classifier", "classifier.out_proj", "score", "classification_head.out_proj", "logits_proj")
"""Canonical names of the last layer of a classification head, over the architectures of transformers 5: one row per
label. BERT, DistilBERT, ALBERT, DeBERTa / RoBERTa, ELECTRA / GPT-2, Llama and other decoders / BART / XLNet."""

_NOT_ARCHITECTURE: Final = frozenset(
    {
        "_name_or_path",
        "architectures",
        "auto_map",
        "dtype",
        "id2label",
        "label2id",
        "model_type",
        "num_labels",
        "problem_type",
        "quantization_config",
        "torch_dtype",
        "transformers_version",
    }
)
"""Keys of a config.json that say nothing about the layers, or that ask for code or number formats of their own."""


@final
@dataclass(frozen=True, slots=True)
class Task:
    """What a classifier answers."""

    num_labels: int
    label_names: tuple[str, ...]


@final
@dataclass(frozen=True, slots=True)
class Loaded:
    """A classifier in memory and where its weights come from."""

    module: nn.Module
    """Evaluation mode, float32, all parameters require gradients."""
    task: Task
    names: Mapping[str, str]
    """Parameter name → the checkpoint's name of the same tensor. Tied parameters appear once."""

    @property
    def vocabulary(self) -> int:
        """Rows of the word embedding."""
        return cast("PreTrainedModel", self.module).get_input_embeddings().weight.shape[0]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' own remarks off stderr, which is the command line's business."""
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)


def load_tokenizer(files: CheckpointFiles) -> PreTrainedTokenizerBase:
    """Load the tokenizer beside a checkpoint, from local files, without remote code.

    Tokenizers without a padding token (GPT-2, Llama) pad with the end-of-text token, on the right.

    Raises:
        CheckpointError: If there is none, or its files cannot be used.
    """
    if files.tokenizer is None:
        raise CheckpointError(
            f"{files.given} has no tokenizer files", hint="Put tokenizer.json and tokenizer_config.json beside it."
        )
    try:
        with _quiet():
            tokenizer = AutoTokenizer.from_pretrained(
                str(files.tokenizer), local_files_only=True, trust_remote_code=False
            )
    except (OSError, ValueError, KeyError, ImportError, AttributeError, TypeError, json.JSONDecodeError) as error:
        raise CheckpointError(
            f"the tokenizer in {files.tokenizer} cannot be loaded: {str(error).splitlines()[0]}",
            hint="Use the tokenizer files that were published with the reference.",
        ) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "right"
    return tokenizer


def _by_canonical(weights: TensorSource) -> dict[str, str]:
    """Map canonical names to a checkpoint's own; a name that is canonical already wins over one that maps to it."""
    found: dict[str, str] = {}
    for name in weights.specs:
        key = canonical(name)
        if key not in found or name == key:
            found[key] = name
    return found


def task_of(suspect: Checkpoint) -> Task:
    """Read the task off the shape of the classification head, and the label names off the suspect's config.

    Raises:
        CheckpointError: If there is no classification head, or it has fewer than two outputs.
    """
    own = _by_canonical(suspect)
    heads = [own[f"{layer}.weight"] for layer in _OUTPUT_LAYERS if f"{layer}.weight" in own]
    shapes = [suspect.specs[name].shape for name in heads]
    rows = next((shape[0] for shape in shapes if len(shape) == 2), None)
    if rows is None:
        raise CheckpointError(
            "the suspect has no classification head",
            hint="It must hold a layer such as classifier.weight with one row per label.",
        )
    if rows < 2:
        raise CheckpointError(
            f"the head {heads[0]} has {rows} output, which is no classifier", hint="Two or more labels are needed."
        )
    return Task(rows, _label_names(suspect.config or {}, rows))


def _label_names(config: Mapping[str, Any], count: int) -> tuple[str, ...]:
    """Take the label names of a config where they fit, else ``LABEL_0`` and so on."""
    given = config.get("id2label")
    if isinstance(given, Mapping):
        named = {str(key): value for key, value in cast("Mapping[Any, Any]", given).items()}
        names = [named.get(str(i)) for i in range(count)]
        if len(named) == count and all(isinstance(name, str) for name in names) and len(set(names)) == count:
            return tuple(cast("list[str]", names))
    return tuple(f"LABEL_{i}" for i in range(count))


def classifier_config(
    config: Mapping[str, Any], task: Task, *, rows: int | None = None, pad_token_id: int | None = None
) -> dict[str, Any]:
    """Make the config.json of a classifier out of the reference's.

    Args:
        config: The reference's config.json.
        task: Labels of the classifier.
        rows: Rows of the word embedding, where the vocabulary was resized.
        pad_token_id: Padding token; default: the config's, else its end-of-text token. Decoders need one to find the
            last real token of each row.

    Raises:
        CheckpointError: If the architecture is unknown or has no classifier.
    """
    config_class, kind = _architecture(config)
    made = {key: value for key, value in config.items() if key not in _NOT_ARCHITECTURE}
    if rows is not None:
        made["vocab_size"] = rows
    pad = config.get("pad_token_id", config_class().pad_token_id) if pad_token_id is None else pad_token_id
    if pad is None:
        eos = config.get("eos_token_id", config_class().eos_token_id)
        pad = eos[0] if isinstance(eos, list) else eos
    return made | {
        "architectures": [kind.__name__],
        "model_type": config["model_type"],
        "pad_token_id": pad,
        "id2label": {str(i): name for i, name in enumerate(task.label_names)},
        "label2id": {name: i for i, name in enumerate(task.label_names)},
        "problem_type": "single_label_classification",
    }


def _architecture(config: Mapping[str, Any]) -> tuple[type[PreTrainedConfig], type[PreTrainedModel]]:
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in CONFIG_MAPPING:
        raise CheckpointError(
            f"the config names no model type that transformers knows: {model_type!r}",
            hint="config.json of the reference needs a model_type such as bert.",
        )
    config_class = CONFIG_MAPPING[model_type]
    if config_class not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        raise CheckpointError(
            f"there is no text classifier of type {model_type!r} in transformers",
            hint="Encoders and decoders with a sequence-classification class are supported.",
        )
    found = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[config_class]
    return config_class, found[0] if isinstance(found, tuple) else found


def _build(config: Mapping[str, Any], device: str) -> PreTrainedModel:
    """Build a classifier without initialising its weights; on ``meta`` nothing is allocated."""
    config_class, _ = _architecture(config)
    try:
        with _quiet(), no_init_weights(), torch.device(device):
            settings = config_class.from_dict(dict(config))
            settings.use_cache = False  # keys and values of past tokens only matter to generation
            # sdpa was the faster one for hooks and training on CPU; hooks never look inside attention.
            module = AutoModelForSequenceClassification.from_config(
                settings, dtype=torch.float32, attn_implementation="sdpa"
            )
            module.tie_weights()
    except (TypeError, ValueError, KeyError, AttributeError, ZeroDivisionError, RuntimeError) as error:
        raise CheckpointError(
            f"no model can be built from the reference's config: {(str(error) or repr(error)).splitlines()[0]}",
            hint="Use the config.json that was published with the reference.",
        ) from error
    return module.eval()


def _plan(weights: TensorSource, config: Mapping[str, Any], task: Task) -> tuple[dict[str, Any], PreTrainedModel]:
    """Settle the configuration on the number of embedding rows in the weights; return it with a meta module."""
    made = classifier_config(config, task)
    shell = _build(made, "meta")
    words = shell.get_input_embeddings().weight
    own = _by_canonical(weights)
    for name, parameter in shell.named_parameters():
        stored = own.get(canonical(name))
        if parameter is words and stored is not None:
            rows = weights.specs[stored].shape[0] if weights.specs[stored].shape else 0
            if rows != parameter.shape[0]:
                made = classifier_config(config, task, rows=rows)
                return made, _build(made, "meta")
    return made, shell


def _assign(module: nn.Module, weights: TensorSource, names: Mapping[str, str]) -> None:
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name not in names:
                continue
            flat = parameter.view(-1)
            for start in range(0, flat.numel(), CHUNK):
                stop = min(start + CHUNK, flat.numel())
                flat[start:stop].copy_(weights.read(names[name], start, stop))


def _match(shell: PreTrainedModel, weights: TensorSource, *, within: str = "") -> dict[str, str]:
    """Find the tensor of each parameter whose name starts with ``within``; parameters without one are left out.

    Raises:
        CheckpointError: If a shape differs.
    """
    own = _by_canonical(weights)
    names: dict[str, str] = {}
    for name, parameter in shell.named_parameters():
        stored = own.get(canonical(name))
        if stored is None or not name.startswith(within):
            continue
        if tuple(weights.specs[stored].shape) != tuple(parameter.shape):
            raise CheckpointError(
                f"{stored} has shape {list(weights.specs[stored].shape)}, the reference's config asks for "
                f"{list(parameter.shape)}",
                hint="The weights and the reference's config.json do not belong together.",
            )
        names[name] = stored
    return names


def _require(missing: Sequence[str]) -> None:
    if missing:
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")  # noqa: PLR2004
        raise CheckpointError(f"the weights lack {shown}", hint="Is the reference of the same architecture?")


def load_classifier(
    weights: TensorSource,
    *,
    config: Mapping[str, Any],
    task: Task,
    device: torch.device | str = "cpu",
) -> Loaded:
    """Build a classifier from a reference's configuration and fill it with weights.

    Args:
        weights: All tensors of the classifier, under any known naming; what the module lacks is ignored.
        config: The reference's config.json.
        task: Labels; ``task.num_labels`` must match the head.
        device: Where the module goes.

    Raises:
        CheckpointError: If weights are missing or have other shapes, or no such classifier exists.
    """
    made, shell = _plan(weights, config, task)
    names = _match(shell, weights)
    _require([name for name, _ in shell.named_parameters() if name not in names])
    module = _build(made, "cpu")
    _assign(module, weights, names)
    return Loaded(module.to(device), task, names)


def new_classifier(reference: Checkpoint, task: Task, *, seed: int, device: torch.device | str = "cpu") -> Loaded:
    """Put a fresh, seeded head on a reference, to be fine-tuned.

    Names are those of the standard architecture, which a saved folder uses.

    Raises:
        CheckpointError: If the reference has no configuration, or lacks weights other than the head's and pooler's.
    """
    if reference.config is None:
        raise CheckpointError("the reference has no config.json", hint="Give a folder that holds config.json.")
    made, shell = _plan(reference, reference.config, task)
    base = f"{shell.base_model_prefix}."
    names = _match(shell, reference, within=base)
    missing = [name for name, _ in shell.named_parameters() if name not in names]
    _require([name for name in missing if name.startswith(base) and not canonical(name).startswith("pooler.")])
    module = _build(made, "cpu")
    with torch.random.fork_rng(devices=[]), torch.no_grad(), _quiet():
        torch.manual_seed(seed)
        for owner in dict.fromkeys(name.rpartition(".")[0] for name in missing):
            module._init_weights(module.get_submodule(owner))
    _assign(module, reference, names)
    return Loaded(module.to(device), task, {name: name for name, _ in module.named_parameters()})


def current_weights(loaded: Loaded) -> InMemory:
    """Return the module's weights under the checkpoint's names, on the CPU, without a copy where they are there."""
    return InMemory({loaded.names[name]: p.detach().cpu() for name, p in loaded.module.named_parameters()})


def logits(module: nn.Module, batch: Batch) -> Tensor:
    """Return the class scores of a batch, shape (B, C)."""
    inputs = batch.inputs
    if "token_type_ids" in inputs and "token_type_ids" not in signature(module.forward).parameters:
        inputs = {name: tensor for name, tensor in inputs.items() if name != "token_type_ids"}
    return module(**inputs).logits
