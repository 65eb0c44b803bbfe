"""Contracts read from files, and indexed by tool name for a redactor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import orjson

from runbundle.errors import ContractError
from runbundle.signals.reading import RepeatedKey, value_of

if TYPE_CHECKING:
    from runbundle.format.contract import ToolContract


def load_contracts(path: str | Path) -> tuple[ToolContract, ...]:
    """Read the contracts of one file: JSON, or YAML with `runbundle[yaml]`.

    The file holds one contract, a list of contracts, or `{"contracts": [...]}`. Raises `ContractError`; its `.path`
    names the file and the place in it.
    """
    path = Path(path)
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ContractError(
            f"cannot be read: {error.strerror}", path=str(path), hint="give the path of a JSON or YAML file"
        ) from error
    data = _parse(path, text)
    if isinstance(data, Mapping):
        data = cast("Mapping[str, Any]", data).get("contracts", data)
    from runbundle.format.contract import parse_contract

    items = cast("list[Any]", data) if isinstance(data, list) else [data]
    return tuple(parse_contract(item, where=f"{path}[{index}]") for index, item in enumerate(items))


def by_name(contracts: Iterable[ToolContract | Mapping[str, Any] | str | Path]) -> dict[str, ToolContract]:
    """Index contracts by tool name; parse plain mappings and load paths.

    Raises `ContractError` for two different contracts of one name, and where `load_contracts` does.
    """
    found: dict[str, ToolContract] = {}
    for contract in _each(contracts):
        if contract.name in found and found[contract.name] != contract:
            raise ContractError("two different contracts have this name", path=contract.name, hint="keep one")
        found[contract.name] = contract
    return found


def _each(contracts: Iterable[ToolContract | Mapping[str, Any] | str | Path]) -> Iterator[ToolContract]:
    given = list(contracts)
    if not given:
        return  # who gives none needs no models
    from runbundle.format.contract import ToolContract, parse_contract

    for item in given:
        if isinstance(item, ToolContract):
            yield item
        elif isinstance(item, str | Path):
            yield from load_contracts(item)
        else:
            yield parse_contract(item)


def _parse(path: Path, text: bytes) -> Any:
    if path.suffix.lower() in (".yaml", ".yml"):
        try:
            import yaml
        except ImportError:
            raise ContractError("YAML needs PyYAML", path=str(path), hint="pip install 'runbundle[yaml]'") from None
        try:
            return _yaml(path, text)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f" at line {mark.line + 1}" if mark else ""
            raise ContractError(f"is not YAML{line}", path=str(path)) from None
    try:
        return value_of(text)
    except RepeatedKey as error:
        raise _twice(path, error.lineno) from None
    except orjson.JSONDecodeError as error:
        raise ContractError(f"is not JSON at line {error.lineno}", path=str(path)) from None


def _yaml(path: Path, text: bytes) -> Any:
    import yaml

    from runbundle.codec.yaml_text import repeated_key

    loader: Any = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        twice = repeated_key(node)
        if twice is not None:
            raise _twice(path, twice[1])
        return loader.construct_document(node) if node is not None else None
    finally:
        loader.dispose()


def _twice(path: Path, line: int) -> ContractError:
    return ContractError(
        f"has one key twice, at line {line}", path=str(path), hint="keep one of them; the first would be ignored"
    )
