// The prompts of the page: a text for A and one for B, typed in one box at the top,
// where another given pair is chosen, too. All else shows what happens in these texts,
// and leads to the box.

const leading = { from: null, side: "a" }; // from where the reader was led to the box

// The shown pair before anything was typed or changed.
function givenPair() {
  const { prompts } = rawCircuit(state.circuit);
  return prompts.pairs[pairIndex(prompts)];
}

// The reader's text, or that of the shown pair.
function ownText(side) {
  return live.texts ? live.texts[side] : textOf(givenPair()[side]);
}

function setText(side, text) {
  live.texts = { a: ownText("a"), b: ownText("b"), [side]: text };
  refreshLive();
}

// --- The box -------------------------------------------------------------------------

function showPromptBox(raw) {
  const box = byId("prompt-box");
  const { pairs } = raw.prompts;
  box.hidden = !canRun(raw) && pairs.length < 2;
  const held = box.contains(document.activeElement) && document.activeElement.id;
  fill(box, canRun(raw) && textBox(), canRun(raw) &&
    el("p", { id: "reading", class: "reading", "aria-live": "polite" }),
  el("div", { class: "tools" }, canRun(raw) && Object.keys(EDITS).map(editButton),
    pairs.length > 1 && pairChoice(raw), el("span", { class: "room" }),
    el("button", { id: "return", type: "button", hidden: true,
      on: { click: leadBack } }, "back")));
  leading.from = null;
  if (held && byId(held)) byId(held).focus({ preventScroll: true });
}

function textBox() {
  return el("label", { class: "edit" }, el("span", { id: "edits" }),
    el("textarea", { id: "prompt-text", rows: 2, spellcheck: "false",
      autocomplete: "off", autocapitalize: "off", on: { focus: endTyping,
        input: (e) => edit(e.target.value) } }));
}

// What is typed is no longer what a scene tried, so that it is not taken back.
function edit(text) {
  story.before = null;
  setText(picture.side, text);
}

// Of a text, the given pair and the side: the changed text, or null.
const EDITS = {
  "swap the deciding token": swapped,
  "add a distractor": distracted,
  "as it was": (text, given, side) => textOf(given[side]),
};

function editButton(name) {
  return el("button", { type: "button", "data-edit": name, on: { click: () => {
    const text = textAfter(name);
    if (text !== null) edit(text);
  } } }, name);
}

function textAfter(name) {
  return EDITS[name](ownText(picture.side), givenPair(), picture.side);
}

function pairChoice(raw) {
  const pick = el("select", { id: "pair", on: {
    change: (e) => change({ pair: Number(e.target.value), step: -1 }) } });
  choices(pick, raw.prompts.pairs.map((_, i) => [i, pairName(raw, i)]),
    pairIndex(raw.prompts));
  return el("label", {}, "given pair", pick);
}

function pairName({ prompts: { pairs } }, i) {
  return `${i + 1} of ${pairs.length}` +
    (pairs[i].distractor ? ", with a distractor" : "");
}

function paintPromptBox(circuit, pair) {
  const box = byId("prompt-text");
  if (!box) return;
  const text = ownText(picture.side);
  fill("edits", el("b", { class: picture.side },
    `Prompt ${picture.side.toUpperCase()}`), ": edit it, and the whole page follows");
  if (box.value !== text) box.value = text;
  for (const button of byId("prompt-box").querySelectorAll("[data-edit]")) {
    button.disabled = textAfter(button.dataset.edit) === null;
  }
  fill("reading", readingOf(circuit, pair));
}

// --- From elsewhere to the box, and back ---------------------------------------------

// Beside a prompt that is only shown.
function editLink(side) {
  if (!canRun(rawCircuit(state.circuit))) return null;
  return el("button", { type: "button", class: "see to-prompt", "data-side": side,
    "aria-label": `edit prompt ${side.toUpperCase()} at the top of the page`,
    on: { click: (e) => leadToPrompt(e.target.closest("section"), side) } }, "edit");
}

function leadToPrompt(section, side) {
  if (picture.side !== side) chooseSide(side);
  Object.assign(leading, { from: section, side });
  byId("return").hidden = false;
  byId("return").textContent = `back to “${section.querySelector("h2").textContent}”`;
  byId("prompt-box").scrollIntoView({ block: "center" });
  byId("prompt-text").focus({ preventScroll: true });
}

function leadBack() {
  byId("return").hidden = true;
  leading.from.querySelector(`.to-prompt[data-side="${leading.side}"]`).focus();
}

// --- Changes of a text ---------------------------------------------------------------

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
