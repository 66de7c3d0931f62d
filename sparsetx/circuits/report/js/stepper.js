// A pair of prompts, token by token: activations of nodes, attention of heads, and
// which answer is ahead.

const SIDES = ["a", "b"];

function pairNow(circuit) {
  const prompts = circuit && circuit.raw.prompts;
  if (!prompts || !prompts.pairs.length) return null;
  const given = prompts.pairs[pairIndex(prompts)];
  const pair = livePair(circuit, given) || given;
  for (const side of SIDES) unpack(pair[side], circuit, prompts);
  return pair;
}

// By default the first pair, which is the easiest to read.
function pairIndex({ pairs }) {
  return Math.min(Math.max(0, state.pair), pairs.length - 1);
}

// By default, the head with the node of the largest ablation cost.
function headIndex(circuit) {
  const { heads } = circuit.raw.prompts;
  if (state.head !== "largest") return state.head;
  const cost = (h) => Math.max(0, ...circuit.nodes.filter((n) =>
    n.layer === h.layer && n.head === h.head).map((n) => n.cost || 0));
  const costs = heads.map(cost);
  const most = Math.max(...costs, 0);
  return most > 0 ? String(costs.indexOf(most)) : "all";
}

// Bytes are unpacked the first time that a pair is shown.
function unpack(side, circuit, prompts) {
  if (side.values) return;
  const long = side.tokens.length;
  const acts = bytes(side.acts);
  side.values = (node, i) => (node < prompts.scale.length
    ? (acts[node * long + i] - 128) / 127 : 0);
  const looks = side.looks.map(bytes);
  side.look = (head, from, to) => looks[head][from * (from + 1) / 2 + to] / 255;
}

function lastStep(pair) {
  return Math.max(pair.a.tokens.length, pair.b.tokens.length) - 1;
}

function stepNow(pair) {
  const last = lastStep(pair);
  return state.step < 0 ? last : Math.min(state.step, last);
}

// Prompts of unequal length are aligned at their ends, where the answer is read.
function placeIn(pair, side, step) {
  const i = step - (lastStep(pair) - (pair[side].tokens.length - 1));
  return Math.max(0, i);
}

function valueAt(pair, node, step, view) {
  const of = (side) => pair[side].values(node, placeIn(pair, side, step));
  if (view === "a" || view === "b") return of(view);
  return (of("a") - of("b")) / 2;
}

function activationsNow(circuit) {
  const pair = pairNow(circuit);
  if (!pair) return null;
  const step = stepNow(pair);
  return circuit.nodes.map((n) => valueAt(pair, n.i, step, state.view));
}

// --- The section --------------------------------------------------------------------

function showStepper() {
  const circuit = prepared(state.circuit);
  const pair = pairNow(circuit);
  byId("follow").hidden = !circuit;
  if (!circuit) return;
  showStrip();
  if (!pair) {
    fill("stepper", el("p", { class: "absent" },
        circuit.raw.no_prompts || "No prompts."));
    return;
  }
  const { heads } = circuit.raw.prompts;
  const head = el("select", { id: "head", on: { change: (e) =>
      change({ head: e.target.value }) } });
  choices(head, [["all", "all kept heads"], ...heads.map((h, i) =>
    [String(i), `layer ${h.layer}, head ${h.head}`])], headIndex(circuit));
  const slide = el("input", { id: "step", type: "range", min: 0, max: lastStep(pair),
    value: stepNow(pair), "aria-label": "token",
    on: { input: (e) => follow(Number(e.target.value)) } });
  fill("stepper",
    el("div", { class: "tools" }, el("span", { class: "note", id: "shown-pair" },
      pairTold(circuit.raw)), heads.length > 0 && el("label", {}, "attention of ",
      head),
      el("label", { class: "slider wide" }, "token ", slide),
      el("span", { class: "together" }, arrow("←", "earlier token", -1),
          arrow("→", "later token", 1)),
      el("output", { id: "where", "aria-live": "polite" })),
    el("p", { class: "note", id: "looks" }),
    el("div", { class: "two prompts" }, SIDES.map((side) => promptOf(pair, side))),
    el("div", { class: "two prompts" }, SIDES.map(promptNote)),
    el("div", { class: "two" }, el("div", { id: "margin" }),
        el("div", { id: "changes" })));
  showStep();
}

