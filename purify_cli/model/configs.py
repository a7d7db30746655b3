"""What kind of classifier: the task, read off the weights, and the configuration, made out of the reference's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast, final

from transformers import (
    CONFIG_MAPPING,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    PreTrainedConfig,
    PreTrainedModel,
)

from purify_cli.checkpoint.reader import Checkpoint
from purify_cli.checkpoint.unique import unique_names
from purify_cli.errors import CheckpointError

__all__ = [
    "NOT_ARCHITECTURE",
    "LabelSet",
    "architecture",
    "classifier_config",
    "has_head",
    "label_set",
    "model_classes",
    "require_single_label",
]

_OUTPUT_LAYERS: Final = ("classifier", "classifier.out_proj", "score", "classification_head.out_proj")
"""Canonical names of the last layer of a classification head, over the architectures of transformers 5: one row per
label. BERT, DistilBERT, ALBERT, DeBERTa / RoBERTa, ELECTRA / GPT-2, Llama and other decoders / BART. Not XLNet's, which
wants padding on the left."""

SINGLE_LABEL: Final = "single_label_classification"

NOT_ARCHITECTURE: Final = frozenset(
    """
    _name_or_path architectures auto_map dtype id2label label2id model_type num_labels problem_type
    quantization_config torch_dtype transformers_version
    """.split()  # noqa: SIM905 - a block of words is read at a glance
)
"""Keys of a config.json that say nothing about the layers, or that ask for code or number formats of their own."""


@final
@dataclass(frozen=True, slots=True)
class LabelSet:
    """What a classifier answers with."""

    num_labels: int
    label_names: tuple[str, ...]


def has_head(checkpoint: Checkpoint) -> bool:
    """Tell whether there is a classification head, of whatever number of outputs.

    Raises:
        CheckpointError: If a tensor is stored twice with different contents.
    """
    return bool(_heads(checkpoint))


def _heads(checkpoint: Checkpoint) -> list[str]:
    """Return the names of output layers, the most telling first."""
    own = unique_names(checkpoint).chosen
    names = [own[f"{layer}.weight"] for layer in _OUTPUT_LAYERS if f"{layer}.weight" in own]
    return [name for name in names if len(checkpoint.specs[name].shape) == 2]


def label_set(suspect: Checkpoint) -> LabelSet:
    """Read the labels off the shape of the classification head, and the label names off the suspect's config.

    Raises:
        CheckpointError: If there is no classification head, it has fewer than two outputs or others than the config
            says, its outputs are no alternatives, or a tensor is stored twice with different contents.
    """
    heads = _heads(suspect)
    if not heads:
        raise CheckpointError(
            "the suspect has no classification head",
            hint="It must hold a layer such as classifier.weight with one row per label.",
        )
    rows = suspect.specs[heads[0]].shape[0]
    config = suspect.config or {}
    require_single_label(config, suspect.files.given)
    if rows < 2:
        raise CheckpointError(
            f"the head {heads[0]} has {rows} output, which is no classifier but a regression",
            hint="Two or more labels are needed.",
        )
    names = config.get("id2label")
    declared = config.get("num_labels")
    if isinstance(names, Mapping) and names:
        declared = len(cast("Mapping[Any, Any]", names))
    if isinstance(declared, int) and declared != rows:
        raise CheckpointError(
            f"{suspect.files.given} has {rows} outputs in its head {heads[0]}, and {declared} by its config.json",
            hint="transformers does not load such a model; mend id2label, or get the folder again.",
        )
    return LabelSet(rows, _label_names(config, rows))


def require_single_label(config: Mapping[str, Any], given: str) -> None:
    """Refuse a model whose config says that a text gets any number of labels, or values in their place.

    Raises:
        CheckpointError: If it does.
    """
    kind = config.get("problem_type")
    if kind not in (None, SINGLE_LABEL):
        raise CheckpointError(
            f"{given} is no classifier of one label per text: problem_type in its config.json is {kind!s:.40}",
            hint="Multi-label classification and regression are not supported: their outputs are no alternatives.",
        )


def _label_names(config: Mapping[str, Any], count: int) -> tuple[str, ...]:
    """Take the label names of a config where they fit, else ``LABEL_0`` and so on."""
    given = config.get("id2label")
    if isinstance(given, Mapping):
        named = {str(key): value for key, value in cast("Mapping[Any, Any]", given).items()}
        names = [named.get(str(i)) for i in range(count)]
        if len(named) == count and all(isinstance(name, str) for name in names) and len(set(names)) == count:
            return tuple(cast("list[str]", names))
    return tuple(f"LABEL_{i}" for i in range(count))


def classifier_config(config: Mapping[str, Any], labels: LabelSet, *, rows: int | None = None) -> dict[str, Any]:
    """Make the config.json of a classifier out of the reference's.

    Its padding token is the config's, else the end-of-text token: decoders need one to find the last real token of each
    row.

    Args:
        config: The reference's config.json.
        labels: Of the classifier.
        rows: Rows of the word embedding, where the vocabulary was resized.

    Raises:
        CheckpointError: If the architecture is unknown or has no classifier.
    """
    config_class, kind = architecture(config)
    made = {key: value for key, value in config.items() if key not in NOT_ARCHITECTURE}
    if rows is not None:
        made["vocab_size"] = rows
    pad = config.get("pad_token_id", config_class().pad_token_id)
    if pad is None:
        eos = config.get("eos_token_id", config_class().eos_token_id)
        pad = eos[0] if isinstance(eos, list) else eos
    return made | {
        "architectures": [kind.__name__],
        "model_type": config["model_type"],
        "pad_token_id": pad,
        "id2label": {str(i): name for i, name in enumerate(labels.label_names)},
        "label2id": {name: i for i, name in enumerate(labels.label_names)},
        "problem_type": SINGLE_LABEL,
    }


def architecture(config: Mapping[str, Any]) -> tuple[type[PreTrainedConfig], type[PreTrainedModel]]:
    """Return the configuration and classifier classes of a config's model type.

    Raises:
        CheckpointError: If the type is unknown or has no text classifier.
    """
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in CONFIG_MAPPING:
        raise CheckpointError(
            f"the config names no model type that transformers knows: {model_type!r}",
            hint="config.json of the reference needs a model_type such as bert.",
        )
    found = model_classes(model_type, MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING)
    if found is None:
        raise CheckpointError(
            f"there is no text classifier of type {model_type!r} in transformers",
            hint="Encoders and decoders with a sequence-classification class are supported.",
        )
    return found


def model_classes(
    model_type: str, table: Mapping[type[PreTrainedConfig], Any]
) -> tuple[type[PreTrainedConfig], type[PreTrainedModel]] | None:
    """Return the configuration class of a known model type, and its model class; None if ``table`` holds none."""
    config_class: type[PreTrainedConfig] = CONFIG_MAPPING[model_type]
    if config_class not in table:
        return None
    found = table[config_class]
    return config_class, cast("type[PreTrainedModel]", found[0] if isinstance(found, tuple) else found)
