// The network: tokens to activations and logits, as in Python. `visit(site, layer, x)`
// sees every site and may change it in place; a circuit and an intervention are visits.

const NORM_EPS = 1.1920929e-7;

function networkOf(packed) {
  const { config } = packed;
  const all = new Map(Object.entries(packed.params).map(([name, x]) =>
    [name, dense(x)]));
  const part = (name, layer) => {
    const x = all.get("blocks/" + name);
    const long = x.length / config.n_layer;
    return x.subarray(layer * long, (layer + 1) * long);
  };
  const [D, C, F] = [config.d_model, config.n_head * config.d_head, config.d_mlp];
  const R = D + config.d_pos;
  const blocks = Array.from({ length: config.n_layer }, (_, layer) => {
    const matrix = (name, inputs, outputs) => ({ b: part(name + "/b", layer),
      w: sparse(part(name + "/w", layer), inputs, outputs) });
    const gains = (name) => ({ own: part(name + "_norm/gain", layer),
      place: config.d_pos ? part(name + "_position_norm/gain", layer) : null });
    return { layer, qkv: matrix("qkv", R, 3 * C), o: matrix("o", C, D),
      fc: matrix("fc", R, F), proj: matrix("proj", F, D), attn: gains("attn"),
      mlp: gains("mlp"), sink: config.sink ? part("sink/logit", layer) : null };
  });
  return { config, blocks, embed: all.get("embed/w"), positions: all.get("positions/w"),
    gain: all.get("final_norm/gain"), bias: all.get("final_bias/b"),
    unembed: sparse(all.get("unembed/w"), D, config.vocab_size),
    bigram: packed.bigram && bigramOf(packed.bigram, config.vocab_size) };
}

function bigramOf(packed, vocab) {
  const [fill, values, beside] = ["fill", "values", "beside"].map((key) =>
    numbers(packed[key], Float32Array));
  const counts = numbers(packed.counts, Uint32Array);
  const columns = columnsIn(packed, counts);
  const starts = new Map();
  let start = 0;
  packed.rows.forEach((token, row) => {
    starts.set(token, { row, start, end: start + counts[row] });
    start += counts[row];
  });
  // A token's row, or null where the page does not hold it.
  const row = (token) => {
    const found = starts.get(token);
    if (!found) return null;
    const made = new Float32Array(vocab).fill(fill[found.row]);
    for (let i = found.start; i < found.end; i++) made[columns[i]] = values[i];
    return made;
  };
  const answer = (token, next) => beside[token * packed.answers.length +
    packed.answers.indexOf(next)];
  return { row, answer };
}

// {logits: of the last token, without the bigram's where its row is not there; whole:
// whether it is there; reads: what the logits of each token are read from; taken:
// {site/layer: values}}
function runNetwork(net, tokens, visit = () => {}) {
  const { config } = net;
  const [D, long] = [config.d_model, tokens.length];
  if (config.positions !== "none" && long > config.context) {
    throw new RangeError(`${long} tokens; positions were learned for ` +
      config.context);
  }
  const taken = new Map();
  const see = (site, layer, x) => {
    visit(site, layer, x);
    taken.set(`${site}/${layer}`, Float32Array.from(x));
    return x;
  };
  const x = new Float32Array(long * D);
  tokens.forEach((token, i) => x.set(net.embed.subarray(token * D, (token + 1) * D),
      i * D));
  if (config.positions === "added") x.forEach((v, i) => { x[i] = v +
      net.positions[i]; });
  see("embed", 0, x);
  for (const block of net.blocks) {
    see("resid_pre_attn", block.layer, x);
    added(net, x, attention(net, block, readBy(net, block, "attn", x, see), see),
        "resid_post_attn", block, see);
    added(net, x, neurons(net, block, readBy(net, block, "mlp", x, see), see),
        "resid_post_mlp", block, see);
  }
  see("final", 0, x);
  const scales = see("final_norm", 0, scalesOf(x, D));
  const reads = normed(x, scales, net.gain, D);
  const logits = multiplied(reads.subarray((long - 1) * D), net.unembed, net.bias);
  const row = net.bigram ? net.bigram.row(tokens[long - 1]) : null;
  if (row) row.forEach((v, i) => { logits[i] += v; });
  return { logits, reads, whole: !net.bigram || row !== null, taken };
}

// The logits of one token from each row of `reads`, without the bigram's.
function logitsOf(net, reads, token) {
  const column = columnOf(net.unembed, token);
  const wide = column.length;
  return Float32Array.from({ length: reads.length / wide }, (_, i) => {
    let sum = net.bias ? net.bias[token] : 0;
    for (let d = 0; d < wide; d++) sum += reads[i * wide + d] * column[d];
    return sum;
  });
}

