// The reader's names, notes and groups. They are fields of the page's data, like those
// that `sparsetx report --notes` puts there, and the same file is saved and loaded
// here. While they are few they are also in the address.

const PARTS = ["nodes", "groups", "prompts"];
const FIELDS = { name: "label", note: "note", nodes: "members" };
const LONGEST = 1800; // characters of the address
const noted = { past: [], start: "", text: "", packed: "", problem: [],
  editing: false };

// {name: entry of the data} of all that can have notes.
function targetsOf(raw) {
  const pairs = (raw.prompts || { pairs: [] }).pairs;
  return {
    nodes: new Map(((raw.graph || {}).nodes || []).map((node) => [node.id, node])),
    groups: new Map(((raw.groups || {}).boxes || []).map((box) => [box.name, box])),
    prompts: new Map(pairs.flatMap((pair, i) => SIDES.map((side) =>
      [`${i + 1}${side.toUpperCase()}`, pair[side]]))),
  };
}

function notesNow() {
  const circuits = {};
  for (const raw of ANY) {
    const targets = targetsOf(raw);
    for (const part of PARTS) {
      for (const [name, target] of targets[part]) {
        const entry = {};
        for (const [field, own] of Object.entries(FIELDS)) {
          if (target[own] === undefined || (own === "members" && part !== "groups")) {
            continue;
          }
          entry[field] = target[own];
        }
        if (!Object.keys(entry).length) continue;
        circuits[raw.id] = circuits[raw.id] || {};
        circuits[raw.id][part] = circuits[raw.id][part] || {};
        circuits[raw.id][part][name] = entry;
      }
    }
  }
  return { version: 1, circuits };
}

// Take the place of all notes. Returns what does not fit, and then changes nothing.
function putNotes(notes) {
  const bad = offences(notes);
  if (bad.length) return bad;
  for (const raw of ANY) {
    const targets = targetsOf(raw);
    for (const part of PARTS) {
      for (const target of targets[part].values()) {
        for (const own of Object.values(FIELDS)) delete target[own];
      }
    }
    if (raw.groups) raw.groups.boxes = raw.groups.boxes.filter((b) => b.nodes.length);
    const own = notes.circuits[raw.id] || {};
    for (const [name, entry] of Object.entries(own.groups || {})) {
      if (!targets.groups.has(name) || !targets.groups.get(name).nodes.length) {
        raw.groups.boxes.push({ name, nodes: [], members: entry.nodes });
      }
    }
    const known = targetsOf(raw);
    for (const part of PARTS) {
      for (const [name, entry] of Object.entries(own[part] || {})) {
        for (const [field, value] of Object.entries(entry)) {
          known[part].get(name)[FIELDS[field]] = value;
        }
      }
    }
  }
  return [];
}

// --- What does not fit: as `report --notes` refuses it ------------------------------

function isObject(x) {
  return typeof x === "object" && x !== null && !Array.isArray(x);
}

function offences(notes) {
  if (!isObject(notes) || !isObject(notes.circuits)) {
    return ["wanted an object with \"version\" and \"circuits\""];
  }
  const found = notes.version === 1 ? [] : [`version: wanted 1, got ${notes.version}`];
  for (const [id, parts] of Object.entries(notes.circuits)) {
    const raw = ANY.find((c) => c.id === id);
    if (!raw) found.push(`${id}: no such circuit on this page`);
    else if (!isObject(parts)) found.push(`${id}: wanted an object`);
    else {
      for (const [part, entries] of Object.entries(parts)) {
        if (!PARTS.includes(part) || !isObject(entries)) {
          found.push(`${id}: ${part}: wanted any of ${PARTS.join(", ")}`);
        } else found.push(...ofPart(`${id}: ${part}`, part, entries, targetsOf(raw)));
      }
    }
  }
  return found;
}

function ofPart(where, part, entries, targets) {
  const found = [];
  const seen = new Set();
  const computed = (name) => targets[part].has(name) &&
    (part !== "groups" || targets.groups.get(name).nodes.length > 0);
  for (const [name, entry] of Object.entries(entries)) {
    const at = `${where}: ${name}`;
    const list = isObject(entry) && part === "groups" ? entry.nodes : undefined;
    if (!isObject(entry)) found.push(`${at}: wanted an object`);
    else if (!computed(name) && !(list && targets.groups.size)) {
      found.push(`${at}: not in this circuit`);
    }
    for (const [field, value] of Object.entries(isObject(entry) ? entry : {})) {
      if (field === "nodes" && part === "groups") continue;
      if (field !== "name" && field !== "note") {
        found.push(`${at}: ${field}: no such field`);
      } else if (typeof value !== "string") found.push(`${at}: ${field}: wanted text`);
    }
    if (list === undefined) continue;
    if (!Array.isArray(list)) found.push(`${at}: nodes: wanted a list`);
    for (const id of Array.isArray(list) ? list : []) {
      const node = targets.nodes.get(id);
      if (!node || node.text !== undefined) found.push(`${at}: ${id}: no such node`);
      if (seen.has(id)) found.push(`${at}: ${id} is in two groups`);
      seen.add(id);
    }
  }
  return found;
}

