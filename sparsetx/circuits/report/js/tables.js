// Verdict cards, the table of controls, and comparisons with other circuits.

const NONE = "–";

function table(head, rows, kind = "") {
  for (const row of rows) { // on narrow screens each cell names its column
    [...row.children].forEach((cell, i) => { cell.dataset.head = head[i]; });
  }
  return el("div", { class: "scroll", tabindex: "0", role: "region",
      "aria-label": head.join(", ") },
    el("table", { class: kind }, el("thead", {},
        el("tr", {}, head.map((h) => el("th", { scope: "col" }, h)))),
      el("tbody", {}, rows)));
}

function cells(values) {
  return values.map((v) => v instanceof Node ? v : el("td", {}, v === null ? NONE : v));
}

// Of all ablations that were measured, how many the circuit holds under.
function verdictOf(raw) {
  if (raw.status !== "reached") return ["bad", raw.status];
  const tested = (raw.ladder || []).filter((rung) => rung.holds !== null);
  const held = tested.filter((rung) => rung.holds);
  if (!tested.length) return ["weak", "not tested yet"];
  const kind = held.length === tested.length ? "good" : held.length ? "weak" : "bad";
  return [kind, `${held.length} of ${tested.length}`];
}

// --- First screen -------------------------------------------------------------------

