// From the address to the page, and from what the reader does back to both.

const ANY = DATA.circuits.filter((c) => c.graph && c.detail);
const FIRST = ANY.find((c) => c.controls) || ANY[0] || DATA.circuits[0];
const WORTH = [["effect", "cost of removal"]];
const SHARES = [["swap", "share of the decision"]];
const AT_TOKENS = [["a", "activation on A"], ["b", "activation on B"],
  ["diff", "A minus B"]];

function chosenCircuit(id) {
  const fit = DATA.circuits.find((c) => c.id === id && (c.detail || !c.graph));
  return (fit || FIRST).id; // the one that was doubted, unless the address says else
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
    ...(circuit.known ? [["effect", "cost of removal"]] : [])], metricOf(circuit));
  const shared = circuit.nodes.some((node) => node.swap !== undefined);
  choices(byId("view"), [...WORTH, ...(shared ? SHARES : []),
    ...(circuit.raw.prompts ? AT_TOKENS : [])], state.view);
  byId("threshold").value = state.threshold;
  byId("query").value = state.query;
  byId("links").checked = state.links;
}

function showLegend() {
  const circuit = prepared(state.circuit);
  if (!circuit) return;
  const effect = metricOf(circuit) === "effect";
  const left = circuit.raw.graph.left_out;
  const nodes = { effect: ["its loss rises without it", "falls without it"],
    swap: ["from the other prompt, it turns the answer", "it confirms the answer"],
    a: ["positive on A", "negative on A"], b: ["positive on B", "negative on B"],
    diff: ["more on A", "more on B"] }[state.view] || ["", ""];
  fill("legend",
    el("span", {}, el("i", { class: "stroke up" }),
        effect ? "loss rises without it" : "positive weight"),
    el("span", {}, el("i", { class: "stroke down" }),
        effect ? "loss falls without it" : "negative weight"),
    el("span", {}, el("i", { class: "stroke soft" }),
        "through the residual, or from and to text"),
    el("span", {}, el("i", { class: "disc up" }), nodes[0]),
    el("span", {}, el("i", { class: "disc down" }), nodes[1]),
    circuit.nodes.some((n) => n.constant) &&
        el("span", {}, el("i", { class: "disc ring" }),
      "a constant: nothing kept feeds it, though AbsTopK may drop it"),
    left > 0 && el("span", {}, count(left, "weaker edge") + " not drawn"));
}

function showCircuit() {
  const raw = rawCircuit(state.circuit);
  document.title = `${raw.task}, ${raw.kind}: ${DATA.title}`;
  showPickers();
  showHero(raw);
  showAccount(raw);
  showTools();
  drawCircuit();
  showLegend();
  showPanel();
  showStepper();
  showControls(raw);
  showCurve(raw);
  showHistory(raw);
  showBeside(raw);
  showTable();
  if (window.requestIdleCallback) requestIdleCallback(() => showMinis(raw),
      { timeout: 600 });
  else setTimeout(() => showMinis(raw), 50);
}

function watchAll() {
  watch(["circuit"], showCircuit);
  watch(["node", "threshold", "metric", "links", "query"], paint);
  watch(["view", "pair", "step"], () => drawn.circuit && shade());
  watch(["node", "query"], showPanel);
  watch(["zoom"], drawCircuit);
  watch(["metric", "view"], showLegend);
  watch(["metric", "view", "threshold", "query", "links"], showTools);
  watch(["pair"], showStepper);
  watch(["step", "head", "node"], showStep);
}

function listenAll() {
  const on = (id, event, run) => byId(id).addEventListener(event, run);
  on("task", "change", (e) => {
    const kind = rawCircuit(state.circuit).kind;
    const same = DATA.circuits.filter((c) => c.task === e.target.value &&
        (c.detail || !c.graph));
    const best = same.find((c) => c.kind === kind && c.model === 0) || same[0];
    change({ ...START, circuit: best.id });
  });
  on("circuit", "change", (e) => change({ ...START, circuit: e.target.value }));
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
  on("skip", "click", (e) => { e.preventDefault(); byId("drawing").focus(); });
  window.addEventListener("hashchange", () => {
    const wanted = readAddress();
    change({ ...wanted, circuit: chosenCircuit(wanted.circuit) });
  });
  document.addEventListener("keydown", (e) => {
    if (e.key === "Escape" && state.node) change({ node: "" });
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
    showStep();
    drawMinis();
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
}

byId("title").textContent = DATA.title;
Object.assign(state, readAddress());
state.circuit = chosenCircuit(state.circuit);
showTheme();
watchAll();
listenAll();
showCircuit();
showComparison();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change",
    () => { showTheme(); drawMinis(); });
document.documentElement.dataset.ready = String(Math.round(performance.now()));
