// Small drawings of all circuits of the same task, side by side.

function showMinis(raw) {
  const same = DATA.circuits.filter((c) => c.task === raw.task);
  fill("minis", same.map((c) => {
    const [kind, word] = verdictOf(c);
    const open = Boolean(c.graph && c.detail);
    const beside = Boolean(c.graph && !c.detail);
    const box = el(open ? "a" : beside ? "button" : "div", {
      class: "mini" + (c === raw ? " own" : ""), "data-id": c.id,
      href: open ? "#c=" + encodeURIComponent(c.id) : null,
      type: beside && "button", "aria-current": c === raw ? "true" : null,
      "aria-pressed": beside && String(c.id === state.against),
      on: beside ? { click: () => besideIt(c.id) } : {} },
    el("span", { class: "name" }, nameOf(c)), el("canvas", { role: "img",
      "aria-label": "drawing of " + nameOf(c) }),
    c.graph ? null : el("span", { class: "empty" },
        c.status === "reached" ? "not drawn" : c.status),
    el("span", { class: "more" }, el("b", { class: kind }, word), c.status === "reached"
      ? ` ${count(c.size.edges, "edge")}, ${count(c.size.nodes, "node")}` : ""),
    beside && el("span", { class: "more" }, "side by side, with all edges"));
    return box;
  }));
  drawMinis();
}

function besideIt(id) {
  change({ against: state.against === id ? "" : id });
  byId("side").scrollIntoView({ block: "nearest" });
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
  const place = placeOf(circuit);
  const pen = canvas.getContext("2d");
  pen.scale(scale * wide / place.width, scale * high / place.height);
  paintCircuit(pen, circuit, circuit.edges.filter((e) => e.kind === "weight"), ink);
}
