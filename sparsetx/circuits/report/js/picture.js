// The picture of the story: a prompt as tokens, the heads and neurons that its scenes
// are about, and the two answers. Lines from tokens are as wide as the attention.

const picture = { side: "a", parts: [], typing: null, typed: false };
const LOOKED = 0.08; // attention from which a line is drawn
const TYPING = 2200; // ms in which the prompt types itself

function showPicture() {
  endTyping();
  const circuit = prepared(state.circuit);
  const pair = pairNow(circuit);
  byId("picture").hidden = !pair;
  byId("prompt-box").hidden = !pair;
  if (!pair) return;
  picture.parts = partsOf(circuit);
  fill("picture", sv("svg", { class: "wires", "aria-hidden": "true" }), sayingBox(),
    picture.parts.length > 0 && el("ol", { class: "parts",
      "aria-label": "what the circuit does, in order" }, picture.parts.map(partBox)),
    el("div", { class: "answers" },
      el("span", { class: "name" }, "of two next tokens, ",
        code(pair.a.answer, "a"), " or ", code(pair.b.answer, "b")),
      el("div", { id: "answers" })));
  showPromptBox(circuit.raw);
  paintPicture();
}

// Scenes about the same heads or neuron are one part.
function partsOf(circuit) {
  const parts = [];
  scenesOf(circuit.raw).forEach((scene, i) => {
    if (!["attention", "value", "neuron"].includes(scene.kind)) return;
    const key = scene.heads.length ? scene.heads.join(" ") : scene.carrier;
    const old = parts.find((part) => part.key === key);
    const part = old || { key, scenes: [], heads: scene.heads, nodes: new Set() };
    if (!old) parts.push(part);
    part.scenes.push(i);
    part.carrier = scene.carrier || part.carrier;
    for (const id of scene.nodes) {
      const at = circuit.places.get(id);
      if (at === undefined) continue;
      part.nodes.add(at);
      const node = circuit.nodes[at];
      if (node.head !== null) for (const e of node.ins) part.nodes.add(e.src);
    }
  });
  return parts;
}

function partBox(part) {
  const circuit = prepared(state.circuit);
  const layer = part.heads.length ? part.heads[0][0] : parsed(part.carrier).layer;
  const at = part.carrier && circuit.places.get(part.carrier);
  const kind = at !== undefined && at !== null && circuit.nodes[at].kind;
  part.value = el("span", { class: "now" });
  part.box = el("li", { class: "part" }, el("button", { type: "button",
    on: { click: () => goTo(part.scenes[0]) } }, el("b", {}, partName(part)),
  el("span", { class: "quiet" }, `layer ${layer}`),
  el("span", {}, roleOf(part, kind)), part.value));
  return part.box;
}

function partName(part) {
  return part.heads.length
    ? `head${part.heads.length > 1 ? "s" : ""} ` +
      part.heads.map((h) => h[1]).join(", ")
    : `neuron ${parsed(part.carrier).index}`;
}

function roleOf(part, kind) {
  if (!part.heads.length) return kind || "varies";
  const look = part.heads.length > 1 ? "look back" : "looks back";
  return !kind ? look : `${look}, bring${part.heads.length > 1 ? "" : "s"} the ${kind}`;
}

function sayingBox() {
  const side = (s) => el("button", { type: "button", id: "side-" + s,
    on: { click: () => chooseSide(s) } }, s.toUpperCase());
  return el("div", { class: "saying" },
    el("div", { class: "top" }, el("span", { class: "name" }, "prompt"),
      el("span", { class: "together", role: "group", "aria-label": "which prompt" },
        SIDES.map(side))),
    el("pre", { id: "saying" }));
}

function chooseSide(side) {
  takeBack();
  picture.side = side;
  showScene();
}

// --- What it shows now ---------------------------------------------------------------

function paintPicture() {
  const circuit = prepared(state.circuit);
  const pair = circuit && pairNow(circuit);
  if (!pair || !byId("saying")) return;
  for (const s of SIDES) {
    byId("side-" + s).setAttribute("aria-pressed", String(s === picture.side));
  }
  paintPromptBox(circuit, pair);
  paintTokens(circuit, pair);
  for (const part of picture.parts) {
    const value = valueIn(circuit, pair[picture.side], part);
    fill(part.value, value === null ? null : ["now ", el("b", {}, briefNumber(value)),
      yardstick(circuit, part, value)]);
    part.value.hidden = value === null;
  }
  const last = pair[picture.side].tokens.length - 1;
  paintAnswers(pair, last);
  light(sceneNow(circuit.raw));
  drawWires(circuit, pair);
}

