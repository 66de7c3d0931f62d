// Positions of nodes: columns in the order of computation, heads kept together, and in
// each column an order with few crossing edges (barycentre sweeps in both directions).

const STEPS = [
  ["attn_in", ["attn_in"]], ["qkv", ["q", "k", "v"]], ["attn_out", ["attn_out"]],
  ["mlp_in", ["mlp_in"]], ["mlp_neuron", ["mlp_neuron"]], ["mlp_out", ["mlp_out"]],
];
const TITLES = {
  token: "tokens", attn_in: "reads", qkv: "q k v", attn_out: "writes",
  mlp_in: "reads", mlp_neuron: "neurons", mlp_out: "writes", final: "last reads",
  answer: "answers",
};
const TOP = 58;
const SWEEPS = 6;

function columnsOf(nodes) {
  const columns = new Map();
  const place = (key, step, layer, node) => {
    if (!columns.has(key)) columns.set(key, { step, layer, nodes: [] });
    columns.get(key).nodes.push(node);
  };
  const layers = Math.max(-1, ...nodes.map((n) => n.layer ?? -1)) + 1;
  for (const n of nodes) if (n.site === "token") place("token", "token", null, n);
  for (let layer = 0; layer < layers; layer++) {
    for (const [step, sites] of STEPS) {
      for (const n of nodes) {
        if (n.layer === layer && sites.includes(n.site)) {
          place(step + layer, step, layer, n);
        }
      }
    }
  }
  for (const end of ["final", "answer"]) {
    for (const n of nodes) if (n.site === end) place(end, end, null, n);
  }
  return [...columns.values()].map((column) =>
      ({ ...column, groups: groupsOf(column) }));
}

// Each head's queries, keys and values are a group; other columns are one group.
function groupsOf(column) {
  const groups = new Map();
  for (const n of column.nodes) {
    const key = column.step === "qkv" ? n.head : "";
    if (!groups.has(key)) groups.set(key, new Map());
    const parts = groups.get(key);
    if (!parts.has(n.site)) parts.set(n.site, []);
    parts.get(n.site).push(n);
  }
  const order = ["q", "k", "v"];
  return [...groups].map(([head, parts]) => ({
    head: head === "" ? null : head,
    parts: [...parts.values()].sort((a, b) =>
      order.indexOf(a[0].site) - order.indexOf(b[0].site)),
  }));
}

function rank(columns) {
  const at = new Map();
  for (const column of columns) {
    let row = 0;
    const all = column.groups.flatMap((g) => g.parts.flat());
    for (const n of all) at.set(n.i, row++ - all.length / 2);
  }
  return at;
}

function ordered(circuit, columns) {
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const at = rank(columns);
    const forth = sweep % 2 === 0;
    const score = new Map();
    for (const n of circuit.nodes) {
      let sum = 0;
      let weight = 0;
      for (const edge of forth ? n.ins : n.outs) {
        const other = at.get(forth ? edge.src : edge.dst);
        if (other === undefined) continue;
        const w = 0.05 + edge.weightShare;
        sum += w * other;
        weight += w;
      }
      score.set(n.i, weight ? sum / weight : at.get(n.i));
    }
    const mean = (list) => list.reduce((s, n) => s + score.get(n.i), 0) / list.length;
    for (const column of columns) {
      for (const group of column.groups) {
        for (const part of group.parts) part.sort((a, b) =>
            score.get(a.i) - score.get(b.i));
      }
      column.groups.sort((a, b) => mean(a.parts.flat()) - mean(b.parts.flat()));
    }
  }
}

// The answer of A is above that of B, as the prompts are.
function answersInOrder(circuit, columns) {
  const first = circuit.raw.example && circuit.raw.example.a.answer;
  for (const column of columns) {
    if (column.step !== "answer") continue;
    for (const part of column.groups.flatMap((g) => g.parts)) {
      part.sort((a, b) => (b.text === first) - (a.text === first));
    }
  }
}

// {columns, place: [{x, y}] by node, boxes of heads, width, height}. least: pixels from
// a node to the next, at least.
function layout(circuit, wide, high, widest = Infinity, least = 3) {
  const columns = columnsOf(circuit.nodes);
  ordered(circuit, columns);
  answersInOrder(circuit, columns);
  const rows = (column) => column.nodes.length + 1.7 * (column.groups.length - 1) +
    column.groups.reduce((s, g) => s + 0.5 * (g.parts.length - 1), 0);
  const tallest = Math.max(1, ...columns.map(rows));
  const close = Math.max(least, Math.min(30, (high - TOP - 24) / tallest));
  const step = Math.min(widest, Math.max(40,
      (wide - 96) / Math.max(1, columns.length - 1)));
  const height = Math.max(high, TOP + close * tallest + 24);
  const place = [];
  const boxes = [];
  columns.forEach((column, c) => {
    column.x = 48 + c * step;
    // Short columns are spread out, which leaves room for titles.
    const gap = column.gap = Math.max(least, Math.min(30,
        (height - TOP - 24) / rows(column)));
    let y = TOP + (height - TOP - 12 - gap * rows(column)) / 2 + gap / 2;
    for (const group of column.groups) {
      const first = y;
      for (const part of group.parts) {
        for (const n of part) {
          place[n.i] = { x: column.x, y, gap };
          y += gap;
        }
        y += 0.5 * gap;
      }
      y -= 0.5 * gap;
      if (group.head !== null) {
        boxes.push({ head: group.head, layer: column.layer, x: column.x,
          top: first - 0.8 * gap, bottom: y - 0.2 * gap, parts: group.parts });
      }
      y += 1.7 * gap;
    }
  });
  return { columns, place, boxes, step, height,
      width: 96 + (columns.length - 1) * step };
}

// The same with layers downward, for narrow screens: x and y change places. A column's
// x and a box's x, top and bottom stay what they are along and across the layers.
function turned(found) {
  found.place.forEach((spot) => { [spot.x, spot.y] = [spot.y, spot.x]; });
  return { ...found, down: true, width: found.height, height: found.width };
}

// Where something is drawn that stands at a place along and across the layers.
function spotOf(place, along, across) {
  return place.down ? { x: across, y: along } : { x: along, y: across };
}

function rectOf(place, along, across, long, wide) {
  const [width, height] = place.down ? [wide, long] : [long, wide];
  return { ...spotOf(place, along, across), width, height };
}
