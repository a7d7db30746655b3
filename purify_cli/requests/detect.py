"""``purify detect``."""

from dataclasses import dataclass
from typing import Annotated, final

from purify_cli.choices import Precision
from purify_cli.requests.option import Option
from purify_cli.requests.shared import Examination

__all__ = ["DetectRequest"]


@final
@dataclass(frozen=True, kw_only=True)
class DetectRequest(Examination):
    """Compare SUSPECT with its reference: what differs, which words flip it, which dimensions drifted out of line.

    SUSPECT is a classifier, or a causal language model: then the words are those after which it writes one thing
    whatever the prompt.

    Without --clean-data, built-in texts serve to measure the curvature and to search for triggers. The results stay in
    the run folder, where `purify purify` finds them; SUSPECT may also come from a record on standard input.
    """

    dtype: Annotated[
        Precision,
        Option(help="Compute type of the search for triggers; curvature stays float32."),
    ] = "auto"
    moved_only: bool = False
    """Whether only words whose embedding rows moved are tried: faster, and not a whole search."""
