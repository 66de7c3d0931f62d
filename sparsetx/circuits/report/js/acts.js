// Controls of interventions: on a node's card, beside a sentence of the mechanism, and
// the list of what is on.

const ACTS = { mean: "knocked out to its mean", zero: "knocked out to zero",
  patch: "as in the other prompt", freeze: "attention frozen" };

function canAct(raw, node) {
  return canRun(raw) && node.index !== undefined && Boolean(raw.run.means[node.site]) &&
    (!node.kinds || node.kinds.has(raw.kind));
}

function actsOf(circuit, node) {
  if (!canAct(circuit.raw, node)) return null;
  const { site, layer, index } = node;
  const own = { site, layer, indices: [index] };
  const button = (name, run, on) => el("button", { type: "button",
    "aria-pressed": String(on), on: { click: run } }, name);
  const now = live.acts.find((x) => keyOf(x) === keyOf(own));
  const turn = (kind, name) => button(name, () => {
    if (now && now.act === kind) setActs(live.acts.filter((x) => x !== now));
    else act({ ...own, act: kind });
  }, Boolean(now && now.act === kind));
  return el("div", { class: "acts", role: "group",
    "aria-label": "change this node in the model", "data-node": node.id },
  turn("mean", "knock out: mean"), turn("zero", "knock out: zero"),
  turn("patch", "patch from the other prompt"), headButton(node, button),
  slider(circuit, node, own, now));
}

function headButton(node, button) {
  if (node.head === null || node.head === undefined) return null;
  const own = { site: "attn_pattern", layer: node.layer, indices: [node.head],
    act: "freeze" };
  const now = live.acts.find((x) => keyOf(x) === keyOf(own));
  return button("freeze its head's attention", () => {
    if (now) setActs(live.acts.filter((x) => x !== now));
    else act(own);
  }, Boolean(now));
}

// Its value at all tokens. While the slider moves, the steps are one to undo.
function slider(circuit, node, own, now) {
  const most = 1.5 * (circuit.raw.prompts.scale[node.i] || 1);
  const value = now && now.act === "value" ? now.value : 0;
  const told = el("output", {}, now && now.act === "value" ? number(value) : "its own");
  const move = (e) => {
    const x = Number(e.target.value);
    told.textContent = number(x);
    const last = live.acts[live.acts.length - 1];
    const going = last && last.act === "value" && keyOf(last) === keyOf(own);
    if (going) live.acts = live.acts.slice(0, -1).concat({ ...last, value: x });
    else {
      live.past.push([live.acts, live.frozen]);
      live.acts = live.acts.filter((y) => keyOf(y) !== keyOf(own))
        .concat({ ...own, act: "value", value: x });
    }
    refreshLive();
    showActList();
  };
  return el("label", { class: "slider wide" }, "value", el("input", { type: "range",
    min: -most, max: most, step: most / 100, value, "aria-label": "value of this node",
    on: { input: move } }), told);
}

// The nodes that a sentence names, knocked out together; a second click undoes it.
function knockOf(raw, ids) {
  const nodes = ids.map((id) => ({ ...parsed(id, raw.d_head), id }));
  if (!ids.length || !nodes.every((node) => canAct(raw, node))) return null;
  const list = nodes.map(({ site, layer, index }) => ({ site, layer, indices: [index],
    act: "mean" }));
  const keys = new Set(list.map(keyOf));
  return el("button", { type: "button", class: "see knock", "aria-pressed": "false",
    "aria-label": `knock out ${ids.length === 1 ? "this node" : "these nodes"}: ` +
      "mean ablation", "data-keys": [...keys].join(" "),
    on: { click: (e) => {
      const rest = live.acts.filter((x) => !keys.has(keyOf(x)));
      const on = e.target.getAttribute("aria-pressed") === "true";
      setActs(on ? rest : [...rest, ...list]);
    } } }, "try without it");
}

function nameOfAct(circuit, one) {
  if (one.act === "freeze") return `layer ${one.layer}, head ${one.indices.join()}`;
  const at = circuit.places.get(`${one.site}/${one.layer}/${one.indices[0]}`);
  return at === undefined ? keyOf(one) : circuit.nodes[at].title;
}

