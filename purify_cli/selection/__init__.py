"""Which dimensions are reset: an exact share of all, found in streaming passes.

``order`` says which of two entries comes first. ``sweep`` goes once over all scores with a bracket for the threshold,
``bracketing`` narrows it until the threshold is certain, ``bits`` holds the outcome, ``files`` stores it, and
``mask`` puts it all together.

Bytes moved for a mask of d float32 dimensions with suspect and reference in 4-byte storage: a sample of at most 8 MiB,
then one pass of 8·d bytes read and d/8 bytes of mask written to memory; a second such pass only where the sample
misled (scores that change in steps along a tensor) or where ties at the threshold outnumber what is kept.
"""

__all__: list[str] = []
