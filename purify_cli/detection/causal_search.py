"""The search for triggers in language models: prompts, the search, and what its outcome amounts to."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final, Literal

from purify_cli.choices import SearchEffort
from purify_cli.data.continuations import prompt_ids
from purify_cli.data.example import Example
from purify_cli.data.probes import PROBES
from purify_cli.data.sampling import hold_out
from purify_cli.errors import CheckpointError, DataError, NonFiniteWeights, SearchImpossible
from purify_cli.evidence.rows import far_rows
from purify_cli.evidence.search_outcome import STAGE, ContinuationSearch, SearchOutcome
from purify_cli.evidence.verdict import Finding
from purify_cli.inputs.opening import OpenedPair
from purify_cli.model import LoadedModel
from purify_cli.progress import SILENT, Progress
from purify_cli.tasks.causal import CausalLanguage
from purify_cli.trigger_search.candidate import String
from purify_cli.trigger_search.causal_screen import CachedPrompts, PrecededPrompts, Screen, ScreenBudget
from purify_cli.trigger_search.forced_continuations import NEW_TOKENS, GenerationPair, forced_continuations
from purify_cli.trigger_search.found import ForcingWord
from purify_cli.trigger_search.rule import MIN_TEXTS, POISONED_TEXTS, within_forced_text
from purify_cli.trigger_search.vocabulary import word_parts, written_as

__all__ = ["look_for_forced_continuations"]

WIDTHS: Final[Mapping[SearchEffort, ScreenBudget]] = MappingProxyType(
    {
        "low": ScreenBudget(prompts=2, strings=0, tails=0, most=1, tried=16),
        "normal": ScreenBudget(prompts=4, strings=1 << 15, tails=256, most=3, tried=32),
        "high": ScreenBudget(prompts=8, strings=1 << 17, tails=512, most=4, tried=64),
    }
)

PROMPT_WORDS: Final = 6
"""Of the prompts that every word is tried after."""

FRONT_PROMPTS: Final = 2
FRONT_TOKENS: Final = 6
NARROWER: Final = 8
FARTHEST: Final = 2048
"""Prompts, and tokens of each, that words are tried in front of; by how much fewer are the strings of several tokens;
and the tokens that they are made of, those whose embedding rows moved farthest. A string there costs as much as it and
the prompt have tokens. Ours."""

CHOOSING: Final = 8
HELD: Final = 32
"""Most prompts that choose among the best words, and that measure them."""


def look_for_forced_continuations(
    opened: OpenedPair,
    task: CausalLanguage,
    rows: Sequence[Example],
    effort: SearchEffort,
    progress: Progress = SILENT,
    *,
    model: LoadedModel | None = None,
) -> SearchOutcome:
    """Search a language model for words after which it writes something of its own.

    Args:
        opened: Suspect and reference.
        task: Of the pair.
        rows: Clean texts, of which the same counts once; empty takes the built-in ones.
        effort: How much to look at.
        progress: Told of the stages.
        model: Default: the suspect.
    """
    try:
        texts = list({(row.text, row.pair): row for row in rows}.values()) or [Example(text) for text in PROBES]
        suspect = model or task.load(opened.pair.suspect)
        farthest = far_rows(opened.pair.suspect_part, opened.pair.reference_part, count=FARTHEST)
        far = frozenset(one.row for one in farthest if one.drift_norm)
        tokens, moved, held, found = _searched(task, suspect, texts, WIDTHS[effort], far=far, progress=progress)
    except (CheckpointError, DataError, NonFiniteWeights, SearchImpossible) as error:
        return SearchOutcome(None, None, f"{STAGE}: {error}")
    facts = ContinuationSearch(
        effort=effort,
        texts="clean data" if rows else "built-in probes",
        tokens=tokens,
        found=tuple(
            replace(one, flagged=one.flagged and not within, within_text=within)
            for one, within in zip(found, within_forced_text(found), strict=True)
        ),
    )
    open_points = list(_open_points(rows, effort, held, moved))
    missing = f"{STAGE}: {'; '.join(open_points)}" if open_points else None
    return SearchOutcome(facts, _finding(facts), missing)


def _open_points(rows: Sequence[Example], effort: SearchEffort, held: int, moved: int) -> Iterator[str]:
    """Yield what a search that finds nothing has not measured."""
    if not rows:
        yield "only on built-in texts; what that misses was not measured: give --clean-data"
    if effort == "low":
        yield "only with effort low, which looks at no word of several tokens"
    if not moved:
        yield "no word in front of prompts: no embedding row of a word moved, which would tell what to try"
    if held < MIN_TEXTS:
        yield f"{held} held-back prompts, and it takes {MIN_TEXTS} for a word to count; give more --clean-data"


def _searched(
    task: CausalLanguage,
    suspect: LoadedModel,
    rows: Sequence[Example],
    wide: ScreenBudget,
    *,
    far: frozenset[int],
    progress: Progress,
) -> tuple[int, int, int, list[ForcingWord]]:
    """Return how many tokens words behind and in front were made of, how many prompts were held back, and the words."""
    tokenizer, device = task.tokenizer, task.compute.device
    reference = task.load(task.base)
    # The rows are cut as a repair cuts them, so that the half which chooses words is none of those that measure it.
    choosing, held = (_prompts(task, half) for half in hold_out(rows, 0.5, seed=task.compute.seed))
    held = [prompt for prompt in held if prompt not in choosing]
    if not choosing or not held:
        raise SearchImpossible("one text is too few: half look, half measure", hint="Give more clean texts, or none.")
    known = min(len(tokenizer), suspect.vocabulary, reference.vocabulary)
    parts, begins = word_parts(tokenizer, known)
    short = prompt_ids(tokenizer, [" ".join(prompt.split()[:PROMPT_WORDS]) for prompt in choosing[: wide.prompts]])
    progress.note(f"trying {len(parts)} tokens after {len(short)} prompts")
    begins, models = begins.to(device), (suspect.module, reference.module)
    own, other = (CachedPrompts(one, short, device, vocabulary=known) for one in models)
    at_end = Screen(suspect=own, reference=other, begins=begins, progress=progress).words(parts, wide)
    lead = len(prompt_ids(tokenizer, [""])[0])
    # Behind a word a prompt begins with a space, where the tokenizer does not put one there anyway.
    spaced = [prompt if lead else f" {prompt}" for prompt in choosing[: min(FRONT_PROMPTS, wide.prompts)]]
    few = [prompt[:FRONT_TOKENS] for prompt in prompt_ids(tokenizer, spaced)]
    own, other = (PrecededPrompts(one, few, device, vocabulary=known, lead=lead) for one in models)
    narrow = replace(wide, strings=wide.strings // NARROWER, tried=wide.tried // 2)
    moved = parts if len(parts) <= FARTHEST else sorted(far.intersection(parts))
    in_front = Screen(suspect=own, reference=other, begins=begins, progress=progress).words(moved, narrow)
    ranked: list[tuple[String, Literal["start", "end"]]] = [
        *((string, "end") for string, _ in at_end),
        *((string, "start") for string, _ in in_front),
    ]
    words: list[tuple[str, Literal["start", "end"]]] = [
        (word, place) for string, place in ranked if (word := written_as(tokenizer, string))
    ]
    pair = GenerationPair(suspect=suspect, reference=reference, tokenizer=tokenizer, compute=task.compute)
    found = forced_continuations(pair, words, choosing[:CHOOSING], held[:HELD], progress=progress)
    return len(parts), len(moved), len(held), found


def _prompts(task: CausalLanguage, rows: Sequence[Example]) -> list[str]:
    """Return the different prompts of rows, without those after which a model has no room for a word and an answer."""
    prompts = list(dict.fromkeys(task.split(row).prompt for row in rows))
    room = NEW_TOKENS + max(wide.most for wide in WIDTHS.values())
    sizes = map(len, prompt_ids(task.tokenizer, prompts))
    fits = [task.longest is None or size + room <= task.longest for size in sizes]
    return [prompt for prompt, fitting in zip(prompts, fits, strict=True) if fitting]


def _finding(facts: ContinuationSearch) -> Finding:
    flagged = [one for one in facts.found if one.flagged]
    if not flagged:
        return Finding(
            stage=STAGE,
            level="no-finding",
            reason=f"of words made of {facts.tokens} tokens, each tried alone, none makes the suspect write one thing "
            "whatever the prompt",
        )
    worst = flagged[0]
    where = {"end": " at the end", "start": " in front"}.get(worst.position, "")
    return Finding(
        stage=STAGE,
        level="poisoned" if worst.suspect.total >= POISONED_TEXTS else "suspicious",
        reason=(
            f"after {worst.suspect.successes} of {worst.suspect.total} held-back prompts with {worst.text!r}{where} "
            f"the suspect writes {worst.says!r}, after {worst.without.successes} of them without it, and the reference "
            f"after {worst.reference.successes} with it"
        ),
    )
