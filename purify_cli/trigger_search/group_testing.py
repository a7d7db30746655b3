"""Groups of words: which of them drive a model to a label, and which words of a group it takes.

Group testing: where several words are needed at once, no word shows alone, and no pair need either. A group of 40 words
holds 9,880 triples. A group that drives the model is shrunk to the words that do it: parts are left out,
halves first and single words last, as long as what remains still drives it (Zeller, Hildebrandt, "Simplifying and
Isolating Failure-Inducing Input", IEEE TSE 2002, for the idea; here many groups shrink side by side, each part of all
of them in one pass).
"""

import itertools
import math
from collections.abc import Callable, Sequence

import torch

from purify_cli.trigger_search.candidate import String

__all__ = ["covering_groups", "ddmin", "merge_groups", "random_groups"]


def random_groups(pool: Sequence[int], *, size: int, count: int, seed: int) -> list[String]:
    """Draw groups of different words at random.

    Args:
        pool: Words.
        size: Words per group; a smaller pool gives groups of all its words.
        count: Groups.
        seed: Decides all.
    """
    generator = torch.Generator().manual_seed(seed)
    return [
        tuple(pool[i] for i in torch.randperm(len(pool), generator=generator)[:size].tolist()) for _ in range(count)
    ]


def covering_groups(pool: Sequence[int], *, size: int, most: int, seed: int) -> list[String]:
    """Make groups so that every two words of a pool stand together in one: blocks of words, every two of them united.

    A random group of 40 out of 800 words holds a given pair once in 410: 780 random groups hold 85 % of the pairs, and
    780 that are made so hold every one.

    Args:
        pool: Words; of more than the groups can cover the first ones.
        size: Most words per group.
        most: Most groups.
        seed: Decides which words are in a block together.
    """
    half = max(1, size // 2)
    blocks = (1 + math.isqrt(1 + 8 * most)) // 2  # the most of which there are no more pairs
    words = list(pool[: half * blocks])
    generator = torch.Generator().manual_seed(seed)
    mixed = [words[i] for i in torch.randperm(len(words), generator=generator).tolist()]
    made = [tuple(mixed[i : i + half]) for i in range(0, len(mixed), half)]
    return [(*one, *other) for one, other in itertools.combinations(made, 2)]


def ddmin(
    groups: Sequence[String], drives: Callable[[Sequence[String], Sequence[int]], Sequence[bool]]
) -> list[String]:
    """Leave out words as long as the rest still drives the model.

    Args:
        groups: Each drives it.
        drives: Says of each group whether it does, told of which of ``groups`` it is what is left. Asked once per part,
            about all groups that have such a part.

    Returns:
        What is left of each group, in order, at least one word. Every word of it was needed when it was tried alone;
        words that were left out afterwards may have changed that.
    """
    left = list(groups)
    part = max((len(group) for group in left), default=0) // 2
    while part >= 1:
        at = [0] * len(left)
        while asked := [i for i, group in enumerate(left) if at[i] < len(group) and len(group) > part]:
            tried = [left[i][: at[i]] + left[i][at[i] + part :] for i in asked]
            for i, group, still in zip(asked, tried, drives(tried, asked), strict=True):
                if still:
                    left[i] = group  # the next part has moved up to this place
                else:
                    at[i] += part
        part //= 2
    return left


def merge_groups(groups: Sequence[String], *, most: int) -> list[String]:
    """Return every union of two different groups that has at most so many words, without repeats."""
    pairs = (
        tuple(dict.fromkeys((*one, *other)))
        for i, one in enumerate(groups)
        for other in groups[i + 1 :]
        if one != other
    )
    return list(dict.fromkeys(group for group in pairs if len(group) <= most))
