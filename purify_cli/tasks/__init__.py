"""What the engine must know of a kind of model: a classifier, or a causal language model.

``base`` is the protocol, ``classification`` and ``causal`` keep it. Everything above asks its ``Task`` and no model.
"""