function showHero(raw) {
  const task = DATA.tasks[raw.task] || {};
  byId("asks").textContent = (task.asks || raw.task).replace(/`/g, "");
  fill("verdict", verdictCard(raw), sizeCard(raw), doesCard(raw));
  const absent = byId("absent");
  absent.hidden = Boolean(raw.graph);
  absent.textContent = raw.missing || "";
}

function card(name, value, kind, ...more) {
  return el("div", { class: "card" }, el("span", { class: "name" }, name),
    el("b", { class: "value " + kind }, value), el("span", { class: "more" }, ...more));
}

function verdictCard(raw) {
  const [kind, word] = verdictOf(raw);
  return card("ablations under which it holds", word, kind, ...outcomes(raw));
}

// A summary of the controls: what holds under every ablation may still fail some.
function outcomes(raw) {
  const named = (verdict) => (raw.controls || [])
    .filter((c) => c.verdict === verdict).map((c) => c.name.replace(/_/g, " "));
  const [passed, weak, failed, open] = ["pass", "weak", "fail", "not run"].map(named);
  if (!passed.length && !weak.length && !failed.length) return [];
  return ["It ", failed.length > 0 && [el("b", { class: "bad" },
    `fails ${failed.join(", ")}`), "; it "],
    `passes ${count(passed.length, "control")}`,
    weak.length > 0 && `; is weak in ${weak.join(", ")}`,
    open.length > 0 && `; ${open.length} not run`];
}

function sizeCard(raw) {
  if (raw.status !== "reached") return card("size", NONE, "",
      "the target was not reached");
  const other = (test) => {
    const at = DATA.models.findIndex(test);
    const c = DATA.circuits.find((o) => o.model === at && o.task === raw.task &&
        o.kind === raw.kind);
    return at < 0 || !c ? null : c;
  };
  const own = DATA.models[raw.model].kind;
  const dense = own === "dense" ? null : other((m) => m.kind === "dense");
  const random = other((m) => m.kind === "random weights");
  const told = [count(raw.size.nodes, "node")];
  if (dense && dense.status === "reached") {
    const many = dense.size.edges.toLocaleString("en");
    told.push(`the dense model needs ${many} edges, ` +
      `${times(dense.size.edges, raw.size.edges)} times as many ` +
      `(${times(dense.size.pairs, raw.size.pairs)} by pairs of nodes)`);
  }
  if (random) {
    const many = random.size.edges.toLocaleString("en");
    told.push(random.status === "reached" ? `with shuffled weights ${many}`
      : "with shuffled weights none reached the target (that model is right on " +
        `${share(random.test.whole_accuracy)})`);
  }
  return card("size", count(raw.size.edges, "edge"), "", told.join("; "));
}

function times(more, fewer) {
  return number(more / Math.max(1, fewer), 2);
}

function doesCard(raw) {
  const { accuracy, whole_accuracy: whole, distractor_accuracy: odd } = raw.test;
  if (raw.status !== "reached") return card("whole model", share(whole), "",
      "right on unseen prompts");
  return card("right on unseen prompts", share(accuracy), "",
    `the whole model ${share(whole)}` +
    (odd === null || odd === undefined ? ""
      : `; with distractors ${share(odd)}`));
}

// --- Controls ----------------------------------------------------------------------

const VERDICTS = { pass: "good", weak: "weak", fail: "bad" };
const WORDS = { none: "a figure only" }; // a control without a threshold

// Named numbers, each on a line of its own.
function figures(told, kind = "") {
  const named = Object.entries(told || {});
  const nothing = named.length === 0 ? " nothing" : "";
  return el("td", { class: "figures " + kind + nothing }, named.length === 0 ? NONE
      : named.map(([name, value]) =>
    el("div", {}, name.replace(/_/g, " ") + " ", el("b", {}, number(value)))));
}

function showControls(raw) {
  const losses = [["mean ablation", raw.test.mean],
      ["with frozen norms", raw.test.frozen],
    ["random mixtures, 95th percentile", raw.test.stochastic],
    ["other nodes as on one other prompt", raw.test.together],
    ["each as on a prompt of its own", raw.test.apart]];
  const known = losses.filter(([, v]) => v !== null && v !== undefined);
  const reached = raw.status === "reached";
  fill("controls", reached && known.length > 0 && el("ul", { class: "losses" },
    known.map(([name, v]) => el("li", {}, name + " ", el("b", {
      class: v <= raw.search.target ? "good" : "bad" }, number(v))))),
  raw.controls && raw.controls.length ? table(["control", "verdict", "result",
      "figures", "baseline"],
    raw.controls.map((c) => el("tr", {}, el("th", { scope: "row" },
        c.name.replace(/_/g, " ")),
      el("td", {}, el("b", { class: VERDICTS[c.verdict] || "quiet" },
          WORDS[c.verdict] || c.verdict)),
      el("td", { class: "words" }, c.words || ""), figures(c.figure),
          figures(c.baseline, "against"))), "controls")
    : el("p", { class: "absent" }, "No control was run on this circuit. ",
      el("code", {}, "sparsetx controls CIRCUIT"),
          " runs them; a new page then shows the results."));
}

// --- Comparisons -------------------------------------------------------------------

const FIGURES = [
  ["edges", (c) => c.size.edges], ["nodes", (c) => c.size.nodes],
      ["edges⁺", (c) => c.size.edges_plus],
  ["effective edges", (c) => c.size.effective_edges],
      ["pairs of nodes", (c) => c.size.pairs],
  ["loss", (c) => c.test.mean], ["H", (c) => c.test.H], ["F", (c) => c.test.F],
      ["right", (c) => share(c.test.accuracy)],
  ["right, distractors", (c) => share(c.test.distractor_accuracy)],
      ["scale", (c) => c.scale],
];

function nameOf(raw) {
  return `${DATA.models[raw.model].name}, ${raw.kind}`;
}

function showBeside(raw) {
  const same = DATA.circuits.filter((c) => c.task === raw.task);
  byId("others").hidden = same.length < 2;
  const known = FIGURES.filter(([, get]) => same.some((c) => c.status === "reached" &&
    get(c) !== null && get(c) !== undefined));
  fill("beside", same.length > 1 && table(["", ...same.map(nameOf)],
    known.map(([name, get]) => el("tr", {}, el("th", { scope: "row" }, name),
      same.map((c) => el("td", { class: c === raw ? "own" : "" },
        c.status !== "reached" ? NONE : told(get(c))))))));
}

function told(value) {
  if (typeof value === "string") return value;
  return Number.isInteger(value) ? value.toLocaleString("en") : number(value);
}

function showComparison() {
  byId("models").hidden = DATA.models.length < 2;
  if (DATA.models.length < 2) return;
  fill("comparison", el("ul", { class: "key" }, DATA.models.map((m, i) => el("li", {},
    el("i", { class: "m" + (i % 5) }), el("b", {}, m.name), ` ${m.kind}` +
    (m.loss === null ? "" : `, validation loss ${m.loss.toFixed(3)}`)))));
  DATA.comparison.forEach((kind, k) => {
    const box = el("div", { id: "sizes-" + k });
    byId("comparison").append(box);
    sizesChart(box, kind);
    byId("comparison").append(table(["", "tasks reached", "edges, geometric mean",
      "edges, times the first", "pairs, times the first"],
          kind.ratios.map((r, i) => el("tr", {},
      el("th", { scope: "row" }, DATA.models[i].name),
      ...cells([`${r.reached} of ${kind.rows.length}`, r.edges, r.times, r.pairs])))));
  });
  byId("comparison").append(el("p", { class: "note" },
    "Ratios are over tasks that both models reach; in brackets, the 95 % interval " +
    "of bootstrap draws over tasks. If circuits of shuffled weights were as small, " +
    "size would only show that weights are few. Crosses mark searches that did not " +
    "reach the target."));
}

function showTable() {
  const head = ["task", "model", "kind", "verdict", "whole model", "edges", "nodes",
      "loss", "H",
    "right", "right, distractors", "scale"];
  const tasks = [...new Set(DATA.circuits.map((c) => c.task))];
  const rows = tasks.flatMap((task) => DATA.circuits.filter((c) =>
      c.task === task)).map((c) => {
    const [kind, word] = verdictOf(c);
    const reached = c.status === "reached";
    const figures = reached ? [told(c.size.edges), told(c.size.nodes),
        number(c.test.mean),
      number(c.test.H), share(c.test.accuracy), share(c.test.distractor_accuracy),
          number(c.scale)]
      : Array(7).fill(NONE);
    const name = c.graph && c.detail ? el("a",
        { href: "#c=" + encodeURIComponent(c.id) }, c.task) : c.task;
    return el("tr", { class: c.id === state.circuit ? "own" : "" },
        el("th", { scope: "row" }, name),
      ...cells([DATA.models[c.model].name, c.kind,
          el("td", {}, el("b", { class: kind }, word)),
        `${number(c.test.whole_loss)}, ${share(c.test.whole_accuracy)}`, ...figures]));
  });
  fill("table", table(head, rows), el("p", { class: "note" },
    "plain: found by the paper's procedure, under mean ablation. honest: also under " +
    "frozen norms and random mixtures. faithful: also with other nodes as on other " +
    "prompts. H: the worst loss under mean ablation, frozen norms and random " +
    "mixtures (95th percentile). F: the same, with both resamplings. Losses in nats; " +
    "guessing is 0.693."));
}
