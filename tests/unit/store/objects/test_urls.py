"""Settings of object stores: a URL gives them, and they give the URL."""

import pytest

from runbundle.errors import ConfigError
from runbundle.store.objects.urls import Settings, settings_of

URLS = {
    "s3://bucket": Settings("s3", "bucket"),
    "gs://bucket/a/b": Settings("gs", "bucket", "a/b"),
    "az://box?account=acme": Settings("az", "box", account="acme"),
    "s3://bucket/p?endpoint=http://127.0.0.1:9000&region=eu-west-1&timeout_s=1.5&retries=0": Settings(
        "s3", "bucket", "p", "http://127.0.0.1:9000", "eu-west-1", timeout_s=1.5, retries=0
    ),
}


@pytest.mark.parametrize("url", URLS)
def test_settings_and_their_url_say_the_same(url: str) -> None:
    """Options that have their default are left out."""
    assert settings_of(url) == URLS[url]
    assert settings_of(URLS[url].url) == URLS[url]


def test_prefix_and_tenant_are_parts_of_the_path() -> None:
    """In this order, whichever of them are given."""
    assert settings_of("s3://bucket/a/?prefix=b/&tenant=c").prefix == "a/b/c"
    assert settings_of("s3://bucket").below(".index").prefix == ".index"
    assert settings_of("s3://bucket/a").below(".index").prefix == "a/.index"


def test_the_canonical_url_leaves_out_the_connection() -> None:
    """What is stored does not depend on it."""
    settings = settings_of("s3://bucket/p?endpoint=http://h:1&region=x&timeout_s=1&retries=9")
    assert settings.canonical_url == "s3://bucket/p?endpoint=http://h:1"


@pytest.mark.parametrize("option", ["timeout_s=0.01", "timeout_s=x", "retries=21", "retries=1.5", "region=a b"])
def test_an_option_out_of_its_range_is_named_and_not_repeated(option: str) -> None:
    """Its value may be a secret in the wrong place."""
    name, _, value = option.partition("=")
    with pytest.raises(ConfigError, match=f"invalid {name}") as caught:
        settings_of(f"s3://bucket?{option}")
    assert f"={value}" not in str(caught.value)
