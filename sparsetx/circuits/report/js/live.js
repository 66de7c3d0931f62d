// The shown pair as the engine runs it: with texts of the reader's own, and with
// interventions. The drawing and the prompts below show this pair instead of the one
// that was computed before.

const live = { net: null, words: null, cuts: new Map(), runs: {}, key: "", texts: null,
  acts: [], past: [], frozen: false, pair: null, problem: "", warm: false };

function canRun(raw) {
  return Boolean(DATA.engine && !DATA.engine.absent && raw.run && raw.prompts &&
    raw.prompts.pairs.length);
}

// The network and the circuit, unpacked when they are first needed.
function cutOf(raw) {
  if (!live.net) {
    const engine = JSON.parse(byId("engine").textContent);
    live.net = networkOf(engine);
    live.words = tokenizerOf(engine.tokenizer);
  }
  if (!live.cuts.has(raw.id)) live.cuts.set(raw.id, circuitOf(raw.run));
  return live.cuts.get(raw.id);
}

// Unpack the network and run it a first time when the page has nothing else to do: it
// takes longer than all else that a page does when it is opened.
function warmUp() {
  if (!canRun(rawCircuit(state.circuit))) return;
  whenIdle(() => {
    cutOf(rawCircuit(state.circuit));
    whenIdle(() => {
      live.warm = true;
      showTrialResult();
      byId("trial").dataset.warm = String(Math.round(performance.now()));
    });
  });
}

function textOf(side) {
  return side.tokens.slice(1).join("");
}

// The engine's pair, or null where nothing was typed and nothing is changed.
function livePair(circuit, given) {
  if (!live.texts && !live.acts.length && !live.frozen) return null;
  if (!live.pair) live.pair = computed(circuit, given) || live.last;
  return live.pair;
}

function computed(circuit, given) {
  const texts = live.texts || { a: textOf(given.a), b: textOf(given.b) };
  const runs = {};
  for (const side of SIDES) runs[side] = runsOf(circuit.raw, texts[side], side);
  const bad = SIDES.find((side) => !runs[side].cut);
  live.problem = bad ? `Prompt ${bad.toUpperCase()} has ${runs[bad].tokens.length} ` +
    `tokens; the model reads at most ${live.net.config.context}. What is shown is ` +
    "from before." : "";
  if (bad) return null;
  const pair = { distractor: given.distractor, asks: given.asks };
  for (const side of SIDES) {
    const now = changed(circuit.raw, runs, side);
    pair[side] = sideOf(circuit, given, side, runs[side], now);
  }
  live.last = pair;
  return pair;
}

// Circuit and whole model without interventions; kept until the text changes.
function runsOf(raw, text, side) {
  const key = `${raw.id} ${text}`;
  if (live.runs[side] && live.runs[side].key === key) return live.runs[side];
  const cut = cutOf(raw);
  const tokens = [live.words.eot, ...live.words.encode(text)];
  if (tokens.length > live.net.config.context) return { tokens };
  live.runs[side] = { key, tokens, cut: runNetwork(live.net, tokens, ablating(cut)),
    whole: runNetwork(live.net, tokens) };
  return live.runs[side];
}

// The same two with the interventions that are on.
function changed(raw, runs, side) {
  const own = runs[side];
  if (!live.acts.length && !live.frozen) return own;
  const cut = cutOf(raw);
  const other = runs[side === "a" ? "b" : "a"];
  const visit = (of) => intervening(interventions(own[of], other[of]), cut);
  return { tokens: own.tokens, whole: runNetwork(live.net, own.tokens, visit("whole")),
    cut: runNetwork(live.net, own.tokens, inOrder(ablating(cut), visit("cut"))) };
}

// What is on, with the values that it puts in: of the other prompt, or of this one
// without any intervention.
function interventions(own, other) {
  const { n_head: heads, n_layer: layers } = live.net.config;
  const at = (one) => `${one.site}/${one.layer}`;
  const whole = { patch: other, freeze: own };
  const list = live.acts.map((one) => ({ ...one, heads,
    frozen: whole[one.act] && whole[one.act].taken.get(at(one)) }));
  for (let layer = 0; live.frozen && layer < layers; layer++) {
    const one = { site: "attn_pattern", layer, act: "freeze", heads,
      indices: Array.from({ length: heads }, (_, h) => h) };
    list.push({ ...one, frozen: own.taken.get(at(one)) });
  }
  return list;
}

