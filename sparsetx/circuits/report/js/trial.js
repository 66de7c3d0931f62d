// The reader's own prompt, run by the circuit and by the whole model while typing, and
// the nodes that are knocked out of both.

const trial = { net: null, words: null, circuits: new Map(), knocks: [], took: 0 };

function showTrial() {
  const raw = rawCircuit(state.circuit);
  const engine = DATA.engine;
  const can = engine && !engine.absent && raw.run;
  byId("own").hidden = !can && !(engine && engine.absent);
  trial.knocks = [];
  if (!can) {
    fill("trial", el("p", { class: "absent" },
        `This page cannot run the model: ${engine ? engine.absent : ""}.`));
    return;
  }
  if (!trial.net) {
    trial.net = networkOf(engine);
    trial.words = tokenizerOf(engine.tokenizer);
  }
  if (!trial.circuits.has(raw.id)) trial.circuits.set(raw.id, circuitOf(raw.run));
  const texts = raw.run.prompts.map((tokens) =>
    trial.words.decode(tokens.filter((t) => t !== trial.words.eot)));
  const box = el("textarea", { id: "own-text", rows: 6, spellcheck: "false",
    on: { input: runTrial } });
  box.value = texts[0];
  const take = (i) => el("button", { type: "button", on: { click: () => {
    box.value = texts[i];
    runTrial();
  } } }, "prompt " + SIDES[i].toUpperCase());
  fill("trial", el("div", { class: "tools" }, "start from ", take(0), take(1)),
    el("label", { for: "own-text" }, "prompt"), box,
    el("div", { id: "knocks", class: "tools" }),
    el("div", { id: "own-result", "aria-live": "polite" }));
  showKnocks();
  runTrial();
}

function runTrial() {
  const began = performance.now();
  const raw = rawCircuit(state.circuit);
  const circuit = trial.circuits.get(raw.id);
  const { net, words } = trial;
  const starts = raw.run.prompts[0][0] === words.eot ? [words.eot] : [];
  const tokens = [...starts, ...words.encode(byId("own-text").value)];
  const most = net.config.context;
  if (!tokens.length || tokens.length > most) {
    fill("own-result", el("p", { class: "note" },
        `${tokens.length} tokens: the model reads 1 to ${most}.`));
    return;
  }
  const changed = intervening(trial.knocks, circuit);
  const whole = runNetwork(net, tokens, changed);
  const cut = runNetwork(net, tokens, inOrder(ablating(circuit), changed));
  const [a, b] = raw.run.answers;
  const lead = (found) => logitOf(net, tokens, found, a) -
      logitOf(net, tokens, found, b);
  const leads = [lead(cut), lead(whole)];
  const row = (name, x) => el("tr", {}, el("th", { scope: "row" }, name),
      el("td", {}, signed(x)));
  fill("own-result", el("p", {}, count(tokens.length, "token")),
    a !== b && el("table", {}, el("caption", {}, "Lead of ",
        code(words.decode([a])), " over ", code(words.decode([b])), ", in nats"),
    row("circuit", leads[0]), row("whole model", leads[1])),
    a !== b && leads[0] * leads[1] < 0 && el("p", { class: "note" },
        "Here the circuit and the whole model give different answers."),
    whole.whole ? el("p", {}, "The whole model's likeliest next tokens: ",
        likeliest(whole.logits).map(([token, p]) =>
          [code(words.decode([token])), ` ${share(p)} `]))
      : el("p", { class: "note" }, "The page does not hold the bigram table's row of " +
        "the last token, so the likeliest next tokens are not shown; the lead is exact."));
  trial.took = performance.now() - began;
  byId("trial").dataset.took = trial.took.toFixed(1);
}

function likeliest(logits) {
  const most = Math.max(...logits);
  const total = logits.reduce((sum, x) => sum + Math.exp(x - most), 0);
  return [...logits].map((x, token) => [token, Math.exp(x - most) / total])
    .sort((x, y) => y[1] - x[1]).slice(0, 5);
}

// The node that is chosen in the drawing can be knocked out; what is out, taken back.
function showKnocks() {
  if (!byId("knocks")) return;
  const [site, layer, index] = state.node.split("/");
  const circuit = trial.circuits.get(state.circuit);
  const known = circuit && circuit.means.has(site);
  const knock = (act) => el("button", { type: "button", disabled: !known, on: {
    click: () => knocked([...trial.knocks, { site, layer: Number(layer),
      indices: [Number(index)], act }]) } }, `knock out: ${act}`);
  fill("knocks", known ? el("span", {}, "chosen ", code(state.node))
    : el("span", {}, "choose a node in the drawing"), knock("mean"), knock("zero"),
  trial.knocks.map((one, i) => el("button", { type: "button", on: { click: () =>
    knocked(trial.knocks.filter((_, j) => j !== i)) } },
  `undo ${one.site}/${one.layer}/${one.indices.join()} at ${one.act}`)));
}

function knocked(list) {
  trial.knocks = list;
  showKnocks();
  runTrial();
}
