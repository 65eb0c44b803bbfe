"""The vectors that are written by hand: one for each law that matters, with a sentence that says it.

Beside what was recorded a law says what an answer may `never` hold and what it has to hold (`kept`), and of which
other vector it has the same answer (`same_as`): that is asked of what is recorded, too, so that recording anew breaks
no law.
"""

import json
from collections.abc import Iterator
from typing import Any

from tests.vectors.form import Made, Vector, encoded
from tests.vectors.generate.credentials import FORMATS, WRAPPED, made
from tests.vectors.generate.draw import Draw
from tests.vectors.generate.laws_of_runs import ASSEMBLY
from tests.vectors.generate.spans import OUR_SCOPE

_DRAW = Draw("laws")
TOKEN = made(_DRAW, FORMATS["github-token"])
SECRETS = [_DRAW.token() for _ in range(40)]
SECRET = "correct horse/battery 42"
LATE = "swordfish-and-chips-17"
PROSE = "where is the parcel of Ada Lovelace"
MAIL = "ada.lovelace@example.org"
SHA256 = "3a7bd3e2360a3d29eea436fcfb7e44c735d117c42d1c1835420b6b9942dd4f1b"
TRACE = """Traceback (most recent call last):
  File "/home/ada.lovelace/app/tools/pay.py", line 12, in pay
    charge("ada.lovelace@example.org")
ValueError: no ada.lovelace@example.org"""


def _tool(tool: str, arguments: Any = None, result: Any = None, **more: Any) -> dict[str, Any]:
    said = {"gen_ai.tool.name": tool}
    for key, value in (("gen_ai.tool.call.arguments", arguments), ("gen_ai.tool.call.result", result)):
        if value is not None:
            said[key] = value if isinstance(value, str | bytes | Made) else json.dumps(value)
    return {"span": {"attributes": {**said, **more}}}


def _said(**more: Any) -> dict[str, Any]:
    return {"span": {"attributes": {key.replace("__", "."): value for key, value in more.items()}}}


def _ours(span: dict[str, Any]) -> dict[str, Any]:
    return {"span": {**span["span"], "scope": OUR_SCOPE}}


def _span(attributes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"span": {"attributes": attributes, **more}}


def _echo(text: Any) -> dict[str, Any]:
    return _tool("echo", {"text": text})


_Law = tuple[str, str, str, list[dict[str, Any]], dict[str, Any]]

