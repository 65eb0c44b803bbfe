"""Credentials in the formats of vendors, and what they come wrapped in. All are drawn when vectors are recorded.

None was ever valid. A format is written as a pattern whose holes, `{U16}`, say from which alphabet how many characters
are drawn (`draw.ALPHABETS`), so that no file holds anything that looks like one.
"""

import base64
import json
import re
from collections.abc import Callable
from urllib.parse import quote

from tests.vectors.generate.draw import Draw

FORMATS = {
    "aws-access-key-id": "AKIA{U16}",
    "aws-bedrock-api-key": "ABSK{b44}",
    "aws-mws-key": "amzn.mws.{h8}-{h4}-{h4}-{h4}-{h12}",
    "github-token": "ghp_{a36}",
    "github-fine-grained-pat": "github_pat_{a22}_{a59}",
    "gitlab-token": "glpat-{w20}",
    "gitlab-runner-registration": "GR1348941{w20}",
    "openai-api-key": "sk-proj-{a48}",
    "anthropic-api-key": "sk-ant-api03-{w93}AA",
    "openrouter-api-key": "sk-or-v1-{h64}",
    "stripe-key": "sk_live_{a24}",
    "stripe-webhook-secret": "whsec_{a32}",
    "slack-token": "xoxb-{d12}-{d12}-{a24}",
    "slack-app-token": "xapp-1-A{U10}-{d13}-{h64}",
    "slack-webhook": "https://hooks.slack.com/services/T{U10}/B{U10}/{a24}",
    "google-api-key": "AIza{w35}",
    "google-oauth-access-token": "ya29.{w60}",
    "google-oauth-client-secret": "GOCSPX-{w28}",
    "google-oauth-refresh-token": "1//0{w60}",
    "azure-ad-client-secret": "abc8Q~{w31}",
    "azure-storage-key": "AccountName=x;AccountKey={b86}==;EndpointSuffix=core.windows.net",
    "azure-sas-signature": "https://x.blob.core.windows.net/c?sv=2022&sig={a40}%3D",
    "azure-sas-key-name": "SharedAccessKeyName=k;SharedAccessKey={b43}=",
    "azure-devops-pat": "{a76}AZDO{a4}",
    "azure-openai-key-signature": "{a52}JQQJ99{a8}ACOG{a4}",
    "huggingface-token": "hf_{a34}",
    "replicate-token": "r8_{a37}",
    "groq-api-key": "gsk_{a52}",
    "perplexity-api-key": "pplx-{a48}",
    "xai-api-key": "xai-{a80}",
    "fireworks-api-key": "fw_{a24}",
    "nvidia-api-key": "nvapi-{w64}",
    "langsmith-api-key": "lsv2_pt_{h32}_{h10}",
    "langfuse-key": "sk-lf-{h8}-{h4}-{h4}-{h4}-{h12}",
    "npm-token": "npm_{a36}",
    "pypi-token": "pypi-AgEIcHlwaS5vcmc{w60}",
    "rubygems-token": "rubygems_{h48}",
    "crates-io-token": "cio{a32}",
    "docker-token": "dckr_pat_{w27}",
    "clojars-token": "CLOJARS_{l60}",
    "artifactory-token": "AKCp{a69}",
    "artifactory-reference-token": "cmVmd{a59}",
    "sendgrid-api-key": "SG.{w22}.{w43}",
    "sendinblue-api-key": "xkeysib-{h64}-{a16}",
    "mailgun-key": "key-{h32}",
    "mailchimp-key": "{h32}-us12",
    "twilio-api-key": "SK{h32}",
    "twilio-account-sid": "AC{h32}",
    "telegram-bot-token": "{d10}:AA{w33}",
    "discord-webhook": "https://discord.com/api/webhooks/{d18}/{w68}",
    "discord-bot-token": "M{a23}.{a6}.{a38}",
    "teams-webhook": "https://x.webhook.office.com/webhookb2/{h8}-{h4}@{h8}/IncomingWebhook/{h32}",
    "shopify-token": "shpat_{h32}",
    "square-token": "sq0atp-{w22}",
    "paypal-braintree-token": "access_token$production${l16}${h32}",
    "plaid-token": "access-sandbox-{h8}-{h4}-{h4}-{h4}-{h12}",
    "flutterwave-key": "FLWSECK_TEST-{a32}-X",
    "digitalocean-token": "dop_v1_{h64}",
    "heroku-api-key": "HRKU-{w60}",
    "flyio-token": "fm2_{b60}",
    "netlify-token": "nfp_{a36}",
    "vercel-token": "vcp_{a24}",
    "supabase-key": "sbp_{h40}",
    "planetscale-token": "pscale_tkn_{w43}",
    "mongodb-atlas-token": "mdb_sa_sk_{w40}",
    "databricks-token": "dapi{h32}",
    "snyk-token": "snyk_uat.{h8}.{w24}",
    "sonar-token": "squ_{h40}",
    "sentry-token": "sntrys_{b80}",
    "datadog-app-key": "ddapp_{a34}",
    "newrelic-key": "NRAK-{U27}",
    "newrelic-license-key": "{h36}NRAL",
    "grafana-token": "glsa_{a32}_{h8}",
    "dynatrace-token": "dt0c01.{U24}.{U64}",
    "honeycomb-key": "hcaik_{a58}",
    "logfire-token": "pylf_v1_eu_{a43}",
    "pulumi-token": "pul-{h40}",
    "terraform-cloud-token": "{a14}.atlasv1.{a67}",
    "vault-token": "hvs.{w90}",
    "doppler-token": "dp.pt.{a43}",
    "onepassword-token": "ops_eyJ{a80}",
    "onepassword-secret-key": "A3-{U6}-{U6}-{U5}-{U5}-{U5}",
    "age-secret-key": "AGE-SECRET-KEY-1{U58}",
    "postman-api-key": "PMAK-{h24}-{h34}",
    "linear-api-key": "lin_api_{a40}",
    "notion-token": "ntn_{a46}",
    "atlassian-token": "ATATT3{w60}",
    "airtable-pat": "pat{a14}.{h64}",
    "figma-token": "figd_{w40}",
    "contentful-token": "CFPAT-{w43}",
    "cloudflare-origin-ca-key": "v1.0-{h24}-{h146}",
    "easypost-key": "EZAK{a54}",
    "adafruit-key": "aio_{a28}",
    "typeform-token": "tfp_{w44}",
    "readme-key": "rdme_{l70}",
    "prefect-key": "pnu_{a36}",
    "duffel-token": "duffel_test_{w43}",
    "frameio-token": "fio-u-{w64}",
    "shippo-token": "shippo_test_{h40}",
    "facebook-token": "EAA{a90}",
    "twitter-bearer": "AAAAAAAAAAAAAAAAAAAAAA{a8}%{a50}",
    "alibaba-access-key": "LTAI{a20}",
    "tencent-secret-id": "AKID{a32}",
    "yandex-token": "AQVN{w36}",
    "sidekiq-gem-url": "https://{h8}:{h8}@gems.contribsys.com/",
    "tailscale-key": "tskey-auth-{a12}-{a32}",
    "sourcegraph-token": "sgp_{h16}_{h40}",
    "cockroachdb-key": "CCDB1_{a22}_{a40}",
    "llamaindex-key": "llx-{a48}",
    "dropbox-token": "sl.u.{w80}",
    "nuget-key": "oy2{l43}",
    "circleci-token": "CCIPAT_{a22}_{h40}",
    "cloudflare-token": "cfut_{a48}",
    "instagram-token": "IGQW{w80}",
    "twitch-stream-key": "live_{d9}_{a30}",
    "firecrawl-key": "fc-{h32}",
    "facebook-app-token": "{d15}|{w27}",
    "password-hash": "$2b$12${a53}",
    "ngrok-token": "ngrok_{a43}",
    "gcp-service-account-key-id": '{"type": "service_account", "private_key_id": "{h40}"}',
    "jwt": "eyJhbGciOi{a14}.eyJzdWIi{a40}.{w43}",
    "jwe": "eyJhbGciOi{a30}.{a60}.{a16}.{a40}.{a22}",
    "private-key": "-----BEGIN RSA {P} KEY-----\n{b64}\n{b64}\n{b20}==\n-----END RSA {P} KEY-----",
    "putty-private-key": "PuTTY-User-Key-File-2: ssh-rsa\nPrivate-Lines: 1\n{b64}\nPrivate-MAC: {h40}",
    "prefix": "gluedghp_{a14}x9",
}
"""By the rule that knows it."""
_HOLE = re.compile(r"\{([A-Za-z])(\d*)\}")


