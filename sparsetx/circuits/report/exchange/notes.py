"""Names and notes that readers give to nodes, groups and prompts, in a JSON file.

    {"version": 1, "circuits": {CIRCUIT: {
        "nodes": {"mlp_neuron/0/1": {"name": "quote", "note": "see the text"}},
        "groups": {"layer 0 neuron: quote type": {"name": "which quote"}},
        "prompts": {"1A": {"note": "the easiest one"}}}}}

CIRCUIT is a circuit's id on the page, a group is named as `sparsetx inspect` prints it,
and prompts are counted from 1, with the side of the pair. Each entry has a name, a note
or both. They become the fields `label` and `note` of the page's data.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from sparsetx.system.errors import refuse_all

VERSION = 1
PARTS = ("nodes", "groups", "prompts")
FIELDS = {"name": "label", "note": "note"}  # in the file, and in the page's data


def bake(told: Mapping[str, Any], notes: Any, where: str) -> None:
    """Put notes into a page's data. Refuses all that does not fit, and then changes
    nothing."""
    known = {c["id"]: _targets(c) for c in told["circuits"] if c["detail"]}
    refuse_all(f"notes in {where} that cannot be used", _offences(notes, known))
    for circuit, parts in notes["circuits"].items():
        for part, entries in parts.items():
            for name, entry in entries.items():
                for field, text in entry.items():
                    known[circuit][part][name][FIELDS[field]] = text


def _targets(circuit: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What can have notes: the entries of the page's data, by name."""
    graph, groups = circuit.get("graph") or {}, circuit.get("groups") or {}
    pairs = (circuit.get("prompts") or {}).get("pairs", [])
    return {
        "nodes": {node["id"]: node for node in graph.get("nodes", [])},
        "groups": {box["name"]: box for box in groups.get("boxes", [])},
        "prompts": {
            f"{number}{side.upper()}": pair[side]
            for number, pair in enumerate(pairs, 1)
            for side in ("a", "b")
        },
    }


def _offences(notes: Any, known: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(notes, dict) or not isinstance(notes.get("circuits"), dict):
        yield 'wanted an object with "version" and "circuits"'
        return
    if type(notes.get("version")) is not int or notes["version"] != VERSION:
        yield f"version: wanted {VERSION}, got {notes.get('version')!r}"
    for key in sorted(notes.keys() - {"version", "circuits"}):
        yield f"{key}: no such field"
    for circuit, parts in notes["circuits"].items():
        if circuit not in known:
            yield f"{circuit}: no such circuit (known: {', '.join(known)})"
        elif not isinstance(parts, dict):
            yield f"{circuit}: wanted an object with any of {', '.join(PARTS)}"
        else:
            for part, entries in parts.items():
                yield from _of_part(f"{circuit}: {part}", part, entries, known[circuit])


def _of_part(
    where: str, part: str, entries: Any, known: Mapping[str, Any]
) -> Iterator[str]:
    if part not in PARTS:
        yield f"{where}: no such part (wanted: {', '.join(PARTS)})"
        return
    if not isinstance(entries, dict):
        yield f"{where}: wanted an object"
        return
    for name, entry in entries.items():
        if name not in known[part]:
            yield f"{where}: {name}: not in this circuit"
        if not isinstance(entry, dict):
            yield f"{where}: {name}: wanted an object with name, note or both"
            continue
        for field, text in entry.items():
            if field not in FIELDS:
                yield f"{where}: {name}: {field}: no such field (wanted: name, note)"
            elif not isinstance(text, str):
                yield f"{where}: {name}: {field}: wanted text, got {text!r}"
