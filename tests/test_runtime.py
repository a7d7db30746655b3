"""Which type a search computes in."""

import pytest
import torch

from purify_cli.runtime import NATIVE, Compute


@pytest.mark.parametrize("told", [{}, {"avx2": True}, {NATIVE[0]: False}])
def test_a_processor_that_does_not_multiply_bfloat16_searches_in_float32(
    told: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: told, raising=False)
    assert Compute.choose("cpu").search_dtype is torch.float32


@pytest.mark.parametrize("name", NATIVE)
def test_one_that_does_searches_in_it_and_trains_in_float32(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {name: True}, raising=False)
    chosen = Compute.choose("cpu")
    assert (chosen.dtype, chosen.search_dtype) == (torch.float32, torch.bfloat16)
    assert chosen.searching.dtype is torch.bfloat16
    assert chosen.searching.searching == chosen.searching


def test_a_torch_that_does_not_tell_searches_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert Compute.choose("cpu").search_dtype is torch.float32


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_what_is_asked_for_holds_for_both(name: str) -> None:
    chosen = Compute.choose("cpu", name)
    assert chosen.dtype is chosen.search_dtype is getattr(torch, name)