// All nodes of a group at once; its heads' attention too. Each is one step to undo.
function groupActs(circuit, box) {
  const nodes = box.nodes.map((i) => circuit.nodes[i])
    .filter((node) => !node.free && canAct(circuit.raw, node));
  if (!nodes.length) return null;
  const heads = [...new Set(nodes.filter((n) => n.head !== null && n.head !== undefined)
    .map((n) => `${n.layer} ${n.head}`))].map((key) => key.split(" ").map(Number));
  const acts = (kind) => kind === "freeze"
    ? heads.map(([layer, head]) => ({ site: "attn_pattern", layer, indices: [head] }))
    : nodes.map(({ site, layer, index }) => ({ site, layer, indices: [index] }));
  const now = new Map(live.acts.map((one) => [keyOf(one), one.act]));
  const turn = (kind, name) => {
    const list = acts(kind).map((one) => ({ ...one, act: kind, by: box.name }));
    const keys = new Set(list.map(keyOf));
    const on = list.every((one) => now.get(keyOf(one)) === kind);
    return el("button", { type: "button", "aria-pressed": String(on), "data-act": kind,
      on: { click: () => setActs([...live.acts.filter((x) => !keys.has(keyOf(x))),
        ...(on ? [] : list)]) } }, name);
  };
  return el("div", { class: "acts of-group", role: "group",
    "aria-label": "change this group in the model" },
  turn("mean", "knock out: mean"), turn("zero", "knock out: zero"),
  turn("patch", "patch from the other prompt"),
  heads.length > 0 && turn("freeze", `freeze attention of ${count(heads.length,
      "head")}`));
}

// What is on, with all changes that were made to a group at once as one entry.
function listedActs(circuit) {
  const found = new Map();
  for (const one of live.acts) {
    const key = one.by ? `${one.by} ${one.act}` : keyOf(one);
    if (!found.has(key)) found.set(key, { one, all: [] });
    found.get(key).all.push(one);
  }
  return [...found.values()].map(({ one, all }) => ({ one, all, name: one.by
    ? `${one.by} (${count(all.length, one.act === "freeze" ? "head" : "node")})`
    : nameOfAct(circuit, one) }));
}

// Everything that shows what is on, after a change that is not the slider's.
function showActs() {
  showActList();
  const circuit = shownCircuit();
  const group = byId("panel").querySelector(".acts.of-group");
  const card = group || byId("panel").querySelector(".acts[data-node]");
  if (card) {
    const place = [...card.children].indexOf(document.activeElement);
    const made = group ? groupActs(circuit, chosenBox(circuit))
      : actsOf(circuit, circuit.nodes[circuit.places.get(state.node)]);
    card.replaceWith(made);
    if (place >= 0) made.children[place].focus({ preventScroll: true });
  }
}

function showActList() {
  if (!byId("acts")) return;
  const circuit = prepared(state.circuit);
  const on = new Map(live.acts.map((one) => [keyOf(one), one.act]));
  for (const button of document.querySelectorAll(".knock")) {
    const all = button.dataset.keys.split(" ").every((key) => on.get(key) === "mean");
    button.setAttribute("aria-pressed", String(all));
  }
  showClaims();
  const kept = byId("acts").contains(document.activeElement);
  fill("acts", el("span", {}, live.acts.length ? "On: "
    : "Nothing is changed. Choose a node in the drawing to change it."),
  el("ul", { class: "on" }, listedActs(circuit).map(({ one, all, name }) => el("li", {},
    name, " ",
    one.act === "value" ? `at ${number(one.value)}` : ACTS[one.act], " ",
    el("button", { type: "button", "aria-label": "take this change back",
      on: { click: () => setActs(live.acts.filter((x) => !all.includes(x))) } },
    "×")))),
  el("label", {}, el("input", { id: "freeze", type: "checkbox", checked: live.frozen,
    on: { change: (e) => setActs(live.acts, e.target.checked) } }),
  "freeze all attention"),
  el("button", { id: "undo", type: "button", disabled: !live.past.length,
    on: { click: undoAct } }, "undo"),
  el("button", { id: "clear", type: "button",
    disabled: !live.acts.length && !live.frozen,
    on: { click: () => setActs([], false) } }, "clear"));
  if (kept) byId("freeze").focus({ preventScroll: true });
}
