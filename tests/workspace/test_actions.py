"""Actions as data."""

from __future__ import annotations

import json

import pytest

from lamplighter.errors import WorkspaceError
from lamplighter.workspace.actions import (
    KINDS,
    AddClass,
    KeepFiles,
    LabelFiles,
    MergeClasses,
    RenameClass,
    SetFilesAside,
    action_from_dict,
)

ACTIONS = [
    (LabelFiles(("a.jpg", "b\n.jpg"), "cat"), "label 2 files cat"),
    (LabelFiles(("a.jpg",), None), "take the label of a.jpg away"),
    (SetFilesAside(("caf\udce9.jpg",), "blurred"), r"set 'caf\udce9.jpg' aside: blurred"),
    (KeepFiles(("a.jpg",)), "keep a.jpg"),
    (RenameClass("cats", "cat"), "rename cats to cat"),
    (MergeClasses(("kitten", "kitty"), "cat"), "merge kitten, kitty into cat"),
    (AddClass("dog"), "add the class dog"),
]


@pytest.mark.parametrize(("action", "sentence"), ACTIONS)
def test_an_action_survives_json_and_says_what_it_does(action, sentence):
    assert action_from_dict(json.loads(json.dumps(action.to_dict()))) == action
    assert action.sentence == sentence


def test_each_kind_is_tested():
    assert {type(action) for action, _ in ACTIONS} == set(KINDS.values())


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({}, "must be one of label, aside, keep, rename, merge, add, received None"),
        ({"kind": "delete"}, "received 'delete'"),
        ({"kind": "rename", "old": "a"}, "'rename' needs old, new"),
        ({"kind": "rename", "old": "a", "new": 3}, "'rename' needs old, new"),
        ({"kind": "label", "paths": "a.jpg", "class_name": "a"}, "'label' needs paths, class_name"),
        ({"kind": "add", "name": "a", "more": 1}, "'add' needs name"),
    ],
)
def test_what_is_no_action_is_refused(values, fault):
    with pytest.raises(WorkspaceError, match=fault):
        action_from_dict(values)
