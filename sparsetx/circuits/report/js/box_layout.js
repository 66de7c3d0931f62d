// Positions of groups: one column for each step of the computation, or one row on a
// narrow screen, with tokens first and answers last. An open box has its nodes inside,
// laid out as in the drawing of all nodes: on a narrow screen, with layers downward.

const BOX = { least: 128, most: 190, high: 68, title: 42, pad: 8, gap: 16 };
const WAY = { least: 40, most: 130, rows: 22 }; // between columns, for the arrows
const INNER = { step: 66, gap: 15, high: 460, edge: 22, wide: 236 };

// {units: {id: {x, y, wide, high}} (top left), open: [{box, x, y, wide, high, place}],
//  place: by node, names of columns, wide, high, down}
function boxLayout(circuit, { units, open }, arrows, { room, high, down }) {
  const columns = boxColumns(circuit, units, open);
  const size = boxWidth(columns, room, down);
  for (const column of columns) {
    for (const item of column.items) {
      Object.assign(item, measured(circuit, item, size, down && room));
    }
  }
  sortBoxes(circuit, columns, arrows);
  const found = down ? stacked(columns, room) : spread(columns, room, high);
  return { ...found, down, ...finished(columns, down), columns };
}

// Items in columns: closed boxes, open boxes and nodes that are in none. The place of a
// box is that of most of its nodes that compute.
function boxColumns(circuit, units, open) {
  const { boxes, of } = groupingOf(circuit);
  const columns = new Map();
  const put = (key, name, item) => {
    if (!columns.has(key)) columns.set(key, { key, name, items: [] });
    columns.get(key).items.push(item);
  };
  for (const { box, node } of units) {
    if (box) put(...stageOf(boxStage(circuit, box)), { id: "b" + box.key, box });
    else if (of[node.i] === ALONE) put(...stageOf(node), { id: "n" + node.i, node });
  }
  for (const key of open) {
    put(...stageOf(boxStage(circuit, boxes[key])), { id: "o" + key, box: boxes[key],
      open: true });
  }
  return [...columns.values()].sort((a, b) => a.key - b.key);
}

function boxStage(circuit, box) {
  const nodes = box.nodes.map((i) => circuit.nodes[i]);
  const computing = nodes.filter((n) => ["q", "k", "v", "mlp_neuron"].includes(n.site));
  const own = (computing.length ? computing : nodes).slice().sort((a, b) =>
    stageOf(a)[0] - stageOf(b)[0]);
  return own[Math.floor((own.length - 1) / 2)];
}

// [order, name] of the step in which a node is computed.
function stageOf(node) {
  if (node.site === "token") return [-1, "tokens"];
  if (node.site === "answer") return [1e6, "answers"];
  if (node.site === "embed") return [-0.5, "embedding"];
  if (node.site === "final") return [1e5, "last reads"];
  const late = node.site.startsWith("mlp");
  return [2 * node.layer + late, `layer ${node.layer} ${late ? "MLP" : "attention"}`];
}

function boxWidth(columns, room, down) {
  if (down) return Math.min(BOX.most, Math.floor((room - 3 * BOX.gap) / 2));
  const wide = columns.filter((c) => c.items.some((item) => item.box)).length;
  const ways = WAY.least * (columns.length + 1);
  const free = room - ways - 74 * (columns.length - wide);
  return Math.round(Math.max(BOX.least, Math.min(BOX.most, free / Math.max(1, wide))));
}

// room: the width that there is where layers go downward, else false.
function measured(circuit, item, size, room) {
  if (item.open) return inner(circuit, item.box, size, room);
  if (item.box) {
    const more = Math.max(0, titleIn(item.box, size).length - 2);
    return { wide: size, high: BOX.high + 14 * more };
  }
  const text = item.node.text !== undefined;
  return { wide: text ? 62 : 44, high: text ? 26 : 32 };
}

// An open box: its nodes in the columns of the whole drawing.
function inner(circuit, box, size, room) {
  const nodes = box.nodes.map((i) => circuit.nodes[i]);
  const columns = columnsOf(nodes);
  const tallest = Math.max(...columns.map((c) => c.nodes.length + 1.7 *
    (c.groups.length - 1) + c.groups.reduce((s, g) => s + 0.5 * (g.parts.length - 1),
    0)));
  const found = { nodes, raw: circuit.raw };
  const long = TOP + 24 + Math.max(34, tallest * INNER.gap);
  if (room) {
    const free = room - 16 - 2 * BOX.pad;
    const place = turned(layout(found, Infinity, Math.min(free, long), DEEP, 1));
    const wide = Math.max(INNER.wide, place.width + 2 * BOX.pad);
    return { place, wide: Math.min(room - 16, wide),
      high: BOX.title + place.height - 96 + 2 * INNER.edge };
  }
  const place = layout(found, 96 + (columns.length - 1) * INNER.step,
      Math.min(TOP + 24 + INNER.high, long), INNER.step);
  return { place, wide: Math.max(size, BOX.most, place.width + 2 * BOX.pad),
    high: place.height - TOP + BOX.title + 22 };
}

