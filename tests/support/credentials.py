"""Credentials in the formats that vendors have published, drawn at random: none was ever valid."""

import random
import string

_LOWER_DIGITS = string.ascii_lowercase + string.digits
_ALL = string.ascii_letters + string.digits
_HEX = "0123456789abcdef"

FORMATS: dict[str, tuple[str, str, int]] = {
    "aws-access-key-id": ("AKIA", string.ascii_uppercase + "234567", 16),
    "github-token": ("ghp_", _ALL, 36),
    "gitlab-token": ("glpat-", _ALL, 20),
    "anthropic-api-key": ("sk-ant-api03-", _ALL, 95),
    "openai-api-key": ("sk-proj-", _ALL, 48),
    "stripe-key": ("sk_live_", _ALL, 24),
    "slack-token": ("xoxb-123456789012-", _ALL, 24),
    "google-api-key": ("AIza", _ALL, 35),
    "huggingface-token": ("hf_", string.ascii_letters, 34),
    "npm-token": ("npm_", _ALL, 36),
    "pypi-token": ("pypi-AgEIcHlwaS5vcmc", _ALL, 60),
    "digitalocean-token": ("dop_v1_", _HEX, 64),
    "sendgrid-api-key": ("SG.", _ALL, 22),
    "databricks-token": ("dapi", _HEX, 32),
    "shopify-token": ("shpat_", _HEX, 32),
    "vault-token": ("hvs.", _ALL, 90),
    "langsmith-api-key": ("lsv2_pt_", _HEX, 32),
    "groq-api-key": ("gsk_", _ALL, 52),
    "linear-api-key": ("lin_api_", _LOWER_DIGITS, 40),
    "notion-token": ("ntn_", _ALL, 46),
}


def examples() -> dict[str, str]:
    """Return one credential of each format, the same ones in every run."""
    draw = random.Random(20261125)
    made = {
        name: prefix + "".join(draw.choice(alphabet) for _ in range(size))
        for name, (prefix, alphabet, size) in FORMATS.items()
    }
    made["sendgrid-api-key"] += "." + "".join(draw.choice(_ALL) for _ in range(43))
    return made
