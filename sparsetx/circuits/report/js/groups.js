// Groups of nodes that do the same (supernodes): what is in each, the arrows between
// them, and which are open. The reader's own choices are fields of the page's data, as
// `sparsetx report --notes` writes them: `members` of a box take the place of its
// nodes.

const ALONE = -1;

// {boxes: [{key, title, nodes, ...}], of: the key of each node's box, or ALONE}
function groupingOf(circuit) {
  if (circuit.grouping) return circuit.grouping;
  const given = (circuit.raw.groups || {}).boxes || [];
  const chosen = new Set(given.flatMap((box) => box.members || []));
  const of = circuit.nodes.map(() => ALONE);
  const boxes = given.map((box, key) => {
    const ids = box.members || box.nodes.filter((id) => !chosen.has(id));
    const nodes = ids.map((id) => circuit.places.get(id))
      .filter((i) => i !== undefined);
    for (const i of nodes) of[i] = key;
    return { key, raw: box, nodes };
  });
  for (const node of circuit.nodes) {
    if (!node.free || chosen.has(node.id)) continue;
    const key = nearest(circuit, of, node);
    if (key === ALONE) continue;
    of[node.i] = key;
    boxes[key].nodes.push(node.i);
  }
  for (const box of boxes) Object.assign(box, wordsOfBox(circuit, box));
  circuit.grouping = { boxes, of };
  return circuit.grouping;
}

// A value that is not kept is drawn with its head, or with what it leads to.
function nearest(circuit, of, node) {
  const mate = circuit.nodes.find((n) => !n.free && n.head !== null &&
    n.head === node.head && n.layer === node.layer && of[n.i] !== ALONE);
  if (mate) return of[mate.i];
  const out = [...node.outs].sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight));
  const edge = out.find((e) => of[e.dst] !== ALONE);
  return edge ? of[edge.dst] : ALONE;
}

