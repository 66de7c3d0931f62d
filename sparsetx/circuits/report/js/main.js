// Set the page up: from the address to the view, and from input to both.

const ANY = DATA.circuits.filter((c) => c.graph && c.detail);
const FIRST = ANY.find((c) => c.controls) || ANY[0] || DATA.circuits[0];
const EXAMPLE = byId("query").placeholder;
const COSTS = [["cost", "ablation cost"]];
const EFFECTS = [["interchange", "interchange effect"]];
const AT_TOKENS = [["a", "activation on A"], ["b", "activation on B"],
  ["diff", "A minus B"]];

function chosenCircuit(id) {
  const fit = DATA.circuits.find((c) => c.id === id && (c.detail || !c.graph));
  return (fit || FIRST).id; // one with controls, unless the address names another
}

function showPickers() {
  const open = DATA.circuits.filter((c) => c.detail || !c.graph);
  const raw = rawCircuit(state.circuit);
  choices(byId("task"), [...new Set(open.map((c) => c.task))].map((t) => [t, t]),
      raw.task);
  choices(byId("circuit"), open.filter((c) => c.task === raw.task)
    .map((c) => [c.id, nameOf(c)]), raw.id);
}

function showTools() {
  const circuit = prepared(state.circuit);
  if (!circuit) return;
  choices(byId("metric"), [["weight", "weights"],
    ...(circuit.known ? [["cost", "ablation cost"]] : [])], metricOf(circuit));
  const measured = circuit.nodes.some((node) => node.interchange !== undefined);
  choices(byId("view"), [...COSTS, ...(measured ? EFFECTS : []),
    ...(circuit.raw.prompts ? AT_TOKENS : [])], state.view);
  byId("threshold").value = state.threshold;
  const named = namedIn(circuit, state.query); // by the page, not by the reader
  byId("query").value = named ? "" : state.query;
  byId("query").placeholder = named ? count(named.length, "chosen node") : EXAMPLE;
  byId("links").checked = state.links;
  showGrouped(circuit);
  showOverlays();
}

// Groups or all nodes; circuits laid over it are always drawn with all nodes.
function showGrouped(circuit) {
  const on = isGrouped(circuit);
  const turn = (groups, name) => el("button", { type: "button",
    "aria-pressed": String(on === groups), on: { click: () =>
      change({ groups, ...(groups ? { over: "", query: "" } : {}) }) } }, name);
  fill("grouped", circuit.raw.groups && [turn(true, "groups"),
    turn(false, "all nodes")]);
}

function showLegend() {
  const circuit = shownCircuit();
  if (!circuit) return;
  const cost = metricOf(circuit) === "cost";
  const left = circuit.raw.graph.left_out;
  const nodes = { cost: ["ablation cost above zero", "below zero: better without it"],
    interchange: ["its value in the other prompt turns the answer",
      "its value in the other prompt confirms the answer"],
    a: ["positive on A", "negative on A"], b: ["positive on B", "negative on B"],
    diff: ["more on A", "more on B"] }[state.view] || ["", ""];
  const over = circuit.over ? overlayLegend(circuit) : [];
  if (isGrouped(circuit)) {
    fill("legend", groupLegend(nodes));
    return;
  }
  fill("legend", over,
    el("span", {}, el("i", { class: "stroke up" }),
        cost ? "ablation cost above zero" : "positive weight"),
    el("span", {}, el("i", { class: "stroke down" }),
        cost ? "below zero: better without it" : "negative weight"),
    el("span", {}, el("i", { class: "stroke soft" }),
        "through the residual, from tokens or to answers"),
    el("span", {}, el("i", { class: "disc up" }), nodes[0]),
    el("span", {}, el("i", { class: "disc down" }), nodes[1]),
    circuit.nodes.some((n) => n.constant) &&
        el("span", {}, el("i", { class: "disc ring" }),
      "a constant: none of its inputs is kept, though AbsTopK may zero it"),
    left > 0 && el("span", {}, count(left, "weaker edge") + " not drawn"));
}

function groupLegend(nodes) {
  const mark = (kind, text) => el("span", {}, el("i", { class: kind }), text);
  return [mark("stroke wide", "arrow between groups: the sum of the absolute " +
    "weights, also through the residual"),
  mark("stroke up", "most of it positive weights"),
  mark("stroke down", "most of it negative weights"),
  mark("disc up", `bar of a group, by its strongest node: ${nodes[0]}`),
  mark("disc down", nodes[1])];
}

