"""A bench whose method works on what a search finds: ``auto``, as ``purify purify`` does without ``--method``."""

import pytest

from tests.bench_worlds import BADWORD, BENCH, SURGERY, TASK, TUNING, stored, write_data, write_plan

DEFAULT = """
[[method]]
name = "auto"
label = "default"
ratios = [0.1]
"""

EXPLICIT = """
[[method]]
name = "unlearning"
ratios = [0.1]
"""


@pytest.fixture
def bench(run_cli, tiny_reference, tmp_path, monkeypatch):
    """Run a plan of these parts with sets of 24 rows per class; return rows and the report's text."""
    monkeypatch.setattr("purify_cli.bench.report.page.plots", lambda view: iter(()))

    def run(*parts):
        # Many passes, so that the word is learnt; 24 rows, so that half of them make a verdict.
        changed = [
            part.replace("clean_per_class = [8]", "clean_per_class = [24]").replace("epochs = 3", "epochs = 25")
            for part in parts
        ]
        plan = write_plan(tmp_path / "small.toml", tiny_reference, *changed)
        start = ["bench", "--plan", plan, "--data", write_data(tmp_path / "data"), "--work", tmp_path / "work"]
        code, out, err = run_cli([*start, "--format", "text"])
        assert code == 0, err
        return stored(tmp_path / "work/results/small.jsonl"), out

    return run


def test_what_the_search_flags_is_unlearnt_and_stands_in_the_report(bench):
    rows, out = bench(BENCH, TASK, BADWORD, TUNING, DEFAULT, EXPLICIT)
    looked = rows["search/moods/badword/s0/n24"]
    assert "test" not in looked["inputs"]
    flagged = [one["text"] for one in looked["result"]["facts"]["found"] if one["flagged"]]
    # Which words is the search's own concern (tests/trigger_search); a control of so small a world knows little.
    assert flagged
    assert looked["result"]["level"] in {"poisoned", "suspicious"}
    one, other = (rows[f"cell/moods/badword/s0/n24/{name}/0.1"]["result"] for name in ("default", "unlearning"))
    assert one["method"] == "unlearning"
    assert one == other
    assert "What the search found" in out
    assert f"| cf | {', '.join(flagged)} |" in out


def test_without_a_budget_every_ratio_of_the_plan_is_measured_and_none_is_chosen(bench):
    free = BENCH.replace("max_drops = [0.1, 1.0]", "max_drops = []")
    rows, out = bench(free, TASK, BADWORD, TUNING, DEFAULT.replace("[0.1]", "[0.0, 0.1]"))
    cells = {key.partition("n24/")[2]: row["result"]["reset"] for key, row in rows.items() if row["kind"] == "cell"}
    assert set(cells) == {"fine-tuning/-", "default/0.0", "default/0.1"}
    assert cells["default/0.0"] == 0 < cells["default/0.1"]
    assert not any(row["kind"] == "curve" for row in rows.values())
    assert "All ratios" in out
    assert "What is left at" in out
    assert "at 10 points" not in out


def test_where_nothing_is_flagged_the_default_falls_back_and_the_explicit_method_fails(bench, monkeypatch):
    monkeypatch.setattr("purify_cli.trigger_search.rule.SUSPICIOUS", 2.0)
    monkeypatch.setattr("purify_cli.trigger_search.rule.POISONED", 2.0)
    rows, _ = bench(BENCH, TASK, SURGERY, DEFAULT, EXPLICIT)
    assert rows["search/moods/surgery/s0/n24"]["result"]["level"] == "no-finding"
    assert rows["cell/moods/surgery/s0/n24/default/0.1"]["result"]["method"] == "fine-purifying"
    failed = rows["curve/moods/surgery/s0/n24/unlearning"]["failed"]
    assert failed["error"] == "DataError"
    assert "flagged no word" in failed["reason"]


def test_without_a_budget_a_method_without_a_word_fails_at_every_ratio_and_the_bench_goes_on(bench, monkeypatch):
    monkeypatch.setattr("purify_cli.trigger_search.rule.SUSPICIOUS", 2.0)
    monkeypatch.setattr("purify_cli.trigger_search.rule.POISONED", 2.0)
    free = BENCH.replace("max_drops = [0.1, 1.0]", "max_drops = []")
    short = TASK.replace("epochs = 3", "epochs = 1")
    rows, _ = bench(free, short, SURGERY, EXPLICIT.replace("[0.1]", "[0.1, 0.3]"), TUNING)
    for ratio in (0.1, 0.3):
        failed = rows[f"cell/moods/surgery/s0/n24/unlearning/{ratio}"]["failed"]
        assert failed["error"] == "DataError"
        assert "flagged no word" in failed["reason"]
    assert "result" in rows["cell/moods/surgery/s0/n24/fine-tuning/-"]
