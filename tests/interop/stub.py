"""A small model server for tests: OpenAI's chat completions, responses and embeddings, and Anthropic's messages.

    with Stub() as url: ...         # http://127.0.0.1:PORT

It answers each request whole or as a stream of events, as it asks. It needs nothing but the standard library, and the
same conversation gets the same answer under the same ids: they are made of the request and of how often it came.

It plays a clerk's assistant. Given tools it calls `lookup_order` and `weather`, then answers. Words in the user's
messages have it do otherwise: `PLAIN` (answer at once), `HANDOFF` (call the first `transfer_to_…`), `FAIL` (call
`explode`), `RETRY` (a wrong order id first), `REFUSED` (HTTP 400).
"""

import base64
import hashlib
import json
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.interop.apps.shared import CANARIES, CITY, EMAIL, ORDER_ID

ANSWER = f"Your order {ORDER_ID} is on its way. {CANARIES['output']}"
REFUSAL = f"This request is refused. {CANARIES['error body']}"
INPUT_TOKENS, OUTPUT_TOKENS, CACHED_TOKENS, REASONING_TOKENS = 11, 7, 3, 2
CREATED = 1_790_000_000
ARGUMENTS: dict[str, dict[str, Any]] = {
    "lookup_order": {"order_id": ORDER_ID, "email": EMAIL},
    "weather": {"city": CITY},
    "explode": {"reason": "a test"},
}
Call = tuple[str, dict[str, Any]]


def decide(said: str, tools: list[str], results: int) -> list[Call]:
    """Return the tools to call next; none if it is time to answer. `results` is how many results are known."""
    if "PLAIN" in said:
        return []
    handoff = next((name for name in tools if name.startswith("transfer_to")), None)
    if "HANDOFF" in said and handoff and not results:
        return [(handoff, {})]
    if "FAIL" in said and "explode" in tools and not results:
        return [("explode", ARGUMENTS["explode"])]
    if "RETRY" in said and "lookup_order" in tools and results < 2:
        return [("lookup_order", {"order_id": ORDER_ID if results else "WRONG", "email": EMAIL})]
    if results:
        return []
    return [(name, ARGUMENTS[name]) for name in ("lookup_order", "weather") if name in tools]