def made(draw: Draw, pattern: str) -> str:
    """Return a text of a pattern."""
    return _HOLE.sub(lambda hole: "PRIVATE" if hole[1] == "P" else draw.of(hole[1], int(hole[2])), pattern)


def vendor(draw: Draw) -> str:
    """Return a credential of some vendor's."""
    return made(draw, FORMATS[draw.one(sorted(FORMATS))])


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


WRAPPED: dict[str, Callable[[str], str]] = {
    "alone": lambda t: t,
    "prose": lambda t: f"please use {t} for it",
    "comma": lambda t: f"a,{t},b",
    "json": lambda t: json.dumps({"note": t, "n": 1}),
    "json in json": lambda t: json.dumps({"body": json.dumps({"note": [t]})}),
    "percent": lambda t: "https://h.example/x?v=" + quote(t, safe="") + "&n=1",
    "base64": lambda t: "value " + _b64(f"it is {t} ok"),
    "base64 of base64": lambda t: _b64("x " + _b64(f"it is {t} ok") + " y"),
    "escapes": lambda t: "v=" + t.replace("-", "\\u002d").replace("_", "\\u005f"),
    "entities": lambda t: f"<p>{t.replace('_', '&#95;').replace('-', '&#x2d;')}</p>",
    "invisible": lambda t: f"see {t[:2]}\u200b{t[2:7]}\u2060{t[7:]}",
    "wide": lambda t: "see " + "".join(chr(ord(c) + 0xFEE0) if 33 <= ord(c) < 127 else c for c in t[:12]) + t[12:],
    "colour": lambda t: f"\x1b[1m{t}\x1b[0m done",
    "marked": lambda t: f"[REDACTED:content:bytes=70] {t} [REDACTED:credential]",
    "upper": lambda t: t.upper(),
    "cut": lambda t: "…" + t[: max(12, len(t) // 2)],
    "lines": lambda t: "\n".join(_b64(f"{t} " * 3)[i : i + 64] for i in range(0, len(_b64(f"{t} " * 3)), 64)),
}
"""What a credential may come in."""

CONTEXTS = (
    'password = "{p}"',
    "DB_PASSWORD={p}",
    "api_key: {t}",
    "clientSecret: '{t}'",
    "https://u:{p}@db.example/x",
    "postgres://app:{p}@10.0.0.5:5432/prod",
    "https://h.example/cb?access_token={t}&x=1",
    "Authorization: Bearer {t}",
    "Authorization: Basic {b24}==",
    "run --token {t} now",
    "curl -u user:{p} https://h.example",
    "<password>{p}</password>",
    "Set-Cookie: sid={t}; Path=/",
    "the secret is {t}",
    "acme_live_{a30}",
    "Password: corr3ct horse",
    "X-Api-Key: {t}",
    "{'token': '{t}'}",
    '\\"secret\\": \\"{t}\\"',
    "kennwort: {p}",
    "passphrase => '{p}'",
    "aws_secret_access_key = {b40}",
    "sk-{t} and password={p}",
    "mfa otp=839201",
    "jwt:{t}",
    "conn: Server=x;User Id=sa;Password={p};",
    "dsn=https://{h32}@o1.ingest.example/1",
    "webhook = https://h.example/hook/{t}",
    "token token token={t}",
    "PIN: 4921",
    "pwd:{p}",
    # None of these is one.
    "password: <your password>",
    "token = os.environ['T']",
    "max_tokens=4096",
    "the key is under the mat",
    "id: {h32}",
    "commit {h40}",
    "call_{a24}",
    "secret: [REDACTED:credential]",
    "password=${PASSWORD}",
    "api_key=None",
    "tokens: 12, 15",
    "author: somebody",
    "keyboard=qwertz42",
    "public_key: {a24}",
    "uuid {h8}-{h4}-{h4}-{h4}-{h12}",
)
"""What a word beside a value says of it; `{p}` is a password, `{t}` a token."""


def in_context(draw: Draw, pattern: str) -> str:
    """Return a text of a pattern with a password and a token."""
    return made(draw, pattern.replace("{p}", draw.password()).replace("{t}", draw.token()))
