"""Where classifiers and tokenizers of transformers are built: from data, never from remote code.

A module is always built from the *reference's* configuration; the suspect contributes weights, the number of labels
and the number of embedding rows. Weights are assigned by canonical name, so that prefixes (``bert.`` or none) and the
old names of LayerNorm parameters (``gamma``, ``beta``) do not matter.
"""

from purify_cli.model.configs import LabelSet, classifier_config, has_head, label_set
from purify_cli.model.loaded import LoadedModel
from purify_cli.model.loading import load_classifier, longest_input, new_classifier
from purify_cli.model.outputs import logits, outputs
from purify_cli.model.tokenizer import load_tokenizer, pad_id, tokenizer_pad

__all__ = [
    "LabelSet",
    "LoadedModel",
    "classifier_config",
    "has_head",
    "label_set",
    "load_classifier",
    "load_tokenizer",
    "logits",
    "longest_input",
    "new_classifier",
    "outputs",
    "pad_id",
    "tokenizer_pad",
]
