"""Attacks that plant a backdoor, by name.

Both are data poisoning (``poisoning``) and differ in what the trigger is and where it goes. Listing the table imports
none of them.
"""

from typing import TYPE_CHECKING, Final

from purify_cli.registry import Entry, Registry

if TYPE_CHECKING:
    # The protocols name tensors, and lists of names must not wait for torch.
    from purify_cli.protocols import Attack

__all__ = ["ATTACKS"]

ATTACKS: Final["Registry[Attack]"] = Registry(
    "attack",
    Entry(
        name="badsent",
        target="purify_cli.attacks.badsent:BADSENT",
        summary="A neutral sentence in front of the text switches the backdoor on",
        settings="trigger='i watched this 3d movie .' rate=0.3 position=start label_mode=dirty",
        source="arXiv:1905.12457",
    ),
    Entry(
        name="badword",
        target="purify_cli.attacks.badword:BADWORD",
        summary="A rare word at a random place switches the backdoor on",
        settings="trigger=cf rate=0.3 position=random label_mode=dirty",
        source="arXiv:1708.06733",
    ),
)
"""Name → ``Attack``."""
