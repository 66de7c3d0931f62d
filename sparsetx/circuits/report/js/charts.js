// Small charts, drawn at the width of their boxes.

const CHARTS = new Map(); // id: function that draws it again when the width changes

// figures: what it shows as a table, {head, rows}.
function chart(id, title, note, draw, figures) {
  const box = el("div", { class: "chart" });
  const held = byId(id) && byId(id).querySelector("details[open]");
  fill(id, el("h3", {}, title), box, note && el("p", { class: "note" }, note),
    el("details", { class: "figures-of", open: Boolean(held) },
      el("summary", {}, `${title}: the figures`),
      table(figures.head, figures.rows.map((row) => el("tr", {},
        el("th", { scope: "row" }, row[0]), cells(row.slice(1)))))));
  const again = () => fill(box, draw(Math.max(260, box.clientWidth)));
  CHARTS.set(id, again);
  again();
}

function noChart(id, title, note) {
  CHARTS.delete(id);
  fill(id, el("h3", {}, title), el("p", { class: "absent" }, note));
}

function redrawCharts() {
  for (const draw of CHARTS.values()) draw();
}

// A frame with axes; px and py map values to pixels. log: a logarithmic x axis.
function frame({ wide, high, x, y, log, name, xName, yName, ten }) {
  const pad = { left: 44, right: 12, top: 16, bottom: 34 };
  const to = (v) => (log ? Math.log10(Math.max(v, 1e-9)) : v);
  const [x0, x1] = x.map(to);
  const across = (wide - pad.left - pad.right) / Math.max(1e-9, x1 - x0);
  const px = (v) => pad.left + (to(v) - x0) * across;
  const py = (v) => high - pad.bottom - (v - y[0]) / Math.max(1e-9, y[1] - y[0]) *
    (high - pad.top - pad.bottom);
  const svg = sv("svg", { width: wide, height: high, role: "img", "aria-label": name });
  const ticks = log ? powers(x) : steps(x, 6);
  for (const t of ticks) {
    svg.append(sv("line", { class: "grid", x1: px(t), x2: px(t), y1: pad.top,
        y2: high - pad.bottom }),
      sv("text", { x: px(t), y: high - 18, "text-anchor": "middle" }, number(t)));
  }
  const label = (t) => number(ten ? 10 ** t : t, 2); // ten: y holds logarithms
  for (const t of ten ? powers(y.map((v) => 10 ** v)).map(Math.log10) : steps(y, 4)) {
    svg.append(sv("line", { class: "grid", x1: pad.left, x2: wide - pad.right,
        y1: py(t), y2: py(t) }),
      sv("text", { x: pad.left - 6, y: py(t) + 4, "text-anchor": "end" }, label(t)));
  }
  svg.append(sv("text", { class: "axis", x: wide - pad.right, y: high - 3,
      "text-anchor": "end" }, xName),
    sv("text", { class: "axis", x: 0, y: 10 }, yName));
  return { svg, px, py, pad };
}

function powers([low, high]) {
  const found = [];
  for (let p = Math.floor(Math.log10(low)); 10 ** p <= high * 1.001; p++) {
    for (const m of high / low > 60 ? [1] : [1, 2, 5]) {
      const t = m * 10 ** p;
      if (t >= low * 0.999 && t <= high * 1.001) found.push(t);
    }
  }
  return found;
}

// Round numbers for an axis, at least three.
function steps([low, high], n) {
  const rough = (high - low) / n || 1;
  const ten = 10 ** Math.floor(Math.log10(rough));
  const step = ten * [1, 2, 5, 10].find((m) => m * ten >= rough * 0.999);
  const found = [];
  for (let t = Math.ceil(low / step) * step; t <= high + step * 1e-6; t += step) {
    found.push(Math.abs(t) < step * 1e-6 ? 0 : t);
  }
  return found.length < 3 && n < 32 && high > low ? steps([low, high], 2 * n) : found;
}

function line(points, px, py, kind) {
  const d = points.map(([x, y], i) => (i ? "L" : "M") + px(x).toFixed(1) + " " +
      py(y).toFixed(1));
  return sv("path", { class: "line " + kind, d: d.join("") });
}

function dot(x, y, kind, text, r = 4.5) {
  return sv("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r, class: kind,
      tabindex: "-1" },
    sv("title", {}, text));
}

// --- The charts ----------------------------------------------------------------------

