// All tasks' circuits over one drawing of the model: for each layer and site a strip of
// its channels, with a lane for each task and a mark for each kept node. Nodes that
// serve several tasks are marked across all lanes, and listed.

const LANE = 7;
const HALVES = [["attention", ["attn_in", "q", "k", "v", "attn_out"]],
  ["MLP", ["mlp_in", "mlp_neuron", "mlp_out"]]];

// One circuit of a task: of the kind that is shown, if there is one.
function circuitsOfTasks() {
  const kind = rawCircuit(state.circuit).kind;
  const own = DATA.circuits.filter((c) => c.model === 0 && c.graph);
  return [...new Set(own.map((c) => c.task))].map((task) => {
    const same = own.filter((c) => c.task === task);
    return same.find((c) => c.kind === kind) || same[0];
  });
}

// {id of a node: places of the tasks that it serves}
function servedBy(chosen) {
  const served = new Map();
  chosen.forEach((raw, task) => {
    for (const node of raw.graph.nodes) {
      if (node.free || node.text !== undefined) continue;
      if (!served.has(node.id)) served.set(node.id, []);
      served.get(node.id).push(task);
    }
  });
  return served;
}

function showWholeModel() {
  const chosen = circuitsOfTasks();
  const sites = DATA.sites || {};
  byId("whole").hidden = chosen.length < 2 || !sites.q;
  if (byId("whole").hidden) return;
  const served = servedBy(chosen);
  const shared = [...served].filter(([, tasks]) => tasks.length > 1);
  const layers = sites.q[0];
  fill("whole-model",
    el("p", {}, `${count(served.size, "node")} serve ${count(chosen.length, "task")}: `,
      `${shared.length.toLocaleString("en")} of them more than one. Each strip is a ` +
      "site of a layer, its channels from left to right; each lane is a task."),
    el("ul", { class: "key" }, chosen.map((raw, i) => el("li", {},
      el("i", { class: "m" + (i % 5) }), `lane ${i + 1}: `, el("a",
        { href: "#c=" + encodeURIComponent(raw.id) }, raw.task), `, ${raw.kind}`)),
    el("li", {}, el("i", { class: "tall" }), "serves several tasks")),
    el("div", { class: "layers" }, Array.from({ length: layers }, (_, layer) =>
      HALVES.map(([half, own]) => el("figure", {},
        el("figcaption", {}, `layer ${layer} ${half}`),
        own.filter((site) => sites[site]).map((site) =>
          strip(chosen, served, site, layer, sites[site][1])))))),
    sharedList(chosen, shared), countsOf(chosen, served, sites));
}

function strip(chosen, served, site, layer, wide) {
  const high = LANE * chosen.length;
  const svg = sv("svg", { viewBox: `0 0 ${wide} ${high}`, preserveAspectRatio: "none",
    role: "img", class: "lanes" });
  svg.style.height = high + "px";
  const tick = Math.max(1, wide / 220);
  let kept = 0;
  let both = 0;
  for (const [id, tasks] of served) {
    const node = parsed(id);
    if (node.site !== site || node.layer !== layer) continue;
    kept += 1;
    both += tasks.length > 1;
    const words = () => sv("title", {}, `${SITES[site]} ${node.index}: ` +
      tasks.map((t) => chosen[t].task).join(", "));
    if (tasks.length > 1) svg.prepend(sv("rect", { class: "tall", x: node.index, y: 0,
      width: tick, height: high }, words()));
    for (const t of tasks) svg.append(sv("rect", { class: "m" + (t % 5), x: node.index,
      y: t * LANE + 1, width: tick, height: LANE - 2 }, words()));
  }
  svg.setAttribute("aria-label", `layer ${layer}, ${site}: ${count(kept, "node")}, ` +
    `${both} of several tasks`);
  return el("div", { class: "lane" }, el("span", { class: "quiet" },
    site.replace("attn_", "").replace("mlp_", "")), svg);
}

function sharedList(chosen, shared) {
  const rows = shared.sort((a, b) => b[1].length - a[1].length).slice(0, 200)
    .map(([id, tasks]) => {
      const raw = chosen[tasks[0]];
      const node = { ...parsed(id, raw.d_head), id };
      return el("tr", {}, el("th", { scope: "row" }, el("a", { href: "#c=" +
        encodeURIComponent(raw.id) + "&n=" + encodeURIComponent(id) }, titleOf(node))),
      ...cells([tasks.map((t) => chosen[t].task).join(", ")]));
    });
  return rows.length > 0 && el("details", {}, el("summary", {},
    "Nodes that serve several tasks"), table(["node", "tasks"], rows));
}

// The same as numbers.
function countsOf(chosen, served, sites) {
  const rows = [];
  for (let layer = 0; layer < sites.q[0]; layer++) {
    for (const site of HALVES.flatMap(([, own]) => own).filter((s) => sites[s])) {
      const here = [...served].filter(([id]) => id.startsWith(`${site}/${layer}/`));
      const of = (t) => here.filter(([, tasks]) => tasks.includes(t)).length;
      rows.push(el("tr", {}, el("th", { scope: "row" }, `layer ${layer}, ${site}`),
        ...cells([...chosen.map((_, t) => of(t)),
          here.filter(([, tasks]) => tasks.length > 1).length, sites[site][1]]
          .map(told))));
    }
  }
  return el("details", {}, el("summary", {}, "Kept nodes of each layer and site"),
    table(["", ...chosen.map((c) => c.task), "several tasks", "channels"], rows));
}
