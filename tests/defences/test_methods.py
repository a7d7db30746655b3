import subprocess
import sys

import pytest

from purify_cli.defences import METHODS
from purify_cli.errors import UnknownName
from purify_cli.protocols import Repair


@pytest.mark.parametrize("name", METHODS)
def test_every_row_is_a_sound_repair(name: str) -> None:
    from purify_cli.indicators import INDICATORS

    repair = METHODS[name]
    assert isinstance(repair, Repair)
    assert 0 <= repair.ratio <= 1
    assert (repair.indicator is None) == (repair.ratio == 0)
    assert repair.replacement in ("reference", "posterior")
    if repair.indicator is not None:
        indicator = INDICATORS[repair.indicator]
        assert repair.settings.keys() <= indicator.defaults.keys()
        assert all(type(value) is type(indicator.defaults[key]) for key, value in repair.settings.items())
    entry = METHODS.entry(name)
    assert entry.source == "own" or entry.source.startswith("arXiv:")


def test_the_published_rows() -> None:
    rows = {name: (METHODS[name].indicator, METHODS[name].replacement, METHODS[name].ratio) for name in METHODS}
    assert rows == {
        "fine-purifying": ("drift-curvature", "reference", 0.3),
        "fine-mixing": ("uniform", "reference", 0.3),
        "fine-tuning": (None, "reference", 0.0),
    }
    assert METHODS["fine-purifying"].settings == {"degenerate": "guard"}


def test_a_misspelt_method_gets_a_near_match() -> None:
    with pytest.raises(UnknownName) as refused:
        METHODS["fine-purify"]
    assert "fine-purifying" in refused.value.hint


def test_the_table_is_listed_without_torch() -> None:
    code = "import sys; from purify_cli.defences import METHODS; list(METHODS); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
