// The drawing of the circuit. It is built once for a circuit and a width; the reader's
// choices only change classes and colours of its elements.

const drawn = { circuit: null, layout: null, svg: null, nodes: [], edges: [],
    seen: null, boxes: null, over: [] };

const NARROW = 620; // a narrower drawing has its layers downward,
const DEEP = 50; // so many pixels apart

function drawCircuit() {
  const circuit = shownCircuit();
  Object.assign(drawn, { circuit, boxes: null, over: [] });
  byId("explorer").hidden = !circuit;
  if (!circuit) return;
  byId("drawing").classList.toggle("large", state.zoom > 1);
  const room = byId("drawing").clientWidth || 900;
  const high = Math.max(380, Math.min(640, window.innerHeight - 410)) * state.zoom;
  if (isGrouped(circuit)) {
    drawBoxes(circuit, room * state.zoom, high, room < NARROW);
    return;
  }
  const place = room < NARROW
    ? turned(layout(circuit, Infinity, room * state.zoom, DEEP, 1))
    : layout(circuit, room * state.zoom, high);
  drawn.layout = place;
  const svg = sv("svg", {
    width: place.width, height: place.height, role: "group", class: "circuit",
    viewBox: "0 0 " + place.width + " " + place.height,
    "aria-label": "circuit of " + circuit.raw.task + ", " + circuit.raw.kind +
      ": arrow keys move, Enter pins a node, Escape unpins it",
  });
  const [boxes, names] = heads(place);
  svg.append(bands(place), boxes, circuit.over ? outlineEdges(circuit, place) : "",
      edgeMarks(circuit, place), names, nodeMarks(circuit, place));
  if (circuit.over) outlineNodes(circuit, place);
  drawn.svg = svg;
  listen(svg);
  fill("drawing", svg);
  paint();
}

function bands(place) {
  const group = sv("g", { class: "bands" });
  place.columns.forEach((column, c) => {
    const same = (other) => other && other.layer === column.layer &&
        half(other) === half(column);
    group.append(sv("text", place.down ? { x: 4, y: column.x + 3.5, class: "step side" }
      : { x: column.x, y: 42, class: "step" }, TITLES[column.step]));
    if (column.layer === null || same(place.columns[c - 1])) return;
    let last = c;
    while (same(place.columns[last + 1])) last++;
    const left = column.x - place.step * 0.42;
    const wide = place.columns[last].x - column.x + place.step * 0.84;
    const across = (place.down ? place.width : place.height) - 12;
    group.prepend(sv("rect", { ...rectOf(place, left, place.down ? 2 : 8, wide,
      across + (place.down ? 8 : 0)), rx: 8 }));
    group.append(sv("text", place.down ? { x: 4, y: left + 11, class: "layer side" }
      : { x: left + wide / 2, y: 25, class: "layer" },
    bandName(column.layer, half(column), place.down ? Infinity : wide)));
  });
  return group;
}

function bandName(layer, part, wide) {
  const options = [`layer ${layer} ${part}`, `${layer} ${part}`, `layer ${layer}`,
    String(layer)];
  return options.find((words) => words.length * 6.6 <= wide) || "";
}

function half(column) {
  return ["attn_in", "qkv", "attn_out"].includes(column.step) ? "attention" : "MLP";
}

// Boxes and names of heads: boxes are drawn below the edges, names above.
function heads(place) {
  const boxes = sv("g", { class: "heads" });
  const names = sv("g", { class: "heads" });
  for (const box of place.boxes) {
    const high = Math.max(6, box.bottom - box.top);
    boxes.append(sv("rect", { ...rectOf(place, box.x - 13, box.top, 26, high),
        rx: 7 }));
    if (high > 11) {
      const middle = box.top + high / 2;
      names.append(sv("text", place.down ? { x: middle + 6, y: box.x - 16 }
        : { x: box.x - 16, y: middle + 3 }, "h" + box.head));
    }
  }
  return [boxes, names];
}

function edgeMarks(circuit, place) {
  const group = sv("g", { class: "edges" });
  drawn.edges = [];
  const order = [...circuit.edges].sort((a, b) =>
    (a.kind === "weight") - (b.kind === "weight") ||
    (circuit.known ? a.costShare - b.costShare : a.weightShare - b.weightShare));
  for (const edge of order) {
    const from = place.place[edge.src];
    const to = place.place[edge.dst];
    const mark = sv("path", { d: bend(from, to, place.down), "data-edge": edge.i });
    drawn.edges[edge.i] = mark;
    group.append(mark);
  }
  return group;
}

