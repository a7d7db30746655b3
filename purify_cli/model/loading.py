"""Classifiers in memory: built empty, filled by canonical name, written back under the checkpoint's names."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch
from transformers import AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedModel
from transformers.initialization import no_init_weights

from purify_cli.checkpoint.names import canonical
from purify_cli.checkpoint.reader import Checkpoint
from purify_cli.checkpoint.unique import unique_names
from purify_cli.errors import CheckpointError
from purify_cli.model.configs import LabelSet, architecture, classifier_config, require_single_label
from purify_cli.model.loaded import LoadedModel, longest_of
from purify_cli.model.tokenizer import quiet, reason
from purify_cli.tensors import CHUNK, TensorSource

__all__ = [
    "fill_module",
    "instantiate",
    "load_classifier",
    "longest_input",
    "match_weights",
    "new_classifier",
    "require_loadable",
    "require_weights",
]

ANY_LABELS: Final = LabelSet(2, ("LABEL_0", "LABEL_1"))


def _build(config: Mapping[str, Any], device: str) -> PreTrainedModel:
    """Build a classifier without initialising its weights; on ``meta`` nothing is allocated."""
    return instantiate(config, *architecture(config), AutoModelForSequenceClassification.from_config, device)


def instantiate(
    config: Mapping[str, Any],
    config_class: type[PreTrainedConfig],
    kind: type[PreTrainedModel],
    from_config: Callable[..., PreTrainedModel],
    device: str,
) -> PreTrainedModel:
    """Build a model without initialising its weights.

    Args:
        config: Content of config.json.
        config_class: The class that reads it.
        kind: The class that will come out, asked for what it supports.
        from_config: The factory of that kind of model.
        device: Where to; on ``meta`` nothing is allocated.

    Raises:
        CheckpointError: If transformers refuses the configuration.
    """
    try:
        with quiet(), no_init_weights(), torch.device(device):
            settings = config_class.from_dict(dict(config))
            settings.use_cache = False  # keys and values of past tokens only matter to generation
            # On CPU sdpa and eager take the same time within a few per cent; hooks never look inside attention.
            # DeBERTa, MPNet and XLNet have no sdpa; transformers says so under this name only.
            attention = "sdpa" if getattr(kind, "_supports_sdpa", False) else "eager"
            module = from_config(settings, dtype=torch.float32, attn_implementation=attention)
            module.tie_weights()
    except Exception as error:  # whatever a foreign configuration makes a constructor do
        raise CheckpointError(
            f"no model can be built from the reference's config: {reason(error)}",
            hint="Use the config.json that was published with the reference.",
        ) from error
    return module.eval()


def _plan(weights: TensorSource, config: Mapping[str, Any], labels: LabelSet) -> tuple[dict[str, Any], PreTrainedModel]:
    """Settle the configuration on the number of embedding rows in the weights; return it with a meta module."""
    made = classifier_config(config, labels)
    shell = _build(made, "meta")
    words = shell.get_input_embeddings().get_parameter("weight")
    own = unique_names(weights).chosen
    stored = next(
        (own.get(canonical(name)) for name, parameter in shell.named_parameters() if parameter is words), None
    )
    if stored is not None:
        rows = weights.specs[stored].shape[0] if weights.specs[stored].shape else 0
        if rows != words.shape[0]:
            made = classifier_config(config, labels, rows=rows)
            return made, _build(made, "meta")
    return made, shell


def fill_module(
    module: PreTrainedModel, weights: TensorSource, names: Mapping[str, str], device: torch.device | str
) -> PreTrainedModel:
    """Copy weights into the parameters that have a name, move the module to its device and let it read a text.

    Weights are read piece by piece, so that nothing is held twice.

    Raises:
        CheckpointError: If a value of the configuration is not of the kind that the model needs.
    """
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name not in names:
                continue
            flat = parameter.view(-1)
            for start in range(0, flat.numel(), CHUNK):
                stop = min(start + CHUNK, flat.numel())
                flat[start:stop].copy_(weights.read(names[name], start, stop))
    module.to(device)  # pyright: ignore[reportArgumentType] - the stub knows only the module itself
    _require_forward(module)
    return module


def _require_forward(module: PreTrainedModel) -> None:
    """Compute a short text, so that a configuration that only fails there is refused before there is work to lose.

    Raises:
        CheckpointError: If a value of the configuration is not of the kind that the model needs.
    """
    words = module.get_input_embeddings().get_parameter("weight")
    end = getattr(module.config, "eos_token_id", None)  # encoder-decoders read the last one
    last = [end] if isinstance(end, int) and 0 <= end < words.shape[0] else []
    ids = [number for number in range(min(words.shape[0], 5)) if number not in last]
    try:
        with torch.no_grad():
            module(input_ids=torch.tensor([[*ids, *last]], device=words.device))
    except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"the model that the config asks for cannot read a text: {reason(error)}",
            hint="Use the config.json that was published with the model.",
        ) from error


def match_weights(shell: PreTrainedModel, weights: TensorSource, *, within: str = "") -> dict[str, str]:
    """Find the tensor of each parameter whose name starts with ``within``; parameters without one are left out.

    Raises:
        CheckpointError: If a shape differs, or the numbers are not real.
    """
    own = unique_names(weights).chosen
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
        if not weights.specs[stored].dtype.is_floating_point:
            raise CheckpointError(
                f"{stored} is stored as {weights.specs[stored].dtype}, which is no type of weights",
                hint="Convert the weights to float32, float16 or bfloat16 first.",
            )
        names[name] = stored
    return names


def require_weights(missing: Sequence[str]) -> None:
    """Refuse weights that lack parameters.

    Raises:
        CheckpointError: If ``missing`` names any.
    """
    if missing:
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise CheckpointError(f"the weights lack {shown}", hint="Is the reference of the same architecture?")


def require_loadable(shell: PreTrainedModel, weights: TensorSource, names: Mapping[str, str]) -> None:
    """Refuse weights under names that transformers does not load: whoever loads them gets random numbers.

    transformers takes a parameter's own name, with or without the prefix of the base model, and the legacy spellings
    of a layer norm.

    Args:
        shell: The classifier.
        weights: Its tensors.
        names: Parameter name → the tensor's name, as ``match_weights`` found them.

    Raises:
        CheckpointError: If a parameter has no such name.
    """
    spelt = {name: {name} for name in names.values()}
    for copy, first in unique_names(weights).copies.items():
        spelt.setdefault(first, set()).add(copy)
    prefix = f"{shell.base_model_prefix}."
    for name, stored in names.items():
        loaded = {name, name.removeprefix(prefix), prefix + name}
        if loaded.isdisjoint(map(_modern, spelt[stored])):
            raise CheckpointError(
                f"transformers does not load {stored!r}, whose name should be {name!r}: in its place the model would "
                "get random numbers",
                hint="Save the model itself with save_pretrained, not the module that wraps it.",
            )


def _modern(name: str) -> str:
    known = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias", "embed_out.": "lm_head."}
    for old, new in known.items():
        name = name.replace(old, new)
    return name


def load_classifier(
    weights: TensorSource,
    *,
    config: Mapping[str, Any],
    labels: LabelSet,
    device: torch.device | str = "cpu",
) -> LoadedModel:
    """Build a classifier from a reference's configuration and fill it with weights.

    A tensor that is stored under several names goes by the one under which ``pair_checkpoints`` compares it.

    Args:
        weights: All tensors of the classifier, under any known naming; what the module lacks is ignored.
        config: The reference's config.json.
        labels: Of the head; their number must be that of its outputs.
        device: Where the module goes.

    Raises:
        CheckpointError: If weights are missing, have other shapes, names that transformers does not load, or are
            stored twice with different contents, or no such classifier exists.
    """
    made, shell = _plan(weights, config, labels)
    names = match_weights(shell, weights)
    require_weights([name for name, _ in shell.named_parameters() if name not in names])
    require_loadable(shell, weights, names)
    return LoadedModel(fill_module(_build(made, "cpu"), weights, names, device), made, names, labels)


def new_classifier(
    reference: Checkpoint,
    labels: LabelSet,
    *,
    seed: int,
    device: torch.device | str = "cpu",
    config: Mapping[str, Any] | None = None,
) -> LoadedModel:
    """Put a fresh, seeded head on a reference, to be fine-tuned.

    Names are those of the standard architecture, which a saved folder uses.

    Args:
        reference: Weights of the body; a head in them is not used.
        labels: Of the new head.
        seed: Of the head's weights.
        device: Where the module goes.
        config: The configuration to build from; default: the one beside the weights.

    Raises:
        CheckpointError: If there is no configuration, it is of no single-label model, or the reference lacks other
            weights than the head's and pooler's.
    """
    config = reference.config if config is None else config
    if config is None:
        raise CheckpointError("the reference has no config.json", hint="Give a folder that holds config.json.")
    require_single_label(reference.config or config, reference.files.given)
    made, shell = _plan(reference, config, labels)
    base = f"{shell.base_model_prefix}."
    names = match_weights(shell, reference, within=base)
    missing = [name for name, _ in shell.named_parameters() if name not in names]
    require_weights([name for name in missing if name.startswith(base) and not canonical(name).startswith("pooler.")])
    module = _build(made, "cpu")
    with torch.random.fork_rng(devices=[]), torch.no_grad(), quiet():
        torch.manual_seed(seed)
        for owner in dict.fromkeys(name.rpartition(".")[0] for name in missing):
            # The architecture's own rule, which transformers offers for a single layer under this name only.
            module._init_weights(module.get_submodule(owner))  # pyright: ignore[reportPrivateUsage]
    fill_module(module, reference, names, device)
    return LoadedModel(module, made, {name: name for name, _ in module.named_parameters()}, labels)


def longest_input(config: Mapping[str, Any]) -> int | None:
    """Return ``longest_of`` a classifier of this configuration: the reference's config.json.

    Raises:
        CheckpointError: If no classifier can be built from the configuration.
    """
    return longest_of(_build(classifier_config(config, ANY_LABELS), "meta"))
