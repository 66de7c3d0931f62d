// Under which ablations of all other nodes the circuit holds, the mildest first.

const RUNGS = { mean: "other nodes at their means",
  norms: "norms as in the whole model, too",
  mixtures: "other nodes mixed with their means at random",
  "other prompts": "other nodes as they are on other prompts",
  "worst case": "an adversary mixes them: the smallest share that breaks it" };

// One line: how large it is, and in how many tests it holds.
function rungsOf(raw) {
  if (raw.status !== "reached") return [];
  const all = raw.model === 0 ? Object.values(DATA.sites || {}).reduce((sum, [layers,
    wide]) => sum + layers * wide, 0) : 0;
  const size = (all ? `${raw.size.nodes.toLocaleString("en")} of the model's ` +
    `${count(all, "node")}` : count(raw.size.nodes, "node")) + ", with " +
    `${count(raw.size.edges, "edge")}. `;
  const [kind, word] = verdictOf(raw);
  if (!(raw.ladder || []).length) return [size];
  return [size, "Does it hold alone? ", el("b", { class: kind },
    word.includes(" of ") ? `In ${word} tests` : word), ": ",
  el("a", { href: "#controls-title", on: { click: (e) => {
    e.preventDefault(); // the address holds the view: it must not change
    byId("controls-title").scrollIntoView();
  } } }, "how far to trust it")];
}

// Each rung with its loss as a bar, against the target.
function showLadder(raw) {
  const rungs = (raw.ladder || []).filter((rung) => rung.figure !== null);
  byId("ladder").hidden = !rungs.length;
  const target = raw.search.target;
  const most = Math.max(0.75, ...rungs.map((rung) => rung.figure));
  fill("ladder", rungs.map((rung) => {
    const [kind, word] = rung.holds === null ? ["quiet", "ε"]
      : rung.holds ? ["good", "holds ✓"] : ["bad", "breaks ✗"];
    const bar = el("i", { class: kind });
    bar.style.width = (100 * rung.figure / most).toFixed(1) + "%";
    const mark = el("u", {});
    mark.style.left = (100 * target / most).toFixed(1) + "%";
    const loss = rung.holds === null ? rung.figure.toFixed(2)
      : `loss ${rung.figure.toFixed(3)} nats, wanted: ≤ ${target}`;
    return el("li", {}, el("span", {}, RUNGS[rung.name] || rung.name),
      rung.holds === null ? el("span", { class: "meter none" })
        : el("span", { class: "meter", "aria-hidden": "true" }, bar, mark),
      el("b", { class: kind }, word), el("small", {}, loss));
  }));
}
