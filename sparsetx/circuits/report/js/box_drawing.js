// The drawing of groups: boxes, open boxes with their nodes, and the arrows between
// them. It takes the place of the drawing of all nodes, and answers to the same
// choices.

// Draw into the same record as the drawing of all nodes; nodes that are inside closed
// boxes have no mark.
function drawBoxes(circuit, room, high, down) {
  const made = unitsOf(circuit);
  const arrows = arrowsOf(circuit, made.of);
  const place = boxLayout(circuit, made, arrows, { room, high, down });
  drawn.boxes = { ...made, arrows, place, marks: new Map(), links: state.links };
  drawn.layout = place;
  drawn.edges = [];
  const svg = sv("svg", {
    width: place.wide, height: place.high, role: "group", class: "circuit boxes",
    viewBox: `0 0 ${place.wide} ${place.high}`,
    "aria-label": "groups of the circuit of " + circuit.raw.task + ", " +
      circuit.raw.kind + ": arrow keys move, Enter opens and closes a group",
  });
  svg.append(openFrames(circuit, place), arrowMarks(circuit, place), columnNames(place),
      innerNames(place), boxMarks(circuit, place), nodesInBoxes(circuit, place));
  drawn.svg = svg;
  listen(svg);
  listenToBoxes(svg, circuit);
  const held = heldUnit();
  fill("drawing", svg);
  paint();
  if (held) holdAgain(circuit, held);
}

// Whether the drawing still has what the reader chose: its open boxes and its links.
function boxesFit(circuit) {
  const open = openBoxes(circuit);
  const { open: before, links } = drawn.boxes;
  return links === state.links && open.size === before.size &&
    [...open].every((key) => before.has(key));
}

function columnNames({ columns }) {
  return sv("g", { class: "bands" }, columns.map(({ name, at, top, turn }) =>
    sv("text", { x: at, y: top, class: "step " + turn }, name)));
}

function openFrames(circuit, { columns }) {
  return sv("g", { class: "frames" }, columns.flatMap(({ items }) => items)
    .filter((item) => item.open).flatMap((item) => [
      sv("rect", { class: "frame", x: item.x, y: item.y, width: item.wide,
        height: item.high, rx: 10 }),
      sv("g", { transform: `translate(${item.shift.x} ${item.shift.y})` },
        item.place.boxes.map((head) => sv("rect", { class: "head", rx: 7,
          ...rectOf(item.place, head.x - 13, head.top, 26,
            Math.max(6, head.bottom - head.top)) })))]));
}

function innerNames({ columns }) {
  const spot = (item, { x }) => item.place.down
    ? { x: item.x + 16, y: item.shift.y + x + 3.5, class: "step inner side" }
    : { x: item.shift.x + x, y: item.y + item.high - 7, class: "step inner" };
  return sv("g", { class: "bands" }, columns.flatMap(({ items }) => items)
    .filter((item) => item.open).flatMap((item) => item.place.columns.map((column) =>
      sv("text", spot(item, column), TITLES[column.step]))));
}

// --- Boxes --------------------------------------------------------------------------

function boxMarks(circuit, place) {
  const group = sv("g", { class: "units" });
  for (const item of place.columns.flatMap((column) => column.items)) {
    if (!item.box) continue;
    const mark = sv("g", { class: "box", "data-box": item.box.key, tabindex: "-1",
      role: "button", "aria-expanded": String(Boolean(item.open)),
      "aria-label": spokenBox(circuit, item.box) });
    const high = item.open ? BOX.title : item.high;
    mark.append(sv("rect", { class: "back", x: item.x, y: item.y, width: item.wide,
      height: high, rx: 10 }), sv("rect", { class: "tint", x: item.x + 5,
      y: item.y + 7, width: 5, height: high - 14, rx: 2.5 }), ...boxWords(item));
    drawn.boxes.marks.set((item.open ? "o" : "b") + item.box.key, mark);
    group.append(mark);
  }
  return group;
}

function nodesInBoxes(circuit, place) {
  const nodes = circuit.nodes.filter((node) => place.place[node.i]);
  const group = nodeMarks({ nodes }, { ...place, step: INNER.step });
  const marks = drawn.nodes;
  drawn.nodes = [];
  nodes.forEach((node, k) => { drawn.nodes[node.i] = marks[k]; });
  return group;
}