// A side of a pair in the form that the stepper shows.
function sideOf(circuit, given, side, before, now) {
  const { scale, heads } = circuit.raw.prompts;
  const long = now.tokens.length;
  const sign = side === "a" ? 1 : -1;
  const toward = leads(live.net, now.tokens, now.cut, given.asks);
  const lead = (found) => leads(live.net, now.tokens, found, given.asks,
      true)[0] * sign;
  const values = (n, i) => {
    if (n >= scale.length) return 0;
    const { site, layer, index } = circuit.nodes[n];
    const x = now.cut.taken.get(`${site}/${layer}`);
    const value = x[i * (x.length / long) + index] / (scale[n] || 1);
    return Math.max(-1, Math.min(1, value));
  };
  const look = (h, from, to) => now.cut.taken.get(
      `attn_pattern/${heads[h].layer}`)[(heads[h].head * long + from) * long + to];
  return { tokens: now.tokens.map((id) => live.words.decode([id])),
    answer: given[side].answer, toward, margin: toward[long - 1] * sign,
    whole: lead(now.whole), values, look, before: { cut: lead(before.cut),
      whole: lead(before.whole) }, next: { before: likeliest(before.whole),
      now: likeliest(now.whole) }, exact: now.whole.whole || !given.asks.open };
}

// The logit of the answer of A minus that of B after each token, or after the last. In
// a contrast of one token: the log odds of that token, or their negative.
function leads(net, tokens, found, { a, b, sign, open }, last = false) {
  const wide = net.config.d_model;
  const first = last ? tokens.length - 1 : 0;
  const reads = found.reads.subarray(first * wide);
  if (!open) {
    const [one, other] = [a, b].map((answer) => logitsOf(net, reads, answer));
    return Array.from(one, (x, i) => x - other[i] + (net.bigram
      ? net.bigram.answer(tokens[first + i], a) - net.bigram.answer(tokens[first +
          i], b)
      : 0));
  }
  const size = net.config.vocab_size;
  const logits = multiplied(reads, net.unembed, net.bias);
  return tokens.slice(first).map((token, i) => {
    const row = Float64Array.from(logits.subarray(i * size, (i + 1) * size));
    const table = net.bigram && net.bigram.row(token);
    if (table) table.forEach((v, t) => { row[t] += v; });
    return sign * (row[a] - logSum(row.filter((_, t) => t !== a)));
  });
}

function logSum(x) {
  const most = x.reduce((p, q) => Math.max(p, q), -Infinity);
  return most + Math.log(x.reduce((sum, v) => sum + Math.exp(v - most), 0));
}

// The five likeliest next tokens with their probabilities; null where the page does not
// hold the bigram table's row of the last token.
function likeliest({ logits, whole }) {
  if (!whole) return null;
  const total = logSum(logits);
  return Array.from(logits, (x, token) => [token, Math.exp(x - total)])
    .sort((x, y) => y[1] - x[1]).slice(0, 5);
}

// --- What the reader changes ---------------------------------------------------------

function refreshLive() {
  live.pair = null;
  const began = performance.now();
  showStepper();
  if (drawn.circuit) shade();
  showTrialResult();
  showClaims();
  paintStory();
  byId("trial").dataset.took = (performance.now() - began).toFixed(1);
}

function setActs(acts, frozen = live.frozen) {
  live.past.push([live.acts, live.frozen]);
  [live.acts, live.frozen] = [acts, frozen];
  refreshLive();
  showActs();
}

function undoAct() {
  if (!live.past.length) return;
  [live.acts, live.frozen] = live.past.pop();
  refreshLive();
  showActs();
}

// One intervention a node: a later one takes the place of an earlier one.
function act(one) {
  setActs([...live.acts.filter((x) => keyOf(x) !== keyOf(one)), one]);
}

function keyOf({ site, layer, indices }) {
  return `${site}/${layer}/${indices.join()}`;
}

function forget(everything) {
  [live.texts, live.pair, live.last, live.problem] = [null, null, null, ""];
  if (everything) [live.acts, live.past, live.frozen] = [[], [], false];
}