function bend(from, to, down = false) {
  const [x, y] = down ? ["y", "x"] : ["x", "y"];
  const point = (along, across) => (down ? [across, along] : [along, across])
    .map((v) => Math.round(v * 10) / 10).join(" ");
  const pull = Math.min(90, (to[x] - from[x]) * 0.45);
  const [out, back] = from[x] === to[x] ? [from[x] + 22, from[x] + 22] // query and key
    : [from[x] + pull, to[x] - pull];
  return `M${point(from[x], from[y])}C${point(out, from[y])} ` +
    `${point(back, to[y])} ${point(to[x], to[y])}`;
}

function nodeMarks(circuit, place) {
  const group = sv("g", { class: "nodes" });
  drawn.nodes = circuit.nodes.map((node) => {
    const { x, y, gap } = place.place[node.i];
    const size = Math.max(2, Math.min(6.5, gap * 0.42));
    const outside = node.site === "token" || node.site === "answer";
    const mark = sv("g", {
      class: "node" + (node.constant ? " constant" : ""), "data-node": node.i,
      tabindex: "-1", role: "button", "aria-label": spoken(node),
      transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`,
    });
    if (outside) {
      const text = shown(node.text);
      const token = node.site === "token";
      mark.append(sv("circle", { r: 3 }), sv("text", place.down
        ? { x: 0, y: token ? -7 : 15, class: "text", "text-anchor": "middle" }
        : { x: token ? -7 : 7, y: 3.5, class: "text",
          "text-anchor": token ? "end" : "start" },
      text.length > 6 ? text.slice(0, 5) + "…" : text));
    } else {
      mark.append(sv("circle", { r: size.toFixed(1) }));
      if (gap >= 11 && !place.down) mark.append(sv("text",
          { x: size + 3, y: 3, class: "index" }, String(node.index)));
      const kind = fitting(node.constant ? "constant" : node.kind || "",
          place.step);
      if (gap >= 26 && kind && !place.down) mark.append(sv("text", { x: 0, y: size + 9,
        class: "kind" }, kind));
    }
    return mark;
  });
  group.append(...drawn.nodes);
  return group;
}

// A node's title, shortened to the width of a column.
function fitting(kind, step) {
  const most = Math.floor((step - 10) / 4.4);
  const short = kind.replace(" at the end", "");
  const options = [kind, short, short.split(" ").pop()];
  return options.find((words) => words.length <= most) || "";
}

function spoken(node) {
  const cost = node.cost === null || node.cost === undefined ? ""
    : "; ablation cost " + signed(node.cost) + " nats";
  return node.title + (node.constant ? ", a constant" : "") +
    (node.says ? ": " + node.says : "") + cost;
}

// --- What the reader chooses --------------------------------------------------------

function paint() {
  const circuit = drawn.circuit;
  if (!circuit) return;
  if (drawn.boxes) {
    if (boxesFit(circuit)) paintBoxes(circuit);
    else drawCircuit();
    return;
  }
  const seen = visible(circuit);
  drawn.seen = seen;
  const pinned = circuit.places.get(state.node);
  const trace = pinned === undefined ? null : traced(circuit, pinned, seen);
  const hits = matching(circuit, state.query);
  const key = metricOf(circuit);
  for (const edge of circuit.edges) {
    const mark = drawn.edges[edge.i];
    if (!seen.has(edge.i)) {
      mark.setAttribute("class", "hidden");
      continue;
    }
    const sign = edge[key] < 0 ? " down" : " up";
    const dim = (trace && !trace.edges.has(edge.i)) ||
      (hits && !hits.has(edge.src) && !hits.has(edge.dst));
    mark.setAttribute("class", (edge.kind === "weight" ? "weight" + sign
        : "link " + edge.kind) +
      (dim ? " dim" : trace ? " lit" : ""));
    const strong = edge[key + "Share"];
    mark.setAttribute("stroke-width", (edge.kind === "weight"
      ? 0.5 + 3 * strong : 0.7 + 0.5 * strong).toFixed(2));
    mark.style.opacity = dim ? "" : trace ? "0.95" : edge.kind !== "weight" ? "0.8"
      : (0.15 + 0.8 * Math.sqrt(strong) * (key === "weight" ? strong : 1)).toFixed(2);
  }
  let met = 0;
  for (const node of circuit.nodes) {
    const mark = drawn.nodes[node.i];
    const alone = !node.ins.length && !node.outs.length;
    const live = alone || node.ins.concat(node.outs).some((e) => seen.has(e.i));
    if (live && counted(node)) met++;
    const dim = !live || (trace && !trace.nodes.has(node.i)) ||
        (hits && !hits.has(node.i));
    mark.setAttribute("class", "node" + (node.constant ? " constant" : "") +
      (dim ? " dim" : "") + (node.i === pinned ? " pinned" : "") +
      (hits && hits.has(node.i) ? " hit" : ""));
    mark.setAttribute("aria-pressed", String(node.i === pinned));
  }
  if (circuit.over) paintOverlays(circuit);
  tellCounts(circuit, seen, met, hits);
  shade();
  offerFocus(pinned ?? 0);
}

// Whether it is a kept node: tokens and answers are not, nor are ablated values.
function counted(node) {
  return node.index !== undefined && !node.free;
}

function tellCounts(circuit, seen, met, hits) {
  const weights = circuit.edges.filter((e) => e.kind === "weight");
  const strong = weights.filter((e) => seen.has(e.i)).length;
  const all = circuit.nodes.filter(counted).length;
  const found = hits ? "; " + count(hits.size, "node") + " found" : "";
  byId("counts").textContent = `${strong.toLocaleString("en")} of ` +
    `${count(weights.length, "edge")}, ${met} of ${count(all, "node")}${found}`;
}

// Colour nodes by cost, by interchange effect or by activation at a token.
function shade() {
  const circuit = drawn.circuit;
  const figure = { cost: (n) => (n.cost || 0) / circuit.most,
    interchange: (n) => n.interchange || 0 }[state.view];
  const values = figure ? circuit.nodes.map(figure) : activationsNow(circuit);
  drawn.nodes.forEach((mark, i) => {
    const value = values ? values[i] : 0;
    const part = Math.round(100 * Math.min(1, Math.sqrt(Math.abs(value || 0))));
    mark.firstChild.style.fill = part < 3 ? ""
      : tint(value, part, "var(--card)");
  });
  if (drawn.boxes) shadeBoxes(circuit, values);
}

// --- Pointer and keys ---------------------------------------------------------------

function nodeOf(event) {
  const mark = event.target.closest("[data-node]");
  return mark ? drawn.circuit.nodes[Number(mark.dataset.node)] : null;
}

function listen(svg) {
  svg.addEventListener("click", (event) => {
    if (event.target.closest("[data-box]")) return;
    const node = nodeOf(event);
    change({ node: node && node.id !== state.node ? node.id : "",
      group: node ? state.group : "" });
  });
  svg.addEventListener("pointermove", (event) => {
    const node = nodeOf(event);
    const edge = event.target.closest("[data-edge]");
    const text = node ? spoken(node)
      : edge ? edgeText(drawn.circuit, drawn.circuit.edges[Number(edge.dataset.edge)])
          : "";
    tell(text, event.clientX, event.clientY);
  });
  svg.addEventListener("pointerleave", () => tell(""));
  svg.addEventListener("focusin", (event) => {
    const node = nodeOf(event);
    if (!node || !event.target.matches(":focus-visible")) return;
    const box = event.target.getBoundingClientRect();
    tell(spoken(node), box.right, box.top);
  });
  svg.addEventListener("focusout", () => tell(""));
  svg.addEventListener("keydown", onKey);
}

function edgeText(circuit, edge) {
  const cost = edge.cost === null ? ""
    : "; ablation cost " + signed(edge.cost) + " nats";
  const kinds = DATA.kinds[edge.kind] || edge.kind;
  return `${circuit.nodes[edge.src].title} → ${circuit.nodes[edge.dst].title}: ` +
    `${kinds}${edge.weight === null ? "" : " " + signed(edge.weight)}${cost}`;
}

function onKey(event) {
  const node = nodeOf(event);
  if (event.key === "Escape") change({ node: "" });
  if (!node) return;
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    change({ node: node.id === state.node ? "" : node.id });
    return;
  }
  const next = drawn.boxes ? null : neighbour(node, event.key);
  if (!next) return;
  event.preventDefault();
  offerFocus(next.i);
  drawn.nodes[next.i].focus();
}

// Up and down within a column; left and right along the strongest edge. Where layers go
// downward, the other way round.
function neighbour(node, key) {
  const { nodes } = drawn.circuit;
  const { place, down } = drawn.layout;
  const keys = ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"];
  const way = keys.indexOf(key);
  if (way < 0) return null;
  const back = way % 2 === 0;
  const [along, across] = down ? ["y", "x"] : ["x", "y"];
  const here = place[node.i];
  if ((way < 2) !== Boolean(down)) {
    const away = (n) => (back ? -1 : 1) * (place[n.i][across] - here[across]);
    return nodes.filter((n) => place[n.i][along] === here[along] && away(n) > 0)
      .sort((a, b) => away(a) - away(b))[0];
  }
  const best = (back ? node.ins : node.outs).filter((e) => drawn.seen.has(e.i))
    .sort((a, b) => b.weightShare - a.weightShare)[0];
  return best ? nodes[back ? best.src : best.dst] : null;
}

// Tab reaches one node only; arrow keys move on from there.
function offerFocus(i) {
  if (drawn.offered) drawn.offered.setAttribute("tabindex", "-1");
  drawn.offered = drawn.nodes[i];
  if (drawn.offered) drawn.offered.setAttribute("tabindex", "0");
}
