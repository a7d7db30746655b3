import json
import os
from threading import Thread

import pytest

from purify_cli.bench.plan_file import parse_plan
from purify_cli.bench.store import Store, claim, exclusive
from purify_cli.errors import RunFolderError, StorageError
from tests.bench_worlds import process

PLAN = """\
[bench]
name = "trial"
[[task]]
name = "sst2"
[[attack]]
name = "badword"
[[method]]
name = "fine-tuning"
"""


def row(number, **more):
    return {"key": f"cell/{number}", "kind": "cell", **more}


def keys(path):
    return [json.loads(line)["key"] for line in path.read_bytes().splitlines()]


def test_rows_come_back_by_key_and_the_later_of_two_holds(tmp_path):
    path = tmp_path / "new" / "rows.jsonl"
    store = Store(path)
    assert store.rows == {}
    for number, value in ((1, "a"), (2, "b"), (1, "c")):
        store.add(row(number, result=value))
    assert store.rows == Store(path).rows == {"cell/1": row(1, result="c"), "cell/2": row(2, result="b")}
    assert keys(path) == ["cell/1", "cell/2", "cell/1"]


@pytest.mark.parametrize(
    "torn", [b"{", b'{"key": "cell/9", "kind": "cell"', b"\x00" * 40, b"\x00" * 40 + b"\n", b'{"key": "cell\n', b"7\n"]
)
def test_a_torn_last_line_is_ignored_and_cut_off_by_the_next_writer(tmp_path, torn):
    path = tmp_path / "rows.jsonl"
    Store(path).add(row(1))
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    store = Store(path)
    assert set(store.rows) == {"cell/1"}
    store.add(row(2))
    assert path.read_bytes().startswith(whole)
    assert keys(path) == ["cell/1", "cell/2"]
    assert set(Store(path).rows) == {"cell/1", "cell/2"}


def test_a_file_cut_at_any_byte_gives_the_rows_before_the_cut_and_can_be_gone_on_with(tmp_path):
    path = tmp_path / "rows.jsonl"
    store = Store(path)
    for number in range(3):
        store.add(row(number, text="é\n|"))
    content = path.read_bytes()
    for cut in range(len(content)):
        path.write_bytes(content[:cut])
        again = Store(path)
        assert len(again.rows) == content[:cut].count(b"\n")
        again.add(row("new"))
        assert keys(path) == [*(f"cell/{number}" for number in range(content[:cut].count(b"\n"))), "cell/new"]


@pytest.mark.parametrize("damage", [b"no json", b"[1]", b'{"key": "a"}', b"\x00\x00"])
def test_damage_before_the_last_line_is_refused_with_its_line(tmp_path, damage):
    path = tmp_path / "rows.jsonl"
    good = json.dumps(row(1)).encode()
    path.write_bytes(good + b"\n" + damage + b"\n" + good + b"\n")
    with pytest.raises(RunFolderError, match=r"line 2 of .*rows\.jsonl is no row of results"):
        Store(path)


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path):
    with pytest.raises(RunFolderError, match="cannot be read"):
        Store(tmp_path)


def test_refresh_sees_what_others_appended_and_nothing_twice(tmp_path):
    path = tmp_path / "rows.jsonl"
    one, two = Store(path), Store(path)
    one.add(row(1))
    two.add(row(2))
    assert set(two.rows) == {"cell/1", "cell/2"}
    assert set(one.rows) == {"cell/1"}
    one.refresh()
    assert set(one.rows) == {"cell/1", "cell/2"}
    # A line that another process is still writing is taken once it is whole.
    with path.open("ab") as file:
        file.write(b'{"key": "cell/3", ')
    one.refresh()
    assert set(one.rows) == {"cell/1", "cell/2"}
    with path.open("ab") as file:
        file.write(b'"kind": "cell"}\n')
    one.refresh()
    assert set(one.rows) == {"cell/1", "cell/2", "cell/3"}
    one.add(row(4))
    assert keys(path) == ["cell/1", "cell/2", "cell/3", "cell/4"]


def write_many(path, writer):
    store = Store(path)
    for number in range(40):
        store.add(row(f"{writer}-{number}", filling="x" * 3000))


def test_several_writers_at_once_lose_and_tear_nothing(tmp_path):
    path = tmp_path / "rows.jsonl"
    writers = [process(write_many, path, writer) for writer in range(3)]
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    expected = [f"cell/{writer}-{number}" for writer in range(3) for number in range(40)]
    found = keys(path)
    assert sorted(found) == sorted(expected)
    assert set(Store(path).rows) == set(expected)


def test_a_writer_waits_for_whoever_holds_the_lock(tmp_path):
    path = tmp_path / "rows.jsonl"
    store = Store(path)
    store.add(row(1))
    writer = Thread(target=store.add, args=(row(2),))
    with exclusive(path):
        writer.start()
        writer.join(0.3)
        assert writer.is_alive()
        assert keys(path) == ["cell/1"]
    writer.join()
    assert keys(path) == ["cell/1", "cell/2"]


def test_a_full_disk_leaves_the_rows_that_were_there(tmp_path, monkeypatch):
    path = tmp_path / "rows.jsonl"
    store = Store(path)
    store.add(row(1))
    before = path.read_bytes()
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, line: write(descriptor, line[:10]))
        with pytest.raises(StorageError, match="no space left"):
            store.add(row(2))
    assert path.read_bytes() == before
    store.add(row(2))
    assert keys(path) == ["cell/1", "cell/2"]


def test_nan_is_no_result(tmp_path):
    store = Store(tmp_path / "rows.jsonl")
    with pytest.raises(ValueError, match="JSON"):
        store.add(row(1, result=float("nan")))
    assert not (tmp_path / "rows.jsonl").exists()


def test_a_file_belongs_to_the_plan_of_its_name(tmp_path):
    path = tmp_path / "rows.jsonl"
    store, plan = Store(path), parse_plan(PLAN, "plan")
    claim(store, plan)
    claim(store, plan)
    assert keys(path) == ["plan"]
    store.add(row(1))
    # A changed plan of that name is written anew; the rows stay.
    longer = parse_plan(PLAN.replace('"trial"', '"trial"\nsteps = 9'), "plan")
    claim(store, longer)
    assert keys(path) == ["plan", "cell/1", "plan"]
    assert Store(path).rows["plan"]["result"] == longer.as_record()
    before = path.read_bytes()
    with pytest.raises(RunFolderError, match=r"rows\.jsonl holds results from another plan, 'trial'"):
        claim(Store(path), parse_plan(PLAN.replace('"trial"', '"other"'), "plan"))
    assert path.read_bytes() == before


def test_rows_without_a_plan_are_not_claimed(tmp_path):
    store = Store(tmp_path / "rows.jsonl")
    store.add(row(1))
    with pytest.raises(RunFolderError, match="names no plan"):
        claim(store, parse_plan(PLAN, "plan"))