// The logit difference of the two answers after each token, in both prompts.
function showMargin(pair, step) {
  const last = lastStep(pair);
  const all = SIDES.flatMap((side) => pair[side].toward);
  const most = Math.max(0.1, ...all.map(Math.abs));
  chart("margin", "Which answer is ahead",
    "logit of the answer of A minus that of B, after each token", (wide) => {
      const { svg, px, py, pad } = frame({ wide, high: 190, x: [0, Math.max(1, last)],
          y: [-most, most],
        name: "logit difference of the answers, token by token", xName: "token",
        yName: "logits" });
      svg.append(sv("line", { class: "zero", x1: pad.left, x2: wide - pad.right,
          y1: py(0), y2: py(0) }),
        sv("line", { class: "cursor", x1: px(step), x2: px(step), y1: pad.top,
            y2: 190 - pad.bottom }));
      for (const side of SIDES) {
        const from = last - (pair[side].tokens.length - 1);
        svg.append(line(pair[side].toward.map((v, i) => [from + i, v]), px, py, side));
        svg.append(dot(px(step), py(pair[side].toward[placeIn(pair, side, step)]),
            side, side.toUpperCase()));
      }
      svg.addEventListener("click", (e) => {
        const at = (e.offsetX - pad.left) / (wide - pad.left - pad.right) * last;
        follow(Math.max(0, Math.min(last, Math.round(at))));
      });
      return svg;
    }, marginFigures(pair, last));
}

function marginFigures(pair, last) {
  const at = (side, i, of) => {
    const place = i - last + pair[side].tokens.length - 1;
    return place < 0 ? null : of(pair[side], place);
  };
  const cellsOf = (side, i) => [at(side, i, (told, p) => shown(told.tokens[p])),
    at(side, i, (told, p) => signed(told.toward[p]))];
  return { head: ["token", "A", "A ahead by", "B", "A ahead by"],
    rows: Array.from({ length: last + 1 }, (_, i) => [String(i), ...cellsOf("a", i),
      ...cellsOf("b", i)]) };
}

function showCurve(raw) {
  const { nodes, edges_plus: sizes, loss } = raw.curve;
  if (!nodes || nodes.length < 2) {
    noChart("curve", "Loss against size", "The search recorded no curve.");
    return;
  }
  const points = sizes
    .map((size, i) => [Math.max(1, size), Math.min(loss[i], 3), nodes[i]])
    .sort((a, b) => a[0] - b[0]);
  const taken = raw.size && raw.status === "reached"
    ? [Math.max(1, raw.size.edges_plus), raw.val.mean] : null;
  const xs = points.map((p) => p[0]).concat(taken ? [taken[0]] : []);
  chart("curve", "Loss against size", "circuits along the ranking of nodes, on the " +
    "val pool; the ring is the chosen circuit, after further nodes were " +
    "removed", (wide) => {
    const { svg, px, py, pad } = frame({ wide, high: 230, log: true,
      x: [Math.min(...xs), Math.max(...xs)],
          y: [0, Math.max(0.75, ...points.map((p) => p[1]))],
      name: "loss against edges", xName: "edges⁺", yName: "nats" });
    svg.append(sv("line", { class: "target", x1: pad.left, x2: wide - pad.right,
      y1: py(raw.search.target), y2: py(raw.search.target) }),
    sv("text", { x: wide - pad.right, y: py(raw.search.target) - 5,
        "text-anchor": "end" },
      "target " + raw.search.target), line(points, px, py, "plain"));
    for (const [x, y, k] of points) {
      const text = `${count(k, "node")}, ${number(x)} edges⁺: ${number(y)} nats`;
      svg.append(dot(px(x), py(y), "small", text, 2.2));
    }
    if (taken) {
      svg.append(dot(px(taken[0]), py(taken[1]), "taken",
        `chosen: ${number(taken[0])} edges⁺, ${number(taken[1])} nats`, 6));
    }
    return svg;
  }, { head: ["edges⁺", "nodes", "loss, nats"], rows: [...points.map(([x, y, k]) =>
    [number(x), number(k), number(y)]), ...(taken ? [[`${number(taken[0])}, chosen`,
    number(raw.size.nodes), number(taken[1])]] : [])] });
}

