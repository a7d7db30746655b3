"""Diagonal curvature of the loss at a model's weights: how much each dimension matters to clean data.

``diagonal_fisher`` (empirical or true) is exact and fast: per-sample gradients are caught by hooks during a batched
backward pass (``hooks``), from closed forms for the common layers (``layers``), squared block by block (``squares``).
What has no closed form, or is used in a way that hooks cannot follow (``coverage``), goes through the one-sample loop
(``loop``). ``hutchinson_diagonal`` estimates the diagonal of the Hessian itself.
"""

from purify_cli.curvature.fisher import diagonal_fisher, mean_squared_gradients
from purify_cli.curvature.hutchinson import hutchinson_diagonal
from purify_cli.curvature.objectives import Scalars
from purify_cli.curvature.result import Curvature

__all__ = ["Curvature", "Scalars", "diagonal_fisher", "hutchinson_diagonal", "mean_squared_gradients"]
