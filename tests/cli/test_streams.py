"""Standard input, output and error as pipes, files and devices."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TextIO

import pytest

from purify_cli.cli import streams
from purify_cli.errors import RunFolderError

Run = Callable[..., tuple[int, str, str]]
Feed = Callable[..., int]


def shell(line: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash, in which ``purify`` is the program."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", f'purify() {{ {sys.executable} -m purify_cli "$@"; }}; {line}'],
        capture_output=True,
        encoding="latin-1",
        check=False,
        cwd=cwd,
        env=os.environ | environment,
        timeout=120,
    )


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Generator[Feed, None, None]:
    """Put bytes into a pipe or a file that becomes standard input; returns its descriptor."""
    opened: list[TextIO] = []

    def feed(content: bytes, *, file: bool = False, delay: float = 0) -> int:
        if file:
            (tmp_path / "input").write_bytes(content)
            reader = os.open(tmp_path / "input", os.O_RDONLY)
        else:
            reader, writer = os.pipe()

            def write() -> None:
                time.sleep(delay)
                os.write(writer, content)
                os.close(writer)

            threading.Thread(target=write, daemon=True).start()
        opened.append(os.fdopen(reader, encoding="utf-8"))
        monkeypatch.setattr("sys.stdin", opened[-1])
        return reader

    yield feed
    for stream in opened:
        stream.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can look into a pipe without reading from it")
@pytest.mark.parametrize("delay", [0, 0.2])
def test_a_list_in_a_pipe_is_left_for_the_loop_that_reads_it(feed: Feed, delay: float) -> None:
    reader = feed(b"a\nb\n", delay=delay)
    assert streams.piped_input(None, Path("run"), quiet=True) is None
    assert os.read(reader, 100) == b"a\nb\n"


def test_a_list_in_a_file_is_left_for_the_loop_that_reads_it(feed: Feed, capsys: pytest.CaptureFixture[str]) -> None:
    reader = feed(b"a\nb\nc\n", file=True)
    assert os.read(reader, 2) == b"a\n"
    assert streams.piped_input(None, Path("run"), quiet=False) is None
    assert os.read(reader, 100) == b"b\nc\n"
    assert capsys.readouterr().err == "standard input is not a record; going on with --run run\n"


def test_a_list_where_no_run_folder_was_named_is_refused_and_left_alone(feed: Feed) -> None:
    reader = feed(b"a\nb\n", file=True)
    with pytest.raises(RunFolderError, match="standard input is not a record"):
        streams.piped_input(None, None, quiet=True)
    assert os.read(reader, 100) == b"a\nb\n"


@pytest.mark.parametrize("file", [True, False])
@pytest.mark.parametrize("text", ["", " \n", " {}", "{", '{"kind": "detection"}'])
def test_a_record_is_read_to_its_end(feed: Feed, text: str, file: bool) -> None:
    feed(text.encode(), file=file)
    assert streams.piped_input(None, Path("run"), quiet=True) == text


def test_with_a_model_nothing_is_read(feed: Feed) -> None:
    reader = feed(b"{}", file=True)
    assert streams.piped_input(["model"], None, quiet=True) is None
    assert os.read(reader, 100) == b"{}"


@pytest.mark.parametrize("quiet", [False, True])
def test_waiting_is_told(
    feed: Feed, quiet: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(streams, "PATIENCE", 0.05)
    feed(b"{}", delay=1)
    assert streams.piped_input(None, None, quiet=quiet) == "{}"
    told = "" if quiet else "waiting for a record on standard input; name the model, or use < /dev/null\n"
    assert capsys.readouterr().err == told


def test_nothing_is_told_where_nothing_is_waited_for(
    feed: Feed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(streams, "PATIENCE", 0.3)
    feed(b"{}")
    assert streams.piped_input(None, None, quiet=False) == "{}"
    time.sleep(0.5)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("content", [b"{\xff\xfe", b" \xff\xfe", b"[1]", b"\xff\xfe{\x00"])
def test_what_is_no_record_is_refused(feed: Feed, content: bytes) -> None:
    feed(content)
    with pytest.raises(RunFolderError, match="standard input"):
        streams.piped_input(None, None, quiet=True)


def test_input_without_end_is_refused(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LONGEST", 1000)
    feed(b"{" * 1001)
    with pytest.raises(RunFolderError, match="longer than any record"):
        streams.piped_input(None, None, quiet=True)


@pytest.mark.parametrize("text", ["", " {}", "{", "[1]"])
def test_a_pipe_that_cannot_be_looked_into_is_read(feed: Feed, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams.ctypes, "CDLL", lambda _: object())
    feed(text.encode())
    assert streams.piped_input(None, Path("run"), quiet=True) == (None if text == "[1]" else text)


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_reader_that_goes_away_changes_nothing(form: str, tmp_path: Path) -> None:
    done = shell(f"purify methods --format {form} 2>&1 | true; echo ${{PIPESTATUS[@]}}", tmp_path)
    assert (done.stdout, done.stderr) == ("0 0\n", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_told_once(tmp_path: Path) -> None:
    done = shell("purify methods --format text > /dev/full", tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: the output could not be written: no space left.\nhint: Free some space.\n"


def test_closed_streams_are_no_failure(tmp_path: Path) -> None:
    assert shell("purify methods <&- >&- 2>&-", tmp_path).returncode == 0


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_characters_that_the_output_cannot_hold_are_escaped(encoding: str, tmp_path: Path) -> None:
    program = (
        "import sys; from purify_cli.cli.streams import harden_streams; harden_streams(); "
        "[print('\\u4eac', file=stream) for stream in (sys.stdout, sys.stderr)]"
    )
    done = shell(f'{sys.executable} -c "{program}"', tmp_path, PYTHONIOENCODING=encoding)
    assert (done.stdout, done.stderr) == ("\\u4eac\n", "\\u4eac\n")


@pytest.mark.parametrize("variable", ["WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE"])
def test_one_of_several_processes_is_refused(
    variable: str, run_cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "2")
    monkeypatch.chdir(tmp_path)
    code, out, err = run_cli(["detect", "suspect", "--ref", "reference"])
    assert (code, out) == (2, "")
    assert f"one of 2 processes ({variable})" in err
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv(variable, "1")
    assert run_cli(["detect", "suspect"])[2].startswith("error: the reference is not known")


def test_a_system_without_posix_is_refused(run_cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("purify_cli.cli.app.os", type("os", (), {"name": "nt"}))
    code, out, err = run_cli(["methods"])
    assert (code, out) == (2, "")
    assert "POSIX" in err
