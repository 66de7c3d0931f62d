// Small drawings of all circuits of the same task, side by side.

const MINI_EDGES = 1500;

function showMinis(raw) {
  const same = DATA.circuits.filter((c) => c.task === raw.task);
  fill("minis", same.map((c) => {
    const [kind, word] = verdictOf(c);
    const open = Boolean(c.graph && c.detail);
    const box = el(open ? "a" : "div", { class: "mini" + (c === raw ? " own" : ""),
      href: open ? "#c=" + encodeURIComponent(c.id) : null,
          "aria-current": c === raw ? "true" : null },
    el("span", { class: "name" }, nameOf(c)), el("canvas", { role: "img",
      "aria-label": "drawing of " + nameOf(c) }),
    c.graph ? null : el("span", { class: "empty" },
        c.status === "reached" ? "not drawn" : c.status),
    el("span", { class: "more" }, el("b", { class: kind }, word), c.status === "reached"
      ? ` ${count(c.size.edges, "edge")}, ${count(c.size.nodes, "node")}` : ""));
    return box;
  }));
  drawMinis();
}

function drawMinis() {
  const raw = rawCircuit(state.circuit);
  if (!raw) return;
  const same = DATA.circuits.filter((c) => c.task === raw.task);
  const ink = colours();
  [...byId("minis").querySelectorAll("canvas")].forEach((canvas, i) => {
    const circuit = prepared(same[i].id);
    if (circuit) drawMini(canvas, circuit, ink);
    else canvas.hidden = true;
  });
}

function colours() {
  const probe = el("span");
  document.body.append(probe);
  const found = {};
  for (const name of ["up", "down", "ink"]) {
    probe.style.color = `var(--${name})`;
    found[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  return found;
}

function drawMini(canvas, circuit, ink) {
  const wide = canvas.clientWidth || 260;
  const high = canvas.clientHeight || 130;
  const scale = window.devicePixelRatio || 1;
  canvas.width = wide * scale;
  canvas.height = high * scale;
  circuit.mini = circuit.mini || layout(circuit, 800, 460);
  const place = circuit.mini;
  const pen = canvas.getContext("2d");
  pen.scale(scale * wide / place.width, scale * high / place.height);
  const order = circuit.edges.filter((e) => e.kind === "weight")
    .sort((a, b) => b.weightShare - a.weightShare).slice(0, MINI_EDGES).reverse();
  for (const edge of order) {
    const from = place.place[edge.src];
    const to = place.place[edge.dst];
    pen.strokeStyle = edge.weight < 0 ? ink.down : ink.up;
    pen.globalAlpha = 0.15 + 0.7 * edge.weightShare;
    pen.lineWidth = 1 + 4 * edge.weightShare;
    pen.beginPath();
    pen.moveTo(from.x, from.y);
    pen.lineTo(to.x, to.y);
    pen.stroke();
  }
  pen.globalAlpha = 0.8;
  pen.fillStyle = ink.ink;
  for (const { x, y, gap } of place.place) {
    pen.beginPath();
    pen.arc(x, y, Math.min(5, gap * 0.5), 0, 7);
    pen.fill();
  }
}
