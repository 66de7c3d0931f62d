// Under which ablations of all other nodes the circuit holds, the mildest first.

const RUNGS = { mean: "other nodes at their means",
  norms: "norms as in the whole model, too",
  mixtures: "other nodes mixed with their means at random",
  "other prompts": "other nodes as they are on other prompts",
  "worst case": "an adversary mixes them: the smallest share that breaks it" };

// One line: how large it is, and each rung.
function rungsOf(raw) {
  if (raw.status !== "reached") return [];
  const rungs = raw.ladder || [];
  return [el("span", {}, `${count(raw.size.nodes, "node")}, ` +
    `${count(raw.size.edges, "edge")} of the model. `),
  rungs.length > 0 && el("span", {}, "Does it hold alone? "), ladderOf(raw)];
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
      : `loss ${rung.figure.toFixed(3)} of ${target} nats`;
    return el("li", {}, el("span", {}, RUNGS[rung.name] || rung.name),
      rung.holds === null ? el("span", { class: "meter none" })
        : el("span", { class: "meter", "aria-hidden": "true" }, bar, mark),
      el("b", { class: kind }, word), el("small", {}, loss));
  }));
}
