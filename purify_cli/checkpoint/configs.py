"""Configurations compared by what they do to the function a model computes."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from purify_cli.checkpoint.companions import CODE_KEYS
from purify_cli.checkpoint.difference import Difference, shown
from purify_cli.checkpoint.reader import Checkpoint

__all__ = ["config_differences"]

HARMLESS: Final = frozenset(
    """
    _name_or_path architectures bos_token_id chunk_size_feed_forward dtype eos_token_id finetuning_task
    gradient_checkpointing id2label initializer_factor initializer_range keys_to_ignore_at_inference label2id
    mlm_probability model_type name_or_path num_labels output_attentions output_hidden_states problem_type
    return_dict sep_token_id task_specific_params torch_dtype torchscript transformers_version use_bfloat16
    use_cache vocab_size
    """.split()  # noqa: SIM905 - a block of words is read at a glance
)
"""Keys that name, label, initialise or describe, and leave the base model's function alone. The vocabulary's size and
the model type are judged where tensors are matched."""

USUAL: Final[Mapping[str, Any]] = {
    "position_embedding_type": "absolute",
    "tie_word_embeddings": True,
    "rope_theta": 10000.0,
    "attention_bias": False,
}
"""What a missing key means, where it is neither null, false nor empty: older versions did not write these."""


def config_differences(suspect: Checkpoint, reference: Checkpoint) -> Iterator[Difference]:
    """Yield what the suspect's configuration asks for that the reference's does not.

    A key that only one side holds counts if its value is not the usual one: versions differ in what they write down.
    """
    ours, theirs = suspect.config, reference.config
    if not ours or not theirs:
        return
    ours, theirs = _meaning(ours), _meaning(theirs)
    for key in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(key, USUAL.get(key)), theirs.get(key, USUAL.get(key))
        if one != other and (one or other):
            yield Difference(kind="config", subject=key, detail=f"{shown(one)}, in the reference {shown(other)}")


def _meaning(config: Mapping[str, Any]) -> dict[str, Any]:
    plain = {
        key: value
        for key, value in config.items()
        if key not in HARMLESS
        and key not in CODE_KEYS
        and not key.endswith(("dropout", "_dropout_prob", "_pdrop"))
        and not key.startswith("summary_")
    }
    # Newer versions write the rotation's settings as one table.
    rotation = plain.pop("rope_parameters", None)
    if isinstance(rotation, dict):
        plain |= {key: value for key, value in rotation.items() if (key, value) != ("rope_type", "default")}
    return plain
