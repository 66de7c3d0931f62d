// Beside the drawing: all that is known of the pinned node; or, while none is, what
// matters most.

function showPanel() {
  const circuit = prepared(state.circuit);
  if (!circuit) return;
  const at = circuit.places.get(state.node);
  fill("panel", at === undefined ? overview(circuit)
      : about(circuit, circuit.nodes[at]));
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
  if (hits) return [el("h3", {}, count(hits.size, "node") + " found"),
      found(circuit, hits)];
  const strongest = circuit.nodes.filter((n) => n.effect !== null &&
      n.effect !== undefined)
    .sort((a, b) => Math.abs(b.effect) - Math.abs(a.effect)).slice(0, 10);
  return [
    el("h3", {}, "How to read it"),
    el("p", {}, "Text enters on the left, the answer leaves on the right. A dot is ",
      "one channel of the network, a line a weight that is not zero. Click a dot to ",
      "see what ",
      "it does and to trace it up and down."),
    ...paths(circuit),
    strongest.length > 0 && [el("h3", {}, "Nodes that matter most"),
      el("p", { class: "note" }, "nats of loss that each costs when it is at its mean"),
      el("ol", { class: "rows" }, strongest.map((n) => el("li", {},
        el("span", {}, nodeLink(circuit, n), briefly(n)),
        el("b", { class: n.effect < 0 ? "down" : "up" }, signed(n.effect)))))],
  ].flat(2);
}

// In a list: what it is, in a few words.
function briefly(node) {
  const text = node.kind || (node.says || "").split(";")[0];
  return text && el("small", {}, prose(text));
}

function found(circuit, hits) {
  const list = [...hits].slice(0, 60).map((i) => circuit.nodes[i]);
  if (!list.length) return el("p", { class: "note" },
      "No name and no description holds these words.");
  return el("ol", { class: "rows" }, list.map((n) => el("li", {},
    el("span", {}, nodeLink(circuit, n), briefly(n)))));
}

// What is carried goes through values and neurons; where a head looks is decided in
// its queries and keys.
function paths(circuit) {
  const all = circuit.raw.graph.paths || [];
  const looks = (path) => path.nodes.some((i) =>
    ["q", "k"].includes(circuit.nodes[i].site));
  const carried = all.filter((path) => !looks(path)).slice(0, 5);
  const looked = all.filter(looks).slice(0, 3);
  return [waysOf(circuit, carried, "Strongest ways through it"),
    waysOf(circuit, looked, "What decides where it looks")];
}

function waysOf(circuit, list, title) {
  if (!list.length) return null;
  return [el("h3", {}, title),
    el("p", { class: "note" }, "as strong as the weakest part, ",
      circuit.known ? "in nats that its removal costs" : "by its weight",
      "; the colour is the sign of its weights together; tokens and answers have that ",
      "of their own"),
    el("ol", { class: "ways" }, list.map((path) => el("li", {},
      wayOf(circuit, path.nodes).flatMap((stop, k) => [
        k > 0 && el("span", { class: "to" }, "→"), stop]),
      el("b", { class: path.value < 0 ? "down" : "up" },
          " " + number(Math.abs(path.value))))))];
}

// A path between the tokens that its first read hears and the answers that its last
// write speaks to, each in the colour of its weight.
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
      el("button", { type: "button", "aria-label": "let go of the node",
        on: { click: () => change({ node: "" }) } }, "×")),
    el("p", { class: "says" }, node.says ? prose(node.says)
      : node.index === undefined ? "" : "It has no description."),
    looksOf(circuit, node),
    el("dl", { class: "facts" }, facts(node).flatMap(([name, value, kind]) =>
      [el("dt", {}, name), el("dd", { class: kind }, value)])),
    classes(node),
    edgeList(circuit, node, "ins", "What feeds it"),
    edgeList(circuit, node, "outs", "What it feeds"),
    contexts(node),
    el("p", { class: "note" }, el("code", {}, node.id), " ",
      el("a", { href: addressOf() }, "link to this view")),
  ].flat();
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
  if (has(node.effect)) {
    list.push(["without it, loss", signed(node.effect) + " nats",
        node.effect < 0 ? "down" : "up"]);
  }
  if (has(node.swap)) list.push(["taken from the other prompt",
      "it carries " + Math.round(100 * node.swap) + " % of the decision"]);
  if (node.direct) list.push(["straight to the answers",
      number(Math.abs(node.direct)) + " logits " +
      (node.direct > 0 ? "towards the right one" : "away from the right one")]);
  if (has(node.auc)) list.push(["tells A from B", `AUC ${number(node.auc[0], 2)} ` +
      `where they differ, ${number(node.auc[1], 2)} at the end`]);
  if (has(node.mean)) list.push(["mean, in all text", number(node.mean)]);
  if (node.constant) list.push(["input", "none is kept: a constant"]);
  for (const [name, value] of node.facts || []) list.push([name, value]);
  return list;
}

// Both classes as two histograms that share an axis.
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
    nodeLink(circuit, circuit.nodes[edge[end]]),
    el("i", { class: "scale" }, bar(edge)),
    el("b", { class: edge.weight < 0 ? "down" : "up",
      title: edge.effect === null ? null : "without it, loss " + signed(edge.effect) },
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

// Texts on which it is large, middling and small; each token as dark as the node there.
function contexts(node) {
  const { texts } = DATA;
  if (!texts || !node.contexts || !node.contexts.length) return null;
  return [el("h4", {}, "In text that it was trained on",
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
  const part = Math.round(70 * Math.min(1, Math.abs(value)));
  if (part > 4) {
    mark.style.background = tint(value, part, "transparent");
  }
  return mark;
}
