"""`runbundle redact text`."""

import json

import pytest
from click.testing import CliRunner

from runbundle.cli.commands.redact import command

KEY = "ghp_" + "a1B2c3D4" * 4


def run(data: str | bytes, *options: str) -> tuple[int, bytes, str]:
    """Run the filter; return the exit code and both outputs."""
    result = CliRunner().invoke(command, ["text", *options], input=data)
    return result.exit_code, result.stdout_bytes, result.stderr


def test_plain_text_goes_through_but_for_its_credentials() -> None:
    """Line ends, blank lines and bytes that are not UTF-8 included."""
    code, out, _ = run(b"one\r\n\n\xff\xfe key " + KEY.encode() + b" end")
    assert (code, out) == (0, b"one\r\n\n\xff\xfe key [REDACTED:credential] end")


def test_json_lines_give_texts_and_spans() -> None:
    """Spans are in characters of the original, also behind characters outside ASCII."""
    text = f"ü𝄞 {KEY}!"
    code, out, _ = run(json.dumps({"text": text}) + "\n")
    record = json.loads(out)
    assert code == 0
    assert record["text"] == "ü𝄞 [REDACTED:credential]!"
    assert [(text[s["start"] : s["end"]], s["rule"]) for s in record["spans"]] == [(KEY, "github-token")]


@pytest.mark.parametrize("bad", ["nonsense", "[1]", '{"text": 5}', "{}"])
def test_a_line_that_is_no_record_is_named_and_the_rest_is_done(bad: str) -> None:
    """One error in its place, the other lines as ever, exit code 1."""
    code, out, err = run(f'{{"text": "a"}}\n{bad}\n\n{{"text": "b"}}\n')
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line.get("text") for line in lines] == ["a", None, "b"]
    assert "error" in lines[1]
    assert code == 1
    assert "1 lines" in err


def test_the_format_can_be_said() -> None:
    """A plain line that looks like a record stays plain if told so, and JSON is required if told so."""
    assert run('{"text": "a"}\n', "--format", "plain")[1] == b'{"text": "a"}\n'
    assert run("plain\n", "--format", "json")[0] == 1


def test_a_private_key_over_many_lines_goes_whole() -> None:
    """However the lines arrive."""
    pem = "-----BEGIN PRIVATE KEY-----\n" + "MIIEvQIBADANBgkq\n" * 5000 + "-----END PRIVATE KEY-----\n"
    code, out, _ = run(f"before\n{pem}after\n")
    assert code == 0
    assert b"MIIE" not in out[:60_000]
    assert out.startswith(b"before\n")
    assert out.endswith(b"after\n")


def test_lone_surrogates_and_empty_input_go_through() -> None:
    """What other programs write as lone surrogates is read; empty input gives empty output."""
    assert json.loads(run('{"text": "\\ud800 x"}\n')[1])["text"] == "\ud800 x"
    assert run("") == (0, b"", "")
