"""Tables and the model card, with names that an attacker chose."""

import io

import pytest
from pydantic import TypeAdapter
from rich.console import Console

from purify_cli.comparison.table import LabelTrigger, ModelMeasurement
from purify_cli.errors import printable
from purify_cli.evidence.verdict import Verdict
from purify_cli.inputs.identity import DataFacts, ModelFacts
from purify_cli.measures.intervals import Proportion
from purify_cli.purification.stages import ResetCounts
from purify_cli.purification.verification import UtilityChange
from purify_cli.records.base import Record
from purify_cli.records.evaluation import Evaluation
from purify_cli.records.purification import Purification
from purify_cli.report.card import model_card
from purify_cli.report.listing import Listing, show_part
from purify_cli.report.parts import line, percent
from purify_cli.report.tables import render

HOSTILE = [
    "\x1b]0;owned\x07",
    "\x9b31m",
    "[bold red]x[/]",
    "[/]",
    "[link=http://evil]",
    "\u202egnp.exe",
    "a\rb",
    "\x7f",
]

HALF = Proportion(successes=1, total=2, value=0.5, low=0.1, high=0.9)


def evaluation(name: str) -> Evaluation:
    facts = ModelFacts(path=name, sha256="s")
    one = ModelMeasurement(name=name, model=facts, accuracy=HALF, attack_success=HALF, target_rate=None, trigger_lost=3)
    return Evaluation(
        versions={},
        seed=0,
        run="/run",
        settings={},
        data=DataFacts(path=name, sha256="h", rows=2, per_label={}),
        trigger=LabelTrigger(text=name, position="start", target=1),
        models=[one],
    )


def purification(name: str) -> Purification:
    return Purification(
        versions={"purify-cli": "1"},
        seed=7,
        run="/run",
        settings={},
        suspect=ModelFacts(path="/suspect", sha256="aa"),
        reference=ModelFacts(path="/reference", sha256="bb"),
        data=None,
        method="fine-mixing",
        indicator="uniform",
        curvature=None,
        reset=ResetCounts(ratio=0.25, dimensions=8000, reset=2000, changed=1999, beyond_ratio=0, per_tensor={name: 3}),
        mask=None,
        training=None,
        utility=UtilityChange(
            measured_on="held-back clean samples", before=HALF, after=HALF, max_drop=None, within_budget=None
        ),
        output=ModelFacts(path=name, sha256="cc"),
        verdict=Verdict(level="incomplete", reasons=["this was not looked at"], not_measured=["a search"]),
    )


def shown(record: Record, *, terminal: bool = False) -> str:
    text = io.StringIO()
    console = Console(file=text, width=400, highlight=False, force_terminal=terminal, color_system=None)
    for part in render(record, verbose=True):
        show_part(console, part)
    return text.getvalue()


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
@pytest.mark.parametrize("make", [evaluation, purification])
@pytest.mark.parametrize("terminal", [False, True])
def test_names_are_shown_and_not_obeyed(name: str, make: type, *, terminal: bool) -> None:
    text = shown(make(name), terminal=terminal)
    assert all(sign.isprintable() or sign == "\n" for sign in text)
    if "[" in name and name.isprintable():
        assert name in text, "brackets are no markup"


def test_a_share_of_nothing_is_a_dash() -> None:
    assert percent(None) == "-"
    with pytest.raises(ValueError, match="valid number"):  # a share of nothing is no share: it is left out as None
        TypeAdapter(Proportion).validate_python({"successes": 0, "total": 0, "value": None, "low": None, "high": None})
    assert percent(HALF) == "50.0 % (10.0-90.0)"


def test_the_card_states_the_records_figures_and_its_limits() -> None:
    record = purification("w")
    card = model_card(record)
    for expected in ("/suspect", "`aa`", "/reference", "`bb`", "2,000 of 8,000", "25.0%", "1,999", percent(HALF)):
        assert expected in card
    for sentence in (*record.verdict.reasons, *record.verdict.not_measured):
        assert sentence in card
    assert card.startswith("---\n")
    assert card.split("---\n")[2].lstrip().startswith("# ")


def test_the_card_claims_nothing_that_was_not_done() -> None:
    card = model_card(purification("w").model_copy(update={"utility": None}))
    assert "fine-tuning:" not in card
    assert "clean accuracy" not in card
    assert "clean data:" not in card


LONG = "bert.encoder.layer.11.attention.self.query.weight"


def lines(part: object, width: int) -> list[str]:
    text = io.StringIO()
    show_part(Console(file=text, width=width, highlight=False), part)
    return text.getvalue().splitlines()


def test_a_listing_that_fits_has_columns() -> None:
    table = Listing("tensor", "moved", "why", sentences=2)
    table.add("a", "1 %", "because it did")
    assert lines(table, 80) == ["tensor  moved  why", "a       1 %    because it did"]


def test_a_sentence_is_broken_between_words_and_a_name_nowhere() -> None:
    table = Listing("tensor", "why", sentences=1)
    table.add(LONG, "a buffer: equal in both and left out of the comparison")
    assert lines(table, 80)[1:] == [
        f"{LONG}  a buffer: equal in both and",
        f"{' ' * len(LONG)}  left out of the comparison",
    ]
    assert lines(table, 60) == [LONG, "    why: a buffer: equal in both and left out of the", "    comparison"]


def test_a_name_inside_a_sentence_is_not_broken_either() -> None:
    table = Listing("sign", "what", sentences=1)
    table.add("spectrum" * 6, f"most in {LONG} as before")
    assert lines(table, 80) == ["spectrum" * 6, f"    what: most in {LONG} as before"]


@pytest.mark.parametrize("width", [20, 40, 80, 120])
def test_no_width_breaks_a_name(width: int) -> None:
    table = Listing("tensor", "dimensions", "moved", "drift", "in top 1 %")
    table.add(LONG, "589,824", "100.0 %", "0.0123", "3.2 %")
    table.add("京" * 30, "1", "2", "3", "4")
    shown = lines(table, width)
    for name in (LONG, "京" * 30):
        assert sum(row.startswith(name) for row in shown) == 1
    assert lines(line(f"wrote /tmp/{LONG} and {LONG}/x"), 30) == ["wrote", f"/tmp/{LONG}", "and", f"{LONG}/x"]


@pytest.mark.parametrize("width", [40, 400])
@pytest.mark.parametrize("name", HOSTILE)
def test_headings_are_shown_and_not_obeyed(name: str, width: int) -> None:
    table = Listing("steps", name, ":smile:")
    table.add(name, name, "[bold]")
    text = "\n".join(lines(table, width))
    assert printable(name) in text
    assert ":smile:" in text
    assert "[bold]" in text
    assert all(letter.isprintable() for letter in text if letter != "\n")