function columnOf(w, column) {
  const found = new Float32Array(w.inputs);
  for (let i = 0; i < w.inputs; i++) {
    for (let e = w.starts[i]; e < w.starts[i + 1]; e++) {
      if (w.columns[e] === column) found[i] = w.weights[e];
    }
  }
  return found;
}

function scalesOf(x, wide) {
  const found = new Float32Array(x.length / wide);
  for (let i = 0; i < found.length; i++) {
    let sum = 0;
    for (let d = 0; d < wide; d++) sum += x[i * wide + d] ** 2;
    found[i] = 1 / Math.sqrt(sum / wide + NORM_EPS);
  }
  return found;
}

function normed(x, scales, gain, wide) {
  return x.map((v, i) => Math.fround(v * scales[Math.floor(i / wide)]) *
    gain[i % wide]);
}

function held(net, site, layer, x, wide, see) {
  return see(site, layer, keepLargest(x, wide, net.config.kept[site]));
}

function readBy(net, { layer, ...block }, name, x, see) {
  const { d_model: D, d_pos: P } = net.config;
  const long = x.length / D;
  const scales = see(name + "_norm", layer, scalesOf(x, D));
  const own = normed(x, scales, block[name].own, D);
  let found = own;
  if (P) {
    const table = net.positions.subarray(0, long * P);
    const place = normed(table, scalesOf(table, P), block[name].place, P);
    found = new Float32Array(long * (D + P));
    for (let i = 0; i < long; i++) {
      found.set(own.subarray(i * D, (i + 1) * D), i * (D + P));
      found.set(place.subarray(i * P, (i + 1) * P), i * (D + P) + D);
    }
  }
  return held(net, name + "_in", layer, found, D + P, see);
}

function attention(net, { layer, qkv, o, sink }, x, see) {
  const { n_head: H, d_head: A, d_model: D } = net.config;
  const C = H * A;
  const long = x.length / qkv.w.inputs;
  const mixed = multiplied(x, qkv.w, qkv.b);
  const [q, k, v] = ["q", "k", "v"].map((site, s) => {
    const own = new Float32Array(long * C);
    for (let i = 0; i < long; i++) {
      own.set(mixed.subarray((3 * i + s) * C, (3 * i + s + 1) * C), i * C);
    }
    return held(net, site, layer, own, C, see);
  });
  const pattern = new Float32Array(H * long * long);
  for (let h = 0; h < H; h++) {
    for (let to = 0; to < long; to++) {
      const row = pattern.subarray((h * long + to) * long, (h * long + to) * long +
          to + 1);
      attended(row, q, k, to * C + h * A, h * A, C, A, sink ? sink[h] : -Infinity);
    }
  }
  see("attn_pattern", layer, pattern);
  const out = new Float32Array(long * C);
  for (let to = 0; to < long; to++) {
    for (let c = 0; c < C; c++) {
      const row = (Math.floor(c / A) * long + to) * long;
      let sum = 0;
      for (let from = 0; from <= to; from++) sum += pattern[row +
          from] * v[from * C + c];
      out[to * C + c] = sum;
    }
  }
  return held(net, "attn_out", layer, multiplied(out, o.w, o.b), D, see);
}

// Softmax of q·k/√A in place; a sink only enlarges the denominator.
function attended(row, q, k, at, head, C, A, sink) {
  for (let from = 0; from < row.length; from++) {
    let sum = 0;
    for (let a = 0; a < A; a++) sum += q[at + a] * k[from * C + head + a];
    row[from] = sum / Math.sqrt(A);
  }
  const most = row.reduce((x, y) => Math.max(x, y), sink);
  let total = Math.exp(sink - most);
  for (const score of row) total += Math.exp(score - most);
  row.forEach((score, i) => { row[i] = Math.exp(score - most) / total; });
}

function neurons(net, { layer, fc, proj }, x, see) {
  const h = multiplied(x, fc.w, fc.b);
  const act = net.config.activation === "gelu" ? gelu : (v) => Math.max(0, v);
  h.forEach((v, i) => { h[i] = act(v); });
  held(net, "mlp_neuron", layer, h, net.config.d_mlp, see);
  return held(net, "mlp_out", layer, multiplied(h, proj.w, proj.b),
      net.config.d_model, see);
}

function added(net, x, write, site, { layer }, see) {
  const relu = net.config.residual === "relu";
  x.forEach((v, i) => { x[i] = relu ? Math.max(0, v + write[i]) : v + write[i]; });
  held(net, site, layer, x, net.config.d_model, see);
}

function gelu(x) {
  return x * (1 + erf(x / Math.SQRT2)) / 2;
}

// The power series near zero; beyond, where erf is 1 to float32's precision, 1.
function erf(x) {
  if (Math.abs(x) > 4.5) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-10 * Math.abs(sum) && n < 200; n++) {
    term *= -x * x / n;
    sum += term / (2 * n + 1);
  }
  return 2 / Math.sqrt(Math.PI) * sum;
}
