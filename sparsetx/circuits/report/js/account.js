// How the circuit decides, in sentences, above the drawing in which they can be seen.

function showAccount(raw) {
  const steps = raw.account || [];
  byId("account").hidden = !steps.length;
  fill("steps", steps.map((step) => el("li", {}, prose(step.text), " ",
      step.nodes.length > 0 && el("button", { type: "button", class: "see",
        "aria-label": "show these nodes in the drawing",
        on: { click: () => showNodes(step.nodes) } }, "show"))));
}

// Once more, and all are shown again. One alone is pinned.
function showNodes(ids) {
  byId("explorer").scrollIntoView({ block: "nearest" });
  if (ids.length === 1) {
    change({ query: "", node: state.node === ids[0] ? "" : ids[0] });
    return;
  }
  const query = ids.join(" | ");
  change({ node: "", query: state.query === query ? "" : query });
}
