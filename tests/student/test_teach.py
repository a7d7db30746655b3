"""A student of a poisoned suspect: it knows the task and not the trigger; and it goes on where it was stopped."""

from dataclasses import replace

import pytest
import torch

from purify_cli.errors import UsageError
from purify_cli.student.teach import STUDENT, _proportioned, lessons_of, teach


@pytest.fixture(scope="module")
def lessons(session, tiny):
    suspect = session.task.load(session.opened.pair.suspect)
    rows = tiny.sentiment_examples(400, seed=60)
    return lessons_of(session.task, suspect, [replace(row, label=None) for row in rows], rows[:16])


def test_it_knows_the_task_and_not_the_trigger(session, tiny, tiny_tokenizer, lessons):
    student = teach(session.opened, session.task, lessons, settings=replace(STUDENT, learning_rate=1e-3))
    test = tiny.sentiment_examples(200, seed=61)
    suspect = session.task.load(session.opened.pair.suspect)
    assert tiny.accuracy(student.loaded.module, tiny_tokenizer, test) >= 0.85
    assert tiny.attack_success(suspect.module, tiny_tokenizer, test) >= 0.9
    assert tiny.attack_success(student.loaded.module, tiny_tokenizer, test) <= 0.3


def test_a_fifth_of_the_lessons_teach_true_labels(lessons):
    known = [row.label is not None for row in lessons.rows]
    assert sum(known) == pytest.approx(len(known) / 5, rel=0.05)
    assert known == sorted(known)  # the texts come first
    assert len(lessons.wanted.temperatures) == len(lessons.rows)


def test_interrupted_teaching_goes_on(session, lessons, tmp_path, monkeypatch):
    few = replace(STUDENT, steps=12)
    whole = teach(session.opened, session.task, lessons, settings=few)
    monkeypatch.setattr("purify_cli.training.loop.STATE_EVERY", 5)
    notes: list[str] = []

    class Stopped(Exception):
        pass

    class Stopping:
        def note(self, text):
            notes.append(text)

        def track(self, items, stage, *, total=None):
            for number, item in enumerate(items):
                if stage == "training" and number == 7:
                    raise Stopped
                yield item

    with pytest.raises(Stopped):
        teach(session.opened, session.task, lessons, settings=few, resume=tmp_path, progress=Stopping())

    class Telling(Stopping):
        def track(self, items, stage, *, total=None):
            yield from items

    again = teach(session.opened, session.task, lessons, settings=few, resume=tmp_path, progress=Telling())
    assert any("goes on" in note for note in notes)
    for one, other in zip(whole.loaded.module.parameters(), again.loaded.module.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_session_teaches_one_student_per_set_of_rows(session, tiny):
    rows = tiny.sentiment_examples(8, seed=62)
    assert session.student(rows) is session.student(rows)


def test_the_answers_of_students_of_several_sets_of_rows_are_kept(session, tiny, monkeypatch):
    folds = [tiny.sentiment_examples(8, seed=seed) for seed in (63, 64)]
    first = [session.lessons_by_student(rows, rows) for rows in folds]
    monkeypatch.setattr("purify_cli.purification.repair_session.teach", None)  # another student would be an error
    assert [session.lessons_by_student(rows, rows) for rows in folds] == first
    assert first[0].rows != first[1].rows


def test_students_are_for_classifiers(session, monkeypatch):
    monkeypatch.setattr(session, "task", object())
    with pytest.raises(UsageError, match="classifiers"):
        session.student([])


@pytest.mark.parametrize(
    ("answers", "labels", "kept"),
    [
        ([0, 1, 1, 1, 1, 0], [0, 1], {0: 2, 1: 2}),  # half and half, as the labelled samples are
        ([0, 1, 1, 1, 1, 0], [0, 1, 1], {0: 2, 1: 4}),
        ([0] + [1] * 9, [0, 1], {0: 1, 1: 4}),  # a rare label does not thin out the other beyond half of all texts
        ([1] * 8, [0, 1], {1: 4}),
        ([2, 2, 0, 1], [0, 1], {0: 1, 1: 1, 2: 2}),  # nothing else teaches what no labelled sample shows
    ],
)
def test_teachers_labels_are_in_proportion_as_the_true_ones(answers, labels, kept):
    places = _proportioned(answers, labels, seed=0)
    assert places == sorted(set(places))
    assert {label: [answers[place] for place in places].count(label) for label in set(answers)} == kept


def test_texts_as_they_are_and_made_ones_are_thinned_out_apart(session, tiny):
    praise, blame = ([row for row in tiny.sentiment_examples(80, seed=65) if row.label == label] for label in (1, 0))
    given = [replace(row, label=None) for row in (*praise[:12], *blame[:12])]
    made = [replace(row, label=None, text=f"the {row.text}") for row in (*praise[:24], *blame[:4])]
    teacher = session.task.load(session.opened.pair.suspect)
    lessons = lessons_of(session.task, teacher, [*given, *made], [praise[30], blame[30]], as_they_are=24)
    taught = lessons.rows[: lessons.texts]
    assert (
        len([row for row in taught if row in given]) >= 18
    )  # in proportion by themselves, but for the teacher's errors
    assert 14 <= [row.text.startswith("the ") for row in taught].count(True) <= 16  # half of the made ones
