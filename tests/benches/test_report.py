"""Reports of hand-made rows: what they say, what they leave out, and what they do to hostile names."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from purify_cli.bench.plan_file import parse_plan
from purify_cli.bench.report import page as bench_page
from purify_cli.bench.report.fixed import fixed_pairs, fixed_tables
from purify_cli.bench.report.found import found_table
from purify_cli.bench.report.overview import attack_tables, harm_by_attack, headline_tables, ratio_tables, suspect_table
from purify_cli.bench.report.page import MARKDOWN, PAGE, markdown, report_files
from purify_cli.bench.report.tables import (
    cost_table,
    detection_tables,
    failure_table,
    paired_tables,
    share,
    task_tables,
)
from purify_cli.bench.report.view import View

PLAN = """\
[bench]
name = "made up"
clean_per_class = [8]
max_drops = [0.1, 0.02]
[[task]]
name = "sst2"
[[attack]]
name = "badword"
trigger = "cf"
[[attack]]
name = "bias-word"
[[method]]
name = "fine-tuning"
[[method]]
name = "fine-mixing"
ratios = [0.1, 0.5]
"""

HOSTILE = '<script>alert(1)</script> & "quoted" | a\nb \x1b]0;owned\x07'


def packed(right, total):
    """Bits after a 1 that keeps leading zeros: the first rows are those that count."""
    return f"{int('1' + '1' * right + '0' * (total - right), 2):x}"


def counts(successes, total):
    return {"successes": successes, "total": total}


def measured(right, harmed, *, bias=False):
    """Ten rows, five of which can carry the trigger (of a bias: all ten)."""
    total = 10 if bias else 5
    return {
        "accuracy": counts(right, 10),
        "attack_success": counts(min(harmed, 5), 5),
        "bias_accuracy": counts(10 - harmed, 10) if bias else None,
        "target_rate": counts(0, 5),
        "per_class": [],
        "per_class_success": [],
        "trigger_lost": 0,
        "right": packed(right, 10),
        "harmed": packed(harmed, total),
    }


def row(kind, attack, result, *, method=None, ratio=None, detector=None, seed=0):
    parts = [kind, "sst2", attack, f"s{seed}"]
    parts += [] if kind == "suspect" else ["n8"]
    parts += [one for one in (detector, method) if one]
    parts += ["-" if ratio is None else str(ratio)] if kind == "cell" else []
    place = {"task": "sst2", "attack": attack, "seed": seed, "size": None if kind == "suspect" else 8}
    place |= {"method": method, "ratio": ratio, "detector": detector}
    outcome = result if "failed" in result else {"result": result}
    told = {"versions": {"purify-cli": "1", "torch": "2"}, "device": "cpu", "commit": None, "seconds": 6.0}
    return {"key": "/".join(parts), "kind": kind, "place": place, "suspect": "s", **outcome, **told}


def suspect(attack, *, bias=False):
    found = {"measured": measured(10, 10 if bias else 5, bias=bias), "twin": measured(10, 0, bias=bias), "bias": bias}
    found |= {"attack": attack, "rows": 1300, "poisoned": 300, "changed": None, "dimensions": 1000, "planted": None}
    found |= {"trigger": {"text": "cf"}}
    return row("suspect", attack, found)


def curve(attack, right):
    points = [{"ratio": ratio, "accuracy": counts(n, 10)} for ratio, n in right.items()]
    return row("curve", attack, {"baseline": counts(10, 10), "points": points, "stop_below": 0.1}, method="fine-mixing")


def plain(attack, cell):
    return [
        row("curve", attack, {"baseline": None, "points": None, "stop_below": None}, method="fine-tuning"),
        row("cell", attack, cell, method="fine-tuning"),
    ]


def badword():
    """Plain tuning leaves everything; mixing 0.1 leaves four in five, mixing 0.5 one in five at a point of accuracy."""
    mixing = [
        row("cell", "badword", measured(right, harmed), method="fine-mixing", ratio=ratio)
        for ratio, right, harmed in ((0.1, 10, 4), (0.5, 8, 1))
    ]
    return [suspect("badword"), *plain("badword", measured(10, 5)), curve("badword", {0.1: 10, 0.5: 9}), *mixing]


def biasword():
    mixing = [
        row("cell", "bias-word", measured(right, harmed, bias=True), method="fine-mixing", ratio=ratio)
        for ratio, right, harmed in ((0.1, 10, 6), (0.5, 9, 2))
    ]
    cells = [*plain("bias-word", measured(10, 8, bias=True)), curve("bias-word", {0.1: 10, 0.5: 9}), *mixing]
    return [suspect("bias-word", bias=True), *cells]


def view(*rows, plan=None):
    plan = plan or parse_plan(PLAN, "plan").as_record()
    return View({"plan": {"key": "plan", "kind": "plan", "result": plan}, **{one["key"]: one for one in rows}})


@pytest.fixture(scope="module")
def files():
    return report_files(view(*badword(), *biasword()))


def only(tables):
    (table,) = tables
    return table


def line(table, *begin):
    """The rest of the one row that begins so."""
    (found,) = [cells for cells in table.rows if cells[: len(begin)] == begin]
    return found[len(begin) :]


def test_a_report_is_tables_pictures_and_one_page(files):
    pictures = {"heat-n8-drop0.02", "heat-n8-drop0.1", "trade-sst2-n8", "ratio-sst2-n8"}
    assert files.keys() == {Path(MARKDOWN), Path(PAGE), *(Path("plots") / f"{name}.png" for name in pictures)}
    assert all(content.startswith(b"\x89PNG") for path, content in files.items() if path.suffix == ".png")
    assert files[Path(MARKDOWN)].decode().startswith("# Bench: made up\n")


def test_equal_rows_give_equal_bytes_in_whatever_order_they_were_measured(files):
    rows = [*badword(), *biasword()]
    assert report_files(view(*rows)) == files
    assert markdown(view(*reversed(rows))).encode() == files[Path(MARKDOWN)]


def test_the_page_needs_nothing_from_elsewhere(files):
    links = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attrs):
            links.extend((tag, name, value) for name, value in attrs if name in {"src", "href", "srcset", "data"})
            assert tag not in {"script", "link", "iframe", "object"}

    page = files[Path(PAGE)].decode()
    Parser().feed(page)
    assert len(links) == 4
    assert all(tag == "img" and value.startswith("data:image/png;base64,") for tag, _, value in links)
    assert "url(" not in page
    assert "@import" not in page


def test_tables_say_what_was_measured_at_the_ratio_that_the_budget_chooses():
    found = view(*badword())
    table = only(task_tables(found))
    assert table.title == "sst2, badword, 8 clean samples per class"
    assert line(table, "suspect, untreated")[2:4] == ("1.000 (0.722-1.000)", "1.000 (0.566-1.000)")
    assert line(table, "clean twin (floor)")[3] == "0.000 (0.000-0.434)"
    assert line(table, "fine-tuning")[:2] == ("-", "-")
    assert line(table, "fine-mixing", "2 points")[0:3] == ("0.1", "1.000 (0.722-1.000)", "0.800 (0.376-0.964)")
    assert line(table, "fine-mixing", "10 points")[0:3] == ("0.5", "0.800 (0.490-0.943)", "0.200 (0.036-0.624)")
    headline = only(headline_tables(found))
    assert line(headline, "fine-mixing", "2 points") == ("1.000", "0.800", "-")
    assert line(headline, "fine-mixing", "10 points") == ("0.800", "0.200", "-")


def test_a_bias_is_told_by_the_accuracy_under_its_pattern_and_harm_by_what_is_lost():
    found = view(*badword(), *biasword())
    assert harm_by_attack(found, 8, 0.1) == {
        "badword": {"suspect": 1.0, "fine-tuning": 1.0, "fine-mixing": 0.2, "twin": 0.0},
        "bias-word": {"suspect": 1.0, "fine-tuning": 0.8, "fine-mixing": 0.2, "twin": 0.0},
    }
    headline = only(headline_tables(found))
    assert headline.title == "2 suspects, 8 clean samples per class"
    # Attack success is a mean over backdoors alone, BACC one over biases alone.
    assert line(headline, "fine-mixing", "2 points") == ("1.000", "0.800", "0.400")
    left = next(attack_tables(found))
    assert left.head == ("attack", "suspect", "fine-tuning", "fine-mixing", "twin")
    assert line(left, "bias-word") == ("1.000 (1.000)", "0.800 (1.000)", "0.600 (1.000)", "0.000 (1.000)")


def test_methods_are_compared_row_by_row():
    strict, loose = paired_tables(view(*badword()))
    # right: only A, only B, p; harmed: only A, only B, p; suspects.
    assert line(strict, "fine-tuning", "fine-mixing") == ("0", "0", "1", "1", "0", "1", "1")
    assert line(loose, "fine-tuning", "fine-mixing") == ("2", "0", "0.5", "4", "0", "0.12", "1")


def test_every_ratio_that_was_measured_is_shown_and_one_that_was_not_is_a_dash():
    rows = [one for one in (*badword(), *biasword()) if one["key"] != "cell/sst2/bias-word/s0/n8/fine-mixing/0.5"]
    table = only(ratio_tables(view(*rows)))
    assert table.head == ("attack", "method", "0.1", "0.5")
    assert line(table, "badword", "fine-mixing") == ("0.800 (1.000)", "0.200 (0.800)")
    assert line(table, "bias-word", "fine-mixing") == ("0.600 (1.000)", "-")
    assert line(table, "mean of 2", "fine-mixing") == ("0.700 (1.000)", "-")


def test_where_nothing_passes_the_cell_of_ratio_0_counts():
    rows = [*badword()[:3], curve("badword", {0.1: 5, 0.5: 9})]
    assert view(*rows).chosen(view(*rows).conditions[0], "fine-mixing", 0.1) is None
    rows.append(row("cell", "badword", measured(10, 3), method="fine-mixing", ratio=0.0))
    ratio, cell = view(*rows).chosen(view(*rows).conditions[0], "fine-mixing", 0.1)
    assert ratio == 0.0
    assert cell["attack_success"] == counts(3, 5)


def test_what_is_missing_is_not_a_zero():
    found = view(*badword(), *biasword()[:3])
    assert "fine-mixing" not in harm_by_attack(found, 8, 0.1)["bias-word"]
    assert line(next(attack_tables(found)), "bias-word")[2] == "-"
    assert only(headline_tables(found)).title.startswith("1 suspects")
    told = [table for table in task_tables(found) if "bias-word" in table.title]
    assert [cells[0] for cells in only(told).rows] == ["suspect, untreated", "clean twin (floor)", "fine-tuning"]
    # An attack that nothing is known of is in no table, and no picture fails for want of it.
    assert "bias-word" not in "".join(re.findall(r"^[|#].*$", markdown(view(*badword())), flags=re.MULTILINE))
    assert Path("plots/heat-n8-drop0.1.png") in report_files(view(*badword(), *biasword()[:3]))


def test_a_report_of_no_rows_or_of_suspects_alone_is_a_report():
    for rows in ([], [suspect("badword")]):
        files = report_files(view(*rows))
        assert set(files) == {Path(MARKDOWN), Path(PAGE)}
    assert [cells[:2] for cells in only(suspect_table(view(suspect("badword")))).rows] == [("sst2", "badword")]


def test_what_failed_is_told_with_its_reason_and_counts_nowhere():
    diverged = {"failed": {"error": "TrainingDiverged", "reason": "training diverged: the loss is nan"}}
    failed = row("cell", "badword", diverged, method="fine-mixing", ratio=0.5)
    spoilt = row("suspect", "bias-word", diverged)
    found = view(*badword()[:-1], failed, spoilt)
    assert only(failure_table(found)).rows == tuple(
        (one["key"], "TrainingDiverged", "training diverged: the loss is nan") for one in (failed, spoilt)
    )
    assert found.chosen(found.conditions[0], "fine-mixing", 0.1) is None
    assert found.chosen(found.conditions[0], "fine-mixing", 0.02)[0] == 0.1
    assert "fine-mixing" not in harm_by_attack(found, 8, 0.1)["badword"]
    page = report_files(found)[Path(PAGE)].decode()
    assert failed["key"] in page
    assert "the loss is nan" in page
    assert list(failure_table(view(*badword()))) == []


def test_rows_of_other_settings_do_not_count():
    rows = {one["key"]: one | {"plan": "new"} for one in badword()}
    stale = "cell/sst2/badword/s0/n8/fine-mixing/0.1"
    rows[stale] = rows[stale] | {"plan": "old"}
    plan = {"key": "plan", "kind": "plan", "result": parse_plan(PLAN, "plan").as_record()}
    found = View({"plan": plan, **rows}, dict.fromkeys(rows, "new"))
    assert stale not in found.rows
    assert found.chosen(found.conditions[0], "fine-mixing", 0.02) is None


def test_detection_and_cost_are_told():
    figures = {"planted": 10, "dimensions": 1000, "mean_rank": 12.5, "auroc": 0.75}
    figures |= {"hits": {"0.01": 0.5, "0.001": 0.1}, "best_hits": {"0.01": 1.0, "0.001": 0.1}}
    found = view(*badword(), row("detection", "badword", figures, detector="drift"))
    told = line(only(detection_tables(found)), "sst2", "badword", "0", "8", "drift")
    assert told == ("12.50", "50.00 (of 100.00)", "10.00 (of 10.00)", "0.750", "10 / 1,000 = 0.01")
    assert line(only(cost_table(found)), "cell")[-2:] == ("3", "0.3")


def test_a_share_over_seeds_has_the_interval_of_one_seed_and_the_range_of_all():
    assert share([]) == share([None]) == "-"
    assert share([counts(4, 5)]) == "0.800 (0.376-0.964)"
    assert share([counts(4, 5), None, counts(2, 5)]) == "0.600 (0.231-0.882) [0.400-0.800]"


@pytest.fixture
def hostile():
    """Names and reasons as a results file from a stranger may hold them."""
    plan = parse_plan(PLAN, "plan").as_record()
    plan["bench"]["name"] = plan["attack"][0]["trigger"] = plan["method"][1]["label"] = HOSTILE
    reason = {"failed": {"error": HOSTILE, "reason": HOSTILE}}
    rows = [*badword()[:-1], row("cell", "badword", reason, method="fine-mixing", ratio=0.5)]
    rows[1]["device"] = HOSTILE
    return view(*rows, plan=plan)


def test_the_page_escapes_hostile_names(hostile, monkeypatch):
    monkeypatch.setattr(bench_page, "plots", lambda _: iter([("x", HOSTILE, b"")]))
    page = report_files(hostile)[Path(PAGE)].decode()
    assert "<script" not in page
    assert 'alt="&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;quoted&quot;' in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 6


def test_pictures_are_drawn_of_hostile_names(hostile):
    assert len(report_files(hostile)) == 6


def test_tables_for_a_terminal_keep_a_hostile_name_inside_its_cell(hostile):
    text = markdown(hostile)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "| <script" not in text
    blocks = re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
    for block in blocks:
        assert len({len(re.findall(r"\|", one)) for one in block.splitlines()}) == 1, block


def test_a_plan_without_a_budget_has_no_tables_of_choices_and_shows_ratio_0():
    plan = PLAN.replace("max_drops = [0.1, 0.02]", "max_drops = []").replace("[0.1, 0.5]", "[0.0, 0.1]")
    cells = [row("cell", "badword", measured(10, n), method="fine-mixing", ratio=r) for r, n in ((0.0, 5), (0.1, 4))]
    free = view(
        suspect("badword"), *plain("badword", measured(10, 5))[1:], *cells, plan=parse_plan(plan, "p").as_record()
    )
    for tables in (headline_tables, attack_tables, task_tables, paired_tables):
        assert list(tables(free)) == []
    table = only(ratio_tables(free))
    assert table.head == ("attack", "method", "0", "0.1")
    assert line(table, "badword", "fine-mixing") == ("1.000 (1.000)", "0.800 (1.000)")
    pictures = {str(path) for path in report_files(free) if path.suffix == ".png"}
    assert pictures == {"plots/trade-sst2-n8.png", "plots/ratio-sst2-n8.png"}


def test_at_one_ratio_nothing_is_chosen_and_what_needs_no_ratio_stands_as_it_is():
    small, large = fixed_tables(view(*badword(), *biasword()))
    assert (small.title, large.title) == tuple(
        f"What is left at ratio {ratio}, 8 clean samples per class" for ratio in ("0.1", "0.5")
    )
    assert small.head == ("task", "attack", "seeds", "suspect", "fine-tuning", "fine-mixing", "twin (floor)")
    assert line(small, "sst2", "badword")[3] == "0.800 (1.000)"
    assert line(large, "sst2", "badword")[3] == "0.200 (0.800)"
    assert line(small, "sst2", "bias-word")[2] == line(large, "sst2", "bias-word")[2]


def test_at_one_ratio_two_methods_are_compared_on_the_suspects_that_both_were_measured_on():
    small, large = fixed_pairs(view(*badword(), *biasword()))
    suspects, harm, more, accuracy = line(small, "fine-tuning", "fine-mixing")
    assert (suspects, more, accuracy) == ("2", "2 / 0", "+0.000 (+0.000 to +0.000)")
    assert harm == "+0.200 (+0.200 to +0.200)"  # 5 of 5 against 4 of 5, 8 of 10 against 6 of 10
    assert line(large, "fine-tuning", "fine-mixing")[1].startswith("+0.700 (+0.600 to +0.800)")
    alone, _ = fixed_pairs(view(*badword(), suspect("bias-word", bias=True), *plain("bias-word", measured(10, 8))))
    assert line(alone, "fine-tuning", "fine-mixing")[:2] == ("1", "+0.200")


def test_a_seed_that_one_method_lacks_is_in_no_mean_of_its_row():
    plan = PLAN.replace("clean_per_class = [8]", "clean_per_class = [8]\nseeds = [0, 1]")
    second = [
        row("suspect", "badword", suspect("badword")["result"] | {"measured": measured(5, 0)}, seed=1),
        row("cell", "badword", measured(1, 0), method="fine-tuning", seed=1),
    ]
    small, _ = fixed_tables(view(*badword(), *second, plan=parse_plan(plan, "plan").as_record()))
    assert line(small, "sst2", "badword")[:3] == ("1", "1.000 (1.000)", "1.000 (1.000)")


def word(text, own, control, *, flagged, strength=None):
    counted = {
        name: {"successes": n, "total": 10, "value": n / 10} for name, n in (("suspect", own), ("control", control))
    }
    return {"text": text, "flagged": flagged, "strength": strength, **counted}


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (
            {
                "facts": {"found": [word("cf", 10, 0, flagged=True, strength=1.0), word("bad", 7, 1, flagged=False)]},
                "level": "poisoned",
            },
            ("cf", "cf", "10 of 10", "0 of 10", "1", "poisoned"),
        ),
        (
            {
                "facts": {"found": [word("dull", 7, 6, flagged=False), word("bad", 7, 1, flagged=False)]},
                "level": "no-finding",
            },
            ("cf", "(bad)", "7 of 10", "1 of 10", "-", "nothing flagged"),
        ),
        (
            {
                "facts": {
                    "found": [
                        word("dull", 9, 0, flagged=False, strength=0.1),
                        word("bad", 7, 1, flagged=False, strength=0.3),
                    ]
                },
                "level": "no-finding",
            },
            ("cf", "(bad)", "7 of 10", "1 of 10", "0.3", "nothing flagged"),
        ),
        ({"facts": None, "missing": "too few rows", "level": None}, ("cf", "-", "-", "-", "-", "too few rows")),
    ],
)
def test_what_a_search_found_stands_beside_what_was_planted(result, told):
    found = view(*badword(), row("search", "badword", result))
    assert line(only(found_table(found)), "sst2", "badword", "0", "8") == told
    assert list(found_table(view(*badword()))) == []
