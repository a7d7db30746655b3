"""The state of an unfinished training run on disk.

It is one safetensors file, with everything that is no tensor as JSON in its header. It holds no random state, because
every step seeds its own random numbers.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import Parameter

from purify_cli.checkpoint.writer import write_tensors
from purify_cli.data.batches import Encoded
from purify_cli.errors import RunFolderError
from purify_cli.tensors import InMemory
from purify_cli.training.settings import TrainingSettings

__all__ = [
    "STATE_FILE",
    "fingerprint",
    "forget_state",
    "read_state",
    "restore_optimizer",
    "rows_sha256",
    "state_tensors",
    "tensors_sha256",
    "write_state",
]

STATE_FILE: Final = "training-state.safetensors"
"""Name of the file in the folder that the caller gives."""

UNREADABLE: Final = (SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError)
"""What a file that is no such state brings about."""

_WEIGHT: Final = "weight"
_BEST: Final = "best"


def fingerprint(
    settings: TrainingSettings,
    encoded: Sequence[Encoded],
    validation: Sequence[Encoded] | None,
    module: nn.Module,
) -> str:
    """Return a SHA-256 over all that decides how a run goes on: settings, rows, and the model it starts from.

    Of the model that is every tensor, frozen ones and buffers included, which of them are trained, and its structure
    with what stands in no tensor (dropout, activations).
    """
    trained = [name for name, parameter in module.named_parameters() if parameter.requires_grad]
    config: Any = getattr(module, "config", None)
    parts = (
        json.dumps(settings.as_record(), sort_keys=True),
        rows_sha256(encoded),
        rows_sha256(validation or ()),
        tensors_sha256({**dict(module.named_parameters()), **dict(module.named_buffers())}),
        repr((trained, module, None if config is None else config.to_json_string())),
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def rows_sha256(rows: Sequence[Encoded]) -> str:
    """Return the SHA-256 of encoded rows in their order; also for the ``mark`` of an objective that draws from some."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(repr((row.ids, row.type_ids, row.label, row.start)).encode())
    return digest.hexdigest()


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of tensors by name, type, shape and bytes; also for the ``mark`` of an objective."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def state_tensors(
    parameters: Mapping[str, Parameter], optimizer: torch.optim.Optimizer, best: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Gather weights, the optimiser's moments and the best weights so far as ``kind.parameter name`` → tensor."""
    tensors = {f"{_WEIGHT}.{name}": parameter.detach() for name, parameter in parameters.items()}
    for name, parameter in parameters.items():
        for kind, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{kind}.{name}"] = value
    return tensors | {f"{_BEST}.{name}": tensor for name, tensor in best.items()}


def write_state(folder: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write a state, in place of the one before, whole or not at all.

    Raises:
        StorageError: If the disk is full or the folder not writable.
    """
    held = InMemory({name: tensor.cpu() for name, tensor in tensors.items()})
    write_tensors(folder / STATE_FILE, held, metadata={"state": json.dumps(facts)})


def read_state(folder: Path, expected: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Read the state that a run with this fingerprint has left.

    Args:
        folder: Where it would be.
        expected: Fingerprint of the run that wants to go on.

    Returns:
        Tensors and facts; None if there is no state or it is another run's.

    Raises:
        RunFolderError: If the file is no such state.
    """
    path = folder / STATE_FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads(file.metadata()["state"])
            if facts["fingerprint"] != expected:
                return None
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118 - no mapping
    except FileNotFoundError:  # the process that it belonged to has ended just now
        return None
    except UNREADABLE as error:
        raise RunFolderError(
            f"the training state {path} cannot be read", hint="Delete it to train from the start."
        ) from error


def forget_state(folder: Path, mark: str) -> None:
    """Remove the state of a run that is complete; what another process has put there meanwhile stays."""
    path = folder / STATE_FILE
    with suppress(*UNREADABLE):
        with safe_open(path, framework="pt") as file:
            own = json.loads(file.metadata()["state"])["fingerprint"] == mark
        if own:
            path.unlink()


def restore_optimizer(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, Parameter], tensors: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Put weights and moments back in place; return the best weights so far.

    Args:
        optimizer: Fresh, over the same parameters.
        parameters: The trainable ones, by name.
        tensors: As ``state_tensors`` gathered them.
    """
    kinds: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        kind, _, name = key.partition(".")
        kinds.setdefault(kind, {})[name] = tensor
    weights, best = kinds.pop(_WEIGHT), kinds.pop(_BEST, {})
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights[name])
    names = {parameter: name for name, parameter in parameters.items()}
    moments = {
        place: {kind: values[names[parameter]] for kind, values in kinds.items() if names[parameter] in values}
        for place, parameter in enumerate(p for group in optimizer.param_groups for p in group["params"])
    }
    optimizer.load_state_dict(
        {
            "state": {place: state for place, state in moments.items() if state},
            "param_groups": optimizer.state_dict()["param_groups"],
        }
    )
    return best