def _text(content: Any) -> str:
    if isinstance(content, list):
        return " ".join(_text(part) for part in content)
    if isinstance(content, dict):
        return _text(content.get("text") or content.get("content") or "")
    return content if isinstance(content, str) else ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def log_message(self, *args: Any) -> None:
        """Keep quiet."""

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers.get("content-length", 0)))
        body: dict[str, Any] = json.loads(data or b"{}")
        for path, answer in _ANSWERS.items():
            if self.path.split("?")[0].endswith(path):
                return self._send(answer, body, self.server.id_of(data))
        return self._whole(404, {"error": {"message": f"nothing is at {self.path}"}})

    def _send(self, answer: Any, body: dict[str, Any], ident: str) -> None:
        if "REFUSED" in json.dumps(body):
            return self._whole(400, {"type": "error", "error": {"type": "invalid_request_error", "message": REFUSAL}})
        whole, events = answer(body, ident)
        if not body.get("stream"):
            return self._whole(200, whole)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        for name, event in events:
            head = f"event: {name}\n" if name else ""
            text = event if isinstance(event, str) else json.dumps(event)
            self.wfile.write(f"{head}data: {text}\n\n".encode())
            self.wfile.flush()
        return None

    def _whole(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()

    def id_of(self, data: bytes) -> str:
        """Return an id that no other request has, and the same in every run of the tests."""
        digest = hashlib.sha256(data).hexdigest()[:16]
        with self._lock:
            self._seen[digest] += 1
            return f"{digest}{self._seen[digest]:04x}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that has gone."""


class Stub:
    """The server, for as long as its `with` block runs."""

    def __init__(self) -> None:
        self._server = _Server()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _chat(body: dict[str, Any], ident: str) -> tuple[dict[str, Any], Iterator[tuple[str, Any]]]:
    messages = body["messages"]
    said = " ".join(_text(message.get("content")) for message in messages if message["role"] == "user")
    tools = [tool["function"]["name"] for tool in body.get("tools") or ()]
    calls = decide(said, tools, sum(message["role"] == "tool" for message in messages))
    entries = [
        {
            "id": f"call_{ident}{number}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)},
        }
        for number, (name, arguments) in enumerate(calls)
    ]
    reason = "tool_calls" if entries else "stop"
    usage = {
        "prompt_tokens": INPUT_TOKENS,
        "completion_tokens": OUTPUT_TOKENS,
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
        "prompt_tokens_details": {"cached_tokens": CACHED_TOKENS},
        "completion_tokens_details": {"reasoning_tokens": REASONING_TOKENS},
    }
    head = {"id": f"chatcmpl-{ident}", "created": CREATED, "model": "clerk-1-2026", "system_fingerprint": "fp_stub"}
    message: dict[str, Any] = {"role": "assistant", "content": None if entries else ANSWER, "refusal": None}
    if entries:
        message["tool_calls"] = entries
    choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}

    def events() -> Iterator[tuple[str, Any]]:
        def chunk(delta: dict[str, Any], finish: str | None = None) -> tuple[str, Any]:
            choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
            return "", head | {"object": "chat.completion.chunk", "choices": choices}

        yield chunk({"role": "assistant", "content": None if entries else ""})
        for number, entry in enumerate(entries):
            text = entry["function"]["arguments"]
            yield chunk(
                {"tool_calls": [{"index": number} | entry | {"function": entry["function"] | {"arguments": ""}}]}
            )
            for part in (text[:10], text[10:]):
                yield chunk({"tool_calls": [{"index": number, "function": {"arguments": part}}]})
        for word in [] if entries else ANSWER.split(" "):
            yield chunk({"content": f"{word} "})
        yield chunk({}, reason)
        if (body.get("stream_options") or {}).get("include_usage"):
            yield "", head | {"object": "chat.completion.chunk", "choices": [], "usage": usage}
        yield "", "[DONE]"

    return head | {"object": "chat.completion", "choices": [choice], "usage": usage}, events()


def _responses(body: dict[str, Any], ident: str) -> tuple[dict[str, Any], Iterator[tuple[str, Any]]]:
    given = body.get("input") or []
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    said = " ".join(_text(item.get("content")) for item in items if item.get("role") == "user")
    tools = [tool["name"] for tool in body.get("tools") or () if tool.get("type") == "function"]
    calls = decide(said, tools, sum(item.get("type") == "function_call_output" for item in items))
    output: list[dict[str, Any]] = [
        {
            "type": "function_call",
            "id": f"fc_{ident}{number}",
            "call_id": f"call_{ident}{number}",
            "name": name,
            "arguments": json.dumps(arguments),
            "status": "completed",
        }
        for number, (name, arguments) in enumerate(calls)
    ]
    part = {"type": "output_text", "text": ANSWER, "annotations": [], "logprobs": []}
    if not output:
        message = {"type": "message", "id": f"msg_{ident}", "role": "assistant", "status": "completed"}
        output = [message | {"content": [part]}]
    response = {
        "id": f"resp_{ident}",
        "object": "response",
        "created_at": CREATED,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": None,
        "model": "clerk-1-2026",
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": body.get("previous_response_id"),
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": body.get("tools") or [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": {
            "input_tokens": INPUT_TOKENS,
            "input_tokens_details": {"cached_tokens": CACHED_TOKENS, "cache_write_tokens": 0},
            "output_tokens": OUTPUT_TOKENS,
            "output_tokens_details": {"reasoning_tokens": REASONING_TOKENS},
            "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
        },
        "user": None,
        "metadata": {},
    }

    def events() -> Iterator[tuple[str, Any]]:
        number = 0

        def event(kind: str, **more: Any) -> tuple[str, Any]:
            nonlocal number
            number += 1
            return kind, {"type": kind, "sequence_number": number - 1} | more

        yield event("response.created", response=response | {"status": "in_progress", "output": [], "usage": None})
        for index, item in enumerate(output):
            where = {"item_id": item["id"], "output_index": index}
            called = item["type"] == "function_call"
            begun = item | {"status": "in_progress"} | ({"arguments": ""} if called else {"content": []})
            yield event("response.output_item.added", output_index=index, item=begun)
            if called:
                text, name = item["arguments"], item["name"]
                yield event("response.function_call_arguments.delta", delta=text, **where)
                yield event("response.function_call_arguments.done", arguments=text, name=name, **where)
            else:
                where |= {"content_index": 0}
                yield event("response.content_part.added", part=part | {"text": ""}, **where)
                for word in ANSWER.split(" "):
                    yield event("response.output_text.delta", delta=f"{word} ", logprobs=[], **where)
                yield event("response.output_text.done", text=ANSWER, logprobs=[], **where)
                yield event("response.content_part.done", part=part, **where)
            yield event("response.output_item.done", output_index=index, item=item)
        yield event("response.completed", response=response)

    return response, events()


