// How to read the picture: what is shown, where a value lies between its values in the
// two given prompts, and what happens in a text of the reader's own.

const LIKE = 0.75; // from here on a value is as in one of the given prompts

// One sentence above the picture: what this is.
function showIntro(raw) {
  const pair = raw.prompts && raw.prompts.pairs.length ? givenPair() : null;
  const layers = Math.max(0, ...Object.values(DATA.sites || {}).map((s) => s[0]));
  const answers = pair && SIDES.map((side) => pair[side].answer);
  byId("intro").hidden = !pair;
  fill("intro", pair && [`${DATA.models[raw.model].name} is a transformer`,
    layers > 0 && ` of ${count(layers, "layer")}`, " that continues text; these are " +
    "the parts of it that decide between ", code(answers[0], "a"), " and ",
    code(answers[1], "b"), answers.join("").includes("\n")
      ? " (⏎ is the end of a line)." : "."]);
}

// Below a value: where it lies between its values in the two given prompts.
function yardstick(circuit, part, value) {
  const [a, b] = givenValues(circuit, part);
  const place = placeBetween(a, b, value);
  if (place === null) return null;
  const dot = el("i", {});
  dot.style.left = (100 * Math.max(0, Math.min(1, 1 - place))).toFixed(0) + "%";
  const end = (name, x) => el("span", { class: name.toLowerCase() }, `${name} `,
    briefNumber(x));
  return el("span", { class: "yard" }, end("A", a),
    el("span", { class: "track", "aria-hidden": "true" }, dot), end("B", b));
}

function briefNumber(x) {
  return number(Number(x.toPrecision(2)));
}

function givenValues(circuit, part) {
  const given = givenPair();
  for (const side of SIDES) unpack(given[side], circuit, circuit.raw.prompts);
  return SIDES.map((side) => valueIn(circuit, given[side], part));
}

// 1 as in prompt A, 0 as in prompt B; null where these are about equal.
function placeBetween(a, b, value) {
  const least = 0.1 * Math.max(Math.abs(a), Math.abs(b));
  return value === null || Math.abs(a - b) <= least ? null : (value - b) / (a - b);
}

// --- A text of the reader's own ------------------------------------------------------

// Whether the shown text is neither of the given ones.
function isOwnText() {
  const given = givenPair();
  const text = ownText(picture.side);
  return live.texts !== null && SIDES.every((side) => text !== textOf(given[side]));
}

// The sentences beside the text box.
function readingOf(circuit, pair) {
  if (live.problem) return live.problem;
  const told = pair[picture.side];
  if (told.tokens.length < 2) return "There is no text yet.";
  const parts = picture.parts.filter((part) => part.heads.length && part.carrier);
  return [...parts.map((part) => lookedAt(circuit, told, part)),
    changedIn(circuit, told), outcomeIn(told),
    !isOwnText() && " Type any text: circuit and whole model run in this page."];
}

// Where a head looks in the text, and what it brings from there.
function lookedAt(circuit, told, part) {
  const looks = told.tokens.map((_, i) => lookOf(circuit, told, part, i));
  const most = looks.indexOf(Math.max(...looks));
  const value = valueIn(circuit, told, part);
  const [a, b] = givenValues(circuit, part);
  const place = placeBetween(a, b, value);
  const other = picture.side === "a" ? `B ${briefNumber(b)}` : `A ${briefNumber(a)}`;
  const like = place === null ? "" : !isOwnText() ? `, in prompt ${other}`
    : place >= LIKE ? ", as in prompt A" : place <= 1 - LIKE ? ", as in prompt B"
      : ", between prompts A and B";
  const many = part.heads.length > 1;
  return [`${firstLetter(partName(part))} look${many ? "" : "s"} most at `,
    most === 0 ? "the start of the text" : code(told.tokens[most]),
    ` (${Math.round(100 * looks[most])} % of ${many ? "a head's" : "its"} attention)`,
    ` and bring${many ? "" : "s"} `, el("b", {}, briefNumber(value)), like, ". "];
}

function firstLetter(text) {
  return text[0].toUpperCase() + text.slice(1);
}

// What is changed in the model, and what the circuit answered before.
function changedIn(circuit, told) {
  const names = listedActs(circuit).map(({ one, name }) => `${name} ` +
    (one.act === "value" ? `at ${number(one.value)}` : ACTS[one.act]));
  if (live.frozen) names.push("all attention frozen");
  if (!names.length || !told.before) return null;
  const [first, ...more] = names;
  const lead = inFavourOfA(told.before.cut);
  return [el("b", {}, "Changed: "), first,
    more.length > 0 && `, and ${more.length} more`,
    ". Before this change the circuit answered ", answerOf(lead),
    ` (${odds(lead)}). Now: `];
}

function inFavourOfA(margin) {
  return picture.side === "a" ? margin : -margin;
}

function odds(lead) {
  return `${Math.round(100 / (1 + Math.exp(-Math.abs(lead))))} %`;
}

function answerOf(lead) {
  const side = lead > 0 ? "a" : "b";
  return code(givenPair()[side].answer, side);
}

// What the circuit and the whole model answer.
function outcomeIn(told) {
  const leads = [told.margin, told.whole].map(inFavourOfA);
  const name = answerOf;
  const unsure = Math.abs(leads[0]) < 1 ? "leans to " : "answers ";
  return leads[0] * leads[1] > 0
    ? ["The circuit ", unsure, name(leads[0]), ` (${odds(leads[0])} of the two), and ` +
      `so does the whole model (${odds(leads[1])}).`]
    : ["The circuit ", unsure, name(leads[0]), ` (${odds(leads[0])} of the two), but ` +
      "the whole model ", name(leads[1]), ` (${odds(leads[1])}).`];
}