// By how much the nodes of an open box are moved, to be below its title.
function shiftOf({ x, y, wide, place }) {
  return { x: x + (wide - place.width) / 2,
    y: y + BOX.title + (place.down ? INNER.edge - 48 : 14 - TOP) };
}

// In each column an order with few crossing arrows.
function sortBoxes(circuit, columns, arrows) {
  const owner = ownersOf(circuit, columns);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const at = new Map();
    for (const { items } of columns) {
      items.forEach((item, i) => at.set(item.id, (i + 0.5) / items.length));
    }
    const score = new Map();
    for (const { src, dst, size } of arrows) {
      const ends = [owner.get(src), owner.get(dst)];
      const [own, other] = sweep % 2 === 0 ? ends.reverse() : ends;
      if (own === other) continue;
      const sum = score.get(own) || { weight: 0, total: 0 };
      sum.weight += size + 1e-3;
      sum.total += (size + 1e-3) * at.get(other);
      score.set(own, sum);
    }
    const rank = (item) => {
      const sum = score.get(item.id);
      return sum ? sum.total / sum.weight : at.get(item.id);
    };
    for (const column of columns) column.items.sort((a, b) => rank(a) - rank(b));
  }
  const first = circuit.raw.example && circuit.raw.example.a.answer;
  for (const { items } of columns) { // the answer of A is above that of B
    if (items.some(({ node }) => node && node.site === "answer")) {
      items.sort((a, b) => (b.node.text === first) - (a.node.text === first));
    }
  }
}

// The item that holds each unit.
function ownersOf(circuit, columns) {
  const owner = new Map();
  for (const item of columns.flatMap((column) => column.items)) {
    owner.set(item.id, item.id);
    if (item.open) for (const i of item.box.nodes) owner.set("n" + i, item.id);
  }
  return owner;
}

// Columns from left to right, each in the middle of the height.
function spread(columns, room, high) {
  const sizes = columns.map(({ items }) => Math.max(...items.map((i) => i.wide)));
  const total = sizes.reduce((s, x) => s + x, 0);
  const free = (room - 24 - total) / Math.max(1, columns.length - 1);
  const way = Math.max(WAY.least, Math.min(WAY.most, free));
  const tall = (items, gap) => items.reduce((s, i) => s + i.high + gap, -gap);
  const height = Math.max(high, 56 + Math.max(...columns.map(({ items }) =>
    tall(items, BOX.gap))) + 20);
  let x = 12;
  columns.forEach((column, c) => {
    const count = column.items.length;
    const least = tall(column.items, BOX.gap);
    const extra = Math.max(0, Math.min(34, (height - 76 - least) / (count + 1)));
    const gap = BOX.gap + extra;
    let y = 46 + (height - 56 - tall(column.items, gap)) / 2;
    for (const item of column.items) {
      item.x = x + (sizes[c] - item.wide) / 2;
      item.y = y;
      y += item.high + gap;
    }
    Object.assign(column, { at: x + sizes[c] / 2, top: 26, turn: "middle" });
    x += sizes[c] + way;
  });
  return { wide: x - way + 12, high: height };
}

// Rows from top to bottom; a row that is too wide goes on below.
function stacked(columns, room) {
  let y = 8;
  for (const column of columns) {
    Object.assign(column, { at: 8, top: y + 12, turn: "start" });
    y += 20;
    const lines = [[]];
    let x = 8;
    for (const item of column.items) {
      if (x > 8 && x + item.wide > room - 8) {
        lines.push([]);
        x = 8;
      }
      lines[lines.length - 1].push(item);
      x += item.wide + BOX.gap;
    }
    for (const line of lines) {
      const total = line.reduce((s, i) => s + i.wide + BOX.gap, -BOX.gap);
      let left = Math.max(8, (room - total) / 2);
      for (const item of line) {
        Object.assign(item, { x: left, y });
        left += item.wide + BOX.gap;
      }
      y += Math.max(...line.map((item) => item.high)) + BOX.gap;
    }
    y += WAY.rows;
  }
  const widest = Math.max(...columns.flatMap((c) => c.items.map((i) => i.wide)));
  return { wide: Math.max(room - 2, widest + 16), high: y };
}

// The frame of each unit, and the middle of each node that is drawn.
function finished(columns, down) {
  const frames = new Map();
  const place = [];
  for (const item of columns.flatMap((column) => column.items)) {
    const { x, y, wide, high } = item;
    if (item.node) {
      const token = item.node.site === "token";
      const middle = down || item.node.text === undefined;
      place[item.node.i] = { x: x + (middle ? wide / 2 : token ? wide - 4 : 4),
        y: y + high / 2, gap: 16 };
      continue;
    }
    frames.set(item.id, { x, y, wide, high: item.open ? BOX.title : high });
    if (!item.open) continue;
    const shift = item.shift = shiftOf(item);
    for (const i of item.box.nodes) {
      const own = item.place.place[i];
      place[i] = { x: own.x + shift.x, y: own.y + shift.y, gap: own.gap };
    }
  }
  place.forEach(({ x, y }, i) => {
    frames.set("n" + i, { x: x - 5, y: y - 5, wide: 10, high: 10 });
  });
  return { frames, place };
}