// The tokens, darker where the heads look from the last one.
function paintTokens(circuit, pair) {
  const told = pair[picture.side];
  const sideOfToken = deciding(told.tokens);
  const last = told.tokens.length - 1;
  const most = (i) => Math.max(0, ...picture.parts.map((p) =>
    lookOf(circuit, told, p, i)));
  picture.tokens = told.tokens.map((token, i) => {
    const side = sideOfToken(token, i);
    const mark = el("span", { class: "said" + (side ? " odd " + side : "") +
      (i === last ? " last" : "") },
      i === 0 && token.startsWith("<|") ? "" : token.replace(/\n/g, "⏎\n"));
    const part = Math.round(45 * most(i));
    if (part > 3) {
      mark.style.background = `color-mix(in oklab, var(--look) ${part}%, transparent)`;
    }
    return mark;
  });
  fill("saying", picture.tokens);
}

// Of which given prompt a token is one that decides: by its place in a given prompt, by
// its text in one of the reader's own.
function deciding(tokens) {
  const given = givenPair();
  const { start, end } = apart(given.a.tokens, given.b.tokens);
  const own = SIDES.map((side) => given[side].tokens.slice(start,
      given[side].tokens.length - end));
  const shown = SIDES.find((side) => tokens.join("") === given[side].tokens.join(""));
  const last = tokens.length - end;
  if (shown) return (_, i) => (i >= start && i < last ? shown : "");
  return (token) => SIDES.find((_, s) => own[s].includes(token) &&
    !own[1 - s].includes(token)) || "";
}

// The attention of a part's heads from the last token to a token, at most.
function lookOf(circuit, told, part, i) {
  const { heads } = circuit.raw.prompts;
  const last = told.tokens.length - 1;
  return Math.max(0, ...part.heads.map(([layer, head]) => {
    const at = heads.findIndex((h) => h.layer === layer && h.head === head);
    return at < 0 ? 0 : told.look(at, last, i);
  }));
}

// What its carrier is: of a head where it looks most; of a neuron at the last token if
// it acts there, else where it is largest.
function valueIn(circuit, told, part) {
  const at = part.carrier ? circuit.places.get(part.carrier) : undefined;
  if (at === undefined) return null;
  const sizes = told.tokens.map((_, i) => (part.heads.length
    ? lookOf(circuit, told, part, i) : Math.abs(told.values(at, i))));
  const ends = !part.heads.length && (circuit.nodes[at].kind || "").endsWith("the end");
  const place = ends ? sizes.length - 1 : sizes.indexOf(Math.max(...sizes));
  return told.values(at, place) * (circuit.raw.prompts.scale[at] || 1);
}

function paintAnswers(pair, step) {
  const told = pair[picture.side];
  const last = step === told.tokens.length - 1;
  const sign = picture.side === "a" ? 1 : -1;
  fill("answers", splitBar(pair, "circuit", told.toward[step]),
    told.whole === null ? null
      : splitBar(pair, "whole model", last ? told.whole * sign : null));
}

// The odds of the two answers against each other, as a bar in two colours.
function splitBar(pair, name, lead) {
  const part = lead === null ? 0.5 : 1 / (1 + Math.exp(-lead));
  const left = el("i", { class: "a" });
  left.style.width = (100 * part).toFixed(1) + "%";
  const ahead = part >= 0.5 ? "a" : "b";
  const sure = Math.floor(1000 * Math.max(part, 1 - part)) / 10;
  return el("div", { class: "odds" }, el("span", { class: "quiet" }, name),
    el("span", { class: "meter", "aria-hidden": "true" }, left),
    el("b", {}, lead === null ? "…" : [code(pair[ahead].answer, ahead),
      ` ${sure} %`]));
}

// --- Lines ---------------------------------------------------------------------------

function light(scene) {
  const kind = scene ? scene.kind : "limits";
  byId("picture").dataset.scene = kind;
  const at = scene ? scenesOf(rawCircuit(state.circuit)).indexOf(scene) : -1;
  for (const part of picture.parts) {
    part.box.classList.toggle("lit", part.scenes.includes(at));
  }
}

