// The reader's own prompts, run by the circuit and by the whole model while typing.

function showTrial() {
  const raw = rawCircuit(state.circuit);
  const absent = DATA.engine && DATA.engine.absent;
  const can = canRun(raw);
  byId("own").hidden = !can && !absent;
  if (!can) {
    fill("trial", absent && el("p", { class: "absent" },
        `This page cannot run the model: ${absent}.`));
    return;
  }
  fill("trial", el("div", { class: "two" }, SIDES.map(boxOf)),
    el("div", { id: "acts", class: "tools", role: "group",
      "aria-label": "changes to the model that are on" }),
    el("p", { id: "problem", class: "bad", role: "alert" }),
    el("div", { id: "own-result", "aria-live": "polite" }));
  showActList();
  showTrialResult();
}

// The shown pair before anything was typed or changed.
function givenPair() {
  const { prompts } = rawCircuit(state.circuit);
  return prompts.pairs[pairIndex(prompts)];
}

function boxOf(side) {
  const given = givenPair();
  const box = el("textarea", { id: "own-" + side, rows: 6, spellcheck: "false",
    autocomplete: "off", autocapitalize: "off", on: { input: typed } });
  box.value = textOf(given[side]);
  const button = (name, made) => el("button", { type: "button",
    disabled: !made(box.value), on: { click: () => {
      const text = made(box.value);
      if (text === null) return;
      box.value = text;
      typed();
    } } }, name);
  return el("div", { class: "own" }, el("label", { for: "own-" + side },
    el("b", { class: side }, "Prompt " + side.toUpperCase()), " edit it"), box,
  el("div", { class: "tools" },
    button("swap the deciding token", (text) => swapped(text, given)),
    button("add a distractor", (text) => distracted(text, given, side)),
    button("as it was", () => textOf(given[side]))));
}

function typed() {
  live.texts = Object.fromEntries(SIDES.map((side) =>
    [side, byId("own-" + side).value]));
  refreshLive();
}

// The tokens in which A and B differ, from the first to the last of them.
function deciders({ a, b }) {
  const { start, end } = apart(a.tokens, b.tokens);
  return [a, b].map(({ tokens }) => tokens.slice(start,
      tokens.length - end).join(""));
}

// How many tokens two prompts share at their start, and how many at their end.
function apart(one, other) {
  let start = 0;
  while (start < one.length && one[start] === other[start]) start++;
  let end = 0;
  while (end < Math.min(one.length, other.length) - start &&
    one[one.length - 1 - end] === other[other.length - 1 - end]) end++;
  return { start, end };
}

// The last place with A's or B's deciding tokens gets those of the other; null where
// there is none.
function swapped(text, given) {
  const [one, other] = deciders(given);
  if (!one || !other) return null;
  const at = [text.lastIndexOf(one), text.lastIndexOf(other)];
  if (at[0] < 0 && at[1] < 0) return null;
  const [from, to, place] = at[0] >= at[1] ? [one, other, at[0]] : [other, one, at[1]];
  return text.slice(0, place) + to + text.slice(place + from.length);
}

// An earlier line with the deciding tokens of the other kind, from a prompt of the page
// that has a distractor, before the last line; null where there is none.
function distracted(text, given, side) {
  const wanted = deciders(given)[side === "a" ? 1 : 0];
  if (!wanted) return null;
  const lines = rawCircuit(state.circuit).prompts.pairs.filter((p) => p.distractor)
    .flatMap((p) => SIDES.flatMap((s) => textOf(p[s]).split("\n").slice(0, -1)));
  const line = lines.find((l) => l.includes(wanted));
  if (line === undefined) return null;
  const start = text.lastIndexOf("\n") + 1;
  return `${text.slice(0, start)}${line}\n${text.slice(start)}`;
}

// --- What comes out ------------------------------------------------------------------

function showTrialResult() {
  if (!byId("own-result")) return;
  const circuit = prepared(state.circuit);
  const given = givenPair();
  const pair = livePair(circuit, given) ||
    (live.warm ? computed(circuit, given) : unrun(given));
  byId("problem").textContent = live.problem;
  if (!pair) return;
  fill("own-result", el("div", { class: "two" }, SIDES.map((side) =>
    resultOf(pair, side))));
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
  return el("div", { class: "outcomes", id: "result-" + side },
    el("table", {}, el("caption", {}, "Prompt " + side.toUpperCase() + ": margin of ",
      code(told.answer), ` after ${count(told.tokens.length, "token")}, in nats` +
      (told.exact ? "" : ", without the bigram")),
    row("circuit", told.before.cut, told.margin),
    row("whole model", told.before.whole, told.whole)),
    apart && el("p", { class: "apart" },
        "The circuit and the whole model give different answers here."),
    el("p", {}, "Next, in the whole model: ", nextOf(told.next)));
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