def _embeddings(body: dict[str, Any], ident: str) -> tuple[dict[str, Any], Iterator[tuple[str, Any]]]:
    given = body["input"] if isinstance(body["input"], list) else [body["input"]]
    vector: Any = [0.5, 0.25, 0.125, 0.0625]
    if body.get("encoding_format") == "base64":
        vector = base64.b64encode(struct.pack("<4f", *vector)).decode()
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, _ in enumerate(given)]
    usage = {"prompt_tokens": INPUT_TOKENS, "total_tokens": INPUT_TOKENS}
    return {"object": "list", "data": data, "model": "clerk-embedding-1", "usage": usage}, iter(())


def _messages(body: dict[str, Any], ident: str) -> tuple[dict[str, Any], Iterator[tuple[str, Any]]]:
    parts = [part for message in body["messages"] if message["role"] == "user" for part in _listed(message["content"])]
    results = [part for part in parts if part.get("type") == "tool_result"]
    said = " ".join(_text(part) for part in parts if part not in results)
    calls = decide(said, [tool["name"] for tool in body.get("tools") or ()], len(results))
    blocks: list[dict[str, Any]] = [
        {"type": "tool_use", "id": f"toolu_{ident}{number}", "name": name, "input": arguments}
        for number, (name, arguments) in enumerate(calls)
    ] or [{"type": "text", "text": ANSWER}]
    stop = {"stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None}
    usage = {
        "input_tokens": INPUT_TOKENS,
        "output_tokens": OUTPUT_TOKENS,
        "cache_read_input_tokens": CACHED_TOKENS,
        "cache_creation_input_tokens": 0,
    }
    head = {"id": f"msg_{ident}", "type": "message", "role": "assistant", "model": "clerk-a-2026"}

    def events() -> Iterator[tuple[str, Any]]:
        def event(kind: str, **more: Any) -> tuple[str, Any]:
            return kind, {"type": kind} | more

        begun = {"content": [], "stop_reason": None, "stop_sequence": None, "usage": usage | {"output_tokens": 1}}
        yield event("message_start", message=head | begun)
        for index, block in enumerate(blocks):
            if block["type"] == "text":
                yield event("content_block_start", index=index, content_block={"type": "text", "text": ""})
                deltas = [{"type": "text_delta", "text": f"{word} "} for word in ANSWER.split(" ")]
            else:
                yield event("content_block_start", index=index, content_block=block | {"input": {}})
                deltas = [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
            for delta in deltas:
                yield event("content_block_delta", index=index, delta=delta)
            yield event("content_block_stop", index=index)
        yield event("message_delta", delta=stop, usage={"output_tokens": OUTPUT_TOKENS})
        yield event("message_stop")

    return head | {"content": blocks, "usage": usage} | stop, events()


def _listed(content: Any) -> list[dict[str, Any]]:
    return content if isinstance(content, list) else [{"type": "text", "text": content}]


_ANSWERS = {
    "/chat/completions": _chat,
    "/responses": _responses,
    "/embeddings": _embeddings,
    "/messages": _messages,
}
