"""``purify demo``."""

from dataclasses import dataclass
from os import fspath
from typing import Annotated, final

from purify_cli.choices import Name
from purify_cli.requests.option import Option, Request
from purify_cli.requests.shared import Device, Dtype, Seed

__all__ = ["DemoRequest"]


@final
@dataclass(frozen=True, kw_only=True)
class DemoRequest(Request):
    """Poison, detect, fine-tune, purify and measure a small sentiment model, on texts that come with the package.

    Takes a few minutes on two cores. Needs the reference `minilm`; everything is left in the folder purify-demo
    (or --run) to look at.
    """

    run: Annotated[Name, Option(help="Folder of the demo.", read=fspath)] = "purify-demo"
    seed: Seed = 0
    device: Device = "auto"
    dtype: Dtype = "auto"
