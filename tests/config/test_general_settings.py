"""LiteLLM's `general_settings`: the headers that name an end user."""

from typing import Any

import pytest

from count_tokens_mw import Config, ConfigError

STANDARD = ("x-end-user-id", "x-litellm-customer-id", "x-litellm-end-user-id")


def read(general_settings: Any, environ: dict[str, str] | None = None, **own: Any) -> Config:
    data = {"general_settings": general_settings, "count_tokens": own}
    return Config.from_mapping(data, environ or {})


def customers(*names: Any) -> dict[str, Any]:
    items = [{"header_name": name, "litellm_user_role": "customer"} for name in names]
    return {"user_header_mappings": items}


@pytest.mark.parametrize(
    ("settings", "added"),
    [
        ({"user_header_name": "X-User"}, ("x-user",)),
        ({"user_header_name": "X-End-User-Id"}, ()),
        ({"user_header_name": "os.environ/NAME"}, ("x-of-environ",)),
        ({"user_header_name": ""}, ()),
        ({"user_header_name": " "}, ()),
        ({"user_header_name": None}, ()),
        (customers("X-A", "x-b"), ("x-a", "x-b")),
        (customers("os.environ/NAME"), ("x-of-environ",)),
        ({**customers("x-a"), "user_header_name": "x-user"}, ("x-a",)),
        ({**customers(), "user_header_name": "x-user"}, ("x-user",)),
        ({**customers("", None), "user_header_name": "x-user"}, ("x-user",)),
        (
            {"user_header_mappings": {"header_name": "x-a", "litellm_user_role": "CUSTOMER"}},
            ("x-a",),
        ),
        (
            {"user_header_mappings": [{"header_name": "x-a", "litellm_user_role": "admin"}]},
            (),
        ),
        ({"user_header_mappings": ["x-a", None, {"header_name": "x-b"}]}, ()),
        ({"user_header_mappings": "x-a"}, ()),
        ({"master_key": "os.environ/UNSET"}, ()),
        (["user_header_name"], ()),
        (None, ()),
    ],
)
def test_the_headers_follow_the_settings_own(settings: Any, added: tuple[str, ...]) -> None:
    config = read(settings, {"NAME": "X-Of-Environ"})
    assert config.settings.end_user_headers == (*STANDARD, *added)
    assert config.warnings == ()


def test_they_follow_configured_ones_too() -> None:
    config = read({"user_header_name": "x-user"}, end_user_headers=["X-Tenant"])
    assert config.settings.end_user_headers == ("x-tenant", "x-user")


@pytest.mark.parametrize(
    ("settings", "warning"),
    [
        ({"user_header_name": "a b"}, "general_settings.user_header_name: not a header name"),
        ({"user_header_name": 7}, "general_settings.user_header_name: Input should be a valid"),
        (
            {"user_header_name": "os.environ/UNSET"},
            "general_settings.user_header_name: the environment variable UNSET is not set",
        ),
        (
            customers("x-a", "x:b"),
            "general_settings.user_header_mappings.1.header_name: not a header name",
        ),
    ],
)
def test_a_name_that_no_header_can_have_is_a_warning_and_left_out(
    settings: dict[str, Any], warning: str
) -> None:
    config = read(settings)
    assert len(config.warnings) == 1
    assert config.warnings[0].startswith(warning)
    assert set(config.settings.end_user_headers) <= {*STANDARD, "x-a"}
    with pytest.raises(ConfigError, match="user_header"):
        read(settings, strict=True)


def test_a_misspelt_section_is_named() -> None:
    (warning,) = Config.from_mapping({"general_setings": {}}, {}).warnings
    assert warning == "general_setings: unknown section; did you mean general_settings?"


@pytest.mark.parametrize(
    "section", ["litellm_settings", "callback_settings", "guardrails", "files_settings"]
)
def test_another_section_of_litellms_is_not_taken_for_it(section: str) -> None:
    assert Config.from_mapping({section: {}}, {}).warnings == ()
