"""Bags of words: which of them drive a model to a label, and which words of a bag it takes.

Group testing: where several words are needed at once, no word shows alone, and no pair need either. A bag of 40 words
holds 9,880 triples. A bag that drives the model is shrunk to the words that do it: parts are left out,
halves first and single words last, as long as what remains still drives it (Zeller, Hildebrandt, "Simplifying and
Isolating Failure-Inducing Input", IEEE TSE 2002, for the idea; here many bags shrink side by side, each part of all of
them in one pass).
"""

from collections.abc import Callable, Sequence

import torch

from purify_cli.trigger_search.candidate import String

__all__ = ["draw", "shrink", "united"]


def draw(pool: Sequence[int], *, size: int, count: int, seed: int) -> list[String]:
    """Draw bags of different words at random.

    Args:
        pool: Words.
        size: Words per bag; a smaller pool gives bags of all its words.
        count: Bags.
        seed: Decides all.
    """
    generator = torch.Generator().manual_seed(seed)
    return [
        tuple(pool[i] for i in torch.randperm(len(pool), generator=generator)[:size].tolist()) for _ in range(count)
    ]


def shrink(bags: Sequence[String], drives: Callable[[Sequence[String], Sequence[int]], Sequence[bool]]) -> list[String]:
    """Leave out words as long as the rest still drives the model.

    Args:
        bags: Each drives it.
        drives: Says of each bag whether it does, told of which of ``bags`` it is what is left. Asked once per part,
            about all bags that have such a part.

    Returns:
        What is left of each bag, in order, at least one word. Every word of it was needed when it was tried alone;
        words that were left out afterwards may have changed that.
    """
    left = list(bags)
    part = max((len(bag) for bag in left), default=0) // 2
    while part >= 1:
        at = [0] * len(left)
        while asked := [i for i, bag in enumerate(left) if at[i] < len(bag) and len(bag) > part]:
            tried = [left[i][: at[i]] + left[i][at[i] + part :] for i in asked]
            for i, bag, still in zip(asked, tried, drives(tried, asked), strict=True):
                if still:
                    left[i] = bag  # the next part has moved up to this place
                else:
                    at[i] += part
        part //= 2
    return left


def united(bags: Sequence[String], *, most: int) -> list[String]:
    """Return every union of two different bags that has at most so many words, without repeats."""
    pairs = (
        tuple(dict.fromkeys((*one, *other))) for i, one in enumerate(bags) for other in bags[i + 1 :] if one != other
    )
    return list(dict.fromkeys(bag for bag in pairs if len(bag) <= most))
