from importlib.resources import files

import pytest

from purify_cli.bench.grid import suspects_of
from purify_cli.bench.plan_file import PLANS, load_plan, parse_plan
from purify_cli.errors import UsageError

PLAN = """\
[bench]
name = "trial"            # line 2
seeds = [0, 1]
clean_per_class = [16, 4]

[[task]]
name = "sst2"             # line 7

[[task]]
name = "qnli"             # line 10

[[attack]]
name = "badword"          # line 13

[[attack]]
name = "bias-word"        # line 16
rate = 0.2

[[method]]
name = "fine-tuning"      # line 20

[[method]]
name = "fine-mixing"      # line 23
ratios = [0.1, 0.3]
settings = { learning_rate = 1e-4 }

[[method]]
name = "e-pur,fine-mixing"
"""


@pytest.mark.parametrize("name", PLANS)
def test_every_shipped_plan_loads_under_its_own_name_and_asks_for_something(name):
    plan = load_plan(name)
    assert plan.bench.name == name
    assert list(suspects_of(plan, {}))


def test_every_plan_in_the_package_is_listed():
    shipped = {entry.name for entry in (files("purify_cli") / "plans").iterdir()}
    assert {f"{name}.toml" for name in PLANS} == {name for name in shipped if name.endswith(".toml")}


def test_a_plan_is_read_from_a_file_and_survives_a_round_trip(tmp_path):
    (tmp_path / "own.toml").write_text(PLAN)
    plan = load_plan(str(tmp_path / "own.toml"))
    assert [method.title for method in plan.method] == ["fine-tuning", "fine-mixing", "e-pur + fine-mixing"]
    assert plan.method[1].ratios == (0.1, 0.3)
    assert plan.attack[1].rate == 0.2
    assert type(plan).model_validate(plan.as_record()) == plan


@pytest.mark.parametrize(
    ("old", "new", "said", "hint"),
    [
        # Unknown keys and sections.
        ("rate = 0.2", "rat = 0.2", "line 17: unknown key 'rat' in [attack]", "Did you mean rate?"),
        ("seeds = [0, 1]", "seed = [0, 1]", "line 3: unknown key 'seed' in [bench]", "Did you mean seeds?"),
        ("rate = 0.2", "zzz = 0.2", "line 17: unknown key 'zzz' in [attack]", "Known keys: name, label"),
        ("ratios = [0.1, 0.3]", "ratio = 0.1", "line 24: unknown key 'ratio' in [method]", "Did you mean ratios?"),
        (
            "[bench]",
            "[colours]\nred = 1\n\n[bench]",
            "line 1: unknown section 'colours'",
            "bench, task, attack, method",
        ),
        # Unknown names.
        ('"badword" ', '"badwort" ', "line 13: there is no attack named 'badwort'", "badword"),
        ('"fine-tuning" ', '"fine-tunign" ', "line 20: there is no method named 'fine-tunign'", "fine-tuning"),
        ('"e-pur,fine-mixing"', '"e-pur,fine-mixin"', "line 28: there is no method named 'fine-mixin'", "fine-mixing"),
        (
            "ratios = [0.1, 0.3]",
            'indicator = "uniforn"',
            "line 24: there is no indicator named 'uniforn'",
            "Did you mean uniform",
        ),
        ("rate = 0.2", 'tasks = ["sst3"]', "line 17: the plan has no task 'sst3'", "Did you mean sst2?"),
        ("rate = 0.2", "seeds = [7]", "line 17: the plan has no seed 7", "There are: 0, 1."),
        (
            "ratios = [0.1, 0.3]",
            'attacks = ["badsent"]',
            "line 24: the plan has no attack 'badsent'",
            "badword",
        ),
        ("ratios = [0.1, 0.3]", "clean_per_class = [8]", "line 24: the plan has no clean set of size 8", "16, 4"),
        # Values out of range, and of another type.
        ("rate = 0.2", "rate = 1.5", "line 17: attack.rate", "shipped plans"),
        ("rate = 0.2", 'rate = "much"', "line 17: attack.rate", "shipped plans"),
        ("rate = 0.2", "learning_rate = nan", "line 17: attack.learning_rate", "shipped plans"),
        ("seeds = [0, 1]", "seeds = []", "line 3: bench.seeds", "shipped plans"),
        ("seeds = [0, 1]", "folds = 1", "line 3: bench.folds", "shipped plans"),
        ('name = "trial" ', 'name = "a/b" ', "line 2: bench.name", "shipped plans"),
        ("ratios = [0.1, 0.3]", "ratios = [0.3, 0.1]", "line 24: the ratios do not ascend", "smallest first"),
        ("ratios = [0.1, 0.3]", "ratios = [0.1, 0.1]", "line 24: the ratios do not ascend", "each once"),
        ("ratios = [0.1, 0.3]", "ratios = [-0.1, 0.3]", "line 24: method.ratios", "shipped plans"),
        ("ratios = [0.1, 0.3]", "ratios = []", "line 24: method.ratios", "shipped plans"),
        # Missing and doubled.
        ('name = "bias-word" ', "# ", "line 15: attack.name is missing", "shipped plans"),
        ('"qnli" ', '"sst2" ', "line 9: two [[task]] are called 'sst2'", "label"),
        ('"bias-word" ', '"badword" ', "line 15: two [[attack]] are called 'badword'", "label"),
        ('"fine-mixing" ', '"fine-tuning" ', "line 22: two [[method]] are called 'fine-tuning'", "label"),
        ("rate = 0.2", 'label = "clean"', "line 15: 'clean' is the name of the twin", "another label"),
        ("[bench]", "[bench", "is not TOML", "shipped plan"),
    ],
)
def test_what_is_wrong_is_named_with_its_line_and_a_hint(old, new, said, hint):
    assert PLAN.count(old) == 1
    with pytest.raises(UsageError) as refused:
        parse_plan(PLAN.replace(old, new), "own.toml")
    assert str(refused.value).startswith("own.toml")
    assert said in str(refused.value)
    assert hint in refused.value.hint


def test_the_same_method_twice_is_two_methods_where_a_label_tells_them_apart():
    labelled = PLAN.replace('"fine-tuning" ', '"fine-mixing"\nlabel = "mixing without a grid"')
    titles = [method.title for method in parse_plan(labelled, "own.toml").method]
    assert titles == ["mixing without a grid", "fine-mixing", "e-pur + fine-mixing"]


def test_a_plan_that_is_not_there_or_no_text_gets_a_near_match(tmp_path):
    with pytest.raises(UsageError, match="the plan quik cannot be read: No such file") as refused:
        load_plan("quik")
    assert refused.value.hint == "Did you mean quick?"
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="it is not UTF-8 text"):
        load_plan(str(tmp_path / "bytes"))
