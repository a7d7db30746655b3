"""What holds the parts together: tables, documentation, exports, sizes, and the lean start."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from purify_cli.attacks import ATTACKS
from purify_cli.cli.app import COMMANDS
from purify_cli.defences import METHODS
from purify_cli.indicators import INDICATORS
from purify_cli.records.kinds import RECORDS

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "purify_cli"
DOCS = ROOT / "docs"
MODULES = sorted(PACKAGE.rglob("*.py"))
TABLES = {"method": METHODS, "attack": ATTACKS, "indicator": INDICATORS}
LINES = 300


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def exported(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        target = (
            node.targets[0]
            if isinstance(node, ast.Assign)
            else node.target
            if isinstance(node, ast.AnnAssign)
            else None
        )
        if isinstance(target, ast.Name) and target.id == "__all__":
            return [element.value for element in node.value.elts]
    return None


def defined(tree: ast.Module) -> set[str]:
    """Public functions and classes that a module defines itself."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")}


def bound(tree: ast.Module) -> set[str]:
    names = {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    names |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    names |= {a.asname or a.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for a in node.names}
    return names


def isort_style(name: str) -> tuple[int, list[str | int], str]:
    """Constants, then classes, then functions; runs of digits count as numbers."""
    kind = 0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2
    return kind, [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)], name


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_all_is_complete_and_sorted(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if len(tree.body) == 1:
        return  # a package that is a docstring
    names = exported(tree)
    assert names is not None, "no __all__"
    assert names == sorted(names, key=isort_style)
    assert len(names) == len(set(names))
    if path == PACKAGE / "__init__.py":
        return  # its names are imported on first use; see the test below
    assert set(names) <= bound(tree), "names something that is not there"
    assert defined(tree) <= set(names), "leaves something public out"


def test_every_public_name_of_the_package_is_there_and_documented() -> None:
    import purify_cli

    for name in purify_cli.__all__:
        assert getattr(purify_cli, name).__doc__, name
    assert set(purify_cli.__all__) <= set(dir(purify_cli))
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = purify_cli.no_such_name


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_module_is_long(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LINES, f"{lines} lines"


def test_every_module_says_what_it_is() -> None:
    silent = [name_of(path) for path in MODULES if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))]
    assert silent == []


def test_every_row_has_a_page_and_every_page_a_row() -> None:
    rows = [name for table in TABLES.values() for name in table]
    assert len(rows) == len(set(rows)), "two tables share a name, and so a page"
    # The student is what several methods work with, and no row of its own.
    assert {page.stem for page in (DOCS / "methods").glob("*.md")} == {*rows, "student"}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, table in TABLES.items() for name in table])
def test_a_row_loads_and_its_page_tells_the_same_story(kind: str, name: str) -> None:
    table = TABLES[kind]
    entry, row = table.entry(name), table[name]
    page = (DOCS / "methods" / f"{name}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {name}\n")
    assert f"({name}.md)" in (DOCS / "index.md").read_text(encoding="utf-8").replace("methods/", "")
    assert "| purification |" in page if kind == "method" else f"| {kind} |" in page
    for paper in re.findall(r"arXiv:\d{4}\.\d{5}", entry.source):
        assert paper in page
    settings = set(getattr(row, "defaults", {})) | set(getattr(row, "settings", {}))
    assert [setting for setting in sorted(settings) if f"`{setting}`" not in page] == []


def test_the_import_linter_keeps_every_row_apart() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    apart = next(contract["modules"] for contract in contracts if contract["type"] == "independence")
    rows = {table.entry(name).target.partition(":")[0] for table in TABLES.values() for name in table}
    assert set(apart) == rows


def test_every_command_is_in_the_reference_and_in_the_readme_or_tutorial() -> None:
    reference = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
    told = (ROOT / "README.md").read_text(encoding="utf-8") + (DOCS / "tutorial.md").read_text(encoding="utf-8")
    for command in COMMANDS:
        assert f"\n## purify {command}\n" in reference
        assert f"purify {command}" in told


def test_every_record_has_a_schema_in_the_docs() -> None:
    assert {path.stem for path in (DOCS / "reference" / "schemas").glob("*.json")} == set(RECORDS)


def test_every_option_that_the_docs_show_exists() -> None:
    reference = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
    known = set(re.findall(r"--[a-z][a-z-]*", reference))
    unknown = {}
    for page in [ROOT / "README.md", *(DOCS.glob("*.md")), *(DOCS / "methods").glob("*.md")]:
        if page.name == "grid.md":  # also shows the options of the script that writes it
            continue
        for line in page.read_text(encoding="utf-8").splitlines():
            for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", line if "purify " in line or "`--" in line else ""):
                if option not in known:
                    unknown.setdefault(option, name_of(page))
    assert unknown == {}


def test_links_between_pages_lead_somewhere() -> None:
    broken = []
    for page in [ROOT / "README.md", *DOCS.rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not (page.parent / target).exists():
                broken.append(f"{name_of(page)}: {target}")
    assert broken == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["methods"], 0),
        (["methods", "--format", "text"], 0),
        *(([command, "--help"], 0) for command in COMMANDS),
        (["no-such-command"], 2),
        (["detect", "--no-such-option"], 2),
        (["purify", "--ratio", "abc"], 2),
        (["purify", "--set", "nonsense"], 2),
        (["purify", "--method", "no-such-method"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_the_start_is_lean(arguments: list[str], code: int, tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from purify_cli.cli.app import main\n"
        f"code = main({arguments!r})\n"
        "heavy = {'torch', 'transformers', 'datasets', 'accelerate', 'scipy', 'pandas'} & set(sys.modules)\n"
        "sys.exit(f'imported {sorted(heavy)}' if heavy else code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == code, done.stderr
    assert "imported" not in done.stderr
    assert list(tmp_path.iterdir()) == []
