// The panel beside the drawing: all about the pinned node; without one, an overview.

function showPanel() {
  const circuit = shownCircuit();
  if (!circuit) return;
  const at = circuit.places.get(state.node);
  const box = isGrouped(circuit) ? chosenBox(circuit) : null;
  fill("panel", at !== undefined ? about(circuit, circuit.nodes[at])
    : box ? aboutGroup(circuit, box) : overview(circuit));
  byId("panel").scrollTop = 0;
}

function nodeLink(circuit, node, text) {
  return el("a", {
    href: addressOf({ node: node.id }),
    on: { click: (event) => { event.preventDefault(); change({ node: node.id }); } },
  }, text || node.title);
}

function overview(circuit) {
  const hits = matching(circuit, state.query);
  if (hits && namedIn(circuit, state.query)) {
    return [el("h3", {}, count(hits.size, "node") + " chosen"), el("button", {
      type: "button", on: { click: () => change({ query: "" }) } }, "show all again"),
    found(circuit, hits)];
  }
  if (hits) return [el("h3", {}, count(hits.size, "node") + " found"),
      found(circuit, hits)];
  if (isGrouped(circuit)) return groupOverview(circuit);
  const strongest = circuit.nodes.filter((n) => n.cost !== null &&
      n.cost !== undefined)
    .sort((a, b) => Math.abs(b.cost) - Math.abs(a.cost)).slice(0, 10);
  return [
    el("h3", {}, "How to read it"),
    el("p", {}, drawn.layout && drawn.layout.down
        ? "Tokens are at the top, answers at the bottom. "
        : "Tokens are on the left, answers on the right. ", "A dot is a node: one ",
      "channel of the network. A line is an edge: a weight that is not zero. Click a ",
      "dot to see what it does and everything before and after it."),
    ...paths(circuit),
    strongest.length > 0 && [el("h3", {}, "Largest ablation costs"),
      el("p", { class: "note" }, "nats by which the loss rises when the node is ",
        "ablated too"),
      el("ol", { class: "rows" }, strongest.map((n) => el("li", {},
        el("span", {}, nodeLink(circuit, n), briefly(n)),
        el("b", { class: n.cost < 0 ? "down" : "up" }, signed(n.cost)))))],
  ].flat(2);
}

// A few words about a node, for lists.
function briefly(node) {
  const text = (!node.label && node.kind) || (node.says || "").split(";")[0];
  return text && el("small", {}, prose(text));
}

function found(circuit, hits) {
  const list = [...hits].slice(0, 60).map((i) => circuit.nodes[i]);
  if (!list.length) return el("p", { class: "note" },
      "No name or description contains these words.");
  return el("ol", { class: "rows" }, list.map((n) => el("li", {},
    el("span", {}, nodeLink(circuit, n), briefly(n)))));
}

// The strongest paths: through values and neurons, which carry information, and through
// queries and keys, which decide where a head attends.
function paths(circuit) {
  const all = circuit.raw.graph.paths || [];
  const attends = (path) => path.nodes.some((i) =>
    ["q", "k"].includes(circuit.nodes[i].site));
  const carry = all.filter((path) => !attends(path)).slice(0, 5);
  const attention = all.filter(attends).slice(0, 3);
  return [waysOf(circuit, carry, "Strongest paths"),
    waysOf(circuit, attention, "Strongest paths through queries and keys")];
}

function waysOf(circuit, list, title) {
  if (!list.length) return null;
  return [el("h3", {}, title),
    el("p", { class: "note" }, "the number is the ", circuit.known
      ? "smallest ablation cost on the path, in nats" : "smallest weight on the path",
      "; its colour is the sign of the product of the weights; tokens and answers ",
      "have the colour of their own weight"),
    el("ol", { class: "ways" }, list.map((path) => el("li", {},
      wayOf(circuit, path.nodes).flatMap((stop, k) => [
        k > 0 && el("span", { class: "to" }, "→"), stop]),
      el("b", { class: path.value < 0 ? "down" : "up" },
          " " + number(Math.abs(path.value))))))];
}

// A path with the main tokens that its first node reads and the main answers that are
// read from its last one, each in the colour of its weight.
function wayOf(circuit, inside) {
  const ends = (edges, kind, side) => {
    const found = edges.filter((e) => e.kind === kind)
      .sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight)).slice(0, 2);
    return found.length ? [found.map((e) => el("span",
        { class: e.weight < 0 ? "down" : "up" },
        nodeLink(circuit, circuit.nodes[e[side]], brief(circuit.nodes[e[side]])), " "))]
      : [];
  };
  const [first, last] = [inside[0], inside[inside.length - 1]];
  return [
    ...ends(circuit.nodes[first].ins, "embed", "src"),
    ...inside.map((i) => nodeLink(circuit, circuit.nodes[i], brief(circuit.nodes[i]))),
    ...ends(circuit.nodes[last].outs, "says", "dst"),
  ];
}

function brief(node) {
  if (node.text !== undefined) return shown(node.text);
  return SITES[node.site] + " " + node.index;
}