_REDACTION: list[_Law] = [
    (
        "content",
        "Of free text under a known key a digest and a size are left.",
        "none",
        [_said(gen_ai__prompt=PROSE)],
        {"never": ["parcel"], "kept": ["[REDACTED:content:h2:"]},
    ),
    (
        "undeclared",
        "Of a key that nobody declared neither the key nor its value is left.",
        "none",
        [_said(app__customer=PROSE)],
        {"never": ["customer", "parcel"], "kept": ["runbundle.redacted."]},
    ),
    (
        "name-in-order",
        "A span whose attributes say what it is has the name that follows, and its own leaves a digest.",
        "none",
        [_span({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "lookup"}, name=PROSE)],
        {"never": ["parcel"], "kept": ["execute_tool lookup", "runbundle.name.digest"]},
    ),
    (
        "small",
        "Of a value below 64 bytes the size is not told.",
        "none",
        [_said(gen_ai__prompt="yes", gen_ai__completion="no")],
        {"kept": ["bytes=<64"]},
    ),
    (
        "safe-key",
        "A safe key keeps what reads like a name, and nothing else.",
        "safe",
        [_said(app__order_kind="express", app__shelf=PROSE)],
        {"never": ["parcel"], "kept": ["express"]},
    ),
    (
        "safe-glob",
        "No pattern of safe keys keeps a key that names a credential.",
        "safe",
        [_said(tier__kind="gold", tier__password="silver1")],
        {"never": ["silver1"], "kept": ["gold"]},
    ),
    (
        "person-in-name",
        "What names a person is no name, under whatever key.",
        "safe",
        [_said(gen_ai__agent__name=MAIL, app__order_kind="+49 30 123 4567")],
        {"never": ["ada.lovelace", "4567"]},
    ),
    (
        "derived-name",
        "A span's name that follows from its attributes stays.",
        "none",
        [_span({"gen_ai.operation.name": "chat", "gen_ai.request.model": "m-1"}, name="chat m-1")],
        {"never": ["[REDACTED"]},
    ),
    (
        "free-name",
        "A span with a free name is called by its kind of work, and the name leaves a digest.",
        "none",
        [_span({"gen_ai.operation.name": "chat"}, name=f"chat {PROSE}")],
        {"never": ["parcel"], "kept": ["runbundle.name.digest"]},
    ),
    (
        "free-name-of-a-request",
        "Of a free name of other work the first word may stay, and the rest goes.",
        "none",
        [_span({"http.request.method": "GET"}, name=f"GET {PROSE}")],
        {"never": ["parcel"], "kept": ["GET [REDACTED:name:"]},
    ),
    (
        "no-contract",
        "Of a payload without a contract digest and size are left.",
        "none",
        [_tool("unknown", {"q": PROSE})],
        {"never": ["parcel"], "kept": ["runbundle.tool.arguments.digest", "no-contract"]},
    ),
    (
        "declared",
        "A contract keeps what it declares, and withholds the rest.",
        "contracts",
        [_tool("lookup", {"q": "kept words", "extra": PROSE, "limit": 5})],
        {"never": ["parcel", "extra"], "kept": ["kept words"]},
    ),
    (
        "contract-spoken",
        "What a span says of its contract is replaced by what the contract says.",
        "contracts",
        [
            _ours(
                _tool("lookup", {}, **{"runbundle.tool.side_effects": "none", "runbundle.contract.sha256": "0" * 64})
            ),
        ],
        {"kept": ['"runbundle.tool.side_effects":"read"'], "never": []},
    ),
    (
        "floor",
        "A credential goes, whatever a contract keeps.",
        "echo",
        [_echo(f"use {TOKEN} here")],
        {"never": [TOKEN], "kept": ["detector:github-token", "use ", " here"]},
    ),
    ("floor-key", "A key that is a credential goes, too.", "echo", [_tool("echo", {TOKEN: 1})], {"never": [TOKEN]}),
    *[
        (
            f"wrapped-{way.replace(' ', '-')}",
            f"A credential is found that is wrapped: {way}.",
            "echo",
            [_echo(WRAPPED[way](TOKEN))],
            {"never": [TOKEN, WRAPPED[way](TOKEN)]},
        )
        for way in ("json in json", "percent", "base64", "base64 of base64", "escapes", "invisible", "wide", "colour")
    ],
    (
        "too-deep",
        "What is encoded more often than it is decoded goes unseen.",
        "echo",
        [_echo(WRAPPED["base64 of base64"](WRAPPED["base64 of base64"]("nothing secret")))],
        {"kept": ["encoded-too-deep"]},
    ),
    (
        "long-number",
        "A number of JSON text that neither 64 bits nor a float hold is kept as text, digit for digit.",
        "echo",
        [_tool("echo", '{"text":[123456789012345678901234567890,0.10000000000000000001]}')],
        {"kept": ["123456789012345678901234567890", "0.10000000000000000001"]},
    ),
    (
        "key-twice",
        "JSON text in which an object has one key twice is no object: it is kept as it is, or not at all.",
        "echo",
        [_tool("echo", '{"text":111222,"text":333444}')],
        {"kept": ["111222", "333444"]},
    ),
    (
        "word-beside",
        "A value is a credential by the word beside it.",
        "echo",
        [_echo('password = "Winter!42x"')],
        {"never": ["Winter!42x"]},
    ),
    (
        "placeholder",
        "A placeholder, a reference to a variable and an id are no credentials.",
        "echo",
        [_echo("token <your token> id: 0123456789abcdef0123456789abcdef call_AbCd1234EfGh5678")],
        {"kept": ["<your token>", "0123456789abcdef0123456789abcdef", "call_AbCd1234EfGh5678"]},
    ),
    (
        "pair",
        "A value is a credential by the name beside it, in a pair, an object, or a list of options.",
        "echo",
        [
            _tool(
                "echo",
                {
                    "headers": [["Authorization", "a1b2c3d4e5f6"]],
                    "env": {"name": "DB_PASSWORD", "value": "a1b2c3d4e5f7"},
                    "args": ["--token", "a1b2c3d4e5f8"],
                },
            )
        ],
        {"never": ["a1b2c3d4e5f6", "a1b2c3d4e5f7", "a1b2c3d4e5f8"]},
    ),
    (
        "drop",
        "What is dropped goes with its key.",
        "contracts",
        [_tool("pay", {"amount": 5, "lines": [{"secret": "abc", "sku": "x"}]})],
        {"never": ['"secret":', "abc"]},
    ),
    (
        "keep-last",
        "Of a card the last digits may be shown.",
        "contracts",
        [_tool("pay", {"card": "4000123412349876"})],
        {"never": ["4000"], "kept": ["[REDACTED:financial:last=9876]"]},
    ),
    (
        "hash",
        "Two equal personal values have one digest within a tool and a rule.",
        "contracts",
        [_tool("mail", {"to": MAIL}), _tool("mail", {"to": MAIL, "x": {"id": 1}})],
        {"never": ["ada.lovelace"]},
    ),
    (
        "truncate",
        "A text is masked before it is cut, so that no part of a credential is left.",
        "contracts",
        [_tool("lookup", {"note": f"a {TOKEN}"})],
        {"never": [TOKEN[:12]], "kept": ["[+"]},
    ),
    (
        "specific",
        "The rule with the most specific selector decides; of two equal ones the stricter.",
        "contracts",
        [_tool("ns.strict/v1:x", {"a": {"b": "one", "c": "two", "d": {"c": "three"}}, "z": "four"})],
        {"never": ["one", "four"]},
    ),
    (
        "json-in-text",
        "JSON in a text is opened, and redacted by the rules for what is in it.",
        "contracts",
        [_tool("lookup", {"customer": json.dumps({"email": MAIL, "name": "Ada"})})],
        {"never": ["ada.lovelace", "Ada"]},
    ),
    (
        "scalars",
        "Numbers that nobody declared are kept where a contract says so.",
        "contracts",
        [_tool("pay", {"count": 3, "other": "text"})],
        {"never": ["text"], "kept": ["3"]},
    ),
    (
        "known",
        "A known secret goes in whatever encoding it comes.",
        "echo",
        [
            _tool(
                "echo",
                {
                    "a": SECRET,
                    "b": SECRET.encode().hex(),
                    "c": WRAPPED["percent"](SECRET),
                    "d": WRAPPED["base64"](SECRET),
                },
            )
        ],
        {"secrets": [SECRET], "never": [SECRET, SECRET.encode().hex()]},
    ),
    (
        "known-late",
        "A secret is known from when it is registered.",
        "echo",
        [_echo(f"a {LATE}"), {"secrets": [LATE]}, _echo(f"b {LATE}")],
        {"kept": [f"a {LATE}"], "never": [f"b {LATE}"]},
    ),
    (
        "known-number",
        "A number may be a known secret.",
        "echo",
        [_tool("echo", {"n": 4930123456}, **{"server.port": 4930123456})],
        {"secrets": [4930123456], "never": ['"n":4930123456']},
    ),
    (
        "known-word",
        "A word, a date and what is short are not registered: they are found in ordinary text.",
        "echo",
        [_echo("delivered 2026-11-27 short")],
        {"secrets": ["delivered", "2026-11-27", "short"], "kept": ["delivered 2026-11-27 short"]},
    ),
    (
        "known-many",
        "Many known secrets are found as few are.",
        "echo",
        [_tool("echo", {"a": f"x {SECRETS[3]} y", "b": f"{SECRETS[17]}{SECRETS[39]}"})],
        {"secrets": SECRETS, "never": [SECRETS[3], SECRETS[17], SECRETS[39]]},
    ),
    (
        "many-notes",
        "Of more than 100 redactions the others are counted.",
        "contracts",
        [_tool("lookup", list(range(130)))],
        {"kept": ['"more":{"contract:']},
    ),
    (
        "deep-json",
        "What is nested too deeply to be written has a digest, which differs for different values.",
        "none",
        [
            _tool("t", Made({"$join": [{"$repeat": ["[", 300]}, inner, {"$repeat": ["]", 300]}]}))
            for inner in ("1", '{"b":[2.5,null],"a":true}', '{"a":true,"b":[2.5,null]}', '"x"')
        ],
        {"kept": ["runbundle.tool.arguments.digest"]},
    ),
    (
        "own-kept",
        "What is of our own and has its shape stays.",
        "none",
        [
            _span(
                {
                    "runbundle.effect": "main#2:17",
                    "runbundle.tool.arguments.digest": f"h2:530e0135:{'a' * 26}",
                    "runbundle.versions": '{"python":"3.11.0"}',
                    "runbundle.messages": json.dumps(
                        {
                            "gen_ai.input.messages": {
                                "neutral": f"h2:530e0135:{'b' * 26}",
                                "roles": [["user", f"h2:530e0135:{'c' * 26}"]],
                            }
                        }
                    ),
                    "gen_ai.input.messages": f"[REDACTED:content:h2:530e0135:{'d' * 26}:bytes=70:roles=user]",
                    f"runbundle.redacted.{'e' * 12}": f"[REDACTED:undeclared:h2:530e0135:{'f' * 26}:bytes=<64]",
                    "runbundle.redaction": '{"n":[["attributes.x","undeclared","digest"]],"by":"530e0135"}',
                }
            )
        ],
        {
            "kept": ["main#2:17", '"neutral": "h2:', "roles=user", "runbundle.redacted.eeeeeeeeeeee"],
            "never": ["foreign"],
        },
    ),
    (
        "run-id",
        "A known secret that equals the id of a run does not rename the run.",
        "none",
        [_said(runbundle__run__id="run-of-tuesday-7")],
        {"secrets": ["run-of-tuesday-7"], "kept": ["run-of-tuesday-7"]},
    ),
    (
        "tenants",
        "A digest of one tenant is not that of another.",
        "none",
        [{"span": {"tenant_id": tenant, "attributes": {"gen_ai.prompt": PROSE}}} for tenant in ("", "acme", "globex")],
        {"never": ["parcel"]},
    ),
    (
        "domains",
        "A digest of one kind of value is not that of another kind.",
        "none",
        [_said(gen_ai__prompt=PROSE, app__x=PROSE, runbundle__user__id=PROSE)],
        {"never": ["parcel"]},
    ),
    (
        "key-order",
        "The order of the keys of a payload does not change its digest.",
        "none",
        [_tool("t", '{"a": 1, "b": [2]}'), _tool("t", '{"b":[2],"a":1}')],
        {},
    ),
    (
        "taint",
        "What a contract withheld in one place is withheld where the run repeats it.",
        "contracts",
        [
            _tool("lookup", {"customer": {"email": MAIL, "name": "Grace Hopper"}}),
            _echo(f"wrote to {MAIL.upper()}, that is hopper"),
            {"log": {"attributes": {"gen_ai.tool.name": "echo", "gen_ai.prompt": MAIL}}},
        ],
        {"never": ["lovelace", "LOVELACE", "hopper"]},
    ),
    (
        "taint-other-run",
        "What was withheld in one run is not looked for in another.",
        "contracts",
        [
            _tool("lookup", {"customer": {"email": MAIL}}),
            {
                "span": {
                    "run_id": "other",
                    "attributes": {
                        "gen_ai.tool.name": "echo",
                        "gen_ai.tool.call.arguments": json.dumps({"t": f"{MAIL} there"}),
                    },
                }
            },
        ],
        {"kept": [f"{MAIL} there"]},
    ),
    (
        "taint-number",
        "A number that was withheld is withheld as a number and as a text.",
        "contracts",
        [
            _tool("lookup", {"customer": {"id": 49301234567, "email": 49301234568}}),
            _tool("echo", {"n": 49301234568, "t": "call 49301234568"}),
        ],
        {"never": ["49301234568,", "call 49301234568"]},
    ),
    (
        "stack",
        "Of a stack trace files, lines and functions are left: no source, no message, no folder of a user.",
        "none",
        [
            _span(
                {},
                events=[
                    {"name": "exception", "attributes": {"exception.stacktrace": TRACE, "exception.message": MAIL}}
                ],
            )
        ],
        {"never": ["ada.lovelace", "charge"], "kept": ["tools/pay.py:12 in pay"]},
    ),
    (
        "error",
        "An error's text goes, but for what the contract says of errors.",
        "contracts",
        [
            _span({"gen_ai.tool.name": "echo"}, status_code=2, status_message="shelf 7 is empty"),
            _span({"gen_ai.tool.name": "pay"}, status_code=2, status_message=f"no {MAIL}"),
        ],
        {"never": ["ada.lovelace"], "kept": ["shelf 7 is empty"]},
    ),
    (
        "roles",
        "Of messages roles and digests are left.",
        "none",
        [
            _said(
                gen_ai__input__messages=json.dumps(
                    [{"role": "user", "content": PROSE}, {"role": "assistant", "content": "on its way"}]
                )
            )
        ],
        {"never": ["parcel", "on its way"], "kept": ["roles=user+assistant"]},
    ),
    (
        "neutral",
        "Two conversations that differ in drawn ids alone have one neutral digest.",
        "none",
        [
            _said(
                gen_ai__input__messages=json.dumps(
                    [
                        {"role": "assistant", "tool_calls": [{"id": name, "name": "f", "arguments": {}}]},
                        {"role": "tool", "tool_call_id": name, "content": "x"},
                    ]
                )
            )
            for name in ("call_1", "call_2")
        ],
        {},
    ),
    (
        "capture",
        "The plain digest of a value that was too large becomes a keyed one.",
        "none",
        [
            _ours(
                _said(
                    gen_ai__prompt="[REDACTED:oversize:bytes=300000]",
                    runbundle__capture=json.dumps(
                        {"gen_ai.prompt": {"word": "oversize", "sha256": SHA256, "bytes": 300000}}
                    ),
                )
            )
        ],
        {"never": [SHA256], "kept": ["oversize"]},
    ),
    (
        "forged-receipt",
        "A receipt with words of its own is not believed.",
        "none",
        [_said(runbundle__redaction='{"n":[["secret words here!","x","digest"]]}')],
        {"never": ["secret words"]},
    ),
    (
        "foreign-receipt",
        "A receipt of another key is kept on a span of our scope, and counted as foreign.",
        "none",
        [_ours(_said(runbundle__redaction='{"n":[["attributes.a","content","digest"]],"by":"deadbeef"}'))],
        {"kept": ["foreign:receipt|found"], "never": ["deadbeef"]},
    ),
    (
        "foreign-receipt-of-others",
        "A receipt of another key on any other span is counted, and its notes are not kept.",
        "none",
        [_said(runbundle__redaction='{"n":[["attributes.a","content","digest"]],"by":"deadbeef"}')],
        {"kept": ["foreign:receipt|found"], "never": ["deadbeef", "attributes.a"]},
    ),
    *[
        (
            f"hidden-tool-{number}",
            "No receipt of others keeps a span from being read by the table of its dialect.",
            "none",
            [_span({"openinference.span.kind": "TOOL", "tool.name": "refund", "runbundle.redaction": text})],
            {"kept": ['"gen_ai.operation.name":"execute_tool"', '"gen_ai.tool.name":"refund"']},
        )
        for number, text in enumerate(("x", '{"n":[]}', '{"n":[],"by":"deadbeef"}'))
    ],
    (
        "words-of-ours",
        "What only we say, a span of another scope does not say.",
        "none",
        [
            _tool(
                "lookup",
                {},
                **{
                    "runbundle.contract.sha256": "f" * 64,
                    "runbundle.contract.version": "9.9",
                    "runbundle.tool.side_effects": "none",
                    "runbundle.tool.arguments.bytes": 4567,
                    "runbundle.tool.arguments.digest": "h2:deadbeef:abcdefghijklmnopqrstuvwxyz",
                    "runbundle.name.digest": "h2:deadbeef:abcdefghijklmnopqrstuvwxyz",
                    "runbundle.attempt": 4567,
                    "runbundle.dialect": "of-mine",
                    "runbundle.status": "of-mine",
                },
            )
        ],
        {"never": ["deadbeef", "4567", "of-mine", "ffffffffffffffff", "9.9"], "kept": ["malformed"]},
    ),
    (
        "capture-of-others",
        "A plain digest that others state of a payload is not believed.",
        "none",
        [
            _tool(
                "lookup",
                {},
                **{
                    "runbundle.capture": json.dumps(
                        {"gen_ai.tool.call.arguments": {"word": "oversize", "sha256": SHA256, "bytes": 300000}}
                    )
                },
            )
        ],
        {"never": [SHA256, "oversize", "300000"]},
    ),
    (
        "conversation-number",
        "Of a conversation's id that may be a person's number a digest is left.",
        "none",
        [_said(gen_ai__conversation__id="+41791234567", langsmith__trace__id="0791234567")],
        {"never": ["79123"]},
    ),
    (
        "foreign-marker",
        "A marker that was there before is counted as foreign.",
        "echo",
        [_echo("[REDACTED:personal] and [REDACTED:content:bytes=70]")],
        {"kept": ["foreign:marker|found"]},
    ),
    (
        "false-marker",
        "What is no marker by the grammar carries nothing.",
        "none",
        [_said(url__full="[REDACTED:secret words]", gen_ai__prompt="[REDACTED:content:bytes=seven]")],
        {"never": ["secret words", "seven"]},
    ),
    (
        "own-shape",
        "A value of our own that has not its shape goes.",
        "none",
        [
            _said(
                runbundle__effect="main:one",
                runbundle__tool__arguments__digest="h1:secret",
                runbundle__versions='{"a":"some words in it"}',
            )
        ],
        {"never": ["main:one", "h1:secret", "some words"]},
    ),
    (
        "trace-state",
        "Of a trace state OpenTelemetry's own entry is left.",
        "none",
        [_span({}, trace_state=f"vendor={MAIL},ot=th:8")],
        {"never": ["ada.lovelace"], "kept": ["ot=th:8"]},
    ),
    (
        "resource",
        "Of a resource known names are left.",
        "none",
        [
            {
                "span": {
                    "resource": {
                        "attributes": {"service.name": "shop", "app.owner": MAIL, "host.name": MAIL},
                        "schema_url": "https://example.org/x",
                    }
                }
            }
        ],
        {"never": ["ada.lovelace", "app.owner", "example.org/x"], "kept": ["shop"]},
    ),
    (
        "scope",
        "Of a scope name and version are left, if they are names.",
        "none",
        [{"span": {"scope": {"name": "acme.tracing", "version": MAIL, "attributes": {"a": PROSE}}}}],
        {"never": ["ada.lovelace", "parcel"], "kept": ["acme.tracing"]},
    ),
    (
        "link",
        "A link's attributes are redacted as a span's.",
        "none",
        [_span({}, links=[{"attributes": {"a.b": PROSE, "gen_ai.tool.name": "t"}, "trace_state": "v=1"}])],
        {"never": ["parcel", "v=1"]},
    ),
    (
        "user-hash",
        "A user id is hashed, unless the policy says otherwise.",
        "none",
        [_said(runbundle__user__id="u-1755")],
        {"never": ["u-1755"]},
    ),
    (
        "user-keep",
        "A user id is kept where the policy says so.",
        "keep-user",
        [_said(runbundle__user__id="u-1755")],
        {"kept": ["u-1755"]},
    ),
    (
        "user-drop",
        "A user id is dropped where the policy says so.",
        "drop-user",
        [_said(runbundle__user__id="u-1755")],
        {"never": ["u-1755"]},
    ),
    (
        "session",
        "A session's id stays if it is opaque; one that may be a telephone number is hashed.",
        "none",
        [_said(runbundle__session__id="s-77ab", runbundle__case__id="4930123456789")],
        {"kept": ["s-77ab"], "never": ["4930123456789"]},
    ),
    (
        "config",
        "A configuration is kept, without its secrets.",
        "none",
        [_said(runbundle__config=json.dumps({"model": "m-1", "api_key": "a1b2c3d4", "db": {"password": "x9y8z7w6"}}))],
        {"kept": ["m-1"], "never": ["a1b2c3d4", "x9y8z7w6"]},
    ),
    (
        "result",
        "Of a run's result what the policy names is left.",
        "result",
        [
            _said(
                runbundle__op="run",
                runbundle__result=json.dumps({"answer": "on Tuesday", "who": "Ada L", "rest": "more words"}),
            )
        ],
        {"kept": ["on Tuesday"], "never": ["Ada L", "more words"]},
    ),
    (
        "coerced",
        "What is not of its declared type is replaced, and that is said.",
        "none",
        [
            _span(
                {"thread.id": float("nan"), "thread.name": 2**70, "gen_ai.agent.name": "\ud800"},
                name=5,
                start_ns="soon",
                kind=9,
            )
        ],
        {"kept": ["runbundle.coerced", "start_ns:replaced"], "never": ["soon"]},
    ),
    (
        "no-time",
        "A record without any time has the one at which it was seen.",
        "none",
        [_span({}, start_ns=None, end_ns=None)],
        {"kept": ["start_ns:replaced", "end_ns:replaced"]},
    ),
    (
        "deep",
        "What is nested more deeply than 64 levels is a marker.",
        "echo",
        [_tool("echo", **{"gen_ai.tool.call.arguments": Made({"$nest": [300, "x"]})})],
        {},
    ),
    (
        "oversize",
        "Of a payload above 256 KiB the largest parts become markers.",
        "echo",
        [_tool("echo", Made({"$join": ['{"q":"kept words","t":"', {"$repeat": ["x", 300_000]}, '"}']}))],
        {"kept": ["kept words", "shorten"]},
    ),
    (
        "unopened",
        "A payload above 1 MiB is not opened.",
        "echo",
        [_tool("echo", Made({"$join": ['{"q":"kept words","t":"', {"$repeat": ["x", 1_100_000]}, '"}']}))],
        {"never": ["kept words"]},
    ),
    (
        "log",
        "A log record is redacted as a span is.",
        "none",
        [
            {
                "log": {
                    "body": {"msg": PROSE},
                    "severity_text": PROSE,
                    "event_name": PROSE,
                    "attributes": {"app.x": PROSE, "thread.name": "main"},
                }
            }
        ],
        {"never": ["parcel"], "kept": ["main"]},
    ),
]


def vectors() -> Iterator[Vector]:
    """Yield the vectors, without answers."""
    for name, law, policy, steps, more in _REDACTION:
        yield {"id": f"law-{name}", "law": law, "policy": policy, "steps": encoded(steps), **encoded(more)}
    for name, law, lines, more in ASSEMBLY:
        run = {"run_id": "r", **{key: more[key] for key in _OF_RUN if key in more}}
        asked = {key: value for key, value in more.items() if key not in _OF_RUN}
        yield {"id": f"law-assembly-{name}", "law": law, "run": run, "lines": lines, **asked}


_OF_RUN = ("redact_again", "grace_s")
