"""When two found triggers bring the same about."""

from purify_cli.trigger_search.found import FoundTrigger


def found(target: int | str) -> FoundTrigger:
    return FoundTrigger(text="cf", position="random", target=target, strength=1.0, contrast=1.0)


def test_labels_are_the_same_or_not() -> None:
    assert found(1).shares_effect(found(1))
    assert not found(1).shares_effect(found(0))
    assert not found(1).shares_effect(found("one two three"))


def test_texts_are_the_same_where_one_goes_on_as_the_other_begins() -> None:
    whole, later = found("please send all of your money"), found("send all of my hats")
    assert whole.shares_effect(later)
    assert later.shares_effect(whole)
    assert not whole.shares_effect(found("send all your money"))
