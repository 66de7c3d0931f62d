// Arrays of the model, unpacked from base64: the exact float32 values.

function numbers(packed, Kind) {
  return new Kind(bytes(packed).buffer);
}

// All values of an array, row after row.
function dense(packed) {
  if (packed.dense !== undefined) return numbers(packed.dense, Float32Array);
  const wide = packed.shape[packed.shape.length - 1];
  const counts = numbers(packed.counts, Uint32Array);
  const columns = columnsIn(packed, counts);
  const values = numbers(packed.values, Float32Array);
  const found = new Float32Array(counts.length * wide);
  let at = 0;
  counts.forEach((count, row) => {
    for (const end = at + count; at < end; at++) {
      found[row * wide + columns[at]] = values[at];
    }
  });
  return found;
}

// The column of each entry: a byte tells how many were left out before it in its row;
// 255, that as many and those of the next byte were.
function columnsIn({ gaps }, counts) {
  const told = bytes(gaps);
  const found = new Uint16Array(counts.reduce((sum, count) => sum + count, 0));
  let [at, next] = [0, 0];
  counts.forEach((count) => {
    let column = 0;
    for (const end = at + count; at < end; at++) {
      for (; told[next] === 255; next++) column += 255;
      column += told[next++];
      found[at] = column++;
    }
  });
  return found;
}

// The nonzeros of a matrix [inputs, outputs], input by input.
function sparse(values, inputs, outputs) {
  const starts = new Uint32Array(inputs + 1);
  const columns = [];
  const weights = [];
  for (let i = 0; i < inputs; i++) {
    for (let o = 0; o < outputs; o++) {
      if (values[i * outputs + o] === 0) continue;
      columns.push(o);
      weights.push(values[i * outputs + o]);
    }
    starts[i + 1] = columns.length;
  }
  return { inputs, outputs, starts, columns: Uint32Array.from(columns),
    weights: Float32Array.from(weights) };
}

// x @ w + b for each row of x: summed in double precision, rounded once.
function multiplied(x, w, b) {
  const long = x.length / w.inputs;
  const found = new Float32Array(long * w.outputs);
  const sum = new Float64Array(w.outputs);
  for (let row = 0; row < long; row++) {
    if (b) sum.set(b);
    else sum.fill(0);
    for (let i = 0; i < w.inputs; i++) {
      const value = x[row * w.inputs + i];
      if (value === 0) continue;
      for (let e = w.starts[i]; e < w.starts[i + 1]; e++) {
        sum[w.columns[e]] += value * w.weights[e];
      }
    }
    found.set(sum, row * w.outputs);
  }
  return found;
}

// Keep the k entries of largest magnitude of each row, of equals the first; one that is
// not a number is kept last.
function keepLargest(x, wide, k) {
  if (k === undefined || k >= wide) return x;
  const size = new Float32Array(wide);
  const spare = new Float32Array(wide);
  for (let start = 0; start < x.length; start += wide) {
    for (let i = 0; i < wide; i++) {
      const s = Math.abs(x[start + i]);
      size[i] = s >= 0 ? s : -1;
    }
    spare.set(size);
    const least = largest(spare, k);
    let equal = k;
    for (let i = 0; i < wide; i++) if (size[i] > least) equal -= 1;
    for (let i = 0; i < wide; i++) {
      if (size[i] < least || (size[i] === least && equal-- <= 0)) x[start + i] = 0;
    }
  }
  return x;
}

// The k-th largest; the array is reordered. Each pass leaves the part that holds it.
function largest(x, k) {
  let low = 0;
  let high = x.length - 1;
  while (low < high) {
    const middle = x[(low + high) >> 1];
    let i = low;
    let j = high;
    while (i <= j) {
      while (x[i] > middle) i += 1;
      while (x[j] < middle) j -= 1;
      if (i > j) break;
      const held = x[i];
      x[i++] = x[j];
      x[j--] = held;
    }
    if (k - 1 <= j) high = j;
    else if (k - 1 >= i) low = i;
    else break;
  }
  return x[k - 1];
}
