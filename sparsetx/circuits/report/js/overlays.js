// Circuits of other kinds of the same task and model, laid over the shown one in full:
// an outline of each kind around the nodes and beside the edges that are in it. Kinds
// differ in shape and dashes as well as in colour.

const OUTLINES = { plain: "circle", honest: "square", faithful: "diamond" };
const FAINT = 2.4; // pixels between the lines of two kinds

// The circuits that can be compared: one of each kind, the shown one among them.
function kindsBeside(raw) {
  const same = ANY.filter((c) => c.task === raw.task && c.model === raw.model);
  return Object.keys(OUTLINES).map((kind) => raw.kind === kind ? raw
    : same.find((c) => c.kind === kind)).filter(Boolean);
}

// Those that are on, with the shown one; none where nothing is laid over it.
function overlaid(raw) {
  const asked = state.over.split(".");
  const found = kindsBeside(raw).filter((c) => c === raw || asked.includes(c.kind));
  return found.length > 1 ? found : [];
}

// The circuit that is drawn: the chosen one, or its union with those laid over it.
function shownCircuit() {
  const own = prepared(state.circuit);
  const all = own ? overlaid(own.raw) : [];
  if (!all.length) return own;
  own.unions = own.unions || new Map();
  const key = all.map((raw) => raw.kind).join();
  if (!own.unions.has(key)) own.unions.set(key, unionOf(own.raw, all));
  return own.unions.get(key);
}

// Its own nodes come first, so that what is packed for them still belongs to them.
function unionOf(raw, all) {
  const order = [raw, ...all.filter((other) => other !== raw)];
  const nodes = new Map();
  const edges = new Map();
  for (const { graph, kind } of order) {
    for (const node of graph.nodes) {
      if (!nodes.has(node.id)) nodes.set(node.id, { node, kinds: new Set() });
      nodes.get(node.id).kinds.add(kind);
    }
    const of = graph.edges;
    of.src.forEach((src, i) => {
      const ends = [graph.nodes[src].id, graph.nodes[of.dst[i]].id];
      const key = [...ends, of.kinds[of.kind[i]]].join(" ");
      if (!edges.has(key)) edges.set(key, { ends, of, i, kinds: new Set() });
      edges.get(key).kinds.add(kind);
    });
  }
  const at = new Map([...nodes.keys()].map((id, i) => [id, i]));
  const column = (key) => [...edges.values()].map(({ of, i }) => of[key][i]);
  const end = (k) => [...edges.values()].map(({ ends }) => at.get(ends[k]));
  const found = prepare({ ...raw, graph: { ...raw.graph,
    nodes: [...nodes.values()].map(({ node }) => node),
    edges: { src: end(0), dst: end(1), weight: column("weight"), cost: column("cost"),
      kind: column("kind"), kinds: raw.graph.edges.kinds } } });
  [...nodes.values()].forEach(({ kinds }, i) => { found.nodes[i].kinds = kinds; });
  [...edges.values()].forEach(({ kinds }, i) => { found.edges[i].kinds = kinds; });
  found.words = found.words.map((words, i) => `${words} ${among(found.nodes[i].kinds,
      all)}`);
  found.over = all.map((one) => one.kind);
  return found;
}

// Words by which nodes can be found: "in-all", "only-plain" or "plain+honest".
function among(kinds, all) {
  const list = all.map(({ kind }) => kind).filter((kind) => kinds.has(kind));
  return list.length === all.length ? "in-all"
    : list.length === 1 ? `only-${list[0]}` : list.join("+");
}

// --- In the drawing -----------------------------------------------------------------

function outline(kind, size) {
  const one = (x) => x.toFixed(1);
  const attributes = { class: "outline " + kind };
  if (OUTLINES[kind] === "circle") return sv("circle", { ...attributes, r: one(size) });
  const side = OUTLINES[kind] === "square" ? size : size * 1.25;
  return sv("rect", { ...attributes, x: one(-side), y: one(-side), width: one(2 * side),
    height: one(2 * side), transform: OUTLINES[kind] === "square" ? null
      : "rotate(45)" });
}

