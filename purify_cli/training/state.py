"""The state of an unfinished training run on disk.

It is one safetensors file, with everything that is no tensor as JSON in its header. It holds no random state, because
every step seeds its own random numbers.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.nn import Parameter

from purify_cli.checkpoint.writer import write_tensors
from purify_cli.data.batches import Encoded
from purify_cli.errors import RunFolderError
from purify_cli.tensors import InMemory
from purify_cli.training.settings import TrainingSettings

__all__ = ["STATE_FILE", "fingerprint", "read_state", "restore_optimizer", "state_tensors", "write_state"]

STATE_FILE: Final = "training-state.safetensors"
"""Name of the file in the folder that the caller gives."""

_WEIGHT: Final = "weight"
_BEST: Final = "best"


def fingerprint(
    settings: TrainingSettings,
    encoded: Sequence[Encoded],
    validation: Sequence[Encoded] | None,
    parameters: Mapping[str, Parameter],
) -> str:
    """Return a SHA-256 over all that decides how a run goes on: settings, rows, and the weights it starts from."""
    digest = hashlib.sha256(json.dumps(settings.as_record(), sort_keys=True).encode())
    for rows in (encoded, validation or ()):
        digest.update(f"{len(rows)} rows".encode())
        for row in rows:
            digest.update(repr((row.ids, row.type_ids, row.label)).encode())
    for name, parameter in parameters.items():
        flat = parameter.detach().cpu().contiguous().reshape(-1)
        digest.update(f"{name} {parameter.dtype} {tuple(parameter.shape)}".encode())
        digest.update(flat.view(torch.uint8).numpy().data)
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
    folder.mkdir(parents=True, exist_ok=True)
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
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads(file.metadata()["state"])
            if facts["fingerprint"] != expected:
                return None
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise RunFolderError(
            f"the training state {path} cannot be read", hint="Delete it to train from the start."
        ) from error


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
        for place, parameter in enumerate(_in_order(optimizer))
    }
    optimizer.load_state_dict(
        {
            "state": {place: state for place, state in moments.items() if state},
            "param_groups": optimizer.state_dict()["param_groups"],
        }
    )
    return best


def _in_order(optimizer: torch.optim.Optimizer) -> Iterator[Parameter]:
    for group in optimizer.param_groups:
        yield from group["params"]
