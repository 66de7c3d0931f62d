// Prepare a circuit's data: nodes with their edges, titles, strengths of edges.

const DATA = await unpacked(byId("data").textContent);
const PREPARED = new Map();
const SITES = {
  token: "token", attn_in: "read", q: "query", k: "key", v: "value",
  attn_out: "write", mlp_in: "read", mlp_neuron: "neuron", mlp_out: "write",
  final: "last read", answer: "answer",
};

function rawCircuit(id) {
  return DATA.circuits.find((c) => c.id === id);
}

function prepared(id) {
  if (!PREPARED.has(id)) {
    const raw = rawCircuit(id);
    PREPARED.set(id, raw && raw.graph ? prepare(raw) : null);
  }
  return PREPARED.get(id);
}

function prepare(raw) {
  const nodes = raw.graph.nodes.map((node, i) => {
    const whole = { ...node, ...parsed(node.id, raw.d_head), i, ins: [], outs: [] };
    return { ...whole, kind: node.label || node.title,
      title: node.label || titleOf(whole) };
  });
  const given = raw.graph.edges;
  const edges = given.src.map((src, i) => ({
    i, src, dst: given.dst[i], weight: given.weight[i], cost: given.cost[i],
    kind: given.kinds[given.kind[i]],
  }));
  for (const edge of edges) {
    nodes[edge.src].outs.push(edge);
    nodes[edge.dst].ins.push(edge);
  }
  for (const metric of ["weight", "cost"]) measure(edges, metric);
  const most = Math.max(1e-9, ...nodes.map((n) => Math.abs(n.cost || 0)));
  const known = edges.some((edge) => edge.cost !== null);
  const places = new Map(nodes.map((n) => [n.id, n.i]));
  return { raw, nodes, edges, most, known, places, words: nodes.map(wordsOf) };
}

// "site/layer/index", and the head of what belongs to one.
function parsed(id, wide) {
  const [site, layer, index] = id.split("/");
  if (site === "token" || site === "answer") return { site };
  const head = ["q", "k", "v"].includes(site) ? Math.floor(Number(index) / wide) : null;
  return { site, layer: Number(layer), index: Number(index), head };
}

// Strengths in [0, 1], relative to the strongest edge of the same kind: a weight, a
// link through the residual and an embedding have no common scale.
function measure(edges, metric) {
  const most = {};
  for (const edge of edges) {
    const size = Math.abs(edge[metric] || 0);
    most[edge.kind] = Math.max(most[edge.kind] || 0, size);
  }
  for (const edge of edges) {
    const size = Math.abs(edge[metric] || 0);
    edge[metric + "Share"] = most[edge.kind] ? size / most[edge.kind]
      : edge.kind === "weight" ? 0 : 0.3; // a link without a number
  }
}

function titleOf(node) {
  if (node.site === "token" || node.site === "answer") {
    return SITES[node.site] + " " + shown(node.text);
  }
  const head = node.head === null || node.head === undefined ? ""
      : ", head " + node.head;
  if (node.site === "final") return "last read " + node.index;
  const part = { attn_in: " attention", attn_out: " attention", mlp_in: " MLP",
    mlp_out: " MLP" }[node.site] || head;
  return "layer " + node.layer + part + ": " + SITES[node.site] + " " + node.index;
}

function wordsOf(node) {
  const head = node.head === null || node.head === undefined ? ""
      : " head " + node.head;
  return [node.id, node.title || titleOf(node), node.site, head, node.text || "",
    node.says || "", node.label || "", node.note || ""].join(" ").toLowerCase();
}

// The nodes that a query names, with ` | ` between them; null where it is words.
function namedIn(circuit, query) {
  const named = query.split(" | ").map((id) => circuit.places.get(id));
  return named.length > 1 && !named.includes(undefined) ? named : null;
}

// All words of the query, each somewhere in a node's name or description; or the nodes
// of these names, with ` | ` between them.
function matching(circuit, query) {
  const parts = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (!parts.length) return null;
  const named = namedIn(circuit, query);
  if (named) return new Set(named);
  return new Set(circuit.nodes.filter((n) =>
    parts.every((part) => circuit.words[n.i].includes(part))).map((n) => n.i));
}

// The slider is finer among weak edges, of which there are many.
function leastShare(slider) {
  return (slider / 100) ** 2;
}

// Ablation costs, unless they were not measured.
function metricOf(circuit) {
  return circuit.known ? state.metric : "weight";
}

// Visible edges: strong weights, and links between nodes of these weights.
function visible(circuit) {
  const least = leastShare(state.threshold);
  const seen = new Set();
  const live = new Set();
  for (const edge of circuit.edges) {
    if (edge.kind !== "weight" || edge[metricOf(circuit) + "Share"] < least) continue;
    seen.add(edge.i);
    live.add(edge.src).add(edge.dst);
  }
  const weighed = new Set();
  for (const { kind, src, dst } of circuit.edges) {
    if (kind === "weight") weighed.add(src).add(dst);
  }
  const there = (i) => live.has(i) || !weighed.has(i);
  for (const edge of circuit.edges) {
    if (edge.kind === "weight" || !state.links) continue;
    const strong = edge.weight === null || edge.weightShare >= least;
    if (strong && there(edge.src) && there(edge.dst)) seen.add(edge.i);
  }
  return seen;
}

// Everything with a path to a node, and everything that it has a path to, over visible
// edges. A value's effect depends on the queries and keys of its head as well.
function traced(circuit, node, seen) {
  const found = { nodes: new Set([node]), edges: new Set() };
  for (const up of [true, false]) {
    const open = [node];
    const met = new Set(open);
    const meet = (i) => {
      if (met.has(i)) return;
      met.add(i);
      open.push(i);
    };
    while (open.length) {
      const here = circuit.nodes[open.pop()];
      for (const edge of up ? here.ins : here.outs) {
        if (!seen.has(edge.i) || edge.kind === "meets") continue;
        found.edges.add(edge.i);
        meet(up ? edge.src : edge.dst);
      }
      for (const mate of mates(circuit, here, up)) meet(mate.i);
    }
    for (const i of met) found.nodes.add(i);
  }
  return found;
}

function mates(circuit, node, up) {
  if (node.head === null || node.head === undefined ||
      (node.site === "v") !== up) return [];
  return circuit.nodes.filter((n) => n.head === node.head && n.layer === node.layer &&
    (n.site === "v") !== up);
}