// Which given pair it is, and whether the reader has changed it.
function pairTold(raw) {
  const given = givenPair();
  const kept = SIDES.every((side) => ownText(side) === textOf(given[side]));
  return `pair ${pairName(raw, pairIndex(raw.prompts))}${kept ? "" : ", edited"}`;
}

function arrow(text, name, by) {
  return el("button", { type: "button", "aria-label": name,
    on: { click: () => stepBy(by) } }, text);
}

function stepBy(by) {
  const pair = pairNow(prepared(state.circuit));
  if (pair) follow(Math.max(0, Math.min(lastStep(pair), stepNow(pair) + by)));
}

// Stepping switches the colours of nodes to activations.
function follow(step) {
  const still = ["cost", "interchange"].includes(state.view);
  change({ step, view: still ? "diff" : state.view });
}

function promptOf(pair, side) {
  const told = pair[side];
  return el("figure", { class: "prompt " + side },
    el("figcaption", {}, el("b", { class: side }, side.toUpperCase()), " right answer ",
      code(told.answer, "answer"), el("span",
          { class: "outcome", id: "outcome-" + side }), " ", editLink(side)),
    el("div", { class: "sheet", id: "sheet-" + side, tabindex: "0", role: "group",
      "aria-label": "prompt " + side.toUpperCase() },
      el("pre", {}, tokensOf(pair, side, (token) => token.replace(/\n/g, "⏎\n")))));
}

function showStep() {
  const circuit = prepared(state.circuit);
  const pair = pairNow(circuit);
  if (!pair || !byId("step")) return;
  const step = stepNow(pair);
  byId("step").value = step;
  byId("where").textContent = `${step + 1} of ${lastStep(pair) + 1}: ` +
      SIDES.map((s) =>
    shown(pair[s].tokens[placeIn(pair, s, step)])).filter((t, i, all) =>
        all.indexOf(t) === i).join(" | ");
  for (const side of SIDES) markPrompt(circuit, pair, side, step);
  markStrip(circuit, pair, step);
  const head = circuit.raw.prompts.heads[Number(headIndex(circuit))];
  fill("looks", head ? [`layer ${head.layer}, head ${head.head}: `, prose(head.says)]
    : "Arcs show where the kept heads attend from this token; wider is more. " +
      "Choose a head to see it alone.");
  showMargin(pair, step);
  showChanges(circuit, pair, step);
}

function markPrompt(circuit, pair, side, step) {
  const sheet = byId("sheet-" + side);
  const marks = markTokens(sheet, circuit, pair, side, step);
  const told = pair[side];
  const margin = `, margin ${signed(told.margin)} in the circuit`;
  byId("outcome-" + side).textContent = margin +
    (told.whole === null ? "" : `, ${signed(told.whole)} in the whole model`);
  const old = sheet.querySelector("svg");
  if (old) old.remove();
  sheet.append(arcs(circuit, told, marks, sheet, placeIn(pair, side, step)));
}

// Mark the current token, those after it, those in which the prompts differ, and colour
// tokens by the activation of the pinned node.
function markTokens(box, circuit, pair, side, step) {
  const marks = [...box.querySelectorAll(".token")];
  const here = placeIn(pair, side, step);
  const node = circuit.places.get(state.node);
  const other = pair[side === "a" ? "b" : "a"];
  const shift = other.tokens.length - pair[side].tokens.length;
  marks.forEach((mark, i) => {
    mark.classList.toggle("now", i === here);
    mark.classList.toggle("later", i > here);
    mark.classList.toggle("odd", pair[side].tokens[i] !== other.tokens[i + shift]);
    const value = node === undefined ? 0 : pair[side].values(node, i);
    const part = Math.round(45 * Math.abs(value));
    mark.style.background = part < 3 ? "" : tint(value, part, "transparent");
  });
  return marks;
}

