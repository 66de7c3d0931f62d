// The panel of a group: what it does, its nodes, what can be done with all of them, and
// how it is edited. And what the panel of a node says about its group.

function aboutGroup(circuit, box) {
  const nodes = box.nodes.map((i) => circuit.nodes[i]);
  const open = openBoxes(circuit).has(box.key);
  const button = (name, run) => el("button", { type: "button", on: { click: run } },
    name);
  return [
    el("div", { class: "head" }, el("h3", { id: "group-title" }, prose(box.title)),
      el("button", { type: "button", "aria-label": "back to all groups",
        on: { click: () => change({ group: "" }) } }, "×")),
    el("p", { class: "note" }, `A group of ${count(nodes.length, "node")}, `,
      box.where),
    el("div", { class: "acts" },
      button(open ? "close it" : "open it", () => turnBox(circuit, box.key))),
    groupFacts(circuit, box, nodes),
    groupActs(circuit, box),
    editGroup(circuit, box),
    flowList(circuit, flowsOf(circuit, box.key).ins, "src", "From groups"),
    flowList(circuit, flowsOf(circuit, box.key).outs, "dst", "To groups"),
    el("h4", {}, "Its nodes"),
    el("ol", { class: "rows" }, [...nodes].sort((a, b) => Math.abs(b.cost || 0) -
        Math.abs(a.cost || 0)).map((node) => el("li", {},
      el("span", {}, nodeLink(circuit, node), briefly(node)),
      el("b", { class: node.cost < 0 ? "down" : "up" },
        node.cost === undefined || node.cost === null ? "" : signed(node.cost))))),
  ].flat(2);
}

function groupFacts(circuit, box, nodes) {
  const rows = [];
  const best = nodes.reduce((a, b) => (b.interchange || 0) > (a.interchange || 0) ? b
    : a, nodes[0]);
  if (best && best.interchange > 0) rows.push(["one node carries, at most",
    el("span", {}, `${Math.round(100 * best.interchange)} % of the decision: `,
      nodeLink(circuit, best))]);
  const costly = nodes.filter((n) => n.cost > 0.001).length;
  if (circuit.known) rows.push(["nodes whose ablation costs > 0.001 nats",
    `${costly} of ${nodes.length}`]);
  return el("dl", { class: "facts" }, rows.flatMap(([name, value]) =>
    [el("dt", {}, name), el("dd", {}, value)]));
}

function flowList(circuit, flows, end, title) {
  if (!flows.length) return null;
  const most = Math.max(...flows.map((flow) => flow.size));
  const { boxes } = groupingOf(circuit);
  return [el("h4", {}, title, el("small", {}, "sum of absolute weights")),
    el("ol", { class: "rows edges" }, [...flows].sort((a, b) => b.size - a.size)
      .map((flow) => {
        const box = boxes[Number(flow[end].slice(1))];
        const mark = el("span", {});
        mark.style.width = Math.max(2, 100 * flow.size / most).toFixed(0) + "%";
        return el("li", {}, groupLink(box), el("i", { class: "scale" }, mark),
          el("b", {}, number(flow.size)));
      }))];
}

function groupLink(box, text) {
  return el("a", { href: addressOf({ group: String(box.key), node: "" }),
    on: { click: (event) => {
      event.preventDefault();
      change({ group: String(box.key), node: "" });
    } } }, prose(text || box.name));
}

// Without a choice: what the drawing is, and all groups in the order of computation.
function groupOverview(circuit) {
  const boxes = groupingOf(circuit).boxes.filter((box) => box.nodes.length);
  return [
    el("h3", {}, "How to read it"),
    el("p", {}, "Tokens come first, answers last. A box is a group of nodes that do " +
      "the same; an arrow sums all weights between two boxes, and is thicker for a " +
      "larger sum. Click a box to open it: its nodes are inside. Click it again to " +
      "close it."),
    el("p", { class: "note" }, "“56 %”: one node of the group, given its value from " +
      "the other prompt, turns 56 % of the decision."),
    el("h3", {}, count(boxes.length, "group")),
    el("ol", { class: "rows" }, boxes.map((box) => el("li", {},
      el("span", {}, groupLink(box, box.title), el("small", {},
        `${box.where}, ${count(box.nodes.length, "node")}`)),
      el("b", {}, box.most >= 0.01 ? `${Math.round(100 * box.most)} %` : "")))),
  ];
}

// --- Editing ------------------------------------------------------------------------

function editGroup(circuit, box) {
  const retitle = () => {
    const now = groupingOf(prepared(state.circuit)).boxes[box.key];
    fill("group-title", prose(now.title));
  };
  return [box.raw.note && el("p", { class: "note" }, box.raw.note),
  editor("Edit this group",
    el("label", {}, "name", noteField(box.raw, "label", "name of this group", box.title,
        retitle)),
    el("label", {}, "note", noteField(box.raw, "note", "note on this group",
        "what you found out")),
    el("div", { class: "acts" }, el("button", { type: "button", id: "take-apart",
      on: { click: () => takeApart(circuit, box.key) } }, "take it apart"),
    el("small", {}, "To move a node to another group, choose the node.")))];
}

// A node's name, note and group, in its own panel.
function editNode(circuit, node) {
  if (node.text !== undefined || (node.kinds && !node.kinds.has(circuit.raw.kind))) {
    return null;
  }
  const target = circuit.raw.graph.nodes[node.i];
  const retitle = () => {
    byId("panel").querySelector("h3").textContent =
      prepared(state.circuit).nodes[node.i].title;
  };
  return [node.note && el("p", { class: "note" }, node.note),
  editor("Name it, note, move it to another group",
    el("label", {}, "name", noteField(target, "label", "name of this node",
        titleOf(node), retitle)),
    el("label", {}, "note", noteField(target, "note", "note on this node",
        "what you found out")),
    circuit.raw.groups && groupChoice(circuit, node))];
}

function groupChoice(circuit, node) {
  const { boxes, of } = groupingOf(circuit);
  const select = el("select", { id: "move", "aria-label": "group of this node",
    on: { change: (e) => {
      if (e.target.value === "new") change({ group: String(newBox(circuit, [node])) });
      else moveNode(circuit, node, Number(e.target.value));
    } } });
  choices(select, [...boxes.filter((box) => box.nodes.length).map((box) =>
    [String(box.key), box.said]), [String(ALONE), "in no group: alone"],
  ["new", "a new group"]], String(of[node.i]));
  return el("label", {}, "group", select);
}

// The group of a node, as a link.
function groupOf(circuit, node) {
  if (!isGrouped(circuit)) return null;
  const { boxes, of } = groupingOf(circuit);
  return of[node.i] !== ALONE && el("p", { class: "note" }, "In the group ",
    groupLink(boxes[of[node.i]]));
}

// A name and a note of a prompt, under the texts.
function promptNote(side) {
  const { prompts } = rawCircuit(state.circuit);
  const target = prompts.pairs[pairIndex(prompts)][side];
  const prompt = `prompt ${side.toUpperCase()}`;
  return el("details", { class: "edit", "data-side": side,
    open: Boolean(target.note || target.label) },
  el("summary", {}, `Name and note of ${prompt}`, target.label
    ? `: ${target.label}` : ""),
  el("label", {}, "name", noteField(target, "label", `name of ${prompt}`,
      "a short name")),
  el("label", {}, "note", noteField(target, "note", `note on ${prompt}`,
      "what you found out")));
}