// --- Arrows -------------------------------------------------------------------------

function arrowMarks(circuit, place) {
  const group = sv("g", { class: "edges" });
  const { arrows } = drawn.boxes;
  const ports = portsOf(arrows, place);
  const order = arrows.map((arrow, i) => ({ arrow, i })).sort((a, b) =>
    arrowShare(circuit, a.arrow) - arrowShare(circuit, b.arrow));
  drawn.boxes.lines = [];
  for (const { arrow, i } of order) {
    const head = arrow.bundle ? 4 + 5 * arrow.share : 0;
    const mark = sv("path", { d: arrowPath(ports[i], place.down, head),
      "data-arrow": i });
    drawn.boxes.lines[i] = mark;
    group.append(mark);
  }
  return group;
}

// Where each arrow leaves and ends: side by side along the edges of boxes, in the order
// of their other ends. `way`: 1 to a later column, 0 within one, -1 back.
function portsOf(arrows, { frames, down }) {
  const [at, long, across, wide] = down ? ["y", "high", "x", "wide"]
    : ["x", "wide", "y", "high"];
  const ways = arrows.map(({ src, dst }) => {
    const [a, b] = [frames.get(src), frames.get(dst)];
    return b[at] >= a[at] + a[long] ? 1 : a[at] >= b[at] + b[long] ? -1 : 0;
  });
  const ends = new Map();
  arrows.forEach(({ src, dst }, i) => {
    const far = [ways[i] >= 0, ways[i] <= 0]; // at the far edge of its box
    [[src, dst], [dst, src]].forEach(([own, other], end) => {
      const key = own + far[end];
      const f = frames.get(other);
      if (!ends.has(key)) ends.set(key, []);
      ends.get(key).push({ i, end, own, far: far[end], rank: f[across] + f[wide] / 2 });
    });
  });
  const ports = arrows.map((_, i) => ({ way: ways[i], ends: [] }));
  for (const list of ends.values()) {
    list.sort((a, b) => a.rank - b.rank);
    list.forEach(({ i, end, own, far }, k) => {
      const f = frames.get(own);
      const part = own[0] === "b" ? 0.12 + 0.76 * (k + 0.5) / list.length : 0.5;
      ports[i].ends[end] = [f[at] + (far ? f[long] : 0), f[across] + f[wide] * part];
    });
  }
  return ports;
}

// From one end to the other, with a head of this size.
function arrowPath({ way, ends: [from, to] }, down, head) {
  const point = (along, across) => (down ? [across, along] : [along, across])
    .map((v) => Math.round(v * 10) / 10).join(" ");
  const apart = Math.abs(to[0] - from[0]);
  const pull = way ? Math.min(90, apart * 0.5)
    : Math.min(60, 16 + 0.12 * Math.abs(to[1] - from[1]));
  const side = way > 0 ? -1 : 1; // of the last box, on which the arrow comes in
  const tip = to[0] + side * head * 0.3;
  return `M${point(...from)}C${point(from[0] + (way < 0 ? -pull : pull), from[1])} ` +
    `${point(to[0] + side * pull, to[1])} ${point(tip, to[1])}` + (head
    ? `M${point(tip + side * head, to[1] - 0.7 * head)}L${point(tip, to[1])}` +
      `L${point(tip + side * head, to[1] + 0.7 * head)}` : "");
}

function arrowText(circuit, arrow) {
  if (!arrow.bundle) return edgeText(circuit, arrow.edges[0]);
  const { boxes } = groupingOf(circuit);
  const name = (id) => id[0] === "b" ? boxes[Number(id.slice(1))].said
    : circuit.nodes[Number(id.slice(1))].title;
  const kinds = Object.entries(arrow.kinds).map(([kind, n]) =>
    `${n} ${DATA.kinds[kind] || kind}`).join(", ");
  return `${name(arrow.src)} → ${name(arrow.dst)}: ${kinds}; together ` +
    `${number(arrow.size)}${arrow.kind === "residual" || !arrow.sum ? ""
      : `, with signs ${signed(arrow.sum)}`}`;
}

// --- What the reader chooses --------------------------------------------------------

