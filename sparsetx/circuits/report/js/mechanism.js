// The mechanism in sentences, above the drawing; each can show its nodes there.

function showMechanism(raw) {
  const steps = raw.mechanism || [];
  byId("mechanism").hidden = !steps.length;
  fill("steps", steps.map((step) => el("li", {}, prose(step.text), " ",
      step.nodes.length > 0 && el("button", { type: "button", class: "see",
        "aria-label": "show these nodes in the drawing",
        on: { click: () => showNodes(step.nodes) } }, "show"),
      knockOf(raw, step.nodes))));
}

// A second click shows all nodes again. A single node is pinned.
function showNodes(ids) {
  byId("explorer").scrollIntoView({ block: "nearest" });
  if (ids.length === 1) {
    change({ query: "", node: state.node === ids[0] ? "" : ids[0] });
    return;
  }
  const query = ids.join(" | ");
  change({ node: "", query: state.query === query ? "" : query });
}
