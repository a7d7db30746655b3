"""The seed of a step."""

import torch

__all__ = ["seed_step"]


def seed_step(seed: int, device: torch.device) -> None:
    """Seed the generators that a step draws from: the CPU's and the device's own.

    ``torch.manual_seed`` seeds every kind of accelerator; for one that is not there it keeps the request and the stack
    it came from, in case it appears: 5 ms and some memory for each step.
    """
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        module = torch.get_device_module(device)
        getattr(module, "manual_seed_all", module.manual_seed)(seed)