// Around nodes: the outlines of all circuits that hold them, one outside the other.
function outlineNodes(circuit, place) {
  for (const node of circuit.nodes) {
    const { gap } = place.place[node.i];
    const first = node.text === undefined ? Math.max(2, Math.min(6.5, gap * 0.42)) + 1.5
      : 4;
    const step = Math.max(1.2, Math.min(3, gap * 0.16));
    const mark = drawn.nodes[node.i];
    circuit.over.forEach((kind, k) => {
      if (node.kinds.has(kind)) mark.append(outline(kind, first + step * (k + 0.5)));
    });
    if (!node.kinds.has(circuit.raw.kind)) mark.classList.add("elsewhere");
  }
}

// Beside edges: a line for each circuit that holds them.
function outlineEdges(circuit, place) {
  const group = sv("g", { class: "overlay edges", "aria-hidden": "true" });
  drawn.over = [];
  for (const edge of circuit.edges) {
    if (edge.kind !== "weight") continue;
    const d = bend(place.place[edge.src], place.place[edge.dst], place.down);
    const beside = (k) => (k - (circuit.over.length - 1) / 2) * FAINT;
    const marks = circuit.over.map((kind, k) => edge.kinds.has(kind) && sv("path", { d,
      class: "outline " + kind, transform: place.down ? `translate(${beside(k)} 0)`
        : `translate(0 ${beside(k)})` })).filter(Boolean);
    drawn.over[edge.i] = marks;
    group.append(...marks);
  }
  return group;
}

// Lines are hidden and faded with their edges.
function paintOverlays(circuit) {
  drawn.over.forEach((marks, i) => {
    const own = drawn.edges[i].classList;
    for (const mark of marks) {
      mark.classList.toggle("hidden", own.contains("hidden"));
      mark.classList.toggle("dim", own.contains("dim"));
    }
  });
  for (const node of circuit.nodes) {
    drawn.nodes[node.i].classList.toggle("elsewhere",
        !node.kinds.has(circuit.raw.kind));
  }
}

// --- Choosing, and the legend -------------------------------------------------------

function showOverlays() {
  const raw = rawCircuit(state.circuit);
  const others = raw.graph ? kindsBeside(raw).filter((c) => c !== raw) : [];
  const on = state.over.split(".").filter(Boolean);
  fill("over", others.length > 0 && el("span", { class: "note" }, "lay over it"),
    others.map(({ kind }) => el("label", {}, el("input", { type: "checkbox",
      "data-kind": kind, checked: on.includes(kind), on: { change: (e) => change({
        over: [...on.filter((k) => k !== kind), ...(e.target.checked ? [kind] : [])]
          .join("."), node: "", query: "" }) } }), keyMark(kind), kind)));
}

function keyMark(kind) {
  return sv("svg", { class: "keymark", width: 30, height: 16, viewBox: "-9 -8 30 16",
    "aria-hidden": "true" }, outline(kind, 5),
  sv("path", { class: "outline " + kind, d: "M9 0H21" }));
}

// Which nodes and edges are in which; each part can be found in the drawing.
function overlayLegend(circuit) {
  const all = overlaid(circuit.raw);
  const nodes = circuit.nodes.filter(counted);
  const edges = circuit.edges.filter((edge) => edge.kind === "weight");
  const parts = new Map();
  for (const [list, noun] of [[nodes, "nodes"], [edges, "edges"]]) {
    for (const { kinds } of list) {
      const name = among(kinds, all);
      if (!parts.has(name)) parts.set(name, { nodes: 0, edges: 0 });
      parts.get(name)[noun]++;
    }
  }
  const said = (name) => name === "in-all" ? "in all" : name.startsWith("only-")
    ? `only in ${name.slice(5)}` : `in ${name.replace("+", " and ")}`;
  return [
    ...all.map((one) => el("span", {}, keyMark(one.kind), one.kind +
      (one === circuit.raw ? " (the chosen circuit)" : "") +
      `: ${count(one.size.nodes, "node")}, ${count(one.size.edges, "edge")}`)),
    el("span", { class: "parts" }, [...parts].sort().map(([name, part]) =>
      el("button", { type: "button", class: "see",
        "aria-pressed": String(state.query === name),
        on: { click: () => change({ node: "",
          query: state.query === name ? "" : name }) } },
      `${said(name)}: ${count(part.nodes, "node")}, ${count(part.edges, "edge")}`))),
  ];
}

function kindsOf(node) {
  return node.kinds && el("p", { class: "note kinds" }, "In these circuits: ",
    [...node.kinds].map((kind) => el("span", {}, keyMark(kind), kind, " ")));
}
