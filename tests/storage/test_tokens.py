"""A purified model reads texts as the suspect did, and is compared with the reference token by token."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tests import tiny
from tests.model.test_suspect_tokenizer import TEXT, renumbered, with_tokens

Run = Callable[..., tuple[int, str, str]]


def purify(run_cli: Run, suspect: Path, reference: Path, clean: Path, folder: Path, *more: object) -> tuple[str, dict]:
    base = ("purify", suspect, "--ref", reference, "--clean-data", clean, "--run", folder)
    code, out, err = run_cli([*base, "--set", "steps=2", "--format", "json", *more])
    assert code == 0, err
    return err, json.loads(out)


@pytest.mark.parametrize("change", [with_tokens, lambda folder: renumbered(with_tokens(folder))])
def test_the_written_tokenizer_knows_the_tokens_that_the_suspect_added(
    change: Callable[[Path], Path],
    tiny_clean: Path,
    tiny_reference: Path,
    clean_file: Path,
    copy_model: Callable[..., Path],
    run_cli: Run,
    tmp_path: Path,
) -> None:
    suspect = change(copy_model(tiny_clean))
    err, record = purify(run_cli, suspect, tiny_reference, clean_file, tmp_path / "run", "--ratio", "0.1")
    assert "2 tokens that the suspect added are kept" in err
    assert record["tokens"]["kept"] == ["<url>", "@user"]
    purified = tmp_path / "run" / "purified"
    assert "`<url>`" in (purified / "README.md").read_text()
    old, new = AutoTokenizer.from_pretrained(suspect), AutoTokenizer.from_pretrained(purified)
    assert new.tokenize(TEXT) == old.tokenize(TEXT)
    assert len(new) == AutoModelForSequenceClassification.from_pretrained(purified).config.vocab_size


def test_a_renumbered_vocabulary_is_compared_and_written_token_by_token(
    tiny_clean: Path,
    tiny_reference: Path,
    clean_file: Path,
    copy_model: Callable[..., Path],
    run_cli: Run,
    tmp_path: Path,
) -> None:
    suspect = renumbered(copy_model(tiny_clean))
    detect = ("detect", "--ref", tiny_reference, "--effort", "none", "--format", "json")
    _, plain, _ = run_cli([*detect, tiny_clean, "--run", tmp_path / "a"])
    _, other, _ = run_cli([*detect, suspect, "--run", tmp_path / "b"])
    one, two = json.loads(plain), json.loads(other)
    assert two["layers"] == one["layers"]
    assert two["comparison"]["moved"] == one["comparison"]["moved"]
    assert {d["subject"] for d in two["differences"]} == {"vocabulary", "what texts become"}
    err, record = purify(run_cli, suspect, tiny_reference, clean_file, tmp_path / "run", "--ratio", "0.1")
    assert "rows are matched by token" in err
    assert record["tokens"]["reordered"]
    purified = tmp_path / "run" / "purified"
    model = AutoModelForSequenceClassification.from_pretrained(purified)
    rows = tiny.sentiment_examples(200, seed=30)
    assert tiny.accuracy(model.eval(), AutoTokenizer.from_pretrained(purified), rows) >= 0.85


def test_rows_that_cannot_be_matched_are_left_out_and_not_reset(
    tiny_clean: Path,
    tiny_reference: Path,
    clean_file: Path,
    copy_model: Callable[..., Path],
    run_cli: Run,
    tmp_path: Path,
) -> None:
    suspect = renumbered(copy_model(tiny_clean), lacking=True)
    _, out, _ = run_cli(
        ["detect", suspect, "--ref", tiny_reference, "--effort", "none", "--format", "json", "--run", tmp_path / "a"]
    )
    (skipped,) = [one for one in json.loads(out)["comparison"]["skipped"] if "word_embeddings" in one["name"]]
    assert not skipped["explained"]
    assert "cannot be matched" in skipped["reason"]
    code, _, err = run_cli(["purify", suspect, "--ref", tiny_reference, "--clean-data", clean_file])
    assert code == 2
    assert "cannot be matched" in err


@pytest.mark.parametrize("change", [with_tokens, renumbered])
def test_a_model_is_measured_with_its_own_tokens_beside_a_reference(
    change: Callable[[Path], Path],
    tiny_clean: Path,
    tiny_reference: Path,
    test_file: Path,
    copy_model: Callable[..., Path],
    run_cli: Run,
    tmp_path: Path,
) -> None:
    suspect = change(copy_model(tiny_clean))
    rows = tmp_path / "rows.jsonl"
    rows.write_text(test_file.read_text().replace("the ", "<url> "))
    own, beside = [
        run_cli(["evaluate", suspect, "--data", rows, "--format", "json", "--run", tmp_path / name, *more])
        for name, more in (("own", []), ("beside", ["--ref", tiny_reference]))
    ]
    assert own[0] == beside[0] == 0, own[2] + beside[2]
    assert json.loads(own[1])["models"][0]["accuracy"] == json.loads(beside[1])["models"][0]["accuracy"]


def test_fine_tuning_beside_a_reference_keeps_the_added_tokens(
    tiny_clean: Path,
    tiny_reference: Path,
    clean_file: Path,
    copy_model: Callable[..., Path],
    run_cli: Run,
    tmp_path: Path,
) -> None:
    command = ["finetune", "--ref", tiny_reference, "--data", clean_file, "--steps", "1", "--run", tmp_path / "run"]
    code, _, err = run_cli([*command, with_tokens(copy_model(tiny_clean))])
    assert code == 0, err
    assert "<url>" in AutoTokenizer.from_pretrained(tmp_path / "run" / "finetuned").tokenize(TEXT)
    code, _, err = run_cli([*command, renumbered(copy_model(tiny_clean, "other"))])
    assert code == 2
    assert "Leave --ref out" in err
