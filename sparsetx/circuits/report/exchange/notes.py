"""Names and notes that readers give to nodes, groups and prompts, in a JSON file.

    {"version": 1, "circuits": {CIRCUIT: {
        "nodes": {"mlp_neuron/0/1": {"name": "quote", "note": "see the text"}},
        "groups": {"layer 0 neuron: quote type": {"name": "which quote"},
                   "group 1": {"nodes": ["mlp_neuron/0/1", "mlp_out/0/4"]}},
        "prompts": {"1A": {"note": "the easiest one"}}}}}

CIRCUIT is a circuit's id on the page, a group is named as `sparsetx inspect` prints it,
and prompts are counted from 1, with the side of the pair. Each entry has a name, a note
or both; a group may also have `nodes`, which take the place of those that were computed
for it, and is new if it has another name than these. They become the fields `label`,
`note` and `members` of the page's data. The page saves such a file.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from sparsetx.circuits.report.exchange import edited_groups
from sparsetx.system.errors import refuse_all

VERSION = 1
GROUPS, NODES = "groups", "nodes"
PARTS = (NODES, GROUPS, "prompts")
# In the file, and in the page's data.
FIELDS = {"name": "label", "note": "note", NODES: edited_groups.MEMBERS}


def bake(told: Mapping[str, Any], notes: Any, where: str) -> None:
    """Put notes into a page's data. Refuses all that does not fit, and then changes
    nothing."""
    known = {c["id"]: _targets(c) for c in told["circuits"] if c["detail"]}
    refuse_all(f"notes in {where} that cannot be used", _offences(notes, known))
    circuits = {circuit["id"]: circuit for circuit in told["circuits"]}
    for name, parts in notes["circuits"].items():
        _add(circuits[name], parts.get(GROUPS, {}))
        targets = _targets(circuits[name])
        for part, entries in parts.items():
            for target, entry in entries.items():
                for field, value in entry.items():
                    targets[part][target][FIELDS[field]] = value


def _add(circuit: Mapping[str, Any], groups: Mapping[str, Any]) -> None:
    """The groups that were not computed."""
    known = _targets(circuit)[GROUPS]
    circuit_boxes = circuit["groups"]["boxes"] if groups else []
    for name, entry in groups.items():
        if name not in known:
            circuit_boxes.append(edited_groups.made(name, entry[NODES]))


def _targets(circuit: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What can have notes: the entries of the page's data, by name."""
    graph, groups = circuit.get("graph") or {}, circuit.get(GROUPS) or {}
    pairs = (circuit.get("prompts") or {}).get("pairs", [])
    return {
        NODES: {node["id"]: node for node in graph.get(NODES, [])},
        GROUPS: {box["name"]: box for box in groups.get("boxes", [])},
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
        new = part == GROUPS and known[GROUPS] and _names_nodes(entry)
        if name not in known[part] and not new:
            yield f"{where}: {name}: not in this circuit"
        if not isinstance(entry, dict):
            yield f"{where}: {name}: wanted an object with name, note or both"
            continue
        for field, text in entry.items():
            if field == NODES and part == GROUPS:
                continue
            if field not in FIELDS or field == NODES:
                yield f"{where}: {name}: {field}: no such field (wanted: name, note)"
            elif not isinstance(text, str):
                yield f"{where}: {name}: {field}: wanted text, got {text!r}"
    if part == GROUPS:
        yield from _of_members(where, entries, known[NODES])


def _names_nodes(entry: Any) -> bool:
    return isinstance(entry, dict) and NODES in entry


def _of_members(
    where: str, groups: Mapping[str, Any], known: Mapping[str, Any]
) -> Iterator[str]:
    """Each node of a group is a node of the circuit, and of no other group."""
    seen: dict[str, str] = {}
    for name, entry in groups.items():
        if not _names_nodes(entry):
            continue
        if not isinstance(entry[NODES], list):
            yield f"{where}: {name}: nodes: wanted a list, got {entry[NODES]!r}"
            continue
        for node in entry[NODES]:
            if not isinstance(node, str) or "text" in known.get(node, {"text": ""}):
                yield f"{where}: {name}: nodes: {node!r}: not a node of this circuit"
            elif node in seen:
                yield f"{where}: {name}: nodes: {node} is also in {seen[node]}"
            else:
                seen[node] = name
