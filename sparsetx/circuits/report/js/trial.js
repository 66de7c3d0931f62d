// What the circuit and the whole model answer in the page's prompts while these are
// typed, and what of the model is changed.

function showTrial() {
  const raw = rawCircuit(state.circuit);
  const absent = DATA.engine && DATA.engine.absent;
  const can = canRun(raw);
  byId("change").hidden = !can && !absent;
  if (!can) {
    fill("trial", absent && el("p", { class: "absent" },
        `This page cannot run the model: ${absent}.`));
    return;
  }
  fill("trial", el("div", { id: "acts", class: "tools", role: "group",
    "aria-label": "changes to the model that are on" }),
  el("p", { id: "problem", class: "bad", role: "alert" }),
  el("div", { class: "two" }, SIDES.map((side) => el("div", { class: "outcomes" },
    el("p", { class: "top" }, el("b", { class: side },
      "Prompt " + side.toUpperCase()), editLink(side)),
    el("pre", { id: "text-" + side, class: "text" }),
    el("div", { id: "result-" + side, "aria-live": "polite" })))));
  showActList();
  showTrialResult();
}

// --- What comes out ------------------------------------------------------------------

function showTrialResult() {
  if (!byId("acts")) return;
  const circuit = prepared(state.circuit);
  const given = givenPair();
  const pair = livePair(circuit, given) ||
    (live.warm ? computed(circuit, given) : unrun(given));
  byId("problem").textContent = live.problem;
  for (const side of SIDES) {
    byId("text-" + side).textContent = ownText(side);
    if (pair) fill("result-" + side, resultOf(pair, side));
  }
}

// The given pair before the engine has run it: without the likeliest next tokens.
function unrun(given) {
  const told = (side) => ({ ...given[side], exact: true, before: {
    cut: given[side].margin, whole: given[side].whole } });
  return { a: told("a"), b: told("b") };
}

function resultOf(pair, side) {
  const told = pair[side];
  const apart = told.margin * told.whole < 0;
  const row = (name, before, after) => el("tr", {}, el("th", { scope: "row" }, name),
    el("td", { class: after < 0 ? "bad" : "good" }, arrowed(before, after, signed)),
    el("td", {}, after > 0 ? "right answer" : "wrong answer"));
  return [el("table", {}, el("caption", {}, "Margin of ", code(told.answer),
    ` after ${count(told.tokens.length, "token")}, in nats` +
    (told.exact ? "" : ", without the bigram")),
  row("circuit", told.before.cut, told.margin),
  row("whole model", told.before.whole, told.whole)),
  apart && el("p", { class: "apart" },
      "The circuit and the whole model give different answers here."),
  el("p", {}, "Next, in the whole model: ", nextOf(told.next))];
}

function arrowed(before, after, written) {
  const [old, now] = [written(before), written(after)];
  return old === now ? now : [el("span", { class: "quiet" }, old), " → ", now];
}

function nextOf(next) {
  if (!next) return "…";
  const { before, now } = next;
  if (!now) {
    return el("span", { class: "note" }, "not shown, because this page does not hold " +
      "the bigram table's row of the last token.");
  }
  const old = new Map(before);
  return now.map(([token, p]) => el("span", { class: "next" },
    code(live.words.decode([token])), " ",
    old.has(token) ? arrowed(old.get(token), p, share) : [el("span",
        { class: "quiet" }, "below the five"), " → ", share(p)].slice(
        before === now ? 2 : 0)));
}