function showCircuit() {
  const raw = rawCircuit(state.circuit);
  forget(true);
  document.title = `${raw.task}, ${raw.kind}: ${DATA.title}`;
  showPickers();
  showHero(raw);
  showStory(raw);
  showMechanism(raw);
  showTools();
  drawCircuit();
  showNotes();
  showLegend();
  showPanel();
  showStepper();
  showTrial();
  showLadder(raw);
  showControls(raw);
  showCurve(raw);
  showHistory(raw);
  showBeside(raw);
  showSideBySide();
  showTable();
  showWholeModel();
  whenIdle(() => showMinis(raw));
}

function watchAll() {
  watch(["circuit"], showCircuit);
  watch(["groups", "over"], () => { drawCircuit(); showPanel(); });
  watch(["groups", "over", "query"], showLegend);
  watch(["groups", "over", "open", "node"], showTools);
  watch(["node", "threshold", "metric", "links", "query", "open", "group"], paint);
  watch(["view", "pair", "step"], () => drawn.circuit && shade());
  watch(["node", "query", "open", "group"], showPanel);
  watch(["zoom"], drawCircuit);
  watch(["metric", "view"], showLegend);
  watch(["metric", "view", "threshold", "query", "links"], showTools);
  watch(["scene"], showScene);
  watch(["pair"], () => {
    forget(false);
    showStepper();
    showTrial();
    showStory(rawCircuit(state.circuit));
    showMechanism(rawCircuit(state.circuit));
    if (drawn.circuit) shade(); // by the new pair's values
  });
  watch(["step", "head", "node"], showStep);
  watch(["against"], showSideBySide);
}

function listenAll() {
  const on = (id, event, run) => byId(id).addEventListener(event, run);
  on("task", "change", (e) => {
    const kind = rawCircuit(state.circuit).kind;
    const same = DATA.circuits.filter((c) => c.task === e.target.value &&
        (c.detail || !c.graph));
    const best = same.find((c) => c.kind === kind && c.model === 0) || same[0];
    change({ ...START, groups: state.groups, circuit: best.id });
  });
  on("circuit", "change", (e) => change({ ...START, groups: state.groups,
    circuit: e.target.value }));
  on("query", "input", (e) => change({ query: e.target.value }));
  on("metric", "change", (e) => change({ metric: e.target.value }));
  on("view", "change", (e) => change({ view: e.target.value }));
  on("threshold", "input", (e) => change({ threshold: Number(e.target.value) }));
  on("links", "change", (e) => change({ links: e.target.checked }));
  on("smaller", "click", () => change({ zoom: Math.max(0.5, state.zoom - 0.25) }));
  on("larger", "click", () => change({ zoom: Math.min(3, state.zoom + 0.25) }));
  on("save-svg", "click", saveSvg);
  on("save-json", "click", saveJson);
  on("theme", "click", turnTheme);
  on("try", "click", tryIt);
  on("back", "click", () => goBy(-1));
  on("next", "click", () => goBy(1));
  on("skip", "click", (e) => { e.preventDefault(); byId("drawing").focus(); });
  on("to-glossary", "click", (e) => { // the address holds the view: it must not change
    e.preventDefault();
    byId("glossary").open = true;
    byId("glossary").scrollIntoView();
    byId("glossary").firstElementChild.focus({ preventScroll: true });
  });
  window.addEventListener("hashchange", () => {
    if (readNotes()) refreshNotes();
    const wanted = readAddress();
    change({ ...wanted, circuit: chosenCircuit(wanted.circuit) });
  });
  document.addEventListener("keydown", (e) => {
    endTyping();
    if (e.key === "Escape" && state.node) change({ node: "" });
    else if (e.key === "Escape" && state.group) change({ group: "" });
    if (e.target !== document.body || e.altKey || e.ctrlKey || e.metaKey) return;
    if (e.key === "ArrowLeft") stepBy(-1);
    if (e.key === "ArrowRight") stepBy(1);
    if (e.key === "/") { e.preventDefault(); byId("query").focus(); }
  });
  let wide = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth === wide) return;
    wide = window.innerWidth;
    drawCircuit();
    redrawCharts();
    paintStory();
    showStep();
    drawMinis();
    drawSides();
  });
}

function showTheme() {
  const dark = isDark();
  byId("theme").textContent = dark ? "☀" : "☾";
  byId("theme").title = dark ? "light colours" : "dark colours";
}

function isDark() {
  const asked = document.documentElement.dataset.theme;
  return asked ? asked === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function turnTheme() {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  showTheme();
  drawMinis();
  drawSides();
}

byId("title").textContent = DATA.title;
Object.assign(state, readAddress());
state.circuit = chosenCircuit(state.circuit);
startNotes();
showTheme();
watchAll();
listenAll();
listenToDrag();
showCircuit();
showComparison();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change",
    () => { showTheme(); drawMinis(); drawSides(); });
document.addEventListener("pointerdown", endTyping);
warmUp();
document.documentElement.dataset.ready = String(Math.round(performance.now()));
