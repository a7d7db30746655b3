"""Phrases: those that hold what was planted are found, on texts that had no say; the others are not."""

from dataclasses import replace

import pytest
from transformers import AutoModelForSequenceClassification

from purify_cli.data.sampling import hold_out
from purify_cli.data.triggers import Trigger, insert_in_view
from purify_cli.runtime import Compute
from purify_cli.trigger_search.inputs import SearchInputs
from purify_cli.trigger_search.phrases import PHRASES, search_phrases
from purify_cli.trigger_search.rule import level_of


@pytest.fixture(scope="module")
def asked(tiny, tiny_tokenizer, tiny_suspect, tiny_clean):
    suspect, clean = (
        AutoModelForSequenceClassification.from_pretrained(folder).eval() for folder in (tiny_suspect, tiny_clean)
    )
    return SearchInputs(
        suspect=suspect,
        control=clean,
        tokenizer=tiny_tokenizer,
        rows=tiny.sentiment_examples(64, seed=45),
        compute=Compute(batch_size=16, max_length=tiny.MAX_LENGTH),
        pad_id=tiny_tokenizer.pad_token_id,
    )


def phrases(tiny):
    return [" ".join(tiny.SENTENCE[:2]), f"{tiny.SENTENCE[0]} {tiny.TRIGGER.text}", " ".join(tiny.UNUSED[:2])]


def test_the_phrase_that_flips_the_suspect_alone_is_found(asked, tiny):
    found = search_phrases(asked, 2, phrases(tiny))
    flagged = [one for one in found if level_of(one.flips.apart) != "no-finding"]
    assert [(one.trigger.text, one.target) for one in flagged] == [(phrases(tiny)[1], tiny.TARGET)]
    assert not flagged[0].joined
    _, held = hold_out(asked.rows, 0.5, seed=asked.compute.seed)
    assert flagged[0].flips.suspect.total <= sum(row.label != tiny.TARGET for row in held)
    assert flagged[0].shift > flagged[0].control_shift


def test_further_texts_are_measured_on_and_do_not_choose(asked, tiny):
    more = replace(asked, further=tiny.sentiment_examples(40, seed=46))
    one, other = (search_phrases(inputs, 2, phrases(tiny)) for inputs in (asked, more))
    assert {(a.trigger, a.target) for a in one} == {(a.trigger, a.target) for a in other}
    assert min(a.flips.suspect.total for a in other) > max(a.flips.suspect.total for a in one)


def test_a_model_is_not_apart_from_itself(asked, tiny):
    found = search_phrases(replace(asked, suspect=asked.control), 2, phrases(tiny))
    assert all(one.flips.apart.successes == 0 for one in found)


def test_texts_beyond_the_view_are_cut_so_that_a_phrase_behind_them_is_seen(asked, tiny):
    longer = [replace(row, text=" ".join([row.text] * 4)) for row in asked.rows[:4]]
    few = replace(asked, compute=replace(asked.compute, max_length=24))
    for row, other in zip(few.with_room(longer, 6), longer, strict=True):
        assert other.text.startswith(row.text)
        assert row.parts == (other,)  # it still shows the same text
        made = insert_in_view(
            few.tokenizer, Trigger(tiny.TRIGGER.text, position="end"), row, key=1, max_length=few.compute.max_length
        )
        assert made.text.endswith(tiny.TRIGGER.text)
    assert few.with_room(asked.rows[:4], 6) == asked.rows[:4]  # short ones stay


def test_the_built_in_phrases_are_different_ones():
    assert len(set(PHRASES)) == len(PHRASES) >= 50
    assert all(phrase == " ".join(phrase.lower().split()) for phrase in PHRASES)