function drawWires(circuit, pair) {
  const svg = byId("picture").querySelector(".wires");
  const frame = byId("picture").getBoundingClientRect();
  svg.setAttribute("viewBox", `0 0 ${frame.width} ${frame.height}`);
  const told = pair[picture.side];
  const down = matchMedia("(max-width: 700px)").matches;
  const side = (mark, end) => edgeSpot(mark.getBoundingClientRect(), frame, down, end);
  const wires = [];
  const wire = (from, to, wide, kind) => wires.push(sv("path", {
    d: sway(from, to, down ? null : frame.height, kind),
    "stroke-width": wide.toFixed(1), class: kind }));
  const answers = byId("picture").querySelector(".answers");
  picture.parts.forEach((part, p) => {
    const lit = part.box.classList.contains("lit") ? " lit" : "";
    picture.tokens.forEach((mark, i) => {
      const look = lookOf(circuit, told, part, i);
      const reads = !part.heads.length && mark.classList.contains("odd") &&
        joined(circuit, part, null, "embed");
      if ((look < LOOKED && !reads) || !mark.textContent) return;
      wire(foot(mark, frame), side(part.box, "look"), 1 + 7 * (reads ? 0.2 : look),
        "look" + lit);
    });
    picture.parts.slice(p + 1).filter((later) => joined(circuit, part, later))
      .forEach((later) => wire(side(part.box, "out"), side(later.box, "in"), 2,
        "link" + (lit || later.box.classList.contains("lit") ? " lit" : "")));
    if (joined(circuit, part, null, "says")) {
      wire(side(part.box, "out"), side(answers, "in"), 2, "link says" + lit);
    }
  });
  fill(svg, wires);
}

// Whether nodes of one part lead to nodes of another; or to answers, or from tokens.
function joined(circuit, part, later, kind) {
  return [...part.nodes].some((i) => {
    const node = circuit.nodes[i];
    if (kind === "embed") return node.ins.some((e) => e.kind === kind);
    if (kind === "says") return node.outs.some((e) => e.kind === kind);
    return node.outs.some((e) => e.kind !== "meets" && later.nodes.has(e.dst));
  });
}

function foot(mark, frame) {
  const boxes = mark.getClientRects();
  const box = boxes[boxes.length - 1] || mark.getBoundingClientRect();
  return [box.left + box.width / 2 - frame.left, box.bottom - frame.top];
}

function edgeSpot(box, frame, down, end) {
  const [x, y] = [box.left - frame.left, box.top - frame.top];
  if (end === "look" && !down) return [x + box.width / 2, y + box.height];
  if (down) return [x + box.width / 2, end === "out" ? y + box.height : y];
  return [end === "out" ? x + box.width : x, y + box.height / 2];
}

// A curve that arrives from above on phones; elsewhere from the left, or, where a head
// looks back, from below, within the height of the picture.
function sway([x, y], [to, below], height, kind) {
  const down = height === null;
  const pull = down ? Math.max(16, (below - y) / 2) : Math.max(24, (to - x) / 2);
  const sag = Math.min(Math.max(y, below) + 46, Math.max(height - 6, below));
  const [start, end] = down ? [[x, y + pull], [to, below - pull]]
    : kind.startsWith("look") ? [[x, sag], [to, sag]]
      : [[x + pull, y], [to - pull, below]];
  return `M${x.toFixed(1)} ${y.toFixed(1)}C${start.join(" ")} ${end.join(" ")} ` +
    `${to.toFixed(1)} ${below.toFixed(1)}`;
}

// --- The prompt types itself ---------------------------------------------------------

// Once, when the page is opened; at once where motion is not wanted. Any key or click
// ends it.
function typeOut() {
  if (!byId("saying")) return;
  picture.typed = true;
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  const marks = picture.tokens;
  const step = Math.min(160, TYPING / marks.length);
  byId("picture").classList.add("typing");
  marks.forEach((mark) => mark.classList.add("unsaid"));
  let at = 0;
  const next = () => {
    if (at >= marks.length || marks !== picture.tokens) {
      endTyping();
      return;
    }
    marks[at].classList.remove("unsaid");
    paintAnswers(pairNow(prepared(state.circuit)), at);
    at += 1;
    picture.typing = setTimeout(next, step);
  };
  next();
}

function endTyping() {
  if (picture.typing === null) return;
  clearTimeout(picture.typing);
  picture.typing = null;
  byId("picture").classList.remove("typing");
  paintPicture();
}
