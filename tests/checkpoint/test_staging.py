import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from purify_cli.checkpoint import staged_folder, write_text
from purify_cli.checkpoint.places import recover
from purify_cli.errors import OutputExists, StorageError


def old_result(target: Path) -> Path:
    target.mkdir()
    (target / "config.json").write_text("old")
    return target


def fill(folder: Path) -> None:
    (folder / "config.json").write_text("new")
    (folder / "inner").mkdir()
    (folder / "inner" / "more").write_text("new")


def content(parent: Path) -> dict[str, str]:
    return {str(path.relative_to(parent)): path.read_text() for path in sorted(parent.rglob("*")) if path.is_file()}


def test_the_folder_appears_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "run" / "purified"
    with staged_folder(target, overwrite=False) as aside:
        assert aside.parent == target.parent
        assert not target.exists()
        fill(aside)
    assert content(tmp_path) == {"run/purified/config.json": "new", "run/purified/inner/more": "new"}


def test_an_old_result_is_replaced_whole(tmp_path: Path) -> None:
    target = old_result(tmp_path / "out")
    (target / "vocab.txt").write_text("old")
    with staged_folder(target, overwrite=True) as aside:
        fill(aside)
        assert (target / "config.json").read_text() == "old"
    assert content(tmp_path) == {"out/config.json": "new", "out/inner/more": "new"}


