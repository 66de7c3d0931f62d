// Changes of activations: a circuit's ablation, and what the reader does to nodes. An
// intervention is {site, layer, indices, act, value, frozen}: act is "mean", "zero",
// "value" (one value at all tokens), "patch" (frozen: values of another prompt, aligned
// at the end) or "freeze" (frozen: an attention pattern).

function circuitOf(packed) {
  const unpacked = (tree) => new Map(Object.entries(tree).map(([site, x]) =>
    [site, { wide: x.shape[x.shape.length - 1], values: dense(x) }]));
  return { keep: unpacked(packed.keep), means: unpacked(packed.means),
    scale: packed.scale, shift: new Map(packed.shift) };
}

// Nodes outside the circuit at their means.
function ablating({ keep, means }) {
  return (site, layer, x) => {
    if (!keep.has(site)) return;
    const { wide, values } = keep.get(site);
    const mean = means.get(site).values;
    for (let i = 0; i < x.length; i++) {
      const node = layer * wide + i % wide;
      if (values[node] === 0) x[i] = mean[node];
    }
  };
}

function intervening(list, circuit) {
  return (site, layer, x) => {
    for (const one of list) {
      if (one.site === site && one.layer === layer) intervene(one, circuit, x);
    }
  };
}

function intervene(one, circuit, x) {
  if (one.act === "freeze") {
    const long = Math.sqrt(x.length / one.heads);
    for (const head of one.indices) {
      const start = head * long * long;
      x.set(one.frozen.subarray(start, start + long * long), start);
    }
    return;
  }
  const { wide, values: means } = circuit.means.get(one.site);
  const long = x.length / wide;
  const shift = one.act === "patch" ? one.frozen.length / wide - long : 0;
  for (let i = 0; i < long; i++) {
    for (const node of one.indices) {
      if (one.act === "patch") {
        if (i + shift >= 0) x[i * wide + node] = one.frozen[(i + shift) * wide + node];
      } else {
        x[i * wide + node] = { zero: 0, value: one.value,
          mean: means[one.layer * wide + node] }[one.act];
      }
    }
  }
}

function inOrder(...visits) {
  return (site, layer, x) => visits.forEach((visit) => visit(site, layer, x));
}

function calibrated(circuit, token, logit) {
  return circuit.scale * logit + (circuit.shift.get(token) || 0);
}