// --- Changes ------------------------------------------------------------------------

// All changes go through here: they can be undone, and the page is drawn anew. `quiet`:
// the panel stays, because the reader is typing in it.
function edited(run, quiet = false) {
  noted.past.push(JSON.stringify(notesNow()));
  noted.problem = [];
  run();
  refreshNotes(quiet);
}

function refreshNotes(quiet = false) {
  remember();
  PREPARED.clear();
  drawCircuit();
  if (!quiet) showPanel();
  showStep();
  showActList();
  showNotes();
  writeAddress();
}

function undoNotes() {
  if (!noted.past.length) return;
  putNotes(JSON.parse(noted.past.pop()));
  noted.problem = [];
  refreshNotes();
}

function setField(target, field, text) {
  if ((target[field] || "") === text) return;
  edited(() => {
    if (text) target[field] = text;
    else delete target[field];
  }, true);
}

// A field for a name or a note, kept when the reader leaves it or presses Enter.
function noteField(target, field, name, empty, done = () => {}) {
  const kept = (e) => {
    setField(target, field, e.target.value.trim());
    done();
  };
  const long = field === "note";
  const input = el(long ? "textarea" : "input", { "aria-label": name, rows: long && 2,
    type: long ? null : "text", placeholder: empty, autocomplete: "off",
    "data-field": field, on: { change: kept } });
  input.value = target[field] || "";
  return input;
}

// Fields that stay open while the reader goes from one node to the next.
function editor(name, ...fields) {
  return el("details", { class: "edit", open: noted.editing,
    on: { toggle: (e) => { noted.editing = e.target.open; } } },
  el("summary", {}, name), fields);
}

// --- The address and files ----------------------------------------------------------

function packNotes(text) {
  const letters = Array.from(new TextEncoder().encode(text), (b) =>
    String.fromCharCode(b)).join("");
  return btoa(letters).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

function unpackNotes(packed) {
  const letters = atob(packed.replace(/-/g, "+").replace(/_/g, "/"));
  return new TextDecoder("utf-8", { fatal: true }).decode(
      Uint8Array.from(letters, (c) => c.charCodeAt(0)));
}

// What the address says about notes: nothing where they are those of the file.
function remember() {
  noted.text = JSON.stringify(notesNow());
  const packed = noted.text === noted.start ? "" : packNotes(noted.text);
  noted.packed = packed.length > LONGEST ? "" : packed;
}

function startNotes() {
  noted.start = JSON.stringify(notesNow());
  readNotes();
  remember();
}

function readNotes() {
  const packed = new URLSearchParams(location.hash.slice(1)).get("x");
  if (!packed || packed === noted.packed) return false;
  try {
    noted.problem = putNotes(JSON.parse(unpackNotes(packed)));
  } catch {
    noted.problem = ["the notes in this address cannot be read: it is incomplete"];
  }
  PREPARED.clear();
  return true;
}

function saveNotes() {
  save("notes.json", "application/json", JSON.stringify(notesNow(), null, 1) + "\n");
}

async function loadNotes(event) {
  const [file] = event.target.files;
  if (!file) return;
  const before = JSON.stringify(notesNow());
  try {
    noted.problem = putNotes(JSON.parse(await file.text()));
  } catch {
    noted.problem = [`${file.name} is not JSON`];
  }
  if (!noted.problem.length) noted.past.push(before);
  event.target.value = "";
  refreshNotes();
}

function showNotes() {
  const now = notesNow();
  const many = Object.values(now.circuits).flatMap((parts) =>
    Object.values(parts).flatMap((entries) => Object.keys(entries))).length;
  const where = noted.text === noted.start ? "as in this page's file"
    : noted.packed ? "kept in this page's address"
      : "too long for the address: save them";
  const told = many ? `${many} of your names, notes and groups, ${where}.`
    : "Names, notes and groups of your own: choose a group or a node, and edit it in " +
      "the panel.";
  const button = (name, run, off) => el("button", { type: "button", disabled: off,
    on: { click: run } }, name);
  fill("notes", el("span", { class: "note" }, told),
    el("span", { class: "together", role: "group", "aria-label": "your notes" },
      button("undo", undoNotes, !noted.past.length),
      button("save notes", saveNotes, !many),
      el("label", { class: "file" }, "load notes", el("input", { id: "load-notes",
        type: "file", accept: ".json,application/json", on: { change: loadNotes } }))),
    noted.problem.length > 0 && el("div", { class: "bad", role: "alert" },
      "These notes do not fit this page, and nothing was changed:",
      el("ul", {}, noted.problem.slice(0, 8).map((line) => el("li", {}, line)),
        noted.problem.length > 8 && el("li", {}, `${noted.problem.length - 8} more`))));
}