def test_an_empty_folder_is_nothing_to_protect(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with staged_folder(tmp_path / "out", overwrite=False) as aside:
        fill(aside)
    assert (tmp_path / "out" / "config.json").read_text() == "new"


def test_a_link_is_followed(tmp_path: Path) -> None:
    real = old_result(tmp_path / "real")
    (tmp_path / "link").symlink_to(real)
    with staged_folder(tmp_path / "link", overwrite=True) as aside:
        fill(aside)
    assert (tmp_path / "link").is_symlink()
    assert (real / "config.json").read_text() == "new"


def _file(target: Path) -> None:
    target.write_text("old")


def _stranger(target: Path) -> None:
    target.mkdir()
    (target / "thesis.tex").write_text("old")


PROTECTED: dict[str, tuple[Callable[[Path], object], bool, str]] = {
    "a result, not to be overwritten": (old_result, False, "exists"),
    "a file": (_file, False, "is a file"),
    "a file, to be overwritten": (_file, True, "is a file"),
    "something else": (_stranger, False, "no file of a model"),
    "something else, to be overwritten": (_stranger, True, "no file of a model"),
}


@pytest.mark.parametrize("case", PROTECTED)
def test_what_is_there_is_protected(case: str, tmp_path: Path) -> None:
    make, overwrite, message = PROTECTED[case]
    make(tmp_path / "out")
    before = content(tmp_path)
    with pytest.raises(OutputExists, match=message), staged_folder(tmp_path / "out", overwrite=overwrite):
        pytest.fail("the block must not be entered")
    assert content(tmp_path) == before


def replace(target: Path, error: BaseException) -> None:
    with staged_folder(target, overwrite=True) as aside:
        fill(aside)
        raise error


@pytest.mark.parametrize("error", [KeyError("x"), KeyboardInterrupt(), RuntimeError("x")])
def test_any_failure_leaves_the_old_one_and_nothing_else(error: BaseException, tmp_path: Path) -> None:
    with pytest.raises(type(error)):
        replace(old_result(tmp_path / "out"), error)
    assert content(tmp_path) == {"out/config.json": "old"}
    assert os.listdir(tmp_path) == ["out"]


def test_a_full_disk_leaves_the_old_one(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no space left"):
        replace(old_result(tmp_path / "out"), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert os.listdir(tmp_path) == ["out"]
    assert content(tmp_path) == {"out/config.json": "old"}


def test_an_error_about_another_file_is_not_called_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), staged_folder(tmp_path / "a" / "out", overwrite=True):
        raise PermissionError(errno.EACCES, "denied", str(tmp_path / "b" / "input"))


def test_a_failing_second_rename_puts_the_old_one_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = old_result(tmp_path / "out")
    genuine = os.rename

    def rename(source: Path, to: Path) -> None:
        if ".tmp-" in str(source):
            raise OSError(errno.EIO, "broken")
        genuine(source, to)

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(StorageError), staged_folder(target, overwrite=True) as aside:
        fill(aside)
    assert os.listdir(tmp_path) == ["out"]
    assert content(tmp_path) == {"out/config.json": "old"}


KILLED = """
import os, signal, sys
from pathlib import Path
from purify_cli.checkpoint.staging import staged_folder, locked_aside
target, moment = Path(sys.argv[1]), sys.argv[2]
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
genuine = os.rename
if moment == "before the first rename":
    os.rename = die
if moment == "between the renames":
    os.rename = lambda a, b: die() if ".tmp-" in str(a) else genuine(a, b)
if moment == "before the old one is removed":
    import shutil
    shutil.rmtree = die
with staged_folder(target, overwrite=True) as aside:
    (aside / "config.json").write_text("new")
    if moment == "while writing":
        die()
"""


@pytest.mark.parametrize(
    ("moment", "survivor"),
    [
        ("while writing", "old"),
        ("before the first rename", "old"),
        ("between the renames", "old"),
        ("before the old one is removed", "new"),
    ],
)
def test_a_kill_at_any_moment_leaves_one_whole_result(moment: str, survivor: str, tmp_path: Path) -> None:
    target = old_result(tmp_path / "out")
    done = subprocess.run([sys.executable, "-c", KILLED, str(target), moment], check=False)
    assert done.returncode == -signal.SIGKILL
    recover(target)
    assert content(target) == {"config.json": survivor}
    with staged_folder(target, overwrite=True) as aside:
        fill(aside)
    assert os.listdir(tmp_path) == ["out"]
    assert content(target)["config.json"] == "new"


def test_a_living_writer_is_not_disturbed(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with staged_folder(target, overwrite=True) as first:
        fill(first)
        with staged_folder(target, overwrite=True) as second:
            (second / "config.json").write_text("second")
        assert (first / "config.json").read_text() == "new"
    assert (target / "config.json").read_text() == "new"
    assert os.listdir(tmp_path) == ["out"]


def test_what_is_named_alike_is_not_touched(tmp_path: Path) -> None:
    names = (".output.tmp-01234567", ".out.tmp-backup", ".out.old-backup", ".out.old-012345678")
    for name in names:
        (tmp_path / name).mkdir()
    with staged_folder(tmp_path / "out", overwrite=True) as aside:
        fill(aside)
    assert sorted(os.listdir(tmp_path)) == sorted([*names, "out"])


def test_text_is_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    write_text(path, "old")
    write_text(path, "größer")
    assert path.read_text(encoding="utf-8") == "größer"

    def full(descriptor: int, data: memoryview) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StorageError, match=r"a\.json"):
        write_text(path, "newer")
    assert path.read_text(encoding="utf-8") == "größer"
    assert os.listdir(tmp_path) == ["a.json"]


def test_text_from_file_names_that_are_no_utf8_is_escaped(tmp_path: Path) -> None:
    write_text(tmp_path / "a.json", json.dumps({"path": "b\udcff"}, ensure_ascii=False))
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"path": "b\udcff"}


def test_a_folder_in_the_way_of_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    with pytest.raises(StorageError, match=r"a\.json"):
        write_text(tmp_path / "a.json", "x")


def test_a_file_size_limit_is_a_full_disk(tmp_path: Path) -> None:
    target = old_result(tmp_path / "out")
    program = """
import resource, sys
from pathlib import Path
from purify_cli.checkpoint import staged_folder, write_text
from purify_cli.errors import StorageError
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    with staged_folder(Path(sys.argv[1]), overwrite=True) as aside:
        write_text(aside / "purification.json", "x" * (2 << 20))
except StorageError:
    sys.exit(7)
"""
    assert subprocess.run([sys.executable, "-c", program, str(target)], check=False).returncode == 7
    assert os.listdir(tmp_path) == ["out"]
    assert content(tmp_path) == {"out/config.json": "old"}