function about(circuit, node) {
  return [
    el("div", { class: "head" }, el("h3", {}, node.title),
      el("button", { type: "button", "aria-label": "unpin the node",
        on: { click: () => change({ node: "" }) } }, "×")),
    el("p", { class: "says" }, node.says ? prose(node.says)
      : node.index === undefined ? "" : "It has no description."),
    kindsOf(node),
    groupOf(circuit, node),
    looksOf(circuit, node),
    actsOf(circuit, node),
    editNode(circuit, node),
    el("dl", { class: "facts" }, facts(node).flatMap(([name, value, kind]) =>
      [el("dt", {}, name), el("dd", { class: kind }, value)])),
    classes(node),
    edgeList(circuit, node, "ins", "Inputs"),
    edgeList(circuit, node, "outs", "Outputs"),
    contexts(node),
    el("p", { class: "note" }, el("code", {}, node.id), " ",
      el("a", { href: addressOf() }, "link to this view")),
  ].flat(2);
}

function looksOf(circuit, node) {
  const heads = circuit.raw.prompts ? circuit.raw.prompts.heads : [];
  const own = heads.find((h) => h.layer === node.layer && h.head === node.head);
  return own && own.says ? el("p", { class: "note" }, "Its head: ", prose(own.says))
      : null;
}

function facts(node) {
  const list = [];
  const has = (x) => x !== null && x !== undefined;
  if (has(node.cost)) {
    list.push(["ablation cost", signed(node.cost) + " nats",
        node.cost < 0 ? "down" : "up"]);
  }
  if (has(node.interchange)) list.push(["interchange effect",
      Math.round(100 * node.interchange) + " % of the decision"]);
  if (node.direct) list.push(["directly to the answers",
      number(Math.abs(node.direct)) + " nats of logit " +
      (node.direct > 0 ? "towards the right one" : "away from the right one")]);
  if (has(node.auc)) list.push(["tells A from B", `AUC ${number(node.auc[0], 2)} ` +
      `where they differ, ${number(node.auc[1], 2)} at the end`]);
  if (has(node.mean)) list.push(["mean over text", number(node.mean)]);
  if (node.constant) list.push(["inputs", "none is kept: a constant"]);
  for (const [name, value] of node.facts || []) list.push([name, value]);
  return list;
}

// Histograms of its value on A and on B, with a common axis.
function classes(node) {
  if (!node.classes) return null;
  const { low, high, a, b, where } = node.classes;
  const most = Math.max(1, ...a, ...b);
  const wide = 280;
  const each = wide / a.length;
  const bar = (kind, up) => (n, i) => sv("rect", {
    class: kind, x: (i * each + 0.5).toFixed(1), width: (each - 1).toFixed(1),
    y: up ? 34 - 32 * n / most : 36, height: 32 * n / most,
  });
  return [el("h4", {}, "On the task: ", el("span", { class: "a" }, "A"), " and ",
    el("span", { class: "b" }, "B"), el("small", {}, where)),
    sv("svg", { class: "classes", viewBox: "0 0 280 84", role: "img",
      "aria-label": `values from ${number(low)} to ${number(high)}` },
      a.map(bar("a", true)), b.map(bar("b", false)),
      sv("text", { x: 0, y: 82 }, number(low)),
      sv("text", { x: wide, y: 82, "text-anchor": "end" }, number(high)))];
}

function edgeList(circuit, node, side, title) {
  const end = side === "ins" ? "src" : "dst";
  const list = [...node[side]].sort((a, b) =>
    (b.kind === "weight") - (a.kind === "weight") || b.weightShare - a.weightShare);
  if (!list.length) return null;
  const row = (edge) => el("li", { class: edge.kind === "weight" ? "" : "soft" },
    el("span", {}, nodeLink(circuit, circuit.nodes[edge[end]]),
      edge.cost !== null && el("small", {}, `ablation cost ${signed(edge.cost)} nats`)),
    el("i", { class: "scale" }, bar(edge)),
    el("b", { class: edge.weight < 0 ? "down" : "up" },
      edge.weight === null ? "" : signed(edge.weight)));
  const first = list.slice(0, 8).map(row);
  const rest = list.slice(8);
  return [el("h4", {}, title, el("small", {}, count(list.length, "connection"))),
    el("ol", { class: "rows edges" }, first),
    rest.length > 0 && el("details", {}, el("summary", {}, `${rest.length} more`),
      el("ol", { class: "rows edges" }, rest.slice(0, 200).map(row)))];
}

function bar(edge) {
  const mark = el("span", { class: edge.weight < 0 ? "down" : "up" });
  mark.style.width = Math.max(2, 100 * edge.weightShare).toFixed(0) + "%";
  return mark;
}

// Texts on which it is large, medium and small; each token as dark as the node there.
function contexts(node) {
  const { texts } = DATA;
  if (!texts || !node.contexts || !node.contexts.length) return null;
  return [el("h4", {}, "In training text",
      el("small", {}, "whole model")),
    node.contexts.map((group) => el("details", { open: group === node.contexts[0] },
      el("summary", {}, group.name), contextsOf(texts, group)))];
}

function contextsOf(texts, group) {
  const values = bytes(group.values);
  let read = 0;
  return group.places.map(([row, at]) => {
    const first = Math.max(0, at - texts.before);
    const tokens = texts.rows[row].slice(first, at + texts.after + 1);
    return el("pre", { class: "context" }, tokens.map((token, i) =>
      tinted(token, (values[read++] - 128) / 127, first + i === at)));
  });
}

function tinted(token, value, chosen) {
  const mark = el("span", { class: chosen ? "at" : "" }, token.replace(/\n/g, "⏎\n"));
  const part = Math.round(45 * Math.min(1, Math.abs(value)));
  if (part > 4) {
    mark.style.background = tint(value, part, "transparent");
  }
  return mark;
}
