"""The versions that a run was made with; they are read once in each process, at its first run."""

import functools
import platform
import subprocess
import sys
from typing import Any

import orjson

_PROVIDERS = (
    "openai", "anthropic", "google-genai", "google-generativeai", "mistralai", "cohere", "groq", "litellm", "boto3",
    "ollama", "xai-sdk", "huggingface-hub", "transformers", "vertexai", "together",
)  # fmt: skip
_ENGINES = (
    "ai-agents", "langgraph", "pydantic-ai", "pydantic-ai-slim", "crewai", "openai-agents", "google-adk",
    "autogen-core", "llama-index-core",
)  # fmt: skip
_GIT_TIMEOUT_S = 2.0


@functools.cache
def versions_text() -> str:
    """Return the `versions` of run.json as JSON text, without the models. Never raises; unknown versions are left out.

    Only packages that are imported by then are named, since an installed provider may not be used. A package that is
    imported after the first run is missing.
    """
    versions: dict[str, Any] = {
        "runbundle": _version("runbundle"),
        "ai_agents": _version("ai-agents"),
        "python": platform.python_version(),
        "otel_sdk": _version("opentelemetry-sdk"),
        "providers": {name: v for name in _PROVIDERS if _imported(name) and (v := _version(name))},
        "git": _git(),
    }
    for name in _ENGINES:
        version = _version(name) if _imported(name.removesuffix("-slim")) else None
        if version:
            versions["engine"] = {"name": name, "version": version}
            break
    return orjson.dumps({k: v for k, v in versions.items() if v is not None}, option=orjson.OPT_SORT_KEYS).decode()


def _imported(distribution: str) -> bool:
    name = distribution.replace("-", "_")
    return name in sys.modules or name.replace("_", ".", 1) in sys.modules


def _version(distribution: str) -> str | None:
    from importlib import metadata  # at the first run, and not where an agent only begins

    try:
        return metadata.version(distribution)
    except (metadata.PackageNotFoundError, ValueError):
        return None


def _git() -> dict[str, Any] | None:
    commit = _run_git("rev-parse", "HEAD")
    if not commit:
        return None
    return {"commit": commit, "dirty": bool(_run_git("status", "--porcelain", "--untracked-files=no"))}


def _run_git(*arguments: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments
            ["git", "--no-optional-locks", *arguments],  # noqa: S607 - the user's git, as they would call it
            capture_output=True,
            timeout=_GIT_TIMEOUT_S,
            check=False,
            text=True,
        )
    except (OSError, subprocess.SubprocessError, ValueError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
