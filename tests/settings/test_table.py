from __future__ import annotations

import tomllib
from dataclasses import fields

from headway.config import Config, SessionDefaults
from headway.settings.gather import SECRETS
from headway.settings.kinds import read_value
from headway.settings.table import SETTINGS

NO_SETTINGS = {"session", "pool_limits", "file", "sources"}  # fields that say how others are meant


def test_every_field_has_a_setting_and_the_other_way_round() -> None:
    top = {setting.field for setting in SETTINGS if "." not in setting.key}
    inner = {setting.field for setting in SETTINGS if "." in setting.key}
    assert top == {field.name for field in fields(Config)} - NO_SETTINGS - set(SECRETS)
    assert inner == {field.name for field in fields(SessionDefaults)}


def test_every_setting_has_a_variable_of_its_own_that_is_called_like_it() -> None:
    for setting in SETTINGS:
        assert setting.variable.partition("_")[2] == setting.key.replace(".", "_").upper()
    assert len({setting.variable for setting in SETTINGS}) == len(SETTINGS)


def test_every_example_can_be_used() -> None:
    for setting in SETTINGS:
        read_value(setting.kind, tomllib.loads(f"example = {setting.example}")["example"])
