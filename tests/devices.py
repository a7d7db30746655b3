"""A device without float64, as Apple's GPUs are, on a machine that has none."""

from typing import Any

import torch
from torch import Tensor


class OnDevice(Tensor):
    """A tensor of a device without float64: whatever is computed from it is there too, until it is moved."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = super().__torch_function__(func, types, args, kwargs or {})
        if func is Tensor.cpu:
            return result.as_subclass(Tensor)
        if isinstance(result, cls) and result.dtype == torch.float64:
            raise TypeError("this device has no float64")
        return result