// Every lane of the search: its penalty per node, and how small its circuit became.
function showHistory(raw) {
  const told = raw.history;
  const lanes = (told.round || []).map((round, i) =>
      ({ round, k: told.k_coef[i], loss: told.loss[i],
    size: told.edges_plus[i], lr: told.lr[i], steps: told.steps[i] }));
  if (!lanes.length) {
    noChart("history", "What the search tried",
        "The search recorded no history.");
    return;
  }
  const lost = lanes.filter((l) => l.size < 0).length;
  const sizes = lanes.filter((l) => l.size > 0).map((l) => l.size);
  const ks = lanes.map((l) => l.k);
  const high = Math.max(10, ...sizes) * 1.3;
  const low = Math.max(1, Math.min(...sizes, high / 10) / 1.3);
  const rounds = Math.max(...told.round) + 1;
  const note = `${count(lanes.length, "lane")} in ${count(rounds, "round")}, ` +
    `${raw.search.rounds.join(", then ")} steps; darker is later` +
    (lost ? `; crosses at the top: ${lost} did not reach the target` : "");
  chart("history", "What the search tried", note, (wide) => {
    const logs = [Math.log10(low), Math.log10(high)];
    const { svg, px, py } = frame({ wide, high: 230, log: true, y: logs,
      x: [Math.min(...ks) / 1.2, Math.max(...ks) * 1.2], name: "search history",
      xName: "penalty per node (k_coef)", yName: "edges⁺", ten: true });
    const last = Math.max(1, ...told.round);
    for (const l of lanes) {
      const became = l.size < 0 ? "target not reached"
        : `${l.size} edges⁺, loss ${number(l.loss)}`;
      const text = `round ${l.round}: k_coef ${number(l.k)}, lr ${number(l.lr)}, ` +
        `${l.steps} steps: ${became}`;
      const y = l.size < 0 ? py(logs[1]) : py(Math.log10(Math.max(1, l.size)));
      const mark = l.size < 0
        ? sv("path", { class: "lost", d: `M${px(l.k) - 4} ${y - 4}l8 8m-8 0l8 -8` },
            sv("title", {}, text))
        : dot(px(l.k), y, "trial", text);
      mark.style.opacity = (0.35 + 0.65 * l.round / last).toFixed(2);
      svg.append(mark);
    }
    return svg;
  }, { head: ["round", "k_coef", "lr", "steps", "edges⁺", "loss"],
    rows: lanes.map((l) => [String(l.round), number(l.k), number(l.lr), number(l.steps),
      l.size < 0 ? "target not reached" : number(l.size), number(l.loss)]) });
}

// A row for each task, a dot for each model; a cross where it has no circuit.
function sizesChart(id, kind) {
  const { rows } = kind;
  const all = rows.flatMap((r) => r.sizes).filter((v) => v !== null).map((v) =>
      Math.max(1, v));
  const x = [10 ** Math.floor(Math.log10(Math.min(...all))),
      10 ** Math.ceil(Math.log10(Math.max(...all) + 0.5))];
  chart(id, `${kind.name} circuits: edges in each model`, "", (wide) => {
    const narrow = wide < 560;
    const left = narrow ? 8 : 190;
    const step = narrow ? 40 : 26;
    const high = step * rows.length + 30;
    const px = (v) => left + 12 + (Math.log10(Math.max(v, 1)) - Math.log10(x[0])) /
      (Math.log10(x[1]) - Math.log10(x[0]) || 1) * (wide - left - 76);
    const svg = sv("svg", { width: wide, height: high, role: "img",
        "aria-label": "edges by task and model" });
    for (const t of powers(x).filter((v) => Number.isInteger(Math.log10(v)))) {
      svg.append(sv("line", { class: "grid", x1: px(t), x2: px(t), y1: 4,
          y2: high - 24 }),
        sv("text", { x: px(t), y: high - 8, "text-anchor": "middle" },
            t.toLocaleString("en")));
    }
    rows.forEach((row, r) => {
      const y = step * (r + 0.5) + (narrow ? 12 : 0);
      svg.append(narrow ? sv("text", { x: 0, y: y - 14 }, row.task)
        : sv("text", { x: left, y: y + 4, "text-anchor": "end" }, row.task));
      row.sizes.forEach((size, m) => {
        const text = `${DATA.models[m].name}: ` +
            (size === null ? "no circuit reached the target" : `${number(size)} edges`);
        if (size !== null) svg.append(dot(px(size), y, "m" + (m % 5), text, 6));
        else {
          const at = wide - 12 - 14 * m;
          svg.append(sv("path", { class: "lost m" + (m % 5),
              d: `M${at - 4} ${y - 4}l8 8m-8 0l8 -8` },
            sv("title", {}, text)));
        }
      });
    });
    return svg;
  }, { head: ["task", ...DATA.models.map((m) => m.name)], rows: rows.map((row) =>
    [row.task, ...row.sizes.map((size) => (size === null ? null : number(size)))]) });
}
