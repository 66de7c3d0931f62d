// The chosen circuit beside another one of the same task, with all edges of both:
// how large a circuit is that nobody can follow.

const PALE = [0.035, 0.07]; // how opaque an edge below the strongest is, of many or few
const MANY = 1500; // edges at one opacity that make a drawing dark
const NEAR = 14; // pixels from the pointer to the node that it means

function showSideBySide() {
  const pair = [prepared(state.circuit), prepared(state.against)];
  const there = pair.every(Boolean) && pair[0] !== pair[1] &&
      pair[0].raw.task === pair[1].raw.task;
  byId("side").hidden = !there;
  fill("side", there && [
    el("div", { class: "side-head" }, el("h3", {}, "Side by side, with all edges"),
      el("button", { type: "button", on: { click: () => change({ against: "" }) } },
        "close")),
    el("p", { class: "note" }, "From left to right in the order of computation. ",
      el("b", { class: "up" }, "Blue"), " edges are positive weights, ",
      el("b", { class: "down" }, "orange"), " ones negative; of large circuits only " +
      "the strongest have a colour, and all others are thin and grey. What is read " +
      "from the residual and written to it is not joined by a line."),
    el("div", { class: "two" }, pair.map(drawnWhole))]);
  drawSides();
  for (const button of byId("minis").querySelectorAll("button.mini")) {
    button.setAttribute("aria-pressed", String(button.dataset.id === state.against));
  }
}

function drawnWhole(circuit) {
  const { all, edges } = everyEdge(circuit);
  const own = circuit.nodes.filter((n) => !["token", "answer"].includes(n.site));
  const order = [...own].sort((a, b) => all[b.i].length - all[a.i].length);
  const degrees = order.map((n) => all[n.i].length);
  const says = el("p", { class: "note", role: "status" });
  const canvas = el("canvas", { role: "img", "aria-label": "all edges of " +
    nameOf(circuit.raw) });
  const slider = el("input", { type: "range", min: 0, max: own.length, value: 0,
    "aria-label": "walk through the nodes of " + nameOf(circuit.raw) +
      ", those with most edges first" });
  const show = (node) => {
    says.textContent = node ? `${node.title}: ${count(all[node.i].length, "edge")}`
      : "Point at a node, or walk through them with the slider.";
    slider.setAttribute("aria-valuetext", says.textContent);
    drawSide(canvas, circuit, node);
  };
  slider.addEventListener("input", () => show(order[slider.value - 1]));
  canvas.addEventListener("pointermove", (e) => {
    const node = nodeNear(circuit, canvas, e);
    slider.value = node ? order.indexOf(node) + 1 : 0;
    show(node);
  });
  canvas.addEventListener("pointerleave", () => { slider.value = 0; show(); });
  REDRAW.set(canvas, () => { circuit.image = null; show(order[slider.value - 1]); });
  return el("figure", { class: "side" },
    el("figcaption", {}, el("b", {}, nameOf(circuit.raw)), ": " +
      `${count(edges.length, "edge")}, ${count(circuit.raw.size.nodes, "node")}. ` +
      `A node has ${count(degrees[degrees.length >> 1] || 0, "edge")} (the median), ` +
      `${(degrees[0] || 0).toLocaleString("en")} at most.`),
    canvas, slider, says);
}

// {edges: all weights, those below the strongest without their values; all: by node}
function everyEdge(circuit) {
  if (circuit.every) return circuit.every;
  const edges = circuit.edges.filter((edge) => edge.kind === "weight");
  const { src, dst } = circuit.raw.graph.rest;
  let [from, to] = [0, 0];
  src.forEach((step, i) => {
    from += step;
    to = step ? dst[i] : to + dst[i];
    edges.push({ src: from, dst: to, weight: null, weightShare: 0 });
  });
  const all = circuit.nodes.map(() => []);
  for (const edge of edges) {
    all[edge.src].push(edge);
    all[edge.dst].push(edge);
  }
  circuit.every = { all, edges };
  return circuit.every;
}

const REDRAW = new Map();

function drawSides() {
  for (const [canvas, draw] of REDRAW) {
    if (canvas.isConnected) draw();
    else REDRAW.delete(canvas);
  }
}

function placeOf(circuit) {
  circuit.mini = circuit.mini || layout(circuit, 800, 460);
  return circuit.mini;
}

function nodeNear(circuit, canvas, event) {
  const place = placeOf(circuit);
  const box = canvas.getBoundingClientRect();
  const away = (node) => {
    const { x, y } = place.place[node.i];
    return Math.hypot(x * box.width / place.width - (event.clientX - box.left),
        y * box.height / place.height - (event.clientY - box.top));
  };
  return circuit.nodes.filter((node) => place.place[node.i] && away(node) < NEAR)
    .sort((a, b) => away(a) - away(b))[0];
}

// What does not change while the pointer moves is painted once.
function drawSide(canvas, circuit, node) {
  const [wide, high] = [canvas.clientWidth, canvas.clientHeight];
  const scale = window.devicePixelRatio || 1;
  const place = placeOf(circuit);
  const ink = colours();
  canvas.width = wide * scale;
  canvas.height = high * scale;
  if (!circuit.image) {
    circuit.image = el("canvas", { width: canvas.width, height: canvas.height });
    const pen = circuit.image.getContext("2d");
    pen.scale(scale * wide / place.width, scale * high / place.height);
    paintCircuit(pen, circuit, everyEdge(circuit).edges, ink);
  }
  const pen = canvas.getContext("2d");
  pen.globalAlpha = node ? 0.25 : 1;
  pen.drawImage(circuit.image, 0, 0);
  if (!node) return;
  pen.scale(scale * wide / place.width, scale * high / place.height);
  pen.globalAlpha = 0.8;
  for (const edge of everyEdge(circuit).all[node.i]) stroke(pen, place, edge, ink);
}

function paintCircuit(pen, circuit, edges, ink) {
  const place = placeOf(circuit);
  const order = [...edges].sort((a, b) => a.weightShare - b.weightShare);
  const pale = Math.min(PALE[1], Math.max(PALE[0], MANY / edges.length));
  for (const edge of order) {
    pen.globalAlpha = edge.weight === null ? pale : 0.15 + 0.7 * edge.weightShare;
    stroke(pen, place, edge, ink);
  }
  pen.globalAlpha = 0.8;
  pen.fillStyle = ink.ink;
  for (const { x, y, gap } of place.place) {
    pen.beginPath();
    pen.arc(x, y, Math.min(5, gap * 0.5), 0, 7);
    pen.fill();
  }
}

function stroke(pen, place, edge, ink) {
  const [from, to] = [place.place[edge.src], place.place[edge.dst]];
  if (!from || !to) return;
  pen.strokeStyle = edge.weight === null ? ink.ink
    : edge.weight < 0 ? ink.down : ink.up;
  pen.lineWidth = 1 + 3 * edge.weightShare;
  pen.beginPath();
  pen.moveTo(from.x, from.y);
  pen.lineTo(to.x, to.y);
  pen.stroke();
}