// What it does and where it is: "head 0.6: reads the quote" is both. A group of the
// reader's own has the name that the reader gave it.
function wordsOfBox(circuit, { raw, nodes }) {
  const parts = raw.name.split("; ").map((part) => part.split(/: (.*)/s));
  const does = parts.map(([where, what]) => what || where);
  const where = parts.filter((part) => part[1]).map((part) => part[0]);
  const layers = nodes.map((i) => circuit.nodes[i].layer ?? 0);
  const [low, high] = [Math.min(...layers), Math.max(...layers)];
  const own = low === high ? `layer ${low}` : `layers ${low} to ${high}`;
  const effects = nodes.map((i) => circuit.nodes[i].interchange || 0);
  const name = raw.label || raw.name;
  return { title: raw.label || does.join("; "), where: where.join(", ") || own, name,
    said: name.replace(/`/g, ""), most: Math.max(0, ...effects) };
}

// Whether the drawing shows groups: if there are any, and the reader wants them.
function isGrouped(circuit) {
  return Boolean(circuit && state.groups && !state.over &&
    groupingOf(circuit).boxes.some((box) => box.nodes.length));
}

// Keys of open boxes: those that were opened, and the pinned node's.
function openBoxes(circuit) {
  const { boxes, of } = groupingOf(circuit);
  const open = new Set(state.open.split(".").filter(Boolean).map(Number)
    .filter((key) => boxes[key] && boxes[key].nodes.length));
  const pinned = circuit.places.get(state.node);
  if (pinned !== undefined && of[pinned] !== ALONE) open.add(of[pinned]);
  return open;
}

// A click on a box opens it and shows it in the panel; the next one closes it.
function turnBox(circuit, key) {
  const open = openBoxes(circuit);
  const was = open.delete(key);
  if (!was) open.add(key);
  const inside = groupingOf(circuit).of[circuit.places.get(state.node)] === key;
  change({ open: [...open].sort((a, b) => a - b).join("."), group: String(key),
    node: was && inside ? "" : state.node });
}

function chosenBox(circuit) {
  if (state.group === "") return null;
  const box = groupingOf(circuit).boxes[Number(state.group)];
  return box && box.nodes.length ? box : null;
}

// --- Units and arrows ---------------------------------------------------------------

// What is drawn: closed boxes, and nodes that are in open boxes or in none. A unit is
// {id, box or node}; `of` names the unit of each node.
function unitsOf(circuit) {
  const { boxes, of } = groupingOf(circuit);
  const open = openBoxes(circuit);
  const closed = boxes.filter((box) => box.nodes.length && !open.has(box.key));
  const inside = circuit.nodes.filter((n) => of[n.i] === ALONE || open.has(of[n.i]));
  const units = [...closed.map((box) => ({ id: "b" + box.key, box })),
    ...inside.map((node) => ({ id: "n" + node.i, node }))];
  const name = (n) => of[n.i] === ALONE || open.has(of[n.i]) ? "n" + n.i
    : "b" + of[n.i];
  return { units, open, of: circuit.nodes.map(name) };
}

// An arrow sums all edges between two units. Its size is the sum of absolute weights;
// through the residual it is what the read passes on, which all writes of its channel
// share equally.
function arrowsOf(circuit, of) {
  const writes = new Map();
  for (const edge of circuit.edges) {
    if (edge.kind === "residual") writes.set(edge.dst, (writes.get(edge.dst) || 0) + 1);
  }
  const taken = (read) => circuit.nodes[read].outs.reduce((sum, e) =>
    sum + (e.kind === "weight" ? Math.abs(e.weight) : 0), 0);
  const found = new Map();
  for (const edge of circuit.edges) {
    const [src, dst] = [of[edge.src], of[edge.dst]];
    if (src === dst || (edge.kind === "residual" && !state.links)) continue;
    const key = src + " " + dst;
    if (!found.has(key)) {
      found.set(key, { src, dst, edges: [], size: 0, sum: 0, kinds: {} });
    }
    const arrow = found.get(key);
    arrow.edges.push(edge);
    arrow.kinds[edge.kind] = (arrow.kinds[edge.kind] || 0) + 1;
    arrow.size += edge.kind === "residual" ? taken(edge.dst) / writes.get(edge.dst)
      : Math.abs(edge.weight || 0);
    if (edge.kind !== "residual") arrow.sum += edge.weight || 0;
  }
  return scaled([...found.values()]);
}

// Between boxes, weights and the residual have a common scale; tokens, answers and
// single edges have their own.
function scaled(arrows) {
  const most = {};
  for (const arrow of arrows) {
    arrow.bundle = arrow.src[0] === "b" || arrow.dst[0] === "b";
    arrow.kind = ["weight", "residual", "embed", "says", "meets"]
      .find((kind) => arrow.kinds[kind]);
    const scale = ["weight", "residual"].includes(arrow.kind) ? "inner" : arrow.kind;
    arrow.scale = arrow.bundle + scale;
    most[arrow.scale] = Math.max(most[arrow.scale] || 1e-12, arrow.size);
  }
  for (const arrow of arrows) {
    arrow.share = arrow.bundle ? arrow.size / most[arrow.scale] : null;
  }
  return arrows;
}

function arrowShare(circuit, arrow) {
  return arrow.bundle ? arrow.share : arrow.edges[0][metricOf(circuit) + "Share"];
}

// Figures of a group: the sums of its arrows from and to other groups.
function flowsOf(circuit, key) {
  const { of } = groupingOf(circuit);
  const flows = arrowsOf(circuit, of.map((box, i) => box === ALONE ? "n" + i
    : "b" + box)).filter((arrow) => arrow.kinds.weight || arrow.kinds.residual);
  const other = (end) => end[0] === "b" && end !== "b" + key;
  return {
    ins: flows.filter((a) => a.dst === "b" + key && other(a.src)),
    outs: flows.filter((a) => a.src === "b" + key && other(a.dst)),
  };
}

// --- What the reader changes --------------------------------------------------------

// Fixes the nodes of these boxes as they are now, so that they can be changed.
function fixed(circuit, key) {
  const { boxes } = groupingOf(circuit);
  const box = boxes[key];
  if (!box.raw.members) box.raw.members = box.nodes.map((i) => circuit.nodes[i].id);
  return box.raw;
}

// Put a node into another box, or (ALONE) into none.
function moveNode(circuit, node, key) {
  const from = groupingOf(circuit).of[node.i];
  if (from === key) return;
  edited(() => {
    if (from !== ALONE) {
      const box = fixed(circuit, from);
      box.members = box.members.filter((id) => id !== node.id);
    }
    if (key !== ALONE) fixed(circuit, key).members.push(node.id);
  });
}

// A new box of these nodes; returns its key.
function newBox(circuit, nodes) {
  const { boxes } = circuit.raw.groups;
  const names = new Set(boxes.map((box) => box.name));
  let number = 1;
  while (names.has(`group ${number}`)) number++;
  const key = boxes.length;
  edited(() => {
    boxes.push({ name: `group ${number}`, nodes: [], members: [] });
    for (const node of nodes) {
      const from = groupingOf(circuit).of[node.i];
      if (from === ALONE) continue;
      const box = fixed(circuit, from);
      box.members = box.members.filter((id) => id !== node.id);
    }
    boxes[key].members = nodes.map((n) => n.id);
  });
  return key;
}

// Its nodes stand alone from now on.
function takeApart(circuit, key) {
  edited(() => { circuit.raw.groups.boxes[key].members = []; });
  change({ group: "" });
}
