import subprocess
import sys

import pytest

from purify_cli.defences import METHODS
from purify_cli.errors import UnknownName
from purify_cli.protocols import ResetDefence, WeightDefence


@pytest.mark.parametrize("name", METHODS)
def test_every_row_is_a_sound_method(name: str) -> None:
    from purify_cli.indicators import INDICATORS

    method = METHODS[name]
    if isinstance(method, ResetDefence):
        assert 0 <= method.ratio <= 1
        assert (method.indicator is None) == (method.ratio == 0)
        assert method.replacement in ("reference", "posterior")
        if method.indicator is not None:
            indicator = INDICATORS[method.indicator]
            assert method.settings.keys() <= indicator.defaults.keys()
            assert all(type(value) is type(indicator.defaults[key]) for key, value in method.settings.items())
    else:
        assert isinstance(method, WeightDefence)
        assert method.name == name
        assert method.ratio is None or 0 < method.ratio <= 1
        assert method.check({}) == dict(method.defaults)
    entry = METHODS.entry(name)
    assert entry.source == "own" or entry.source.startswith("arXiv:")


def test_the_published_rows() -> None:
    rows = {name: METHODS[name] for name in METHODS}
    repairs = {
        name: (row.indicator, row.replacement, row.ratio) for name, row in rows.items() if isinstance(row, ResetDefence)
    }
    assert repairs == {
        "unlearning": ("attribution", "reference", 0.1),
        "fine-purifying": ("drift-curvature", "reference", 0.3),
        "fine-mixing": ("uniform", "reference", 0.3),
        "fine-tuning": (None, "reference", 0.0),
        "graft": ("drift-curvature", "reference", 0.1),
        "relearn": ("uniform", "reference", 1.0),
        "nad": (None, "reference", 0.0),
    }
    assert METHODS["fine-purifying"].settings == {"degenerate": "guard"}
    reworks = {name: (row.ratio, dict(row.defaults)) for name, row in rows.items() if isinstance(row, WeightDefence)}
    assert reworks == {
        "e-pur": (None, {"rows": 200, "floor": 20, "frequencies": "wordfreq"}),
        "fine-pruning": (0.3, {"frozen": True, "pooler": True}),
        "weight-average": (None, {}),
    }
    assert repairs.keys() | reworks.keys() == METHODS.keys()


def test_a_misspelt_method_gets_a_near_match() -> None:
    with pytest.raises(UnknownName) as refused:
        METHODS["fine-purify"]
    assert "fine-purifying" in refused.value.hint


def test_the_table_is_listed_without_torch() -> None:
    code = "import sys; from purify_cli.defences import METHODS; list(METHODS); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