// Attention as arcs over the text, from the current token to those attended to.
function arcs(circuit, told, marks, sheet, here) {
  const box = sheet.firstChild;
  const layer = sv("svg", { class: "arcs", "aria-hidden": "true",
    width: box.scrollWidth, height: box.scrollHeight });
  const middle = (mark) => ({ x: mark.offsetLeft + Math.min(mark.offsetWidth, 60) / 2,
    y: mark.offsetTop + 3, low: mark.offsetTop + 20 });
  const places = marks.slice(0, here + 1).map(middle);
  const to = places[here];
  const chosen = headIndex(circuit);
  circuit.raw.prompts.heads.forEach((head, h) => {
    if (chosen !== "all" && chosen !== String(h)) return;
    for (let i = 0; i <= here; i++) {
      const weight = told.look(h, here, i);
      if (weight < 0.04) continue;
      const from = places[i];
      const [d, y] = way(to, from, h);
      layer.append(sv("g", { class: "h" + (h % 5) },
        sv("path", { d, "stroke-width": (0.5 + 3 * weight).toFixed(2) },
          sv("title", {}, `layer ${head.layer}, head ${head.head}: ${share(weight)}`)),
        sv("circle", { cx: from.x, cy: y, r: (1 +
            2.5 * Math.sqrt(weight)).toFixed(1) })));
    }
  });
  return layer;
}

// On one line an arc above it; to an earlier line a curve to the foot of the token.
function way(to, from, h) {
  if (from.x === to.x && from.y === to.y) {
    return [`M${to.x - 5} ${to.y}c-4 -15 14 -15 10 0`, to.y];
  }
  if (from.y === to.y) {
    const lift = to.y - Math.min(22, 7 + Math.abs(to.x - from.x) * 0.12);
    return [`M${to.x} ${to.y}C${to.x} ${lift} ${from.x} ${lift} ${from.x} ${from.y}`,
        from.y];
  }
  const side = 6 * (h % 5) - 12;
  return [`M${to.x} ${to.y}C${to.x + side} ${(to.y + from.low) / 2} ${from.x + side} ` +
    `${(to.y + from.low) / 2} ${from.x} ${from.low}`, from.low];
}

// Under the drawing: both prompts in a line each, so that nodes and text are in view.
function showStrip() {
  const circuit = prepared(state.circuit);
  const pair = pairNow(circuit);
  if (!pair) {
    fill("strip");
    return;
  }
  fill("strip", el("span", { class: "together" }, arrow("←", "earlier token", -1),
    arrow("→", "later token", 1)), SIDES.map((side) => el("div",
        { class: "row " + side },
    el("b", { class: side }, side.toUpperCase()), editLink(side),
    el("div", { class: "text", tabindex: "0", role: "group",
      "aria-label": "tokens of prompt " + side.toUpperCase() },
        tokensOf(pair, side, (t) => t.replace(/\n/g, "⏎"))))));
}

function tokensOf(pair, side, written) {
  const first = lastStep(pair) - (pair[side].tokens.length - 1);
  return pair[side].tokens.map((token, i) => el("span", {
    class: "token", "data-step": i + first,
    on: { click: (e) => follow(Number(e.target.dataset.step)) },
  }, i === 0 && token.startsWith("<|") ? written("⊢\n").replace("⏎", "")
      : written(token)));
}

function markStrip(circuit, pair, step) {
  for (const side of SIDES) {
    const row = byId("strip").querySelector("." + side + " .text");
    const marks = markTokens(row, circuit, pair, side, step);
    const now = marks[placeIn(pair, side, step)];
    row.scrollLeft = now.offsetLeft - row.offsetLeft - row.clientWidth / 2;
  }
}

// The nodes whose values differ most between A and B at this token.
function showChanges(circuit, pair, step) {
  const list = circuit.nodes.filter((n) => n.index !== undefined)
    .map((n) => ({ n, value: valueAt(pair, n.i, step, "diff") }))
    .filter(({ value }) => Math.abs(value) > 0.02)
    .sort((x, y) => Math.abs(y.value) - Math.abs(x.value)).slice(0, 8);
  const sign = (side, n) => pair[side].values(n.i, placeIn(pair, side, step));
  fill("changes", el("h3", {}, "Where A and B differ at this token"),
    list.length === 0 ? el("p", { class: "note" },
        "In no kept node.")
      : el("ol", { class: "rows" }, list.map(({ n }) => el("li", {},
        el("span", {}, nodeLink(circuit, n), briefly(n)),
        SIDES.map((side) => el("b", { class: side }, side.toUpperCase() + " " +
          number(sign(side, n) * circuit.raw.prompts.scale[n.i], 2)))))));
}