function paintBoxes(circuit) {
  const { arrows, marks, lines } = drawn.boxes;
  const least = leastShare(state.threshold);
  const all = new Set(circuit.edges.map((edge) => edge.i));
  const pinned = circuit.places.get(state.node);
  const trace = pinned === undefined ? null : traced(circuit, pinned, all);
  const hits = matching(circuit, state.query);
  const box = pinned === undefined ? chosenBox(circuit) : null;
  const mine = box && new Set(box.nodes);
  drawn.seen = new Set();
  let strong = 0;
  arrows.forEach((arrow, i) => {
    const share = arrowShare(circuit, arrow);
    if (share < least) {
      lines[i].setAttribute("class", "hidden");
      return;
    }
    strong++;
    for (const edge of arrow.edges) drawn.seen.add(edge.i);
    const touches = (set) => arrow.edges.some((e) => set.has(e.src) || set.has(e.dst));
    const dim = (trace && !arrow.edges.some((e) => trace.edges.has(e.i))) ||
      (hits && !touches(hits)) || (mine && !touches(mine));
    const signs = arrow.kind === "weight" || arrow.kind === "embed" ||
      arrow.kind === "says";
    const clear = signs && Math.abs(arrow.sum) > 0.5 * arrow.size;
    const sign = arrow.sum < 0 ? " down" : " up";
    const kind = arrow.bundle ? "bundle" + (clear ? sign : "")
      : arrow.kind === "weight" ? "weight" + sign : "link " + arrow.kind;
    lines[i].setAttribute("class", kind + (dim ? " dim" : trace || mine ? " lit" : ""));
    lines[i].setAttribute("stroke-width", (arrow.bundle ? 0.8 + 4.5 * share
      : 0.6 + 2.6 * share).toFixed(2));
    lines[i].style.opacity = dim ? "" : trace || mine ? "0.95"
      : (0.35 + 0.6 * Math.sqrt(share)).toFixed(2);
  });
  for (const [id, mark] of marks) paintBox(circuit, id, mark, trace, hits);
  paintInner(circuit, trace, hits, pinned);
  tellBoxes(circuit, strong, hits);
  shade();
  offerUnit();
}

function paintBox(circuit, id, mark, trace, hits) {
  const box = groupingOf(circuit).boxes[Number(id.slice(1))];
  const has = (set) => box.nodes.some((i) => set.has(i));
  const hit = hits && has(hits);
  const own = String(box.key) === state.group && !state.node;
  mark.setAttribute("class", "box" + (id[0] === "o" ? " open" : "") +
    ((trace && !has(trace.nodes)) || (hits && !hit) ? " dim" : "") +
    (hit ? " hit" : "") + (own ? " chosen" : ""));
}

function paintInner(circuit, trace, hits, pinned) {
  drawn.nodes.forEach((mark, i) => {
    const node = circuit.nodes[i];
    const dim = (trace && !trace.nodes.has(i)) || (hits && !hits.has(i));
    mark.setAttribute("class", "node" + (node.constant ? " constant" : "") +
      (dim ? " dim" : "") + (i === pinned ? " pinned" : "") +
      (hits && hits.has(i) ? " hit" : ""));
    mark.setAttribute("aria-pressed", String(i === pinned));
  });
}

function tellBoxes(circuit, strong, hits) {
  const boxes = groupingOf(circuit).boxes.filter((box) => box.nodes.length).length;
  const all = circuit.nodes.filter(counted).length;
  byId("counts").textContent = `${count(boxes, "group")} of ${count(all, "node")}, ` +
    `${strong} of ${count(drawn.boxes.arrows.length, "arrow")}` +
    (hits ? `; ${count(hits.size, "node")} found` : "");
}

// The bar of a box has the colour of its strongest node.
function shadeBoxes(circuit, values) {
  for (const [id, mark] of drawn.boxes.marks) {
    const box = groupingOf(circuit).boxes[Number(id.slice(1))];
    const value = box.nodes.reduce((most, i) =>
      Math.abs(values ? values[i] || 0 : 0) > Math.abs(most) ? values[i] : most, 0);
    const part = Math.round(100 * Math.min(1, Math.sqrt(Math.abs(value))));
    mark.querySelector(".tint").style.fill = part < 3 ? ""
      : tint(value, part, "var(--line)");
    const at = ({ site, layer, indices }) =>
      circuit.places.get(`${site}/${layer}/${indices[0]}`);
    mark.classList.toggle("changed", live.acts.some((one) =>
      one.act !== "freeze" && box.nodes.includes(at(one))));
  }
}
