// The mechanism in sentences. Each can show its nodes in the drawing, and be tried: its
// nodes are knocked out, or the prompts' deciding tokens swapped.

function showMechanism(raw) {
  const steps = raw.mechanism || [];
  byId("mechanism").hidden = !steps.length;
  fill("steps", steps.map((step) => el("li", {}, prose(step.text), " ",
      step.nodes.length > 0 && el("button", { type: "button", class: "see",
        "aria-label": "show these nodes in the drawing",
        on: { click: () => showNodes(step.nodes) } }, "show"), " ",
      step.kind === "difference" ? swapOf(raw) : knockOf(raw, step.nodes), " ",
      el("output", { class: "came" }))));
}

// Prompt A with its deciding tokens swapped; a second click undoes it.
function swapOf(raw) {
  if (!canRun(raw) || swapped(textOf(givenPair().a), givenPair()) === null) return null;
  return el("button", { type: "button", class: "see swap", "aria-pressed": "false",
    on: { click: (e) => {
      const given = givenPair();
      const on = e.target.getAttribute("aria-pressed") === "true";
      setText("a", on ? textOf(given.a) : swapped(textOf(given.a), given));
    } } }, "swap it in A");
}

// Beside each sentence that is being tried: what came of it, in the circuit.
function showClaims() {
  const raw = rawCircuit(state.circuit);
  if (!canRun(raw)) return;
  const given = givenPair();
  const pair = pairNow(prepared(state.circuit));
  const swap = document.querySelector("#steps .swap");
  if (swap) {
    swap.setAttribute("aria-pressed", String(live.texts !== null &&
      live.texts.a === swapped(textOf(given.a), given)));
  }
  for (const item of byId("steps").children) {
    const on = item.querySelector("[aria-pressed='true']");
    const swaps = on && on.classList.contains("swap");
    const run = on && (swaps || pair.a.before); // not taken back just now
    fill(item.querySelector(".came"), run ? (swaps ? ["a"] : SIDES).map((side) =>
      cameOf(swaps ? given[side].margin : pair[side].before.cut, pair[side].margin,
        side)) : null);
  }
}

function cameOf(was, now, side) {
  return el("span", {}, el("b", { class: side }, side.toUpperCase()),
    ` ${signed(was)} → ${signed(now)}: `, was * now < 0
      ? el("b", { class: "bad" }, "the answer flips") : "the answer stays", ". ");
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
