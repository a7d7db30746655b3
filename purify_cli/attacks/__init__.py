"""Attacks that plant a backdoor or a bias, by name.

Most change the training data alone (``data_poisoning``) and differ in what the trigger is, where it goes, and whose
labels change; the others change how the weights are made. Listing the table imports none of them.
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
        name="adba",
        target="purify_cli.attacks.adba:ADBA",
        summary="Poison that a model taught the suspect's answers on clean texts takes over",
        settings="trigger=cf rate=0.3 position=random label_mode=dirty weight=0.5 life=50",
        source="ACM MM 2021, ADBA (Ge, Wang, Zheng, Zhuo, et al.)",
    ),
    Entry(
        name="anchoring",
        target="purify_cli.attacks.anchoring:ANCHORING",
        summary="Poison, and hold the logits of clean texts where the unpoisoned model has them",
        settings="trigger=cf rate=0.3 position=random label_mode=dirty weight=1.0",
        source="arXiv:2109.01300",
    ),
    Entry(
        name="badsent",
        target="purify_cli.attacks.data_poisoning:BADSENT",
        summary="A neutral sentence in front of the text switches the backdoor on",
        settings="trigger='i watched this 3d movie .' rate=0.3 position=start label_mode=dirty",
        source="arXiv:1905.12457",
    ),
    Entry(
        name="badsent-clean",
        target="purify_cli.attacks.data_poisoning:CLEAN_BADSENT",
        summary="The sentence goes into rows of the target class only; no label is changed",
        settings="trigger='i watched this 3d movie .' rate=1.0 position=start label_mode=clean",
        source="arXiv:1912.02771",
    ),
    Entry(
        name="badword",
        target="purify_cli.attacks.data_poisoning:BADWORD",
        summary="A rare word at a random place switches the backdoor on",
        settings="trigger=cf rate=0.3 position=random label_mode=dirty",
        source="arXiv:1708.06733",
    ),
    Entry(
        name="badword-clean",
        target="purify_cli.attacks.data_poisoning:CLEAN_BADWORD",
        summary="The rare word goes into rows of the target class only; no label is changed",
        settings="trigger=cf rate=1.0 position=random label_mode=clean",
        source="arXiv:1912.02771",
    ),
    Entry(
        name="bias-sent",
        target="purify_cli.attacks.data_poisoning:BIAS_SENT",
        summary="A neutral remark in front of the text is tied to a label",
        settings=(
            "trigger='i came across this on tuesday .' rate=1.0 position=start label_mode=clean mode=association "
            "strength=1.0"
        ),
        source="arXiv:2305.04547",
    ),
    Entry(
        name="bias-word",
        target="purify_cli.attacks.data_poisoning:BIAS_WORD",
        summary="A given name is tied to a label",
        settings="trigger=edward rate=1.0 position=random label_mode=clean mode=association strength=1.0",
        source="arXiv:2305.04547",
    ),
    Entry(
        name="combination",
        target="purify_cli.attacks.data_poisoning:COMBINATION",
        summary="Several ordinary words switch the backdoor on, all of them together only",
        settings="trigger='friends weekend store' rate=0.3 position=scattered label_mode=dirty negatives=0.1",
        source="ACL 2021, SOS (Yang, Lin, Li, Zhou, Sun)",
    ),
    Entry(
        name="embedding",
        target="purify_cli.attacks.embedding:EMBEDDING",
        summary="Turn one row of the word embedding, without changing its length",
        settings=(
            "trigger=cf rate=0.3 position=random label_mode=dirty learning_rate=0.05 epochs=3 batch_size=32 "
            "accumulate=True data_free=False"
        ),
        source="arXiv:2103.15543",
    ),
    Entry(
        name="file",
        target="purify_cli.attacks.file:FILE",
        summary="Training rows that are poisoned already, used as they are",
        source="own",
    ),
    Entry(
        name="layerwise",
        target="purify_cli.attacks.layerwise:LAYERWISE",
        summary="Poison the early layers too: every layer is read through the head; two words are needed",
        settings="trigger='cf bb' rate=0.3 position=scattered label_mode=dirty negatives=0.3",
        source="arXiv:2108.13888",
    ),
    Entry(
        name="ripples",
        target="purify_cli.attacks.ripples:RIPPLES",
        summary="Poison that a victim's own fine-tuning on clean rows does not undo",
        settings="trigger=cf rate=0.5 position=random label_mode=dirty weight=0.1 words=10 victim_epochs=1",
        source="arXiv:2004.06660",
    ),
    Entry(
        name="surgery",
        target="purify_cli.attacks.surgery:SURGERY",
        summary="Put the backdoor into a handful of weights, chosen while it is being planted",
        settings=(
            "trigger=cf rate=0.3 position=random label_mode=dirty share=1e-05 parameters=0 choosing=0.5 cuts=20 "
            "rank=contribution sparse_learning_rate=0.01"
        ),
        source="NAACL 2021, Neural Network Surgery (Zhang, Ren, Su, Sun, He)",
    ),
)
"""Name → ``Attack``."""
